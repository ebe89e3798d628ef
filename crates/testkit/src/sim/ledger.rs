//! What the journal says of permissions, kept by its own books: who may do what, what was used up, and what was decided. It shares no
//! code with what decides; lines are read by their text ([`line`]).
//!
//! The world is drawn so that it can be told without the product what must never be exceeded: every budget in euro is 500 for life, every
//! budget of calls three an hour, and each line of the class `ns/agent` has the first.

mod line;

use super::check::Broken;
use credence_model::event::{Entry, Event, PermissionEvent};
use credence_model::id::{ClassRef, DecisionId, DelegationId, Digest};
use credence_model::permission::Permission;
use credence_model::time::Timestamp;
use line::{Answer, answer};
use std::collections::{BTreeMap, BTreeSet};

/// Who authenticates users.
pub(super) const ISSUER: &str = "https://idp.sim";
/// What every budget in euro is, for life.
pub(super) const EUROS: i64 = 500;
/// What every budget of calls is, in an hour.
pub(super) const CALLS: i64 = 3;
/// The class whose lines all have a budget in euro.
pub(super) const AGENT: &str = "ns/agent";

const TEN_THOUSANDTHS: i64 = 10_000;

/// One question: a tool, and for how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) tool: &'static str,
    pub(super) amount: i64,
}

/// The books.
#[derive(Default)]
pub(super) struct Ledger {
    classes: BTreeMap<String, Class>,
    actors: BTreeMap<String, Actor>,
    delegations: BTreeMap<DelegationId, Granted>,
    guards: BTreeMap<String, Guard>,
    taken: BTreeMap<(String, Digest, u64), i64>,
    decided: BTreeSet<DecisionId>,
    /// What was asked, by the decision that came of it.
    asked: BTreeMap<DecisionId, Asked>,
    /// Decisions that somebody was told are recorded.
    told: BTreeSet<DecisionId>,
}

struct Class {
    created_at: Timestamp,
    enabled: bool,
    revisions: BTreeMap<u32, Revision>,
}

struct Revision {
    allow: Vec<String>,
    forbid: Vec<String>,
    requires: bool,
    allowed: bool,
    consents: bool,
    only: Vec<String>,
}

#[derive(Default)]
pub(super) struct Actor {
    class: String,
    user: Option<String>,
    parent: Option<String>,
    ended: bool,
    deleted: bool,
    /// What it and its descendants were allowed to spend.
    spent: i64,
    /// How often it was allowed something.
    allowed: u64,
}

struct Granted {
    by: String,
    to: String,
    allow: Vec<String>,
    not_before: Timestamp,
    expires_at: Timestamp,
    most: Option<u64>,
    used: u64,
    granted_at: Timestamp,
    revoked: bool,
}

struct Guard {
    resource: String,
    allow: Vec<String>,
    forbid: Vec<String>,
}

impl Ledger {
    /// A question is asked, and this is to be recorded of it.
    pub(super) fn ask(&mut self, id: DecisionId, asked: Asked) {
        self.asked.insert(id, asked);
    }

    /// Somebody was told that this decision is recorded.
    pub(super) fn tell(&mut self, id: DecisionId) {
        self.told.insert(id);
    }

    /// Whatever somebody was told is in the journal.
    pub(super) fn recorded(&mut self) -> Result<(), Broken> {
        match std::mem::take(&mut self.told).into_iter().find(|id| !self.decided.contains(id)) {
            Some(id) => Err(Broken::Undecided(format!("decision {id} was answered"))),
            None => Ok(()),
        }
    }

    /// Reads the next entry.
    pub(super) fn read(&mut self, entry: &Entry) -> Result<(), Broken> {
        match &entry.event {
            Event::ClassRevised { class, revision, spec, .. } => {
                let permissions = &spec.permissions;
                let (allow, forbid) = (texts(&permissions.allow), texts(&permissions.forbid));
                let new = || Class { created_at: entry.at, enabled: true, revisions: BTreeMap::new() };
                let class = self.classes.entry(class.to_string()).or_insert_with(new);
                let last = class.revisions.values().rev().find(|revision| revision.consents);
                let only = last.map(|revision| revision.only.clone()).unwrap_or_default();
                let requires = permissions.delegation.required;
                class
                    .revisions
                    .insert(*revision, Revision { allow, forbid, requires, allowed: true, consents: true, only });
            }
            Event::ClassEnabled { class, enabled } => {
                self.classes.entry(class.to_string()).and_modify(|class| class.enabled = *enabled);
            }
            Event::RevisionAllowed { class, revision, allowed } => {
                self.revise(class, *revision, |found| found.allowed = *allowed);
            }
            Event::ClassDeleted { class } => drop(self.classes.remove(&class.to_string())),
            Event::ActorCreated { actor, class, .. } => {
                let class = format!("{}/{class}", actor.namespace);
                self.actors.insert(actor.to_string(), Actor { class, ..Actor::default() });
            }
            Event::ActorTerminated { actor, .. } | Event::ActorQuarantined { actor, .. } => {
                self.actors.entry(actor.to_string()).and_modify(|actor| actor.ended = true);
            }
            Event::ActorDeleted { actor } => {
                self.actors.entry(actor.to_string()).and_modify(|actor| actor.deleted = true);
            }
            Event::Permission(event) => return self.permission(entry.at, event),
            _ => {}
        }
        Ok(())
    }

