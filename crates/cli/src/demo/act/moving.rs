//! The same name in a new place, with the state that it had.

use super::{called, place, run_on};
use crate::client::Call;
use crate::demo::house::{House, actor, path};
use crate::demo::stage::Stage;
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::refusal::Kind;
use credence_node::endpoint::socket_name;
use credence_server::api::actor::{ActorView, ExecBody, ExecResult, LogsPage};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the thief may take, in milliseconds.
const EXEC_MS: u64 = 10_000;
/// How long an actor may take to say what it did, and the pause before its log is looked at again.
const REPORT_AT_MOST: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Most bytes of an actor's log that are looked at.
const LOG_BYTES_MAX: usize = 65_536;

/// What was copied before the move.
pub(in crate::demo) struct Copied {
    /// The stolen identity.
    pub(in crate::demo) file: PathBuf,
    /// The socket that it came from.
    pub(in crate::demo) socket: PathBuf,
    /// The actor, as it was then.
    pub(in crate::demo) then: ActorView,
    /// And as it is now.
    pub(in crate::demo) now: ActorView,
}

pub(in crate::demo) async fn play(stage: &Stage, house: &mut House) -> Result<Copied, Failure> {
    stage.heading(2, "Same name, new place")?;
    let actor = actor(1)?;
    stage.progress("actor-01 works on alpha-1")?;
    let then = run_on(house, &actor, Some("alpha-1")).await?;
    called(house, &then).await?;
    let file = house.dir.join("stolen");
    let copied = steal(house, &then, &file).await?;
    house.suspend(&actor).await?;
    let before = last_report(house, &then).await?;
    let now = run_on(house, &actor, Some("beta-1")).await?;
    called(house, &now).await?;
    let after = report_after(house, &now, before).await?;
    unless(then.spiffe_id == now.spiffe_id && now.epoch > then.epoch, || "the move changed the name".into())?;
    unless(after > before, || format!("report {after} after report {before}"))?;
    stage.line(format!("   actor-01  suspended on {}, resumed on {}", place(&then), place(&now)))?;
    for (word, view) in [("before", &then), ("after ", &now)] {
        stage.line(format!(
            "             {word}  {}   epoch {}  worker {}",
            view.spiffe_id,
            view.epoch,
            place(view)
        ))?;
    }
    stage
        .line(format!("             its private state went with it: report {before} was filed there, {after} here"))?;
    Ok(Copied { file, socket: copied, then, now })
}

/// Copies certificate, key and a token out of the running actor; answers the socket that they came from.
async fn steal(house: &House, view: &ActorView, file: &std::path::Path) -> Result<PathBuf, Failure> {
    let command = vec!["expense-agent".into(), "keep-a-copy".into(), file.display().to_string()];
    let body = ExecBody { command, timeout_ms: EXEC_MS };
    let call = Call::post(format!("{}/exec", path(&actor(1)?)), &body).wait_ms(EXEC_MS);
    let result: ExecResult = house.client.send(call).await?;
    unless(result.exit_code == 0, || format!("nothing was copied: {}", result.stderr))?;
    let socket = house.dir.join("alpha/s").join(view.binding.map(socket_name).unwrap_or_default());
    unless(socket.exists(), || format!("{} is not there", socket.display()))?;
    Ok(socket)
}

/// The same, once it is another than `before`: the tool knows of a report a little before the actor says so.
async fn report_after(house: &House, view: &ActorView, before: u64) -> Result<u64, Failure> {
    let begun = Instant::now();
    loop {
        let last = last_report(house, view).await?;
        if last != before || begun.elapsed() > REPORT_AT_MOST {
            return Ok(last);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The number of the last report that an actor says it filed.
async fn last_report(house: &House, view: &ActorView) -> Result<u64, Failure> {
    let path = format!("/v1/actors/{}/{}/logs?offset=0&limit={LOG_BYTES_MAX}", view.namespace, view.id);
    let page: LogsPage = house.client.send(Call::get(path)).await?;
    let filed = |line: &str| line.split_once("report ")?.1.split_once(" filed")?.0.parse().ok();
    let last = page.text.lines().rev().find_map(filed);
    last.ok_or_else(|| Failure::new(Kind::Bug, format!("{} says nothing about a report", view.id)))
}
