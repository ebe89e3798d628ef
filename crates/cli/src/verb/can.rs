//! `credence can`: whether an actor could do something, and if not, what would allow it and who could give that.

use crate::args::CanArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::duration::{self, moment};
use crate::output::style::{Style, Tone};
use crate::output::table::printable;
use crate::session::Session;
use credence_model::permission::deed::Deed;
use credence_model::text::InvalidText;
use credence_model::time::Timestamp;
use credence_policy::verdict::Verdict;
use credence_server::api::decision::{CanBody, CanView};
use serde_json::{Map, Value};
use std::process::ExitCode;

pub(super) async fn run(args: CanArgs, session: &Session) -> Result<ExitCode, Failure> {
    let actor = Object::named(Kind::Actor, &args.actor, &args.namespace.namespace)?;
    let deed: Deed = format!("{} {}", args.action, args.resource)
        .parse()
        .map_err(|error: InvalidText| Failure::from(error).hint("Say what the request says with -c NAME=VALUE"))?;
    let as_of = args.as_of.as_deref().map(duration::read).transpose()?;
    let body = CanBody {
        action: deed.action.to_string(),
        resource: deed.resource.to_string(),
        properties: Value::Null,
        context: context(&args.context)?,
        as_of,
    };
    let can: CanView = session.client()?.send(Call::post(format!("{}/can", actor.path()), &body)).await?;
    session.out.answer(&can, || words(&actor, (&deed, as_of), &can, session.out.style))?;
    Ok(if can.allowed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// `NAME=VALUE`, where the value is JSON or else text; or whole objects.
fn context(said: &[String]) -> Result<Value, Failure> {
    let mut all = Map::new();
    for one in said {
        if let Ok(Value::Object(members)) = serde_json::from_str(one) {
            all.extend(members);
        } else if let Some((name, value)) = one.split_once('=') {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            all.insert(name.to_owned(), value);
        } else {
            let message = format!("`{}` is neither NAME=VALUE nor a JSON object", one.escape_debug());
            return Err(Failure::used_wrongly(message));
        }
    }
    Ok(Value::Object(all))
}

fn words(actor: &Object, (deed, as_of): (&Deed, Option<Timestamp>), can: &CanView, style: Style) -> String {
    let may = match (can.allowed, as_of) {
        (true, None) => "may".to_owned(),
        (false, None) => "may not".to_owned(),
        (true, Some(at)) => format!("would have been allowed at {}", moment(at)),
        (false, Some(at)) => format!("would have been denied at {}", moment(at)),
    };
    let mut lines = vec![printable(&format!("{actor} {may}: {deed}"))];
    lines.extend(verdicts(&can.verdicts.verdicts, style));
    lines.extend(can.verdicts.obligations.iter().map(|duty| format!("With it comes: {duty}.")));
    lines.join("\n")
}

/// A line for each layer, those that deny marked; then what would allow it.
pub(super) fn verdicts(all: &[Verdict], style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let mut of = all.first().map(|verdict| &verdict.actor);
    for verdict in all {
        if of != Some(&verdict.actor) {
            of = Some(&verdict.actor);
            lines.push(printable(&format!("  as a child of {}", verdict.actor)));
        }
        let (mark, word, tone) = if verdict.allowed { (" ", "allows", Tone::Good) } else { (">", "denies", Tone::Bad) };
        let word = style.paint(tone, word);
        lines.push(format!("{mark} {:<10}  {word}  {}", verdict.layer, printable(&verdict.why)));
    }
    let missing = all.iter().filter_map(|verdict| verdict.missing.as_ref());
    lines
        .extend(missing.map(|missing| {
            printable(&format!("What would allow it: `{}`, from {}.", missing.permission, missing.who))
        }));
    lines
}
