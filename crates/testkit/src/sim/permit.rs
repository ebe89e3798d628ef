//! What people do about permissions: classes and consents, delegations, guards, and actors that come from somebody; and what actors
//! then ask for ([`uses`]).

mod uses;

use super::check::Broken;
use super::ledger::{AGENT, CALLS, EUROS, ISSUER};
use super::server::judge::Judged;
use super::world::World;
use credence_model::class::ClassSpec;
use credence_model::command::Command;
use credence_model::delegation::{Delegation, Grantee, Grantor, Terms};
use credence_model::guard::GuardSpec;
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::user::User;

/// Actors at a time that may do something.
const ACTORS: u64 = 8;
/// The other class that they are of.
const HELPER: &str = "ns/helper";
const USERS: [&str; 2] = ["ada", "bob"];
const TARGETS: [&str; 5] = ["tool t/*", "tool t/*", "tool t/*", "tool t/a", "tool t/b"];
const CONDITIONS: [&str; 5] = ["", "", "", "amount <= 40 EUR", "amount <= 80 EUR"];
const ACTOR_CONDITIONS: [&str; 8] = [
    "",
    "",
    "",
    "actor.class = ns/agent",
    "actor.id != ns/agent-1",
    "actor.user = ada and actor.issuer = https://idp.sim",
    "actor.user != bob and actor.issuer = https://idp.sim",
    "actor.class != ns/helper and amount <= 80 EUR",
];
const GUARDS: [&str; 3] = ["tool/t/**", "tool/t/a", "tool/**"];

/// What is drawn of permissions, and what is under way.
#[derive(Default)]
pub(super) struct Permits {
    created: u64,
    /// Decided, and not recorded yet.
    under_way: Vec<Judged>,
}

impl World {
    /// What there is to begin with: classes with consent, and actors of users.
    pub(super) fn begin_permits(&mut self) -> Result<(), Broken> {
        for _ in 0..3 {
            self.revise()?;
        }
        for _ in 0..4 {
            self.spawn()?;
        }
        Ok(())
    }

    /// Somebody does something about permissions.
    pub(super) fn permit(&mut self) -> Result<(), Broken> {
        if self.checks.state().hold.is_some() {
            return Ok(());
        }
        match self.random.below(40) {
            0..=2 => self.revise()?,
            3..=5 => self.consent(),
            6 => self.forbid_class(),
            7..=9 => self.spawn()?,
            10..=16 => self.delegate(None)?,
            17 => self.narrow()?,
            18 => self.revoke(),
            19 => self.guard()?,
            20..=21 => self.unguard()?,
            22 => self.end_actor(),
            _ => {
                for _ in 0..self.random.between(1, 4) {
                    self.use_something()?;
                }
            }
        }
        Ok(())
    }

    fn revise(&mut self) -> Result<(), Broken> {
        let class = self.class()?;
        let is_agent = class.to_string() == AGENT;
        let mut spec = ClassSpec { owner: "sim".into(), runtime: self.spec.runtime.clone(), ..ClassSpec::default() };
        for _ in 0..self.random.between(1, 3) {
            let budget = if is_agent { Some(format!("budget {EUROS} EUR per life")) } else { self.calls() };
            let line = self.line(&TARGETS, &CONDITIONS, budget)?;
            spec.permissions.allow.push(line);
        }
        if self.random.one_in(4) {
            spec.permissions.forbid.push(self.line(&TARGETS, &["amount <= 10 EUR", "actor.user = bob"], None)?);
        }
        spec.permissions.delegation.required = self.random.one_in(4);
        (spec.permissions.spawn.max_depth, spec.permissions.spawn.max_children) = (2, 3);
        self.note("class revised", String::new());
        self.ask(Command::ApplyClass { class: class.clone(), labels: Labels::new(), spec, if_version: None });
        if !self.random.one_in(4) {
            self.ask(Command::ConsentRevision { class, revision: None, only: Vec::new() });
        }
        Ok(())
    }

