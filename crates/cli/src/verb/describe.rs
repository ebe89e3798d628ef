//! `credence describe`: everything about objects.

use crate::args::DescribeArgs;
use crate::client::Client;
use crate::clock;
use crate::failure::Failure;
use crate::kind::{Kind, Object, parse_objects};
use crate::session::Session;
use crate::verb::get::fetch_one;
use crate::view::View;
use credence_server::api::actor::ActorView;
use credence_server::api::class::ClassView;
use credence_server::api::guard::GuardView;
use credence_server::api::node::NodeView;
use credence_server::api::pool::PoolView;
use credence_server::api::worker::WorkerView;

pub(super) async fn run(args: DescribeArgs, session: &Session) -> Result<(), Failure> {
    let (kind, objects) = parse_objects(&args.words, &args.namespace.namespace)?;
    if objects.is_empty() {
        let failure = Failure::used_wrongly(format!("no {kind} was named"));
        return Err(failure.hint(format!("`credence get {}` lists them", kind.plural())));
    }
    let client = session.client()?;
    for (index, object) in objects.iter().enumerate() {
        if index > 0 && !session.out.is_object() {
            session.out.line("")?;
        }
        match kind {
            Kind::Class => print::<ClassView>(&client, session, object).await?,
            Kind::Pool => print::<PoolView>(&client, session, object).await?,
            Kind::Guard => print::<GuardView>(&client, session, object).await?,
            Kind::Actor => print::<ActorView>(&client, session, object).await?,
            Kind::Node => print::<NodeView>(&client, session, object).await?,
            Kind::Worker => print::<WorkerView>(&client, session, object).await?,
        }
    }
    Ok(())
}

async fn print<V: View>(client: &Client, session: &Session, object: &Object) -> Result<(), Failure> {
    let view: V = fetch_one(client, object).await?;
    session.out.answer(&view, || view.describe(clock::now(), session.out.style))
}
