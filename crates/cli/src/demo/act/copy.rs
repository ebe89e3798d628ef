//! The old holder is shut out: a copy of its certificate and its token is worth nothing once the epoch is over.

use super::moving::Copied;
use crate::demo::house::House;
use crate::demo::stage::Stage;
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::refusal::Kind;
use std::process::Stdio;

pub(in crate::demo) async fn play(stage: &Stage, house: &House, copied: &Copied) -> Result<(), Failure> {
    stage.heading(3, "The old holder is shut out")?;
    let (then, now) = (copied.then.epoch, copied.now.epoch);
    stage.line(format!("   a thief on alpha kept a copy of actor-01's epoch-{then} certificate, key and token …"))?;
    unless(!copied.socket.exists(), || format!("{} is still there", copied.socket.display()))?;
    let mut replay = house.example("expense-agent");
    let output = replay.arg("replay").arg(&copied.file).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| Failure::new(Kind::Unavailable, format!("no replay: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = format!("epoch {then} is over, {now} is live");
    let refused =
        |what: &str| said.lines().any(|line| line.starts_with(&format!("{what}: 403 ")) && line.ends_with(&expected));
    let all = output.status.code() == Some(1) && refused("certificate") && refused("token");
    unless(all, || format!("the tool said: {said}"))?;
    stage.line(format!("   socket       {}", stage.bad("gone")))?;
    for what in ["certificate", "token"] {
        let not_expired = "still in its validity";
        stage.line(format!("   {what:<11}  {not_expired}, {} by the tool: {expected}", stage.bad("refused")))?;
    }
    Ok(())
}