    /// A consent to all of the newest revision or to a part of it, or one that is taken back.
    fn consent(&mut self) {
        let Ok(class) = self.class() else { return };
        if self.random.one_in(4) {
            self.note("consent withdrawn", String::new());
            return self.ask(Command::WithdrawConsent { class, revision: None });
        }
        let found = self.checks.state().classes.get(&class).and_then(|class| class.newest());
        let lines = found.map(|(_, revision)| revision.spec.permissions.allow.clone()).unwrap_or_default();
        let only = if self.random.one_in(3) { lines.into_iter().take(1).collect() } else { Vec::new() };
        self.note("consented", String::new());
        self.ask(Command::ConsentRevision { class, revision: None, only });
    }

    /// A class is disabled for a while, or deleted although something is delegated to it.
    fn forbid_class(&mut self) {
        let Ok(class) = self.class() else { return };
        if self.random.one_in(2) {
            self.note("class deleted", String::new());
            return self.ask(Command::DeleteClass { class });
        }
        let enabled = !self.random.one_in(3);
        self.ask(Command::EnableClass { class, revision: None, enabled });
    }

    /// An actor of a user, of another actor or of nobody, or a copy.
    fn spawn(&mut self) -> Result<(), Broken> {
        let there = self.actors_of_somebody().len() as u64;
        let class = self.class()?;
        if there >= ACTORS {
            self.end_actor();
            return Ok(());
        }
        let user = USERS.get(self.random.below(3) as usize).map(|name| user(name));
        let lineage = match self.random.below(5) {
            0..=1 => Lineage { user, ..Lineage::default() },
            2..=3 => Lineage { parent: self.some_of_somebody(), ..Lineage::default() },
            _ => Lineage { user, forked_from: self.some_of_somebody(), ..Lineage::default() },
        };
        let id = format!("agent-{}", self.permits.created);
        self.permits.created += 1;
        self.note("spawned", String::new());
        let actor = named(&format!("ns/{id}"))?;
        self.ask(Command::SpawnActor { class, id: Some(named(&id)?), labels: Labels::new(), lineage: lineage.clone() });
        if lineage.parent.is_none() && lineage.user.is_none() {
            return Ok(());
        }
        self.delegate(Some((actor, lineage)))
    }

    /// To a new actor, or to one that is there.
    fn delegate(&mut self, to: Option<(ActorRef, Lineage)>) -> Result<(), Broken> {
        let Some((actor, lineage)) = to.or_else(|| self.some_with_lineage()) else { return Ok(()) };
        // Now and then by somebody who may not.
        let by = match (lineage.parent, lineage.user) {
            (Some(parent), _) => Grantor::Actor(parent),
            (None, Some(user)) if !self.random.one_in(8) => Grantor::User(user),
            _ => Grantor::User(user(USERS.get(self.random.below(2) as usize).copied().unwrap_or("ada"))),
        };
        let to_class = matches!(by, Grantor::User(_)) && self.random.one_in(4);
        let to = if to_class { Grantee::Class(self.class()?) } else { Grantee::Actor(actor) };
        let budget = self.calls();
        let allow = vec![self.line(&TARGETS, &CONDITIONS, budget)?];
        let not_before = self.checks.state().last_at;
        let expires_at = not_before.plus_secs(self.random.between(30, 3_000));
        let uses = self.random.one_in(2).then(|| self.random.between(1, 3));
        let terms = Terms { allow, session: None, purpose: String::new(), not_before, expires_at, uses };
        self.note("delegated", String::new());
        self.ask(Command::GrantDelegation { by, to, offer: terms.into() });
        Ok(())
    }

    fn narrow(&mut self) -> Result<(), Broken> {
        let Some(Delegation { id, mut terms, .. }) = self.some_delegation() else { return Ok(()) };
        match self.random.below(3) {
            0 => terms.uses = Some(terms.uses.map_or(2, |uses| uses.saturating_sub(1).max(1))),
            1 => terms.expires_at = self.checks.state().last_at.plus_secs(20).min(terms.expires_at),
            // Wider, perhaps, and then refused.
            _ => terms.allow = vec![self.line(&TARGETS, &CONDITIONS, None)?],
        }
        self.note("delegation narrowed", String::new());
        self.ask(Command::NarrowDelegation { delegation: id, of: None, terms });
        Ok(())
    }

