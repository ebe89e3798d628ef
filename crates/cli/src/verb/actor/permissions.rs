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
use credence_model::permission::Permission;
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
    for layers in &view.actors {
        lines.push(strong(&printable(&format!("Because of {}, of class {}", layers.actor, layers.class))));
        lines.push(pairs(&facts(layers), style));
    }
    lines.join("\n")
}

fn facts(layers: &LayersView) -> Vec<(&'static str, String)> {
    let list = |all: &[Permission]| match all.is_empty() {
        true => "nothing".to_owned(),
        false => all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let mut facts = Vec::new();
    if let Some(barred) = &layers.barred {
        facts.push(("barred", barred.clone()));
    }
    facts.push(("class", format!("revision {}", layers.revision)));
    facts.push(("allows", list(&layers.allow)));
    if !layers.forbid.is_empty() {
        facts.push(("forbids", list(&layers.forbid)));
    }
    facts.push(("consent", if layers.only.is_empty() { "to all of it".into() } else { list(&layers.only) }));
    if let Some(by) = &layers.delegated_by {
        facts.push(("delegated", format!("by {by}")));
        facts.push(("", list(&layers.delegated)));
    }
    facts
}
