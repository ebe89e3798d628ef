//! Guards.

use crate::output::duration::{moment, since};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, labels_text};
use credence_model::permission::Permission;
use credence_model::time::Timestamp;
use credence_server::api::guard::GuardView;

impl View for GuardView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NAMESPACE", "GUARD", "RESOURCE", "OWNER", "AGE"];
        if wide {
            headings.extend(["ALLOWS", "FORBIDS", "LABELS"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let mut row = vec![
            Cell::from(&self.namespace),
            Cell::from(&self.name),
            Cell::from(self.spec.resource.to_string()),
            Cell::from(self.spec.owner.clone()),
            Cell::from(since(self.created_at, now)),
        ];
        if wide {
            row.push(Cell::from(lines(self.spec.allow.len())));
            row.push(Cell::from(lines(self.spec.forbid.len())));
            row.push(Cell::from(labels_text(&self.labels)));
        }
        row
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let title = format!("guard {}", style.paint(Tone::Strong, &self.key()));
        let facts = [
            ("owner", self.spec.owner.clone()),
            ("description", self.spec.description.clone()),
            ("covers", self.spec.resource.to_string()),
            ("allows", permission_lines(&self.spec.allow)),
            ("forbids", permission_lines(&self.spec.forbid)),
            ("labels", labels_text(&self.labels)),
            ("version", self.version.to_string()),
            ("created", format!("{} ({} ago)", moment(self.created_at), since(self.created_at, now))),
        ];
        format!("{title}\n{}", pairs(&facts, style))
    }
}

fn lines(count: usize) -> String {
    match count {
        0 => "nothing".to_owned(),
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}

pub(crate) fn permission_lines(all: &[Permission]) -> String {
    match all.is_empty() {
        true => "nothing".to_owned(),
        false => all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}
