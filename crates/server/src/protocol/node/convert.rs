//! Between the messages of the protocol and the words of the model. Every wrong field is named.

use credence_model::actor::{Outcome, UnbindMode};
use credence_model::command::{Held, REASON_BYTES_MAX, Report, Unbind};
use credence_model::directive::Bind;
use credence_model::id::{BindingId, Digest, Epoch, WorkerRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::worker::WorkerKind;
use credence_wire::node as wire;
use credence_wire::node::ended;

/// Most workers that one node may offer.
pub(super) const WORKERS_MAX: usize = 4096;
/// Most bindings that one node may say it holds.
pub(super) const HELD_MAX: usize = 8192;

pub(super) fn malformed(field: impl Into<String>, message: impl ToString) -> Refusal {
    Refusal::new(Kind::Malformed, message.to_string()).field(field)
}

pub(super) fn hello(hello: &wire::Hello) -> Result<(Vec<WorkerRef>, Vec<Held>), Refusal> {
    if hello.workers.len() > WORKERS_MAX {
        return Err(malformed("hello.workers", format!("more than {WORKERS_MAX} workers")));
    }
    if hello.held.len() > HELD_MAX {
        return Err(malformed("hello.held", format!("more than {HELD_MAX} bindings")));
    }
    let worker = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| malformed(format!("hello.workers[{index}]"), error))
    };
    let holds = |(index, one): (usize, &wire::Held)| held(Some(one), &format!("hello.held[{index}]"));
    let workers = hello.workers.iter().enumerate().map(worker).collect::<Result<_, _>>()?;
    Ok((workers, hello.held.iter().enumerate().map(holds).collect::<Result<_, _>>()?))
}

pub(super) fn held(held: Option<&wire::Held>, field: &str) -> Result<Held, Refusal> {
    let held = held.ok_or_else(|| malformed(field, "it is missing"))?;
    binding(&held.binding, held.epoch).map_err(|refusal| refusal.field(format!("{field}.binding")))
}

/// A binding and its epoch.
pub(super) fn binding(id: &str, epoch: u64) -> Result<Held, Refusal> {
    let binding = BindingId::parse(id).map_err(|error| malformed("binding", error))?;
    Ok(Held { binding, epoch: Epoch(epoch) })
}

/// A digest of 32 bytes, or none.
pub(super) fn digest(bytes: &[u8], field: &str) -> Result<Option<Digest>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let digest = bytes.try_into().map_err(|_| malformed(field, "a digest has 32 bytes"))?;
    Ok(Some(Digest(digest)))
}

/// How a binding ended, as a report, with the archive that the node says it put.
pub(super) fn ended(ended: wire::Ended) -> Result<Report, Refusal> {
    let held = held(ended.held.as_ref(), "ended.held")?;
    let archive = digest(&ended.archive, "ended.archive")?;
    let outcome = match ended.outcome.ok_or_else(|| malformed("ended.outcome", "it is missing"))? {
        ended::Outcome::Stopped(_) => Outcome::Stopped,
        ended::Outcome::ExitCode(code) => Outcome::Exited { code },
        ended::Outcome::Failed(reason) => Outcome::Failed { reason: shortened(reason) },
        ended::Outcome::Dropped(_) => Outcome::Dropped,
    };
    Ok(Report::Ended { held, outcome, archive })
}

/// At most as long as a reason may be, cut at a character, without control characters.
fn shortened(reason: String) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn unbind(unbind: Unbind) -> wire::Unbind {
    let mode = match unbind.mode {
        UnbindMode::Suspend => wire::unbind::Mode::Suspend,
        UnbindMode::Terminate => wire::unbind::Mode::Terminate,
        UnbindMode::Quarantine => wire::unbind::Mode::Quarantine,
        UnbindMode::Drop => wire::unbind::Mode::Drop,
    };
    wire::Unbind { binding: unbind.binding.to_string(), mode: mode.into() }
}

pub(super) fn bind(bind: &Bind, x509_svid: Vec<Vec<u8>>) -> Result<wire::Bind, Refusal> {
    let runtime = serde_json::to_string(&bind.spec.runtime)
        .map_err(|error| Refusal::new(Kind::Bug, format!("runtime settings cannot be written: {error}")))?;
    Ok(wire::Bind {
        binding: bind.binding.to_string(),
        epoch: bind.epoch.0,
        namespace: bind.actor.namespace.to_string(),
        actor: bind.actor.actor.to_string(),
        class: bind.class.class.to_string(),
        spiffe_id: bind.spiffe_id.to_string(),
        worker: bind.worker.to_string(),
        revision: bind.revision,
        process: bind.kind == WorkerKind::Process,
        runtime,
        archive: bind.archive.map(|digest| digest.0.to_vec()).unwrap_or_default(),
        x509_svid,
        mark: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{ended, hello, shortened};
    use credence_model::command::REASON_BYTES_MAX;
    use credence_wire::node as wire;

    #[test]
    fn what_is_wrong_in_a_message_is_named_by_its_path() {
        let message = |workers: &[&str], binding: &str| wire::Hello {
            workers: workers.iter().map(ToString::to_string).collect(),
            held: vec![wire::Held { binding: binding.to_owned(), epoch: 1 }],
            version: String::new(),
            mark: None,
        };
        let good = "01arz3ndektsv4rrffq69g5fav";
        assert!(hello(&message(&["a/b/c"], good)).is_ok());
        for (wrong, field) in [
            (message(&["a/b/c", "a/../c"], good), "hello.workers[1]"),
            (message(&["a/B/c"], good), "hello.workers[0]"),
            (message(&["a/b%2fc/d"], good), "hello.workers[0]"),
            (message(&[], "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "hello.held[0].binding"),
        ] {
            assert_eq!(hello(&wrong).expect_err(field).field.as_deref(), Some(field));
        }
        let held = Some(wire::Held { binding: good.to_owned(), epoch: 1 });
        for (wrong, field) in [
            (wire::Ended::default(), "ended.held"),
            (wire::Ended { held: held.clone(), ..Default::default() }, "ended.outcome"),
            (wire::Ended { held, archive: vec![1], ..Default::default() }, "ended.archive"),
        ] {
            assert_eq!(ended(wrong).expect_err(field).field.as_deref(), Some(field));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened("a\nb".to_owned()), "a b");
        assert!(shortened("ä".repeat(REASON_BYTES_MAX)).len() <= REASON_BYTES_MAX);
    }
}
