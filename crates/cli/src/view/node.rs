//! Nodes.

use crate::output::duration::{fine, moment, since};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, word};
use credence_model::node::NodeState;
use credence_model::time::Timestamp;
use credence_server::api::node::NodeView;

impl View for NodeView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NODE", "STATE", "WORKERS", "HEARD", "AGE"];
        if wide {
            headings.extend(["KEYS READY", "SPIFFE ID"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let mut row = vec![
            Cell::from(&self.name),
            Cell::toned(word(&self.state), tone(self.state)),
            Cell::from(self.workers.len()),
            Cell::from(format!("{} ago", fine(now.ms_since(self.heard_at)))),
            Cell::from(since(self.attested_at, now)),
        ];
        if wide {
            row.push(Cell::from(self.keys_ready));
            row.push(Cell::from(&self.spiffe_id));
        }
        if self.state == NodeState::Lost && self.lease_ends_at > now {
            row.push(Cell::from(format!("lease ends in {}", fine(self.lease_ends_at.ms_since(now)))));
        }
        row
    }

    fn key(&self) -> String {
        self.name.to_string()
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let title = format!("node {}", style.paint(Tone::Strong, &self.key()));
        let grants = self.pools.iter().map(|grant| match grant.workers_max {
            0 => format!("process trees in {}", grant.pool),
            most => format!("at most {most} in {}", grant.pool),
        });
        let facts = [
            ("state", word(&self.state)),
            ("spiffe id", self.spiffe_id.to_string()),
            ("workers", self.workers.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
            ("granted", grants.collect::<Vec<_>>().join("\n")),
            ("keys ready", self.keys_ready.to_string()),
            ("stream", self.session.to_string()),
            ("heard", format!("{} ago", fine(now.ms_since(self.heard_at)))),
            (
                "lease",
                if self.lease_ends_at > now {
                    format!("ends in {}", fine(self.lease_ends_at.ms_since(now)))
                } else {
                    "over".into()
                },
            ),
            ("attested", format!("{} ({} ago)", moment(self.attested_at), since(self.attested_at, now))),
        ];
        format!("{title}\n{}", pairs(&facts, style))
    }
}

fn tone(state: NodeState) -> Tone {
    match state {
        NodeState::Attested => Tone::Busy,
        NodeState::Connected => Tone::Good,
        NodeState::Lost => Tone::Bad,
    }
}
