//! `credence worker list|drain`.

use crate::args::WorkerVerb;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::session::Session;
use crate::verb::{get, namespace_or_default};
use serde::Serialize;

#[derive(Serialize)]
struct DrainBody {}

pub(super) async fn run(verb: WorkerVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        WorkerVerb::List(args) => {
            let namespace = namespace_or_default(args.namespace.as_ref())?;
            let pool = args.pool.as_ref().map(|pool| Object::named(Kind::Pool, pool, &namespace)).transpose()?;
            let pool = pool.map(|pool| if let Object::Pool(pool) = pool { pool.to_string() } else { String::new() });
            get::workers(session, pool, args.namespace).await
        }
        WorkerVerb::Drain(args) => {
            let client = session.client()?;
            for name in &args.workers {
                let worker = Object::named(Kind::Worker, name, &args.namespace.namespace)?;
                let answer: serde_json::Value =
                    client.send(Call::post(format!("{}/drain", worker.path()), &DrainBody {})).await?;
                session.out.answer(&answer, || format!("{worker}: takes no further actor"))?;
            }
            Ok(())
        }
    }
}
