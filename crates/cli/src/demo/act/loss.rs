//! A node dies. Nobody else may be its actors until its lease is over.

use super::{place, run_on};
use crate::demo::house::{House, actor};
use crate::demo::ledger::Bound;
use crate::demo::stage::{Stage, secs};
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::actor::ActorState;
use credence_model::refusal::Kind;
use credence_server::api::trust_domain::TrustDomainView;
use std::time::{Duration, Instant};

/// How much later than its lease an actor may be back, in milliseconds: generous, because the machine may be busy.
const LATE_MS_MAX: u64 = 20_000;

pub(in crate::demo) async fn play(stage: &Stage, house: &mut House) -> Result<(), Failure> {
    stage.heading(4, &format!("A node dies (kill -9 {}, node alpha)", house.alpha.pid()))?;
    let (back, waits) = (actor(4)?, actor(7)?);
    let before = run_on(house, &back, Some("alpha-1")).await?;
    run_on(house, &waits, Some("alpha-2")).await?;
    house.ledger.refresh(0).await?;
    let mark = house.ledger.last();
    house.alpha.kill().await?;
    let killed = Instant::now();
    stage.line("   actor-04 and actor-07 lost their node. Nobody else may be them until its lease is over.")?;
    house.suspend(&actor(1)?).await?;
    stage.line("   beta-1 is free, and still:")?;
    refused_meanwhile(stage, house).await?;
    stage.progress("waiting for the lease to end")?;
    let lease =
        house.client.send::<TrustDomainView>(crate::client::Call::get("/v1/trust-domain")).await?.settings.lease_ms;
    let Bound { worker, epoch, index, .. } =
        house.ledger.binding_of(&back, mark, Duration::from_millis(lease + LATE_MS_MAX)).await?;
    let gap = killed.elapsed();
    unless(epoch > before.epoch, || format!("{back} came back in epoch {epoch}"))?;
    let waiting = house.actor(&waits).await?;
    stage.event(&format!(
        "lease over, {} after the kill · actor-04 is back on {}, epoch {epoch} (journal entry {index})",
        secs(gap),
        super::short(&worker)
    ))?;
    let place_in_queue = waiting.waiting.as_ref().map(|wait| wait.place);
    unless(place_in_queue.is_some(), || format!("actor-07 does not wait: {:?}", waiting.state))?;
    stage.line("            actor-07 waits for a free worker")?;
    house.restart_alpha().await?;
    let returned = house.ledger.binding_of(&waits, mark, Duration::from_millis(LATE_MS_MAX)).await?;
    stage.event(&format!(
        "node alpha is back with the identity it had saved · actor-07 runs on {}, epoch {}",
        super::short(&returned.worker),
        returned.epoch
    ))
}

/// A resume on the free worker, at once, must be refused: the old node may still believe that it holds the actor.
async fn refused_meanwhile(stage: &Stage, house: &House) -> Result<(), Failure> {
    let actor = actor(4)?;
    match house.resume(&actor, Some("beta-1")).await {
        Err(failure) if failure.refusal.kind == Kind::Conflict => {
            stage.line(format!("   resume   {}: {}", stage.bad("refused"), failure.refusal.message))
        }
        Err(failure) => Err(failure),
        Ok(view) if view.state == ActorState::Lost => Ok(()),
        Ok(view) => unless(false, || format!("actor-04 was resumed on {} during the lease", place(&view))),
    }
}
