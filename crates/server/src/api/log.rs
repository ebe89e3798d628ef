//! The log: every recorded entry, in order.

use super::list::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::app::App;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::event::Entry;
use credence_model::refusal::{Kind, Refusal};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest time that a read waits for a new entry, in milliseconds.
pub const LOG_WAIT_MS_MAX: u64 = 60_000;

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// The entries, in order.
    pub items: Vec<Entry>,
    /// Pass it as `from` to read on.
    pub next: u64,
}

/// Which entries to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    /// Number of the first entry; 1 if missing.
    from: Option<u64>,
    /// Most entries in the page.
    limit: Option<usize>,
    /// If there is none yet, wait for the next one, for so many milliseconds at most.
    wait_ms: Option<u64>,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/log", Who::Admin, "reads the log, and waits for its next entry when asked", read)]
}

async fn read(ask: Ask<LogQuery>) -> Result<LogPage, Refusal> {
    let from = ask.query.from.unwrap_or(1).max(1);
    let limit = checked("limit", ask.query.limit.unwrap_or(PAGE_ITEMS_DEFAULT), 1, PAGE_ITEMS_MAX)?;
    let wait_ms = checked("wait_ms", ask.query.wait_ms.unwrap_or(0), 0, LOG_WAIT_MS_MAX)?;
    if wait_ms > 0 {
        wait_for(&ask.app, from, Duration::from_millis(wait_ms)).await;
    }
    let items = ask.app.cell.entries(from, limit).await?;
    let next = items.last().map_or(from, |entry| entry.index + 1);
    Ok(LogPage { items, next })
}

/// Waits until entry `index` is recorded, the time is over, or the server stops.
async fn wait_for(app: &App, index: u64, at_most: Duration) {
    let (mut recorded, mut stopping) = (app.cell.recorded(), app.stopping.clone());
    tokio::select! {
        _ = recorded.wait_for(|last| last.index >= index) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = tokio::time::sleep(at_most) => {}
    }
}

fn checked<T: PartialOrd + std::fmt::Display>(field: &str, value: T, min: T, max: T) -> Result<T, Refusal> {
    if value < min || value > max {
        return Err(Refusal::new(Kind::Malformed, format!("{value} is not from {min} to {max}")).field(field));
    }
    Ok(value)
}
