//! How each kind of object looks: as a row of a table, and at length.

mod actor;
mod class;
mod guard;
mod node;
mod pool;
mod worker;

use crate::output::style::Style;
use crate::output::table::{Cell, Table};
use credence_model::id::WorkerRef;
use credence_model::label::Labels;
use credence_model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use actor::outcome_words;
pub(crate) use guard::permission_lines;

/// An object as the API gives it and a person sees it.
pub(crate) trait View: Serialize + DeserializeOwned + PartialEq + Send + 'static {
    /// Headings of the table.
    fn headings(wide: bool) -> Vec<&'static str>;
    /// The object as a row; one cell more than headings is a note.
    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell>;
    /// What tells it from all others of its kind.
    fn key(&self) -> String;
    /// Everything about it.
    fn describe(&self, now: Timestamp, style: Style) -> String;
}

/// A table of objects.
pub(crate) fn table<V: View>(items: &[V], now: Timestamp, wide: bool) -> Table {
    let mut table = Table::new(V::headings(wide));
    items.iter().for_each(|item| table.push(item.row(now, wide)));
    table
}

/// `beta/w1`: a worker as it is known inside its namespace.
pub(crate) fn worker_name(worker: &WorkerRef) -> String {
    format!("{}/{}", worker.pool.pool, worker.worker)
}

fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// An enumeration's word as the API writes it.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
