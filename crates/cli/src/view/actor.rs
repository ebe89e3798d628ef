//! Actors.

use crate::output::duration::{fine, moment, rough, since};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, pairs};
use crate::view::{View, labels_text, word, worker_name};
use credence_model::actor::{ActorState, Outcome};
use credence_model::time::Timestamp;
use credence_server::api::actor::ActorView;

impl View for ActorView {
    fn headings(wide: bool) -> Vec<&'static str> {
        let mut headings = vec!["NAMESPACE", "CLASS", "ACTOR", "STATE", "EPOCH", "WORKER", "SINCE"];
        if wide {
            headings.extend(["NODE", "REVISION", "SPIFFE ID"]);
        }
        headings
    }

    fn row(&self, now: Timestamp, wide: bool) -> Vec<Cell> {
        let worker = self.worker.as_ref().map(|worker| worker_name(&worker.0));
        let mut row = vec![
            Cell::from(&self.namespace),
            Cell::from(&self.class),
            Cell::from(&self.id),
            Cell::toned(state_word(self), if self.waiting.is_some() { Tone::Busy } else { state_tone(self.state) }),
            Cell::from(self.epoch),
            Cell::from(worker.unwrap_or_default()),
            Cell::from(since(self.changed_at, now)),
        ];
        if wide {
            row.push(Cell::from(self.node.as_ref().map(ToString::to_string).unwrap_or_default()));
            row.push(Cell::from(self.revision.map(|number| number.to_string()).unwrap_or_default()));
            row.push(Cell::from(&self.spiffe_id));
        }
        row.push(Cell::from(note(self, now)));
        row
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.id)
    }

    fn describe(&self, now: Timestamp, style: Style) -> String {
        let some = |value: Option<String>| value.unwrap_or_default();
        let title = format!("actor {}", style.paint(Tone::Strong, &self.key()));
        let facts = [
            ("state", state_sentence(self, now)),
            ("spiffe id", self.spiffe_id.to_string()),
            (
                "class",
                format!("{}/{}{}", self.namespace, self.class, some(self.revision.map(|n| format!(" revision {n}")))),
            ),
            ("epoch", if self.epoch.0 == 0 { "0, never bound".into() } else { self.epoch.to_string() }),
            ("binding", some(self.binding.map(|binding| binding.to_string()))),
            ("worker", some(self.worker.as_ref().map(ToString::to_string))),
            ("node", some(self.node.as_ref().map(ToString::to_string))),
            ("lease", some(self.lease_ends_at.map(|end| lease(end, now)))),
            ("last ended", some(self.outcome.as_ref().map(outcome_words))),
            ("archive", some(self.archive.map(|digest| digest.to_string()))),
            ("reason", self.reason.clone().unwrap_or_default()),
            ("labels", labels_text(&self.labels)),
            ("created", format!("{} ({} ago)", moment(self.created_at), since(self.created_at, now))),
            ("changed", format!("{} by {}", moment(self.changed_at), self.changed_by)),
        ];
        format!("{title}\n{}", pairs(&facts, style))
    }
}

/// The colour of a state.
fn state_tone(state: ActorState) -> Tone {
    match state {
        ActorState::Running => Tone::Good,
        ActorState::Starting | ActorState::Suspending => Tone::Busy,
        ActorState::Lost | ActorState::Quarantined => Tone::Bad,
        ActorState::Suspended | ActorState::Terminated => Tone::Faint,
    }
}

/// How a binding ended, in words.
pub(crate) fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stopped => "it was stopped".into(),
        Outcome::Exited { code } => format!("its program ended with exit code {code}"),
        Outcome::Failed { reason } => format!("it could not be started: {reason}"),
        Outcome::Dropped => "its node did not hold it any more".into(),
        Outcome::LeaseOver => "its lease ran out unheard".into(),
    }
}

fn state_word(actor: &ActorView) -> String {
    if actor.waiting.is_some() { "waiting".into() } else { word(&actor.state) }
}

fn state_sentence(actor: &ActorView, now: Timestamp) -> String {
    actor.waiting.as_ref().map_or_else(
        || format!("{}, for {}", word(&actor.state), since(actor.changed_at, now)),
        |wait| {
            let (for_ms, at_most) = (now.ms_since(wait.since), wait.until.ms_since(wait.since));
            format!(
                "waiting for a worker, number {} in the queue, {} of at most {}",
                wait.place,
                fine(for_ms),
                rough(at_most)
            )
        },
    )
}

fn lease(end: Timestamp, now: Timestamp) -> String {
    if end > now {
        format!("ends in {}", fine(end.ms_since(now)))
    } else {
        format!("over since {}", fine(now.ms_since(end)))
    }
}

fn note(actor: &ActorView, now: Timestamp) -> String {
    if let Some(wait) = &actor.waiting {
        return format!("number {} in the queue, {} left", wait.place, fine(wait.until.ms_since(now)));
    }
    match (actor.state, &actor.outcome) {
        (ActorState::Lost, _) => {
            actor.lease_ends_at.map(|end| format!("lease {}", lease(end, now))).unwrap_or_default()
        }
        (ActorState::Suspended, Some(outcome @ (Outcome::Failed { .. } | Outcome::LeaseOver | Outcome::Dropped))) => {
            outcome_words(outcome)
        }
        (ActorState::Suspended, Some(outcome @ Outcome::Exited { code })) if *code != 0 => outcome_words(outcome),
        (ActorState::Quarantined | ActorState::Terminated, _) => actor.reason.clone().unwrap_or_default(),
        _ => String::new(),
    }
}
