//! The parts of the story, one module each.

pub(super) mod copy;
pub(super) mod ending;
pub(super) mod loss;
pub(super) mod moving;
pub(super) mod permission;
pub(super) mod restart;
pub(super) mod termination;
pub(super) mod trail;
pub(super) mod turns;

use super::house::House;
use crate::failure::Failure;
use credence_model::id::{ActorRef, WorkerRef};
use credence_server::api::actor::ActorView;

/// A worker as the story calls it.
fn short(worker: &WorkerRef) -> &str {
    worker.worker.as_str()
}

/// The worker that holds an actor, as the story calls it.
fn place(actor: &ActorView) -> String {
    actor.worker.as_ref().map_or_else(|| "no worker".into(), |worker| short(&worker.0).to_owned())
}

/// Resumes an actor, and fails if it does not run then.
async fn run_on(house: &House, actor: &ActorRef, worker: Option<&str>) -> Result<ActorView, Failure> {
    let view = house.resume(actor, worker).await?;
    let runs = view.state == credence_model::actor::ActorState::Running;
    super::unless(runs, || format!("{actor} does not run: {:?}", view.state))?;
    Ok(view)
}

/// The last epoch line of the tool for an actor in its epoch.
async fn called(house: &House, actor: &ActorView) -> Result<super::tool::Line, Failure> {
    let (peer, epoch) = (actor.spiffe_id.to_string(), actor.epoch);
    let what = format!("a call of {} in epoch {epoch}", actor.id);
    house.tool.lines().find(&what, |line| line.accepted && line.peer == peer && line.epoch == epoch).await
}
