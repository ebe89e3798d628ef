//! Pools.

use crate::output::duration::{moment, since};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, labels_text};
use credence_model::time::Timestamp;
use credence_server::api::pool::PoolView;

impl View for PoolView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NAMESPACE", "POOL", "WORKERS", "IDLE", "AGE"];
        if wide {
            headings.extend(["SERVES", "LABELS"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let mut row = vec![
            Cell::from(&self.namespace),
            Cell::from(&self.name),
            Cell::from(self.workers),
            Cell::from(self.workers_idle),
            Cell::from(since(self.created_at, now)),
        ];
        if wide {
            row.push(Cell::from(serves(self)));
            row.push(Cell::from(labels_text(&self.labels)));
        }
        row
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let title = format!("pool {}", style.paint(Tone::Strong, &self.key()));
        let facts = [
            ("description", self.spec.description.clone()),
            ("workers", format!("{}, {} of them idle", self.workers, self.workers_idle)),
            ("serves", serves(self)),
            ("process trees", if self.spec.direct { "allowed (credence run)".into() } else { "not allowed".into() }),
            ("labels", labels_text(&self.labels)),
            ("version", self.version.to_string()),
            ("created", format!("{} ({} ago)", moment(self.created_at), since(self.created_at, now))),
        ];
        format!("{title}\n{}", pairs(&facts, style))
    }
}

fn serves(pool: &PoolView) -> String {
    if pool.spec.share_with_all {
        return "every namespace".into();
    }
    let others = pool.spec.share_with.iter().map(ToString::to_string);
    std::iter::once(pool.namespace.to_string()).chain(others).collect::<Vec<_>>().join(" ")
}
