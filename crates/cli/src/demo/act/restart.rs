//! The control plane dies and comes back: what it acknowledged is there, and identities went on.

use super::called;
use crate::demo::house::{House, actor};
use crate::demo::stage::{Stage, secs};
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::actor::ActorState;
use std::time::Instant;

pub(in crate::demo) async fn play(stage: &Stage, house: &mut House) -> Result<(), Failure> {
    stage.heading(5, &format!("The control plane dies (kill -9 {}, server)", house.server.pid()))?;
    let actor = actor(4)?;
    stage.progress("actor-04 works")?;
    let before = house.actor(&actor).await?;
    called(house, &before).await?;
    house.ledger.refresh(0).await?;
    let acknowledged = house.ledger.last();
    house.server.kill().await?;
    let killed = Instant::now();
    let lines = house.tool.lines().count();
    house.restart_server().await?;
    let up = killed.elapsed();
    // The journal is the same one: every entry that was there is read again with its number.
    let mut again = crate::demo::ledger::Ledger::new(house.client.clone());
    again.refresh(0).await?;
    let whole = again.last() >= acknowledged && again.bindings().count() >= house.ledger.bindings().count();
    unless(whole, || format!("of {acknowledged} entries {} are left", again.last()))?;
    stage.progress("actor-04 goes on")?;
    let (peer, epoch) = (before.spiffe_id.to_string(), before.epoch);
    let next = |line: &crate::demo::tool::Line| {
        line.accepted && line.peer == peer && line.epoch == epoch && line.number > u64::try_from(lines).unwrap_or(0)
    };
    house.tool.lines().find("a call of actor-04 after the restart", next).await?;
    let after = house.actor(&actor).await?;
    let same = after.epoch == before.epoch && after.binding == before.binding && after.state == ActorState::Running;
    unless(same, || format!("actor-04 is {:?} in epoch {}", after.state, after.epoch))?;
    stage.line(format!("   back after {} · all {acknowledged} acknowledged journal entries are there", secs(up)))?;
    stage.line(format!(
        "   actor-04 kept its identity, epoch {} and worker {} throughout, and files reports again",
        after.epoch,
        super::place(&after)
    ))
}
