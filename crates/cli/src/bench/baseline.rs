//! The baseline: what was measured when it was written, kept in review. Ratios are compared where a row has a limit, since
//! they depend least on the machine; else the values.

use super::io;
use crate::failure::Failure;
use crate::output::style::Tone;
use crate::output::table::Cell;
use credence_bench::{Measured, Promise};
use credence_model::refusal::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Change of a figure to the worse that is more than noise.
const REGRESSION: f64 = 1.25;

/// The figure of each row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Baseline(BTreeMap<String, f64>);

impl Baseline {
    pub(super) fn of(rows: &[Measured]) -> Self {
        Self(rows.iter().map(|row| (row.row.clone(), figure(row))).collect())
    }

    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read(path).map_err(|error| io("the baseline cannot be read", &error))?;
        serde_json::from_slice(&text)
            .map_err(|error| Failure::new(Kind::Malformed, format!("{} is not a baseline: {error}", path.display())))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(Kind::Bug, format!("the baseline has no JSON form: {error}")))?;
        text.push(b'\n');
        std::fs::write(path, text).map_err(|error| io("the baseline cannot be written", &error))
    }

    /// What the row was, and whether it is worse now.
    pub(super) fn cell(&self, row: &Measured) -> Cell {
        let Some(before) = self.0.get(&row.row) else { return Cell::from("new") };
        let now = figure(row);
        let worse = if is_better_when_larger(row) { before / now } else { now / before };
        let text = format!("{before:.2}");
        if worse > REGRESSION { Cell::toned(format!("{text} (worse)"), Tone::Bad) } else { Cell::from(text) }
    }
}

fn figure(row: &Measured) -> f64 {
    let figure = row.limit.as_ref().map_or(row.value, |limit| limit.ratio);
    (figure * 1000.0).round() / 1000.0
}

fn is_better_when_larger(row: &Measured) -> bool {
    let promise = row.limit.as_ref().and_then(|limit| limit.promised).or(row.promised);
    matches!(promise, Some(Promise::AtLeast(_))) || (promise.is_none() && row.unit == "1/s")
}