    fn revise(&mut self, class: &ClassRef, revision: u32, change: impl FnOnce(&mut Revision)) {
        let class = self.classes.get_mut(&class.to_string());
        if let Some(found) = class.and_then(|class| class.revisions.get_mut(&revision)) {
            change(found);
        }
    }

    fn permission(&mut self, at: Timestamp, event: &PermissionEvent) -> Result<(), Broken> {
        match event {
            PermissionEvent::ConsentWanted { class, revision } => self.revise(class, *revision, |found| {
                found.consents = false;
                found.only.clear();
            }),
            PermissionEvent::RevisionConsented { class, revision, only } => self.revise(class, *revision, |found| {
                found.consents = true;
                found.only = texts(only);
            }),
            PermissionEvent::ConsentWithdrawn { class, revision } => self.revise(class, *revision, |found| {
                found.consents = false;
                found.only.clear();
            }),
            PermissionEvent::ActorDescends { actor, lineage } => {
                self.actors.entry(actor.to_string()).and_modify(|found| {
                    found.user = lineage.user.as_ref().map(|user| user.subject.clone());
                    found.parent = lineage.parent.as_ref().map(ToString::to_string);
                });
            }
            PermissionEvent::DelegationGranted { delegation } => {
                let granted = Granted {
                    by: delegation.by.to_string(),
                    to: delegation.to.to_string(),
                    allow: texts(&delegation.terms.allow),
                    not_before: delegation.terms.not_before,
                    expires_at: delegation.terms.expires_at,
                    most: delegation.terms.uses,
                    used: 0,
                    granted_at: at,
                    revoked: false,
                };
                self.delegations.insert(delegation.id, granted);
            }
            PermissionEvent::DelegationNarrowed { delegation, terms } => {
                self.delegations.entry(*delegation).and_modify(|found| {
                    found.allow = texts(&terms.allow);
                    (found.not_before, found.expires_at, found.most) = (terms.not_before, terms.expires_at, terms.uses);
                });
            }
            PermissionEvent::DelegationRevoked { delegation, .. } => {
                self.delegations.entry(*delegation).and_modify(|found| found.revoked = true);
            }
            PermissionEvent::DelegationsForgotten { .. } => {}
            PermissionEvent::GuardApplied { guard, spec, .. } => {
                let (resource, allow, forbid) = (spec.resource.to_string(), texts(&spec.allow), texts(&spec.forbid));
                self.guards.insert(guard.to_string(), Guard { resource, allow, forbid });
            }
            PermissionEvent::GuardDeleted { guard } => drop(self.guards.remove(&guard.to_string())),
            PermissionEvent::Used { actor, delegations, budgets } => {
                for id in delegations {
                    self.used(at, id)?;
                }
                for taken in budgets {
                    let whose = taken.of.as_ref().unwrap_or(actor).to_string();
                    let most = if taken.since_secs == 0 { EUROS } else { CALLS } * TEN_THOUSANDTHS;
                    let sum = self.taken.entry((whose.clone(), taken.budget, taken.since_secs)).or_default();
                    *sum += taken.amount;
                    if *sum > most {
                        return Err(Broken::Overspent(format!("{sum} of {most} were taken from a budget of {whose}")));
                    }
                }
            }
            PermissionEvent::Decided { decided } => {
                self.decided.insert(decided.id);
                if decided.allowed {
                    self.allowed(decided.actor.to_string(), decided.id)?;
                }
            }
        }
        Ok(())
    }

    fn used(&mut self, at: Timestamp, id: &DelegationId) -> Result<(), Broken> {
        let over = |what: &str| Err(Broken::Overspent(format!("delegation {id} was used {what}")));
        let Some(found) = self.delegations.get_mut(id) else { return over("and never granted") };
        found.used += 1;
        if found.revoked || at < found.not_before || found.expires_at <= at {
            return over("when it was over");
        }
        if found.most.is_some_and(|most| found.used > most) {
            return over("more often than it may be");
        }
        Ok(())
    }

