//! The three invariants, checked over the registry and the whole journal.

use super::list::PAGE_ITEMS_MAX;
use crate::route::{Ask, Route, route};
use crate::who::Who;
use credence_model::invariant::{Auditor, Invariant, Violation};
use credence_model::refusal::Refusal;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What came of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvariantsView {
    /// How many journal entries were checked.
    pub entries: u64,
    /// How many bindings they hold.
    pub bindings: u64,
    /// The invariants.
    pub items: Vec<InvariantView>,
}

/// One invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvariantView {
    /// Its name: `one to one`, `registry` or `continuity`.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// What breaks it, with the number of the journal entry; empty if it holds.
    pub broken: Vec<String>,
}

/// Most findings that are listed for one invariant.
const BROKEN_MAX: usize = 100;

pub(crate) fn routes() -> Vec<Route> {
    vec![route(Method::GET, "/v1/invariants", Who::Admin, "checks the three invariants over the whole log", check)]
}

/// Reads the whole log, then holds the registry against it in one look, entries recorded meanwhile included.
async fn check(ask: Ask) -> Result<InvariantsView, Refusal> {
    let mut auditor = Auditor::default();
    loop {
        for entry in ask.app.cell.entries(auditor.entries + 1, PAGE_ITEMS_MAX).await? {
            auditor.read(&entry);
        }
        let compare = move |state: &credence_model::state::State| {
            let level = auditor.entries >= state.last_index;
            if level {
                auditor.compare(state);
            }
            (level, auditor)
        };
        let (level, back) = ask.app.cell.read(compare).await?;
        auditor = back;
        if level {
            return Ok(InvariantsView::of(&auditor));
        }
    }
}

impl InvariantsView {
    fn of(auditor: &Auditor) -> Self {
        let one = |name: &str, invariant: Invariant| {
            let broken = |found: &&Violation| found.invariant == invariant;
            let say = |found: &Violation| format!("entry {}: {}", found.index, found.message);
            let broken = auditor.violations.iter().filter(broken).take(BROKEN_MAX).map(say);
            let broken: Vec<_> = broken.collect();
            InvariantView { name: name.to_owned(), holds: broken.is_empty(), broken }
        };
        let items = vec![
            one("one to one", Invariant::OneToOne),
            one("registry", Invariant::Registry),
            one("continuity", Invariant::Continuity),
        ];
        Self { entries: auditor.entries, bindings: auditor.bindings, items }
    }
}
