//! Whether what the clients were told, what the programs saw, what the registry says and what the journal holds is one
//! story.

use super::fencing::Leases;
use super::load::{Deed, Record};
use super::tool::Watched;
use crate::harness::text;
use credence_model::event::{Entry, Event};
use credence_model::invariant::Auditor;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Newest bindings of an actor whose certificates are judged.
const JUDGED_EACH: usize = 3;

/// What a program saw of its binding.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) actor: String,
    pub(super) binding: String,
    /// When the first answer was there.
    pub(super) first_answered_ms: u64,
    /// When the last question was asked that was answered.
    pub(super) last_asked_ms: u64,
    pub(super) answers: usize,
    pub(super) certificates: PathBuf,
}

/// What can be known afterwards.
pub(super) struct Evidence {
    pub(super) views: Vec<Value>,
    pub(super) sightings: Vec<Sighting>,
    /// Whether the certificate of a binding is live, as the server says.
    pub(super) verdicts: BTreeMap<String, bool>,
    pub(super) entries: Vec<Entry>,
    /// What a tool server was answered about those whose node was killed, stopped or cut off.
    pub(super) watched: Vec<Watched>,
    pub(super) outages: Vec<Outage>,
}

/// A time in which the server could record nothing, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// The newest sightings of each actor. Bindings have time-ordered names.
pub(super) fn newest(sightings: &[Sighting], actors: &[String]) -> Vec<Sighting> {
    let of = |actor: &String| {
        let mut own: Vec<_> = sightings.iter().filter(|sighting| sighting.actor == *actor).cloned().collect();
        own.sort_by(|a, b| b.binding.cmp(&a.binding));
        own.truncate(JUDGED_EACH);
        own
    };
    actors.iter().flat_map(of).collect()
}

/// Every contradiction, in words.
pub(super) fn judge(records: &[Record], evidence: &Evidence) -> Vec<String> {
    let mut found = journal(records, &evidence.entries);
    found.extend(registry(records, &evidence.views));
    found.extend(holders(&evidence.sightings));
    found.extend(credentials(evidence));
    found.extend(Leases::read(&evidence.entries).judge(&evidence.watched, &evidence.sightings));
    found.extend(outages(records, &evidence.outages));
    found
}

/// Nothing was asked for and acknowledged while nothing could be recorded.
fn outages(records: &[Record], outages: &[Outage]) -> Vec<String> {
    let mut found = Vec::new();
    for Outage { from_ms, until_ms } in outages {
        let within = |record: &&Record| record.asked_ms > *from_ms && record.answered_ms < *until_ms;
        for Record { actor, deed, .. } in records.iter().filter(within).filter(|record| record.acknowledged.is_some()) {
            found.push(format!("{deed:?} of {actor} is acknowledged while the disk is read-only"));
        }
    }
    found
}

/// What was acknowledged is recorded, once, and the record keeps the invariants.
fn journal(records: &[Record], entries: &[Entry]) -> Vec<String> {
    let mut auditor = Auditor::default();
    let (mut created, mut bound) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for entry in entries {
        auditor.read(entry);
        match &entry.event {
            Event::ActorCreated { actor, .. } => *created.entry(actor.actor.to_string()).or_default() += 1,
            Event::ActorBound { actor, binding, epoch, .. } => {
                bound.insert((actor.actor.to_string(), binding.to_string(), epoch.0));
            }
            _ => {}
        }
    }
    let mut found: Vec<_> = auditor.violations.iter().map(|violation| format!("journal: {violation:?}")).collect();
    for Record { actor, deed, acknowledged, .. } in records {
        let Some(view) = acknowledged else { continue };
        if *deed == Deed::Create && created.get(actor) != Some(&1) {
            found.push(format!("{actor} was created, and the journal says so {:?} times", created.get(actor)));
        }
        if let (Deed::Resume, Some(binding), Some(epoch)) = (deed, view["binding"].as_str(), view["epoch"].as_u64())
            && !bound.contains(&(actor.clone(), binding.to_owned(), epoch))
        {
            found.push(format!("{actor} was bound in {binding} with epoch {epoch}, and the journal does not say so"));
        }
    }
    found
}

/// The registry says what was acknowledged last, if nothing is uncertain after that.
fn registry(records: &[Record], views: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let by_id: BTreeMap<_, _> = views.iter().map(|view| (text(view, "id"), view)).collect();
    let actors: BTreeSet<_> = records.iter().map(|record| &record.actor).collect();
    for actor in actors {
        let own: Vec<_> = records.iter().filter(|record| record.actor == *actor && !record.refused).collect();
        let epoch = own.iter().filter_map(|record| record.acknowledged.as_ref()?["epoch"].as_u64()).max();
        let Some(view) = by_id.get(actor.as_str()) else {
            if own.iter().any(|record| record.acknowledged.is_some()) {
                found.push(format!("{actor} was acknowledged and is gone"));
            }
            continue;
        };
        if view["epoch"].as_u64().unwrap_or_default() < epoch.unwrap_or_default() {
            found.push(format!("{actor} had epoch {epoch:?} and went back: {view}"));
        }
        let state = text(view, "state");
        // A program whose supervisor was killed has ended by itself.
        let ended_by_itself = view.get("outcome").is_some_and(|outcome| *outcome != "stopped");
        match own.last() {
            Some(Record { deed: Deed::Suspend, acknowledged: Some(_), .. }) if state != "suspended" => {
                found.push(format!("{actor} was suspended and is {state}"));
            }
            Some(Record { deed: Deed::Resume, acknowledged: Some(_), .. })
                if state != "running" && !ended_by_itself =>
            {
                found.push(format!("{actor} was resumed and is {state}: {view}"));
            }
            _ => {}
        }
    }
    found
}

