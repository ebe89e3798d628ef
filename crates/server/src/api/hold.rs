//! Whether the server is held, and its release.

use crate::app::App;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::command::Command;
use credence_model::hold::{HoldCause, Seen};
use credence_model::id::Epoch;
use credence_model::refusal::Refusal;
use credence_model::time::Timestamp;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the server is held: then it changes and issues nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldView {
    /// Whether it is.
    pub held: bool,
    /// Why, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<HoldCause>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The most that anybody has shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Who showed something last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<String>,
    /// Every epoch that is given out is above this one.
    pub epoch_floor: Epoch,
}

/// Why the server is released.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReleaseBody {
    /// In the operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    let releases = "lets a held server go on, with epochs above everything seen";
    vec![
        route(Method::GET, "/v1/hold", Who::Admin, "says whether the server is held, and why", read),
        route(Method::POST, "/v1/hold/release", Who::Admin, releases, release),
    ]
}

async fn read(ask: Ask) -> Result<HoldView, Refusal> {
    view(&ask.app).await
}

async fn release(ask: Ask<Nothing, ReleaseBody>) -> Result<HoldView, Refusal> {
    ask.submit(Command::Release { reason: ask.body.reason.clone() }).await?;
    view(&ask.app).await
}

async fn view(app: &App) -> Result<HoldView, Refusal> {
    let (hold, epoch_floor) = app.cell.read(|state| (state.hold.clone(), state.epoch_floor)).await?;
    let reason = hold.as_ref().map(credence_model::hold::Hold::reason);
    let (cause, since, seen, seen_by) = match hold {
        Some(hold) => (Some(hold.cause), Some(hold.since), Some(hold.seen), hold.seen_by),
        None => (None, None, None, None),
    };
    Ok(HoldView { held: cause.is_some(), reason, cause, since, seen, seen_by, epoch_floor })
}
