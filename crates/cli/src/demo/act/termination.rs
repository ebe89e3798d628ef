//! What was terminated never returns, not even its name.

use crate::client::Call;
use crate::demo::house::{House, actor, class, path};
use crate::demo::stage::Stage;
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::id::ClassRef;
use credence_model::label::Labels;
use credence_server::api::actor::{ActorView, CreateActorBody, ReasonBody};

pub(in crate::demo) async fn play(stage: &Stage, house: &House) -> Result<(), Failure> {
    stage.heading(6, "A terminated actor cannot return")?;
    let actor = actor(12)?;
    let body = ReasonBody { reason: Some("the demo is about to end".into()) };
    let _: ActorView = house.client.send(Call::post(format!("{}/terminate", path(&actor)), &body)).await?;
    stage.line("   actor-12 is terminated")?;
    let resumed = house.resume(&actor, None).await.map(drop);
    let (namespace, id) = (actor.namespace.clone(), Some(actor.actor.clone()));
    let again = CreateActorBody::new(ClassRef { namespace, class: class()? }, id, Labels::new());
    let created = house.client.send::<ActorView>(Call::post("/v1/actors", &again)).await.map(drop);
    for (what, tried) in [("resume", resumed), ("create", created)] {
        let Err(failure) = tried else {
            return unless(false, || format!("{what} of a terminated actor was granted"));
        };
        stage.line(format!("   {what:<7}  {}: {}", stage.bad("refused"), failure.refusal.message))?;
    }
    Ok(())
}
