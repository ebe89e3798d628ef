//! `credence explain`: why an actor has its identity, or why it has none and what to do.

use crate::args::ExplainArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::duration::moment;
use crate::output::style::{Style, Tone};
use crate::output::table::printable;
use crate::session::Session;
use credence_model::decided::Decided;
use credence_model::explain::{Explanation, LinkState};
use credence_model::id::{ClassRef, DecisionId, Namespace};
use credence_model::refusal::Kind as Why;
use credence_server::api::decision::DecisionView;
use std::process::ExitCode;

pub(super) async fn run(args: ExplainArgs, session: &Session) -> Result<ExitCode, Failure> {
    if let Some(id) = args.actor.strip_prefix("decision/") {
        return decision(id, session).await;
    }
    let (object, class) = named(&args.actor, &args.namespace.namespace)?;
    let explained: Explanation = session.client()?.send(Call::get(format!("{}/explain", object.path()))).await?;
    if let Some(class) = class.filter(|class| class.to_string() != explained.class) {
        let message = format!("actor {} is one of class {}, not of {class}", explained.actor, explained.class);
        return Err(Failure::new(Why::NotFound, message));
    }
    session.out.answer(&explained, || words(&explained, session.out.style))?;
    Ok(if explained.has_identity { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Why something was decided, as it was recorded.
async fn decision(id: &str, session: &Session) -> Result<ExitCode, Failure> {
    let id = DecisionId::parse(id)?;
    let view: DecisionView = session.client()?.send(Call::get(format!("/v1/decisions/{id}"))).await?;
    session.out.answer(&view, || decision_words(&view, session.out.style))?;
    Ok(if view.decided.allowed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn decision_words(view: &DecisionView, style: Style) -> String {
    let Decided { actor, action, resource, allowed, verdicts, class, revision, obligations, .. } = &view.decided;
    let might = if *allowed { "was allowed" } else { "was denied" };
    let mut lines = vec![printable(&format!("{actor} {might} {action} {resource}, {}", moment(view.at)))];
    lines.push(printable(&format!("  class {class} revision {revision}, journal entry {}", view.index)));
    for said in verdicts {
        let (mark, word, tone) = if said.allowed { (" ", "allowed", Tone::Good) } else { (">", "denied ", Tone::Bad) };
        let whose = if said.actor == *actor { String::new() } else { format!("{}: ", said.actor) };
        let why = printable(&format!("{whose}{}", said.why));
        lines.push(format!("{mark} {:<10}  {}  {why}", said.layer, style.paint(tone, word)));
    }
    lines.extend(obligations.iter().map(|duty| format!("With it came: {duty}.")));
    let missing = verdicts.iter().filter_map(|said| said.missing.as_ref());
    lines.extend(missing.map(|missing| printable(&format!("What would have allowed it: {missing}."))));
    lines.join("\n")
}

/// Reads `actor/ID`, `actor/NS/ID` or `actor/NS/CLASS/ID`; the kind may be left out.
fn named(text: &str, namespace: &Namespace) -> Result<(Object, Option<ClassRef>), Failure> {
    let mut parts: Vec<&str> = text.split('/').collect();
    let first = parts.first().filter(|_| parts.len() > 1).and_then(|first| Kind::parse(first).ok());
    if first == Some(Kind::Actor) {
        parts.remove(0);
    } else if first.is_some() && parts.len() == 2 {
        let failure = Failure::used_wrongly(format!("only actors can be explained, not `{}`", text.escape_debug()));
        return Err(failure.hint("Try `credence describe`"));
    }
    match parts.as_slice() {
        [ns, class, id] => {
            let class: ClassRef = format!("{ns}/{class}").parse()?;
            Ok((Object::named(Kind::Actor, &format!("{ns}/{id}"), namespace)?, Some(class)))
        }
        parts => Ok((Object::named(Kind::Actor, &parts.join("/"), namespace)?, None)),
    }
}

/// The first line answers the question; the chain follows, the link that fails marked; the last lines say what to do.
fn words(explained: &Explanation, style: Style) -> String {
    let title = if explained.has_identity { "has its identity" } else { "has no identity right now" };
    let mut lines = vec![printable(&format!("{} {title}: {}.", explained.actor, explained.because))];
    for link in &explained.links {
        let (mark, word, tone) = match link.state {
            LinkState::Ok => (" ", "ok", Tone::Good),
            LinkState::Waiting => (" ", "waiting", Tone::Busy),
            LinkState::Failed => (">", "fails", Tone::Bad),
            LinkState::Unknown => (" ", "-", Tone::Faint),
        };
        let word = style.paint(tone, &format!("{word:<7}"));
        lines.push(format!("{mark} {:<9}  {word}  {}", link.name, printable(&link.says)));
    }
    let todo = |what: &String| format!("What to do: {}.", printable(what));
    lines.extend(explained.what_to_do.iter().map(todo));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_model::actor::ActorState;
    use credence_model::explain::Link;

    #[test]
    fn an_actor_is_named_with_or_without_its_kind_and_class() {
        let namespace = Namespace::parse("demo").expect("valid");
        let path =
            |text| named(text, &namespace).map(|(object, class)| (object.path(), class.map(|it| it.to_string())));
        assert_eq!(path("a"), Ok(("/v1/actors/demo/a".into(), None)));
        assert_eq!(path("actor/a"), Ok(("/v1/actors/demo/a".into(), None)));
        assert_eq!(path("actor/finance/a"), Ok(("/v1/actors/finance/a".into(), None)));
        assert_eq!(path("actor/finance/c/a"), Ok(("/v1/actors/finance/a".into(), Some("finance/c".into()))));
        assert!(path("actor/finance/c/a/b").is_err());
        assert!(path("node/alpha").is_err());
    }

    #[test]
    fn the_link_that_fails_is_marked_and_what_to_do_comes_last() {
        let link = |name: &str, state, says: &str| Link { name: name.into(), state, says: says.into() };
        let explained = Explanation {
            actor: "finance/a".into(),
            class: "finance/c".into(),
            state: ActorState::Suspended,
            has_identity: false,
            because: "no worker is free".into(),
            links: vec![
                link("admission", LinkState::Ok, "class finance/c revision 1, enabled"),
                link("queue", LinkState::Waiting, "2 of 3, for 4.1 s of at most 30.0 s"),
                link("worker", LinkState::Failed, "demo/p: 1 worker, 1 in use"),
                link("lease", LinkState::Unknown, "not reached"),
            ],
            what_to_do: vec!["Add a worker".into()],
            entry_index: 7,
        };
        let expected = "finance/a has no identity right now: no worker is free.
  admission  ok       class finance/c revision 1, enabled
  queue      waiting  2 of 3, for 4.1 s of at most 30.0 s
> worker     fails    demo/p: 1 worker, 1 in use
  lease      -        not reached
What to do: Add a worker.";
        assert_eq!(words(&explained, Style::default()), expected);
    }
}
