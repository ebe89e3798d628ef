//! Whether an old holder was refused in time, and nobody else was the actor before: what a tool server was answered and
//! what programs were served, held against the leases that the journal says.

use super::tool::Watched;
use super::verdict::Sighting;
use credence_model::actor::Outcome;
use credence_model::event::{Entry, Event};
use std::collections::BTreeMap;

/// The server counts on from the time of day at its start, with a clock that nobody sets; whoever asks reads the time of
/// day. This is how far they may be apart, in milliseconds. Scheduling needs no allowance: a question is put before it is
/// judged, so a late answer is not taken for a late judgement.
const CLOCKS_APART_MS: u64 = 100;

/// A binding, as the journal tells it. Times are in milliseconds.
#[derive(Debug, Default)]
struct Told {
    node: String,
    bound_ms: u64,
    ended: Option<(u64, Outcome)>,
    /// When its node had been heard last by then: by the order of the journal, for much can have the same millisecond.
    heard_ms: u64,
    /// When the actor was bound again.
    next_ms: Option<u64>,
}

/// What the journal says about leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    lease_ms: u64,
    margin_ms: u64,
    /// When each node was heard. A start of the server is as good: every node gets one whole lease from then.
    heard_ms: BTreeMap<String, Vec<u64>>,
    bindings: BTreeMap<String, Told>,
    held_by: BTreeMap<String, String>,
    /// Bindings of actors that had one before which did not end in order.
    pub(super) rebinds: usize,
}

