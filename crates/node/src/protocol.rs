//! Between the messages of the node protocol and the words of the state machine. Every wrong field is named.

use crate::core::Input;
use crate::core::message::{BindNotice, FromNodeMessage};
use credence_model::actor::{Outcome, UnbindMode};
use credence_model::command::{Held, Unbind};
use credence_model::id::{ActorId, ActorRef, BindingId, ClassName, ClassRef, Digest, Epoch, Namespace};
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::worker::WorkerKind;
use credence_policy::inquiry::Inquiry;
use credence_wire::node as wire;
use credence_wire::node::{ended, from_node, unbind};
use prost::Message as _;
use serde_json::Value;

/// What the state machine says, as a message; a Hello shows the last mark.
pub fn from_node(message: FromNodeMessage, mark: Option<&wire::Mark>) -> from_node::Message {
    match message {
        FromNodeMessage::Hello { workers, held: bindings } => from_node::Message::Hello(wire::Hello {
            workers: workers.iter().map(ToString::to_string).collect(),
            held: bindings.into_iter().map(held).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mark: mark.cloned(),
        }),
        FromNodeMessage::Heartbeat { number } => from_node::Message::Heartbeat(wire::Heartbeat { number }),
        FromNodeMessage::Leaving => from_node::Message::Leaving(wire::Leaving {}),
        FromNodeMessage::Running(running) => from_node::Message::Running(wire::Running { held: Some(held(running)) }),
        FromNodeMessage::Ended { held: over, outcome, archive } => from_node::Message::Ended(wire::Ended {
            held: Some(held(over)),
            archive: archive.map(|digest| digest.0.to_vec()).unwrap_or_default(),
            outcome: Some(match outcome {
                Outcome::Exited { code } => ended::Outcome::ExitCode(code),
                Outcome::Failed { reason } => ended::Outcome::Failed(reason),
                Outcome::Dropped => ended::Outcome::Dropped(ended::Dropped {}),
                // The lease is the server's own word for an end; a node never says it.
                Outcome::Stopped | Outcome::LeaseOver => ended::Outcome::Stopped(ended::Stopped {}),
            }),
        }),
    }
}

/// A binding and its epoch.
pub(crate) fn held(held: Held) -> wire::Held {
    wire::Held { binding: held.binding.to_string(), epoch: held.epoch.0 }
}

/// A question that the control plane decides.
pub(crate) fn question(inquiry: Inquiry) -> wire::Question {
    let Inquiry { subject, wish, confirms } = inquiry;
    let json = |value: &Value| if value.is_null() { Vec::new() } else { value.to_string().into_bytes() };
    let held = Some(held(subject.held));
    let question =
        wire::Question { spiffe_id: subject.spiffe_id.to_string(), held, confirms, ..wire::Question::default() };
    match wish {
        Some(wish) => wire::Question {
            properties: json(&wish.properties),
            context: json(&wish.context),
            action: wish.action,
            resource_type: wish.kind,
            resource_id: wish.id,
            ..question
        },
        None => question,
    }
}

/// The answer to Hello on a stream.
pub fn welcome(stream: u64, welcome: &wire::Welcome) -> Result<Input, Refusal> {
    let unbind = welcome.unbind.iter().map(unbind).collect::<Result<_, _>>()?;
    let wire::Welcome { session, lease_ms, heartbeat_ms, .. } = *welcome;
    Ok(Input::Welcome { stream, session, lease_ms, heartbeat_ms, unbind })
}

/// An order to hold a binding.
pub fn bind(bind: wire::Bind) -> Result<BindNotice, Refusal> {
    let namespace = Namespace::parse(&bind.namespace).map_err(|error| malformed("bind.namespace", error))?;
    let class = ClassName::parse(&bind.class).map_err(|error| malformed("bind.class", error))?;
    let actor = ActorId::parse(&bind.actor).map_err(|error| malformed("bind.actor", error))?;
    Ok(BindNotice {
        class: ClassRef { namespace: namespace.clone(), class },
        actor: ActorRef { namespace, actor },
        spiffe_id: SpiffeId::parse(&bind.spiffe_id).map_err(|error| malformed("bind.spiffe_id", error))?,
        binding: BindingId::parse(&bind.binding).map_err(|error| malformed("bind.binding", error))?,
        epoch: Epoch(bind.epoch),
        worker: bind.worker.parse().map_err(|error| malformed("bind.worker", error))?,
        kind: if bind.process { WorkerKind::Process } else { WorkerKind::Slot },
        revision: bind.revision,
        runtime: serde_json::from_str(&bind.runtime).map_err(|error| malformed("bind.runtime", error))?,
        archive: digest(&bind.archive, "bind.archive")?,
        chain: bind.x509_svid,
    })
}