    fn revoke(&mut self) {
        let Some(Delegation { id, .. }) = self.some_delegation() else { return };
        self.note("delegation revoked", String::new());
        self.ask(Command::RevokeDelegation { delegation: id, of: None, reason: None });
    }

    fn guard(&mut self) -> Result<(), Broken> {
        let nth = self.random.below(GUARDS.len() as u64) as usize;
        let resource = GUARDS.get(nth).copied().unwrap_or("tool/**");
        let targets: &[&str] = if nth == 1 { &["tool t/a"] } else { &TARGETS };
        let mut spec = GuardSpec {
            owner: "sim".into(),
            description: String::new(),
            resource: resource.parse().map_err(|_| Broken::Stuck(format!("{resource} is no resource")))?,
            allow: Vec::new(),
            forbid: Vec::new(),
        };
        for _ in 0..self.random.between(1, 4) - 1 + u64::from(self.random.one_in(2)) {
            let budget = self.calls();
            spec.allow.push(self.line(targets, &ACTOR_CONDITIONS, budget)?);
        }
        if self.random.one_in(3) {
            let conditions = ["actor.id = ns/agent-2", "actor.user = bob", "amount <= 10 EUR"];
            spec.forbid.push(self.line(targets, &conditions, None)?);
        }
        let guard = named(&format!("ns/guard-{nth}"))?;
        self.note("guard applied", String::new());
        self.ask(Command::ApplyGuard { guard, labels: Labels::new(), spec, if_version: None });
        Ok(())
    }

    fn unguard(&mut self) -> Result<(), Broken> {
        let guard = named(&format!("ns/guard-{}", self.random.below(GUARDS.len() as u64)))?;
        self.note("guard deleted", String::new());
        self.ask(Command::DeleteGuard { guard });
        Ok(())
    }

    /// Makes room for another.
    fn end_actor(&mut self) {
        let Some(actor) = self.some_of_somebody() else { return };
        let command = match self.random.below(4) {
            0 => Command::TerminateActor { actor, reason: None },
            1 => Command::QuarantineActor { actor, reason: None },
            _ => Command::DeleteActor { actor },
        };
        self.ask(command);
    }

    fn line(&mut self, targets: &[&str], conditions: &[&str], budget: Option<String>) -> Result<Permission, Broken> {
        let target = targets.get(self.random.below(targets.len() as u64) as usize).copied().unwrap_or("tool t/a");
        let condition = conditions.get(self.random.below(conditions.len() as u64) as usize).copied().unwrap_or("");
        let when = if condition.is_empty() { String::new() } else { format!(" when {condition}") };
        let with = budget.map(|budget| format!(" with {budget}")).unwrap_or_default();
        named(&format!("{target}{when}{with}"))
    }

    fn calls(&mut self) -> Option<String> {
        self.random.one_in(3).then(|| format!("budget {CALLS} calls per hour"))
    }

    fn class(&mut self) -> Result<ClassRef, Broken> {
        named(if self.random.one_in(3) { HELPER } else { AGENT })
    }

    fn actors_of_somebody(&self) -> Vec<ActorRef> {
        self.checks.state().actors.names().filter(|name| name.actor.as_str().starts_with("agent-")).collect()
    }

    fn some_of_somebody(&mut self) -> Option<ActorRef> {
        let all = self.actors_of_somebody();
        all.get(self.random.below(all.len() as u64) as usize).cloned()
    }

    fn some_with_lineage(&mut self) -> Option<(ActorRef, Lineage)> {
        let actor = self.some_of_somebody()?;
        let lineage = self.checks.state().lineages.get(&actor).cloned().unwrap_or_default();
        Some((actor, lineage))
    }

    /// One of the last.
    fn some_delegation(&mut self) -> Option<Delegation> {
        let all: Vec<_> = self.checks.state().delegations.all().collect();
        let last = all.len().saturating_sub(1 + self.random.below(8) as usize);
        all.into_iter().nth(last)
    }
}

fn user(name: &str) -> User {
    User { issuer: ISSUER.into(), subject: name.into() }
}

fn named<T: std::str::FromStr>(text: &str) -> Result<T, Broken> {
    text.parse().map_err(|_| Broken::Stuck(format!("`{text}` cannot be read")))
}
