//! A registry with a class, users and actors, changed by commands only.

use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::class::permissions::Permissions;
use credence_model::command::{Answer, Command, Request, Use};
use credence_model::decide::decide;
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::event::{Entry, FORMAT};
use credence_model::id::{ActorRef, ClassRef, DelegationId, Digest};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::question::{Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::refusal::Refusal;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_policy::brief::Brief;
use credence_policy::cedar::compile;
use credence_policy::decision::{self, Decision};
use credence_policy::policies::Policies;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    pub(crate) compiled: BTreeMap<Digest, Arc<Policies>>,
    entropy: u8,
}

pub(crate) fn permission(text: &str) -> Permission {
    Permission::parse(text).expect(text)
}

pub(crate) fn permissions(allow: &[&str]) -> Permissions {
    Permissions { allow: allow.iter().map(|text| permission(text)).collect(), ..Permissions::default() }
}

pub(crate) fn class() -> ClassRef {
    "finance/expenses".parse().unwrap()
}

pub(crate) fn actor(id: &str) -> ActorRef {
    format!("finance/{id}").parse().unwrap()
}

pub(crate) fn user(subject: &str) -> User {
    User { issuer: "https://idp.example".into(), subject: subject.into() }
}

pub(crate) fn of(subject: &str) -> Lineage {
    Lineage { user: Some(user(subject)), ..Lineage::default() }
}

pub(crate) fn child_of(parent: &str) -> Lineage {
    Lineage { parent: Some(actor(parent)), ..Lineage::default() }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            now: Timestamp::from_secs(1_800_000_000),
            compiled: BTreeMap::new(),
            entropy: 0,
        };
        world.ok(Command::Start(Settings::new(TrustDomain::parse("demo.internal").unwrap())));
        world
    }

    pub(crate) fn run(&mut self, command: Command) -> Result<Answer, Refusal> {
        self.entropy = self.entropy.wrapping_add(1);
        let request = Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command };
        let decision = decide(&self.state, &request, self.now, &[self.entropy; 32])?;
        for event in decision.events {
            let index = self.state.last_index + 1;
            let entry = Entry { format: FORMAT, index, at: self.now, caller: request.caller.clone(), event };
            apply(&mut self.state, &entry);
        }
        self.now = self.now.plus_ms(1);
        Ok(decision.answer)
    }

    pub(crate) fn ok(&mut self, command: Command) -> Answer {
        self.run(command).unwrap_or_else(|refusal| unreachable!("{refusal}"))
    }

    /// A revision that permits this, with consent.
    pub(crate) fn permit(&mut self, permissions: Permissions) {
        self.revise(permissions);
        self.ok(Command::ConsentRevision { class: class(), revision: None, only: Vec::new() });
    }

    pub(crate) fn revise(&mut self, permissions: Permissions) {
        let spec = ClassSpec { owner: "finance@example.org".into(), permissions, ..ClassSpec::default() };
        if !spec.permissions.cedar.is_empty() {
            let policies = compile(&spec.permissions.cedar, &spec.permissions.attributes).expect("policies");
            self.compiled.insert(spec.digest(), Arc::new(policies));
        }
        self.ok(Command::ApplyClass { class: class(), labels: Labels::new(), spec, if_version: None });
    }

    pub(crate) fn spawn(&mut self, id: &str, lineage: Lineage) {
        let id = Some(id.parse().unwrap());
        self.ok(Command::SpawnActor { class: class(), id, labels: Labels::new(), lineage });
    }

    pub(crate) fn terms(&self, allow: &[&str]) -> Terms {
        Terms {
            allow: allow.iter().map(|text| permission(text)).collect(),
            session: None,
            purpose: String::new(),
            not_before: self.now,
            expires_at: self.now.plus_secs(3600),
            uses: None,
        }
    }

    pub(crate) fn grant(&mut self, by: Grantor, to: Grantee, terms: Terms) -> DelegationId {
        match self.ok(Command::GrantDelegation { by, to, offer: terms.into() }) {
            Answer::Delegation { delegation, .. } => delegation,
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) fn question(&self, what: &str, context: &Value) -> Question {
        let (action, resource) = what.split_once(' ').expect("an action and a resource");
        let (kind, id) = resource.split_once('/').expect("a kind and a name");
        Question {
            action: Name::parse(action).unwrap(),
            resource: Resource::new(Name::parse(kind).unwrap(), id).unwrap(),
            context: Facts::read(context).unwrap(),
            properties: Facts::default(),
            at: self.now,
        }
    }

    pub(crate) fn ask(&self, id: &str, question: &Question) -> Decision {
        let brief = Brief::of(&self.state, &actor(id), &|digest| self.compiled.get(digest).cloned()).expect("an actor");
        decision::decide(&brief, question, &self.state.guards, &|actor, budget, since| {
            self.state.budgets.taken(actor, budget, since)
        })
    }

    /// Whether an expense of so many euro may be submitted.
    pub(crate) fn submit(&self, id: &str, amount: u32) -> Decision {
        let context = serde_json::json!({ "amount": amount, "currency": "EUR" });
        self.ask(id, &self.question("call tool/expenses/submit", &context))
    }

    /// The same, and if it is allowed what is counted is recorded.
    pub(crate) fn really_submit(&mut self, id: &str, amount: u32) -> bool {
        let Decision { allowed, using, .. } = self.submit(id, amount);
        let (delegations, budgets) = (using.delegations, using.budgets);
        let used = Use { actor: actor(id), decided: None, delegations, budgets };
        allowed && self.run(Command::Use { uses: vec![used] }).is_ok()
    }
}