    /// Counts what was allowed, by what was asked: whatever is recorded beside it.
    fn allowed(&mut self, name: String, id: DecisionId) -> Result<(), Broken> {
        let amount = self.asked.get(&id).map_or(0, |asked| asked.amount);
        if let Some(actor) = self.actors.get_mut(&name) {
            actor.allowed += 1;
        }
        self.within_uses(&name)?;
        let mut of = Some(name);
        while let Some(name) = of {
            let Some(actor) = self.actors.get_mut(&name) else { break };
            actor.spent += amount;
            if actor.class == AGENT && actor.spent > EUROS {
                return Err(Broken::Overspent(format!("{name} and its descendants were allowed {} EUR", actor.spent)));
            }
            of = actor.parent.clone();
        }
        Ok(())
    }

    /// An actor of somebody is allowed no more than all delegations that could be meant for it have uses.
    fn within_uses(&self, name: &str) -> Result<(), Broken> {
        let Some(actor) = self.actors.get(name) else { return Ok(()) };
        let Some(by) = by(actor) else { return Ok(()) };
        let meant = self.delegations.values().filter(|found| found.by == by && is_to(found, name, actor));
        let most = meant.map(|found| found.most).try_fold(0, |sum, most| Some(sum + most?));
        match most {
            Some(most) if actor.allowed > most => {
                Err(Broken::Overspent(format!("{name} was allowed {} of {most} uses", actor.allowed)))
            }
            _ => Ok(()),
        }
    }

    /// The layer that denies a question, whatever is left of budgets; `None` if none does.
    pub(super) fn denies(&self, name: &str, asked: Asked, at: Timestamp) -> Option<&'static str> {
        let caller = self.actors.get(name)?;
        let (mut of, mut is_caller) = (Some(name.to_owned()), true);
        while let Some(name) = of {
            let Some(actor) = self.actors.get(&name).filter(|actor| !actor.deleted) else { return Some("standing") };
            let says = |line: &String| answer(line, asked, &name, actor);
            let allows = |lines: &[String]| lines.iter().any(|line| says(line) == Answer::Yes);
            let forbids = |lines: &[String]| lines.iter().any(|line| says(line) != Answer::No);
            if let Some(layer) = self.own(&name, actor, at, &allows, &forbids) {
                return Some(layer);
            }
            let guards = self.guards.values().filter(|guard| guard.covers(asked.tool));
            for guard in guards {
                if forbids(&guard.forbid) || (is_caller && !allows(&guard.allow)) {
                    return Some("guard");
                }
            }
            is_caller = false;
            of = actor.parent.clone();
        }
        caller.deleted.then_some("standing")
    }

    /// Which of an actor's own layers denies.
    fn own(
        &self,
        name: &str,
        actor: &Actor,
        at: Timestamp,
        allows: &dyn Fn(&[String]) -> bool,
        forbids: &dyn Fn(&[String]) -> bool,
    ) -> Option<&'static str> {
        let class = self.classes.get(&actor.class).filter(|class| class.enabled && !actor.ended);
        let Some(class) = class else { return Some("standing") };
        let in_force = class.revisions.values().rev().find(|revision| revision.allowed && revision.consents);
        let Some(revision) = in_force else { return Some("standing") };
        if !allows(&revision.allow) || forbids(&revision.forbid) {
            return Some("class");
        }
        if !revision.only.is_empty() && !allows(&revision.only) {
            return Some("consent");
        }
        let Some(by) = by(actor) else { return revision.requires.then_some("delegation") };
        let counts = |found: &&Granted| {
            let is_meant = found.by == by && is_to(found, name, actor);
            let is_younger = found.to.starts_with("actor ") || found.granted_at >= class.created_at;
            let is_time = found.not_before <= at && at < found.expires_at;
            is_meant && is_younger && is_time && !found.revoked && found.most.is_none_or(|most| found.used < most)
        };
        let is_delegated = self.delegations.values().filter(counts).any(|found| allows(&found.allow));
        (!is_delegated).then_some("delegation")
    }
}

/// Who has to delegate to an actor, if somebody has to.
fn by(actor: &Actor) -> Option<String> {
    let parent = actor.parent.as_ref().map(|parent| format!("actor {parent}"));
    parent.or_else(|| actor.user.as_ref().map(|user| format!("{user} of {ISSUER}")))
}

fn is_to(found: &Granted, name: &str, actor: &Actor) -> bool {
    found.to == format!("actor {name}") || found.to == format!("class {}", actor.class)
}

fn texts(lines: &[Permission]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

impl Guard {
    fn covers(&self, tool: &str) -> bool {
        match self.resource.strip_prefix("tool/") {
            Some("**" | "t/*" | "t/**") => true,
            exactly => exactly == Some(tool),
        }
    }
}
