//! Classes.

use crate::output::duration::{moment, since};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, labels_text, word};
use credence_model::class::consent::ConsentState;
use credence_model::class::permissions::Permissions;
use credence_model::class::{ClassSpec, Runtime};
use credence_model::permission::Permission;
use credence_model::time::Timestamp;
use credence_server::api::class::{ClassView, RevisionView};

impl View for ClassView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NAMESPACE", "CLASS", "REVISION", "ENABLED", "ACTORS", "OWNER", "AGE"];
        if wide {
            headings.extend(["DIGEST", "PURPOSE", "SPIFFE ID"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let enabled = if self.enabled { Cell::toned("yes", Tone::Good) } else { Cell::toned("no", Tone::Bad) };
        let mut row = vec![
            Cell::from(&self.namespace),
            Cell::from(&self.name),
            Cell::from(self.in_force.unwrap_or(self.revision)),
            enabled,
            Cell::from(self.actors),
            Cell::from(&self.spec.owner),
            Cell::from(since(self.created_at, now)),
        ];
        if wide {
            row.push(Cell::from(self.revisions.last().map(|newest| newest.digest.short()).unwrap_or_default()));
            row.push(Cell::from(&self.spec.purpose));
            row.push(Cell::from(&self.spiffe_id));
        }
        row.push(Cell::from(note(self)));
        row
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let title = format!("class {}", style.paint(Tone::Strong, &self.key()));
        let force = self.in_force.map_or_else(|| "none in force".into(), |number| format!("{number} in force"));
        let facts = [
            ("enabled", if self.enabled { "yes".into() } else { "no: its actors are not bound".into() }),
            ("spiffe id", self.spiffe_id.to_string()),
            ("revision", format!("{force}, newest is {}", self.revision)),
            ("actors", self.actors.to_string()),
            ("version", self.version.to_string()),
            ("labels", labels_text(&self.labels)),
            ("created", format!("{} ({} ago)", moment(self.created_at), since(self.created_at, now))),
        ];
        let revisions = self.revisions.iter().rev().map(revision_line).collect::<Vec<_>>().join("\n");
        let heading = |text| style.paint(Tone::Strong, text);
        format!(
            "{title}\n{}\n{}\n{}\n{}\n{}\n{}\n{revisions}",
            pairs(&facts, style),
            heading("What it is"),
            pairs(&spec_facts(&self.spec), style),
            heading("What it may do"),
            pairs(&permission_facts(&self.spec.permissions), style),
            heading("Revisions, newest first"),
        )
    }
}

fn note(class: &ClassView) -> String {
    match class.in_force {
        None if waits(class) => format!("revision {} waits for consent", class.revision),
        None => "no revision is allowed".into(),
        Some(number) if number != class.revision => {
            let why = if waits(class) { "waits for consent" } else { "is not allowed" };
            format!("revision {} {why}", class.revision)
        }
        Some(_) => String::new(),
    }
}

fn waits(class: &ClassView) -> bool {
    class.revisions.last().is_some_and(|newest| newest.allowed && newest.consent == ConsentState::Wanted)
}

fn revision_line(revision: &RevisionView) -> String {
    let allowed = if revision.allowed { "" } else { "  not allowed" };
    let RevisionView { number, digest, created_at, created_by, .. } = revision;
    let consent = match revision.consent {
        ConsentState::NotNeeded => "",
        ConsentState::Wanted => "  waits for consent",
        ConsentState::Given if revision.only.is_empty() => "  consented",
        ConsentState::Given => "  consented in part",
        ConsentState::Withdrawn => "  consent withdrawn",
    };
    format!("  {number}  {digest}  {} by {created_by}{consent}{allowed}", moment(*created_at))
}

fn spec_facts(spec: &ClassSpec) -> Vec<(&'static str, String)> {
    let list = |items: Vec<String>| items.join("\n");
    let with = |name: &str, more: &str| if more.is_empty() { name.to_owned() } else { format!("{name}: {more}") };
    let mut facts = vec![
        ("name", spec.display_name.clone()),
        ("owner", spec.owner.clone()),
        ("sponsor", spec.sponsor.clone()),
        ("purpose", spec.purpose.clone()),
        ("description", spec.description.trim_end().to_owned()),
        ("models", list(spec.models.iter().map(|model| with_provider(&model.model, &model.provider)).collect())),
        ("skills", list(spec.skills.iter().map(|skill| with(&skill.name, &skill.description)).collect())),
        ("tools", list(spec.tools.iter().map(|tool| with(&tool.name, &tool.description)).collect())),
    ];
    facts.extend(runtime_facts(&spec.runtime));
    let (x509, jwt) = (spec.credentials.x509_ttl_secs, spec.credentials.jwt_ttl_secs);
    facts.push(("credentials", format!("X.509-SVID for {x509} s, JWT-SVID for {jwt} s")));
    facts
}

fn permission_facts(permissions: &Permissions) -> Vec<(&'static str, String)> {
    let list = |all: &[Permission]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let Permissions { allow, forbid, cedar, delegation, spawn, .. } = permissions;
    if permissions.is_default() {
        return vec![("allow", "nothing".into())];
    }
    vec![
        ("allow", list(allow)),
        ("forbid", list(forbid)),
        ("cedar", cedar.trim_end().to_owned()),
        (
            "acts",
            if delegation.required { "only as far as its user delegated it".into() } else { "also for itself".into() },
        ),
        ("delegation", format!("for {} s at most", delegation.max_secs)),
        ("children", format!("{} at most, {} deep", spawn.max_children, spawn.max_depth)),
    ]
}

fn with_provider(model: &str, provider: &str) -> String {
    if provider.is_empty() { model.to_owned() } else { format!("{model} ({provider})") }
}

fn runtime_facts(runtime: &Runtime) -> Vec<(&'static str, String)> {
    let env = runtime.env.iter().map(|variable| format!("{}={}", variable.name, variable.value));
    let env = env.chain(runtime.pass_env.iter().map(|name| format!("{name} (from the node)")));
    let pools = labels_text(&runtime.pool_selector.match_labels);
    vec![
        ("command", runtime.command.join(" ")),
        ("environment", env.collect::<Vec<_>>().join("\n")),
        ("pools", if pools.is_empty() { "any that serves the namespace".into() } else { format!("labelled {pools}") }),
        ("stop grace", format!("{} s", runtime.stop_grace_secs)),
        ("on lost", word(&runtime.on_lost)),
    ]
}
