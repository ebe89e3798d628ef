//! Who did it? From a line in somebody's log to class, actor, epoch, worker, node and journal entry.

use super::short;
use crate::demo::house::{House, actor};
use crate::demo::stage::Stage;
use crate::demo::unless;
use crate::failure::Failure;

pub(in crate::demo) async fn play(stage: &Stage, house: &mut House) -> Result<(), Failure> {
    stage.heading(7, "Who did it?")?;
    house.ledger.refresh(0).await?;
    let (first, fourth) = (actor(1)?, actor(4)?);
    for actor in [&first, &fourth] {
        let ending = format!("/actor/{}", actor.actor);
        let line = house.tool.lines().last(|line| line.accepted && line.peer.ends_with(&ending));
        let found = line.and_then(|line| {
            let bound = house.ledger.bindings().find(|bound| bound.actor == *actor && bound.epoch == line.epoch)?;
            Some((line, bound))
        });
        let Some((line, bound)) = found else {
            return unless(false, || format!("{actor}'s call cannot be resolved"));
        };
        stage.line(format!(
            "   tool's log line {}:  POST /reports  peer {}  epoch {}",
            line.number, line.peer, line.epoch
        ))?;
        stage.line(format!(
            "   that was  {} · class finance/expense-agent revision {} · epoch {} · worker {} · node {} · journal entry {}",
            bound.actor.actor,
            bound.revision,
            bound.epoch,
            short(&bound.worker),
            bound.node,
            bound.index
        ))?;
    }
    Ok(())
}