impl Leases {
    pub(super) fn read(entries: &[Entry]) -> Self {
        let mut leases = Self::default();
        for Entry { at, event, .. } in entries {
            match event {
                Event::SettingsChanged { settings } => {
                    (leases.lease_ms, leases.margin_ms) = (settings.lease_ms, settings.clock_margin_ms);
                }
                Event::CellStarted {} => leases.heard_ms.values_mut().for_each(|times| times.push(at.0)),
                Event::NodeAttached { node, .. } | Event::NodeHeard { node } => {
                    leases.heard_ms.entry(node.to_string()).or_default().push(at.0);
                }
                Event::ActorBound { actor, binding, node, .. } => {
                    let before = leases.held_by.insert(actor.actor.to_string(), binding.to_string());
                    let before = before.and_then(|before| leases.bindings.get_mut(&before));
                    if let Some(before) = before {
                        before.next_ms = Some(at.0);
                        let in_order = matches!(before.ended, Some((_, Outcome::Stopped | Outcome::Exited { .. })));
                        leases.rebinds += usize::from(!in_order);
                    }
                    let told = Told { node: node.to_string(), bound_ms: at.0, ..Told::default() };
                    leases.bindings.insert(binding.to_string(), told);
                }
                Event::BindingEnded { binding, outcome, .. } => {
                    if let Some(told) = leases.bindings.get_mut(&binding.to_string()) {
                        told.ended = Some((at.0, outcome.clone()));
                        let heard_ms = leases.heard_ms.get(&told.node).and_then(|times| times.last());
                        told.heard_ms = heard_ms.copied().unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        leases
    }

    /// When a node was last heard by then.
    fn heard_by(&self, node: &str, by_ms: u64) -> u64 {
        let times = self.heard_ms.get(node).map(Vec::as_slice).unwrap_or_default();
        times[..times.partition_point(|heard| *heard <= by_ms)].last().copied().unwrap_or_default()
    }

    /// When nobody may be believed any more, after a node was last heard by then.
    fn over_by(&self, node: &str, by_ms: u64) -> u64 {
        self.heard_by(node, by_ms) + self.lease_ms + self.margin_ms
    }

    /// Every contradiction, in words.
    pub(super) fn judge(&self, watched: &[Watched], sightings: &[Sighting]) -> Vec<String> {
        let mut found: Vec<_> = watched.iter().flat_map(|watched| self.refusal(watched)).collect();
        found.extend(self.bindings.iter().filter_map(|(binding, told)| self.succession(binding, told)));
        found.extend(sightings.iter().filter_map(|sighting| self.service(sighting)));
        found
    }

    /// It is judged live while its lease runs and its binding has not ended, and at last it is refused.
    fn refusal(&self, watched: &Watched) -> Vec<String> {
        let Watched { actor, binding, answers } = watched;
        let Some(told) = self.bindings.get(binding) else {
            return vec![format!("{actor} is served in {binding}, and the journal does not say so")];
        };
        let mut found = Vec::new();
        for answer in answers.iter().filter(|answer| answer.is_live) {
            let over_ms = self.over_by(&told.node, answer.answered_ms + CLOCKS_APART_MS);
            let ended_ms = told.ended.as_ref().map_or(u64::MAX, |(ended_ms, _)| *ended_ms);
            let until_ms = over_ms.min(ended_ms);
            if answer.asked_ms > until_ms + CLOCKS_APART_MS {
                let late_ms = answer.asked_ms - until_ms;
                found.push(format!("{actor} in {binding} is judged live {late_ms} ms after it was over"));
            }
        }
        if answers.last().is_none_or(|answer| answer.is_live) {
            found.push(format!("{actor} in {binding} was never refused, in {} answers", answers.len()));
        }
        found
    }

    /// Nobody else is the actor before the node said that the binding is over, or its lease and the margin are.
    fn succession(&self, binding: &str, told: &Told) -> Option<String> {
        let next_ms = told.next_ms?;
        let over_ms = match &told.ended {
            Some((_, Outcome::LeaseOver)) => told.heard_ms + self.lease_ms + self.margin_ms,
            Some((ended_ms, _)) => *ended_ms,
            None => self.over_by(&told.node, next_ms),
        };
        let early_ms = over_ms.checked_sub(next_ms).filter(|early_ms| *early_ms > 0)?;
        Some(format!("the actor of {binding} is bound again {early_ms} ms before its lease is over"))
    }

    /// A node whose lease ran out served nobody after it.
    fn service(&self, sighting: &Sighting) -> Option<String> {
        let Sighting { actor, binding, last_asked_ms, .. } = sighting;
        let told = self.bindings.get(binding)?;
        let Some((_, Outcome::LeaseOver)) = &told.ended else { return None };
        let over_ms = told.heard_ms + self.lease_ms;
        let late_ms = last_asked_ms.checked_sub(over_ms).filter(|late_ms| *late_ms > CLOCKS_APART_MS)?;
        Some(format!("{actor} asked in {binding} {late_ms} ms after its lease was over, and was served"))
    }

    /// The longest time from when a node was last heard until one of its holders is refused, in milliseconds.
    pub(super) fn refused_within_ms(&self, watched: &[Watched]) -> u64 {
        let time = |Watched { binding, answers, .. }: &Watched| {
            let told = self.bindings.get(binding)?;
            let refused = answers.iter().find(|answer| !answer.is_live)?;
            // A node that comes back says that it does not hold it any more: what counts is when it was heard before.
            let ended_ms = told.ended.as_ref().map_or(refused.answered_ms, |(ended_ms, _)| *ended_ms);
            let by_ms = refused.asked_ms.min(ended_ms.saturating_sub(1)).max(told.bound_ms);
            Some(refused.answered_ms.saturating_sub(self.heard_by(&told.node, by_ms)))
        };
        watched.iter().filter_map(time).max().unwrap_or_default()
    }

    /// The shortest time from when a silent node was last heard until its actor is bound again, in milliseconds.
    pub(super) fn followed_after_ms(&self) -> Option<u64> {
        let time = |told: &Told| match &told.ended {
            Some((_, Outcome::LeaseOver)) => Some(told.next_ms? - told.heard_ms),
            _ => None,
        };
        self.bindings.values().filter_map(time).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::tool::Answer;
    use credence_model::caller::Caller;
    use credence_model::event::FORMAT;
    use credence_model::id::{BindingId, Digest, Epoch};
    use credence_model::settings::Settings;
    use credence_model::spiffe_id::TrustDomain;
    use credence_model::time::Timestamp;
    use std::path::PathBuf;

    /// A lease of 2000 and a margin of 200; the node was heard at 1000 and 1400; the binding `1` of actor `a` began at 1100.
    fn leases(ended: Option<(u64, Outcome)>, next_ms: Option<u64>) -> Leases {
        let told = Told { node: "n".into(), bound_ms: 1100, ended, heard_ms: 1400, next_ms };
        Leases {
            lease_ms: 2000,
            margin_ms: 200,
            heard_ms: BTreeMap::from([("n".to_owned(), vec![1000, 1400])]),
            bindings: BTreeMap::from([("1".to_owned(), told)]),
            ..Leases::default()
        }
    }

    fn answered(answers: &[(u64, bool)]) -> Watched {
        let answer = |&(asked_ms, is_live)| Answer { asked_ms, answered_ms: asked_ms + 1, is_live };
        Watched { actor: "a".into(), binding: "1".into(), answers: answers.iter().map(answer).collect() }
    }

    fn asked(last_asked_ms: u64) -> Sighting {
        let certificates = PathBuf::new();
        let (actor, binding) = ("a".to_owned(), "1".to_owned());
        Sighting { actor, binding, first_answered_ms: 1200, last_asked_ms, answers: 2, certificates }
    }

    #[test]
    fn a_credential_that_is_live_after_its_lease_or_its_end_is_found_and_one_that_is_never_refused() {
        let lease_over = || leases(Some((3620, Outcome::LeaseOver)), None);
        assert_eq!(lease_over().refusal(&answered(&[(3550, true), (3650, false)])), Vec::<String>::new());
        assert_eq!(lease_over().refusal(&answered(&[(3550, true), (3710, true), (3750, false)])).len(), 1, "late");
        assert_eq!(lease_over().refusal(&answered(&[(3550, true)])).len(), 1, "never refused");
        assert_eq!(lease_over().refusal(&answered(&[])).len(), 1, "never judged");
        let dropped = leases(Some((2000, Outcome::Dropped)), None);
        assert_eq!(dropped.refusal(&answered(&[(2150, true), (2200, false)])).len(), 1, "the node had said so");
        let unknown = Watched { binding: "2".into(), ..answered(&[(2000, false)]) };
        assert_eq!(lease_over().refusal(&unknown).len(), 1, "never bound");
        let mut forgotten = leases(None, None);
        assert_eq!(forgotten.refusal(&answered(&[(3800, true), (3850, false)])).len(), 1, "its lease was over anyway");
        forgotten.heard_ms.entry("n".to_owned()).or_default().push(3500);
        assert_eq!(forgotten.refusal(&answered(&[(3800, true), (3850, false)])), Vec::<String>::new(), "heard again");
    }

    #[test]
    fn a_new_holder_before_the_lease_is_over_is_found() {
        let found = |ended, next_ms| leases(ended, Some(next_ms)).judge(&[], &[]).len();
        assert_eq!(found(Some((3600, Outcome::LeaseOver)), 3600), 0);
        assert_eq!(found(Some((3400, Outcome::LeaseOver)), 3400), 1, "within the margin");
        assert_eq!(found(Some((2000, Outcome::Dropped)), 2000), 0, "the node said that it is over");
        assert_eq!(found(Some((2000, Outcome::Dropped)), 1900), 1, "before the node said so");
        assert_eq!(found(None, 2000), 1, "nobody said that it is over");
    }

    fn entry(index: u64, at_ms: u64, event: Event) -> Entry {
        Entry { format: FORMAT, index, at: Timestamp(at_ms), caller: Caller::System, event }
    }

    /// A node that comes back in the millisecond in which its leases are found to be over was not heard before.
    #[test]
    fn what_happens_in_one_millisecond_is_told_apart_by_the_journal() {
        let (node, actor) = (|| "n".parse().expect("a node"), || "ns/a".parse().expect("an actor"));
        let binding = |nth: u8| BindingId::generate(Timestamp(1), [nth; 10]);
        let settings = Settings::new(TrustDomain::parse("td.test").expect("a trust domain"));
        let over_ms = settings.lease_ms + settings.clock_margin_ms;
        let bound = |nth: u8| Event::ActorBound {
            actor: actor(),
            binding: binding(nth),
            epoch: Epoch(nth.into()),
            worker: "ns/p/w".parse().expect("a worker"),
            node: node(),
            revision: 1,
            key: Digest([0; 32]),
            not_after: Timestamp(0),
        };
        let (epoch, outcome) = (Epoch(1), Outcome::LeaseOver);
        let ended = Event::BindingEnded { actor: actor(), binding: binding(1), epoch, outcome, archive: None };
        let heard = || Event::NodeHeard { node: node() };
        let found = |last: [Event; 2]| {
            let [third, fourth] = last;
            let over_at = 1000 + over_ms;
            let events = [
                (1000, Event::SettingsChanged { settings: settings.clone() }),
                (1000, heard()),
                (1000, bound(1)),
                (over_at, third),
                (over_at, fourth),
                (over_at + 27, bound(2)),
            ];
            let entries: Vec<_> =
                events.into_iter().zip(1..).map(|((at, event), index)| entry(index, at, event)).collect();
            Leases::read(&entries).judge(&[], &[]).len()
        };
        assert_eq!(found([ended.clone(), heard()]), 0);
        assert_eq!(found([heard(), ended]), 1, "it was heard, and ended all the same");
    }

    #[test]
    fn a_program_that_is_served_after_the_lease_is_found() {
        let found = |outcome, asked_ms| leases(Some((3620, outcome)), None).judge(&[], &[asked(asked_ms)]).len();
        assert_eq!(found(Outcome::LeaseOver, 3400), 0);
        assert_eq!(found(Outcome::LeaseOver, 3510), 1);
        assert_eq!(found(Outcome::Stopped, 3510), 0, "the node was there");
    }

    #[test]
    fn times_are_counted_from_when_the_node_was_last_heard() {
        let leases = leases(Some((3620, Outcome::LeaseOver)), Some(3700));
        assert_eq!(leases.refused_within_ms(&[answered(&[(3550, true), (3650, false)])]), 2251);
        assert_eq!(leases.followed_after_ms(), Some(2300));
    }
}
