//! `credence class enable|disable`.

use crate::args::ClassVerb;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::session::Session;
use credence_server::api::class::EnableBody;

pub(super) async fn run(verb: ClassVerb, session: &Session) -> Result<(), Failure> {
    let (word, args) = match verb {
        ClassVerb::Enable(args) => ("enable", args),
        ClassVerb::Disable(args) => ("disable", args),
    };
    let class = Object::named(Kind::Class, &args.class, &args.namespace.namespace)?;
    let call = Call::post(format!("{}/{word}", class.path()), &EnableBody { revision: args.revision });
    let answer: serde_json::Value = session.client()?.send(call).await?;
    session.out.answer(&answer, || match args.revision {
        Some(revision) => format!("{class}: revision {revision} {word}d"),
        None => format!("{class}: {word}d"),
    })
}
