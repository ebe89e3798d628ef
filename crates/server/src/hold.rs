//! Finding out that this server is older than what it has given out: from the marks that nodes show, and from credentials
//! that verifiers show. What a restore left in the data directory is read at the start.
//!
//! INVARIANT: what holds the server was made by the server or its authority: a mark with its tag, or a signed credential.
//! What anybody merely says does not.

use crate::app::App;
use credence_model::caller::Caller;
use credence_model::command::Command;
use credence_model::hold::{HoldCause, Seen};
use credence_model::id::{Digest, Epoch, NodeName};
use credence_model::refusal::Refusal;
use credence_wire::node as wire;

/// Compares what a node was told last, by whatever server, with what this one has recorded.
pub(crate) async fn compare(app: &App, node: &NodeName, mark: Option<&wire::Mark>) -> Result<(), Refusal> {
    let Some(mark) = mark else { return Ok(()) };
    let Some(mark) = app.marks.read(mark) else {
        tracing::warn!(%node, "a node shows a mark that this server did not make; it is ignored");
        return Ok(());
    };
    let (last, floor) = app.cell.read(|state| (state.last_index, state.epoch_floor)).await?;
    // An operator has decided on what was lost up to there.
    if mark.epoch <= floor.0 {
        return Ok(());
    }
    let entry = if mark.index <= last { app.cell.entries(mark.index, 1).await? } else { Vec::new() };
    let is_ours = entry.first().is_some_and(|entry| Digest::of(&entry.encode()) == mark.digest);
    if is_ours && mark.bundle_sequence <= app.signer.bundle().sequence {
        return Ok(());
    }
    let epoch = Epoch(mark.epoch.saturating_sub(1));
    let seen = Seen { index: mark.index, epoch, bundle_sequence: mark.bundle_sequence };
    behind(app, Caller::Node { name: node.clone() }, format!("node {node}"), seen).await
}

/// Somebody has what this server gave out and does not know of.
pub(crate) async fn behind(app: &App, caller: Caller, by: String, seen: Seen) -> Result<(), Refusal> {
    tracing::error!(by, index = seen.index, epoch = seen.epoch.0, "this server is older than what it has given out");
    app.submit(caller, Command::Hold { cause: HoldCause::Behind { by, seen } }).await.map(drop)
}
