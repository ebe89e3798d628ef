//! `credence actor permissions`: what an actor may do, layer by layer.

use crate::args::PermissionsArgs;
use crate::client::{Call, Client};
use crate::clock;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::duration::since;
use crate::output::style::{Style, Tone};
use crate::output::table::{pairs, printable};
use crate::session::Session;
use crate::view::{View, permission_lines};
use credence_model::time::Timestamp;
use credence_server::api::decision::{LayersView, PermissionsView};

pub(super) async fn show(args: PermissionsArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let actor = Object::named(Kind::Actor, &args.actor, &args.namespace.namespace)?;
    let view: PermissionsView = client.send(Call::get(format!("{}/permissions", actor.path()))).await?;
    session.out.answer(&view, || words(&view, clock::now(), session.out.style))
}

/// The first lines answer the question; the layers follow, which all have to allow it.
fn words(view: &PermissionsView, now: Timestamp, style: Style) -> String {
    let strong = |text: &str| style.paint(Tone::Strong, text);
    let actor = view.actors.first().map(|layers| layers.actor.to_string()).unwrap_or_default();
    let mut lines = vec![strong(&printable(&format!("{actor} may")))];
    lines.push(match view.effective.is_empty() {
        true => "  nothing".to_owned(),
        false => {
            view.effective.iter().map(|permission| printable(&format!("  {permission}"))).collect::<Vec<_>>().join("\n")
        }
    });
    if let Some(at) = view.changes_at {
        lines.push(format!("until something changes by itself in {}", since(now, at)));
    }
    for guard in &view.guards {
        let title = format!("As far as guard {} lets it, of {}", guard.key(), guard.spec.owner);
        lines.push(strong(&printable(&title)));
        let facts = [
            ("covers", guard.spec.resource.to_string()),
            ("allows", permission_lines(&guard.spec.allow)),
            ("forbids", permission_lines(&guard.spec.forbid)),
        ];
        lines.push(pairs(&facts, style));
    }
    for layers in &view.actors {
        lines.push(strong(&printable(&format!("Because of {}, of class {}", layers.actor, layers.class))));
        lines.push(pairs(&facts(layers), style));
    }
    lines.join("\n")
}

fn facts(layers: &LayersView) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(barred) = &layers.barred {
        facts.push(("barred", barred.clone()));
    }
    facts.push(("class", format!("revision {}", layers.revision)));
    facts.push(("allows", permission_lines(&layers.allow)));
    if !layers.forbid.is_empty() {
        facts.push(("forbids", permission_lines(&layers.forbid)));
    }
    facts
        .push(("consent", if layers.only.is_empty() { "to all of it".into() } else { permission_lines(&layers.only) }));
    if let Some(by) = &layers.delegated_by {
        facts.push(("delegated", format!("by {by}")));
        facts.push(("", permission_lines(&layers.delegated)));
    }
    facts
}