/// No program was answered under an old binding after another one was answered under a newer one.
fn holders(sightings: &[Sighting]) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_actor = BTreeMap::<_, Vec<_>>::new();
    sightings.iter().for_each(|sighting| by_actor.entry(&sighting.actor).or_default().push(sighting));
    for old in sightings {
        let own = by_actor.get(&old.actor).map(Vec::as_slice).unwrap_or_default();
        for new in own.iter().filter(|new| new.binding > old.binding) {
            if old.last_asked_ms > new.first_answered_ms {
                let late_ms = old.last_asked_ms - new.first_answered_ms;
                found.push(format!(
                    "{} was served in {} {late_ms} ms after it was served in {}",
                    old.actor, old.binding, new.binding
                ));
            }
        }
    }
    found
}

/// Only the present binding's certificate is live.
fn credentials(evidence: &Evidence) -> Vec<String> {
    let present: BTreeSet<_> = evidence.views.iter().filter_map(|view| view["binding"].as_str()).collect();
    let wrong = evidence.verdicts.iter().filter(|(binding, is_live)| present.contains(binding.as_str()) != **is_live);
    wrong.map(|(binding, is_live)| format!("the certificate of binding {binding} is judged live: {is_live}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(deed: Deed, acknowledged: Option<Value>) -> Record {
        Record { actor: "a".into(), deed, acknowledged, refused: false, asked_ms: 100, answered_ms: 200 }
    }

    fn sighting(binding: &str, first_answered_ms: u64, last_asked_ms: u64) -> Sighting {
        let (actor, certificates) = ("a".to_owned(), PathBuf::new());
        Sighting { actor, binding: binding.into(), first_answered_ms, last_asked_ms, answers: 2, certificates }
    }

    #[test]
    fn every_contradiction_is_found() {
        let created = record(Deed::Create, Some(json!({})));
        assert_eq!(journal(std::slice::from_ref(&created), &[]).len(), 1, "acknowledged and not recorded");
        assert_eq!(registry(&[created], &[]).len(), 1, "acknowledged and gone");

        let view = |state: &str, epoch: u64| json!({"id": "a", "state": state, "epoch": epoch});
        let resumed = record(Deed::Resume, Some(json!({"epoch": 4, "binding": "b"})));
        assert_eq!(journal(std::slice::from_ref(&resumed), &[]).len(), 1, "bound and not recorded");
        assert_eq!(registry(std::slice::from_ref(&resumed), &[view("running", 3)]).len(), 1, "an epoch that went back");
        assert_eq!(registry(std::slice::from_ref(&resumed), &[view("suspended", 4)]).len(), 1, "resumed and suspended");
        assert_eq!(registry(std::slice::from_ref(&resumed), &[view("running", 4)]), Vec::<String>::new());
        let suspended = record(Deed::Suspend, Some(json!({})));
        assert_eq!(registry(&[resumed.clone(), suspended.clone()], &[view("running", 4)]).len(), 1);
        let uncertain = record(Deed::Resume, None);
        let uncertain = [resumed, suspended, uncertain];
        assert_eq!(registry(&uncertain, &[view("running", 5)]), Vec::<String>::new(), "it may have happened");
    }

    #[test]
    fn two_holders_are_found_and_one_after_the_other_is_none() {
        let early = sighting("1", 100, 200);
        assert_eq!(holders(&[early.clone(), sighting("2", 210, 300)]), Vec::<String>::new());
        assert_eq!(holders(&[early, sighting("2", 190, 300)]).len(), 1);
    }

    #[test]
    fn a_credential_of_an_old_binding_that_is_live_is_found_and_one_of_the_present_that_is_not() {
        let mut evidence = Evidence {
            views: vec![json!({"id": "a", "binding": "2"})],
            sightings: Vec::new(),
            verdicts: BTreeMap::from([("1".to_owned(), false), ("2".to_owned(), true)]),
            entries: Vec::new(),
            watched: Vec::new(),
            outages: Vec::new(),
        };
        assert_eq!(credentials(&evidence), Vec::<String>::new());
        evidence.verdicts = BTreeMap::from([("1".to_owned(), true), ("2".to_owned(), false)]);
        assert_eq!(credentials(&evidence).len(), 2);
    }

    #[test]
    fn what_is_acknowledged_while_nothing_can_be_recorded_is_found() {
        let outage = |from_ms, until_ms| Outage { from_ms, until_ms };
        let acknowledged = [record(Deed::Suspend, Some(json!({})))];
        assert_eq!(outages(&acknowledged, &[outage(90, 300)]).len(), 1);
        assert_eq!(outages(&acknowledged, &[outage(150, 300), outage(90, 190)]), Vec::<String>::new(), "in time");
        assert_eq!(outages(&[record(Deed::Suspend, None)], &[outage(90, 300)]), Vec::<String>::new(), "refused");
    }
}
