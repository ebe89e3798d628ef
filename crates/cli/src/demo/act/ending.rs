//! The invariants, checked by the control plane over its whole journal, and what to do next.

use crate::client::Call;
use crate::demo::house::House;
use crate::demo::stage::{Stage, secs};
use crate::demo::unless;
use crate::failure::Failure;
use credence_server::api::invariant::InvariantsView;

pub(in crate::demo) async fn play(stage: &Stage, house: &House) -> Result<(), Failure> {
    let found: InvariantsView = house.client.send(Call::get("/v1/invariants")).await?;
    stage.heading(9, &format!("The three invariants, checked against all {} journal entries", found.entries))?;
    let words = found.items.iter().map(|item| {
        let verdict = if item.holds { stage.good("ok") } else { stage.bad("BROKEN") };
        format!("{}   {verdict}", item.name)
    });
    stage.line(format!("   {}", words.collect::<Vec<_>>().join("   ")))?;
    let broken: Vec<_> = found.items.iter().flat_map(|item| item.broken.clone()).collect();
    unless(broken.is_empty() && found.items.len() == 3, || broken.join("; "))?;
    stage.line("")?;
    stage.line(format!("{} in all.  Try it yourself:", secs(stage.elapsed())))?;
    stage.line("   credence dev                                             in one terminal")?;
    stage.line("   credence run --class NAMESPACE/NAME -- your-program      in another   (README.md)")
}

/// Everything stays up: how to look around.
pub(in crate::demo) fn stay(stage: &Stage, house: &House) -> Result<(), Failure> {
    stage.line("")?;
    stage.line("Everything stays up until Ctrl-C. In another terminal:")?;
    stage.line(format!("   export CREDENCE_SERVER=unix:{}", house.server.said("admin_socket")?))?;
    stage.line(format!("   export CREDENCE_NODE_SOCKET={}", house.beta.said("socket")?))?;
    for command in [
        "credence get actors -A",
        "credence describe actor/finance/actor-04",
        "credence actor logs -n finance actor-04",
        "credence log tail --follow",
    ] {
        stage.line(format!("   {command}"))?;
    }
    Ok(())
}
