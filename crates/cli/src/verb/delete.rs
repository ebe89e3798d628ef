//! `credence delete`: removes objects that nothing depends on.

use crate::args::DeleteArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, parse_objects};
use crate::session::Session;

pub(super) async fn run(args: DeleteArgs, session: &Session) -> Result<(), Failure> {
    let (kind, objects) = parse_objects(&args.words, &args.namespace.namespace)?;
    if kind == Kind::Worker {
        let failure = Failure::used_wrongly("a worker is not deleted: its node offers it");
        return Err(failure.hint("`credence worker drain` takes it out of use"));
    }
    if objects.is_empty() {
        return Err(Failure::used_wrongly(format!("no {kind} was named")).hint("All of them are never meant"));
    }
    let client = session.client()?;
    for object in &objects {
        let answer: serde_json::Value = client.send(Call::delete(object.path())).await?;
        session.out.answer(&answer, || format!("{object}: deleted"))?;
    }
    Ok(())
}
