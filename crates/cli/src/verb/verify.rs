//! `credence verify`: asks the server whether a credential is genuine and its epoch the live one.

use crate::args::VerifyArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::output::style::{Style, Tone};
use crate::output::table::pairs;
use crate::pem;
use crate::session::Session;
use crate::verb::svid::credential::{self, Credential};
use crate::view::worker_name;
use credence_server::api::verification::{VerdictView, VerifyBody};
use std::process::ExitCode;

pub(super) async fn run(args: VerifyArgs, session: &Session) -> Result<ExitCode, Failure> {
    let body = match credential::read(&args.file)? {
        Credential::X509(chain) => {
            let pem: String = chain.iter().map(|der| pem::write_certificate(der)).collect();
            VerifyBody { x509_svid_pem: Some(pem), ..VerifyBody::default() }
        }
        Credential::Jwt(token) => {
            let audience = args.audience.clone().ok_or_else(|| {
                let failure = Failure::used_wrongly("a JWT-SVID is only good for its audience, and none was named");
                failure.hint("Add --audience; `credence svid inspect` shows which one it has")
            })?;
            VerifyBody { jwt_svid: Some(token.as_str().to_owned()), audience: Some(audience), ..VerifyBody::default() }
        }
    };
    let verdict: VerdictView = session.client()?.send(Call::post("/v1/verify", &body)).await?;
    session.out.answer(&verdict, || words(&verdict, session.out.style))?;
    Ok(if verdict.live { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn words(verdict: &VerdictView, style: Style) -> String {
    let title = if verdict.live { style.paint(Tone::Good, "live") } else { style.paint(Tone::Bad, "not live") };
    let who =
        verdict.class.as_ref().zip(verdict.actor.as_ref()).map(|(class, actor)| format!("{class} / {}", actor.0.actor));
    let epoch = verdict.epoch.map(|epoch| match verdict.live_epoch {
        Some(live) if live != epoch => format!("{epoch} is over, {live} is live"),
        Some(_) => format!("{epoch}, the live one"),
        None => format!("{epoch}; none is live"),
    });
    let place = verdict.worker.as_ref().map(|worker| {
        let node = verdict.node.as_ref().map(|node| format!(", node {node}")).unwrap_or_default();
        format!("worker {}{node}", worker_name(&worker.0))
    });
    let facts = [
        ("who", who.unwrap_or_default()),
        ("spiffe id", verdict.spiffe_id.to_string()),
        ("epoch", epoch.unwrap_or_default()),
        ("where", place.unwrap_or_default()),
        ("revision", verdict.revision.map(|number| number.to_string()).unwrap_or_default()),
        ("binding", verdict.binding.map(|binding| binding.to_string()).unwrap_or_default()),
        ("as of", format!("journal entry {}", verdict.entry_index)),
    ];
    format!("{title}: {}\n{}", verdict.reason, pairs(&facts, style))
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_model::id::Epoch;
    use credence_model::spiffe_id::SpiffeId;

    #[test]
    fn an_old_epoch_is_told_with_the_one_that_is_live() {
        let verdict = VerdictView {
            live: false,
            reason: "epoch 1 is over, 2 is live".into(),
            spiffe_id: SpiffeId::parse("spiffe://td/ns/a/agent/b/actor/c").expect("valid"),
            class: "a/b".parse().map(credence_server::api::text::Text).ok(),
            actor: "a/c".parse().map(credence_server::api::text::Text).ok(),
            epoch: Some(Epoch(1)),
            live_epoch: Some(Epoch(2)),
            revision: Some(1),
            worker: "p/beta/w1".parse().map(credence_server::api::text::Text).ok(),
            node: None,
            binding: None,
            entry_index: 412,
        };
        let expected = "not live: epoch 1 is over, 2 is live
  who        a/b / c
  spiffe id  spiffe://td/ns/a/agent/b/actor/c
  epoch      1 is over, 2 is live
  where      worker beta/w1
  revision   1
  as of      journal entry 412";
        assert_eq!(words(&verdict, Style::default()), expected);
    }
}
