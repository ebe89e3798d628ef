//! `credence demo`: the whole way of an identity, on this machine, with real processes: a server, two nodes, twelve agents
//! and a tool, none of them in this process.
//!
//! Every figure is measured and every line is checked before it is printed. What does not hold ends the demo with an
//! error, and what the processes wrote is kept.

mod act;
mod house;
mod ledger;
mod programs;
mod stage;
mod tool;

use crate::args::{DemoArgs, EndingArgs, LogFormat};
use crate::daemon::Ending;
use crate::failure::Failure;
use crate::session::Session;
use credence_model::refusal::Kind;
use house::House;
use stage::Stage;
use std::process::ExitCode;

/// Shows it.
pub(crate) async fn run(args: DemoArgs, session: &Session) -> Result<ExitCode, Failure> {
    let mut ending = Ending::catch(EndingArgs { until_stdin_closes: false, log_format: LogFormat::Text })?;
    let stage = || Stage::new(session.out, session.environment.terminal);
    let programs = programs::find(&stage()).await?;
    // The time begins when everything is built.
    let stage = stage();
    let dir = tempfile::Builder::new()
        .prefix("credence-demo-")
        .tempdir()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("no directory for the demo: {error}")))?;
    let mut house = None;
    let played = tokio::select! {
        played = play(&stage, &mut house, dir.path(), &programs) => played,
        () = ending.wait() => Err(Failure::new(Kind::Unavailable, "the demo was interrupted")),
    };
    stage.clear()?;
    if played.is_ok() && args.stay {
        if let Some(house) = &house {
            act::ending::stay(&stage, house)?;
        }
        ending.wait().await;
    }
    if let Some(house) = house {
        house.leave().await;
    }
    match played {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => {
            let kept = dir.keep();
            Err(failure.hint(format!("What the processes wrote is kept in {}", kept.display())))
        }
    }
}

async fn play(
    stage: &Stage,
    house: &mut Option<House>,
    dir: &std::path::Path,
    programs: &programs::Programs,
) -> Result<(), Failure> {
    let house = house.insert(House::build(stage, dir, programs).await?);
    act::turns::play(stage, house).await?;
    let copy = act::moving::play(stage, house).await?;
    act::copy::play(stage, house, &copy).await?;
    act::loss::play(stage, house).await?;
    act::restart::play(stage, house).await?;
    act::termination::play(stage, house).await?;
    act::trail::play(stage, house).await?;
    act::permission::play(stage, house).await?;
    act::ending::play(stage, house).await
}

/// Something that the demo is about to say does not hold.
fn unless(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(Kind::Bug, format!("the demo found something untrue: {}", message()))) }
}
