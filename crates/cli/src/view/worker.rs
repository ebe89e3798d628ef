//! Workers.

use crate::output::duration::since;
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, word};
use credence_model::time::Timestamp;
use credence_model::worker::WorkerState;
use credence_server::api::worker::WorkerView;

impl View for WorkerView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NAMESPACE", "POOL", "WORKER", "NODE", "STATE", "ACTOR", "IDLE"];
        if wide {
            headings.extend(["KIND", "BINDING", "SPIFFE ID"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let idle = if self.actor.is_none() { since(self.idle_since, now) } else { String::new() };
        let (state, tone) = state(self);
        let mut row = vec![
            Cell::from(&self.namespace),
            Cell::from(&self.pool),
            Cell::from(&self.id),
            Cell::from(&self.node),
            Cell::toned(state, tone),
            Cell::from(self.actor.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::from(idle),
        ];
        if wide {
            row.push(Cell::from(word(&self.kind)));
            row.push(Cell::from(self.binding.map(|binding| binding.to_string()).unwrap_or_default()));
            row.push(Cell::from(&self.spiffe_id));
        }
        row
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.pool, self.id)
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let title = format!("worker {}", style.paint(Tone::Strong, &self.key()));
        let facts = [
            ("state", state(self).0),
            ("spiffe id", self.spiffe_id.to_string()),
            ("node", self.node.to_string()),
            ("kind", word(&self.kind)),
            ("actor", self.actor.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("binding", self.binding.map(|binding| binding.to_string()).unwrap_or_default()),
            ("idle for", if self.actor.is_none() { since(self.idle_since, now) } else { String::new() }),
        ];
        format!("{title}\n{}", pairs(&facts, style))
    }
}

/// A ready worker that an actor holds is called bound.
fn state(worker: &WorkerView) -> (String, Tone) {
    match worker.state {
        WorkerState::Ready if worker.actor.is_some() => ("bound".into(), Tone::Good),
        WorkerState::Ready => ("ready".into(), Tone::Faint),
        WorkerState::Draining => (word(&worker.state), Tone::Busy),
        WorkerState::Lost => (word(&worker.state), Tone::Bad),
    }
}