/// An order to end a binding.
pub fn unbind(unbind: &wire::Unbind) -> Result<Unbind, Refusal> {
    let mode = match unbind.mode() {
        unbind::Mode::Suspend => UnbindMode::Suspend,
        unbind::Mode::Terminate => UnbindMode::Terminate,
        unbind::Mode::Quarantine => UnbindMode::Quarantine,
        unbind::Mode::Drop => UnbindMode::Drop,
        unbind::Mode::Unspecified => return Err(malformed("unbind.mode", "it is missing or unknown")),
    };
    let binding = BindingId::parse(&unbind.binding).map_err(|error| malformed("unbind.binding", error))?;
    Ok(Unbind { binding, mode })
}

/// A digest of 32 bytes, or none.
pub(crate) fn digest(bytes: &[u8], field: &str) -> Result<Option<Digest>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(|bytes| Some(Digest(bytes))).map_err(|_| malformed(field, "a digest has 32 bytes"))
}

/// A refusal as the protocol carries it.
pub fn refused(refusal: &Refusal) -> wire::Refused {
    let kind = serde_json::to_value(refusal.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    wire::Refused {
        kind: kind.unwrap_or_default(),
        message: refusal.message.clone(),
        field: refusal.field.clone().unwrap_or_default(),
        hint: refusal.hint.clone().unwrap_or_default(),
        retry_after_ms: refusal.retry_after_ms.unwrap_or_default(),
    }
}

/// A refusal that came; one of a kind that is not known here is "not now".
pub fn refusal(refused: wire::Refused) -> Refusal {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Refusal {
        kind: serde_json::from_value(Value::String(refused.kind)).unwrap_or(Kind::Unavailable),
        message: refused.message,
        field: some(refused.field),
        hint: some(refused.hint),
        retry_after_ms: Some(refused.retry_after_ms).filter(|ms| *ms > 0),
    }
}

/// What a gRPC status of the control plane says: its details hold the refusal; without them it did not come from there.
pub(crate) fn status(status: &tonic::Status) -> Refusal {
    match wire::Refused::decode(status.details()) {
        Ok(refused) if !refused.kind.is_empty() => refusal(refused),
        _ => Refusal::new(Kind::Unavailable, format!("the control plane did not answer: {}", status.message())),
    }
}

pub(crate) fn malformed(field: &str, message: impl ToString) -> Refusal {
    Refusal::new(Kind::Malformed, message.to_string()).field(field)
}

#[cfg(test)]
mod tests {
    use super::{bind, refusal, refused, status, unbind};
    use credence_model::refusal::{Kind, Refusal};
    use credence_wire::node as wire;

    fn good() -> wire::Bind {
        wire::Bind {
            binding: "01arz3ndektsv4rrffq69g5fav".to_owned(),
            epoch: 2,
            namespace: "finance".to_owned(),
            actor: "actor-01".to_owned(),
            class: "expense-agent".to_owned(),
            spiffe_id: "spiffe://a.test/ns/finance/agent/expense-agent/actor/actor-01".to_owned(),
            worker: "finance/standard/w1".to_owned(),
            revision: 1,
            runtime: "{}".to_owned(),
            ..wire::Bind::default()
        }
    }

    #[test]
    fn what_is_wrong_in_a_message_is_named_by_its_path() {
        assert!(bind(good()).is_ok());
        let broken: [(_, fn(&mut wire::Bind)); 8] = [
            ("bind.namespace", |bind| bind.namespace = "..".to_owned()),
            ("bind.actor", |bind| bind.actor = "a/b".to_owned()),
            ("bind.class", |bind| bind.class = "finance/agent".to_owned()),
            ("bind.spiffe_id", |bind| bind.spiffe_id = "https://a.test/".to_owned()),
            ("bind.binding", |bind| bind.binding.clear()),
            ("bind.worker", |bind| bind.worker = "a/b".to_owned()),
            ("bind.runtime", |bind| bind.runtime = "{\"commands\":1}".to_owned()),
            ("bind.archive", |bind| bind.archive = vec![1]),
        ];
        for (field, breaks) in broken {
            let mut message = good();
            breaks(&mut message);
            assert_eq!(bind(message).expect_err(field).field.as_deref(), Some(field));
        }
        let unknown = wire::Unbind { binding: good().binding, mode: 17 };
        assert_eq!(unbind(&unknown).expect_err("unknown").field.as_deref(), Some("unbind.mode"));
    }

    #[test]
    fn a_refusal_survives_the_protocol_and_a_foreign_status_means_not_now() {
        let sent = Refusal::new(Kind::Stale, "over").field("epoch").hint("attach again").retry_after_ms(7);
        assert_eq!(refusal(refused(&sent)), sent);
        let foreign = status(&tonic::Status::internal("h2 protocol error"));
        assert_eq!(foreign.kind, Kind::Unavailable);
    }
}
