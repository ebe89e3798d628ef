//! A registry that lives for one test: made by the state machine that a server runs, and asked by the same engine.

use credence_manifest::class_test::{ClassTest, TestActor, TestConsent, TestDelegation};
use credence_manifest::{Manifest, ManifestError, Object};
use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::command::{Command, Request, Use};
use credence_model::decide::decide;
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::event::{Entry, FORMAT};
use credence_model::id::{ActorRef, ClassRef, Digest};
use credence_model::lineage::Lineage;
use credence_model::permission::question::Question;
use credence_model::refusal::{Kind, Refusal};
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_policy::brief::Brief;
use credence_policy::cedar::compile;
use credence_policy::decision::{self, Decision};
use credence_policy::policies::Policies;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a delegation lasts of which nothing is said, in seconds: as long as the server lets it.
const TTL_SECS: u64 = 3600;
/// The trust domain of a test; nothing depends on its name.
const TRUST_DOMAIN: &str = "test.internal";

/// The registry of one test.
#[derive(Debug, Clone)]
pub(super) struct Rehearsal {
    state: State,
    compiled: BTreeMap<Digest, Arc<Policies>>,
    commands: u64,
}

/// Everything that a test says beside its cases, at the time at which it begins.
pub(super) struct Scene<'t> {
    pub(super) class: &'t ClassRef,
    pub(super) test: &'t ClassTest,
    /// The manifests of classes and guards, those of the test's own file first.
    pub(super) objects: &'t [&'t Manifest],
    pub(super) begins: Timestamp,
}

impl Rehearsal {
    /// Builds the registry.
    ///
    /// # Errors
    /// What cannot be so, with the place of the line that says it: `of_test` knows the places of the test.
    pub(super) fn new(scene: &Scene, of_test: &Manifest) -> Result<Self, ManifestError> {
        let mut new = Self { state: State::default(), compiled: BTreeMap::new(), commands: 0 };
        let start = TrustDomain::parse(TRUST_DOMAIN).map_err(Refusal::from).map(Settings::new);
        let start = start.and_then(|settings| new.run(Command::Start(settings), scene.begins));
        start.map_err(|refusal| of_test.locate(refusal))?;
        for manifest in scene.objects {
            new.object(manifest, scene.begins).map_err(|refusal| manifest.locate(refusal))?;
        }
        new.populate(scene).map_err(|refusal| of_test.locate(refusal))?;
        Ok(new)
    }

    /// A class, with the consent to all that it permits, or a guard.
    fn object(&mut self, manifest: &Manifest, now: Timestamp) -> Result<(), Refusal> {
        let (labels, if_version) = (manifest.labels.clone(), Some(0));
        match &manifest.object {
            Object::Class(class, spec) => {
                self.compile(spec)?;
                let spec = (**spec).clone();
                self.run(Command::ApplyClass { class: class.clone(), labels, spec, if_version }, now)?;
                self.run(Command::ConsentRevision { class: class.clone(), revision: None, only: Vec::new() }, now)
            }
            Object::Guard(guard, spec) => {
                let (guard, spec) = (guard.clone(), (**spec).clone());
                self.run(Command::ApplyGuard { guard, labels, spec, if_version }, now)
            }
            Object::Pool(..) | Object::ClassTest(..) => Ok(()),
        }
    }

    fn compile(&mut self, spec: &ClassSpec) -> Result<(), Refusal> {
        if spec.permissions.cedar.is_empty() {
            return Ok(());
        }
        let compiled = compile(&spec.permissions.cedar, &spec.permissions.attributes);
        let wrong = |error| Refusal::new(Kind::Malformed, format!("{error}")).field("spec.permissions.cedar");
        self.compiled.insert(spec.digest(), Arc::new(compiled.map_err(wrong)?));
        Ok(())
    }

    fn populate(&mut self, scene: &Scene) -> Result<(), Refusal> {
        let Scene { test, begins, .. } = scene;
        for (nth, consent) in test.consents.iter().enumerate() {
            let TestConsent { class, only } = consent;
            let class = class.as_ref().unwrap_or(scene.class).clone();
            let command = Command::ConsentRevision { class, revision: None, only: only.clone() };
            self.run(command, *begins).map_err(|refusal| within(refusal, &format!("spec.consents[{nth}]")))?;
        }
        for (nth, actor) in test.actors.iter().enumerate() {
            let spawned = spawn(actor, scene).and_then(|command| self.run(command, *begins));
            spawned.map_err(|refusal| within(refusal, &format!("spec.actors[{nth}]")))?;
        }
        for (nth, delegation) in test.delegations.iter().enumerate() {
            let granted = grant(delegation, scene).and_then(|command| self.run(command, *begins));
            granted.map_err(|refusal| within(refusal, &format!("spec.delegations[{nth}]")))?;
        }
        Ok(())
    }

    /// What is decided about an actor. Nothing is used up.
    pub(super) fn ask(&self, actor: &ActorRef, question: &Question) -> Result<Decision, Refusal> {
        let brief = Brief::of(&self.state, actor, &|digest| self.compiled.get(digest).cloned());
        let brief = brief.ok_or_else(|| Refusal::new(Kind::NotFound, format!("there is no actor {actor}")))?;
        let spent = |actor: &ActorRef, budget, since| self.state.budgets.taken(actor, budget, since);
        Ok(decision::decide(&brief, question, &self.state.guards, &spent))
    }

    /// The same, and what it uses up is used up.
    pub(super) fn act(&mut self, actor: &ActorRef, question: &Question) -> Result<Decision, Refusal> {
        let decision = self.ask(actor, question)?;
        let (delegations, budgets) = (decision.using.delegations.clone(), decision.using.budgets.clone());
        let used = Use { actor: actor.clone(), decided: None, delegations, budgets };
        self.run(Command::Use { uses: vec![used] }, question.at)?;
        Ok(decision)
    }

    fn run(&mut self, command: Command, now: Timestamp) -> Result<(), Refusal> {
        self.commands += 1;
        // A test gives the same twice, so that its ids are drawn from its commands.
        let Digest(entropy) = Digest::of(&self.commands.to_be_bytes());
        let request = Request { caller: Caller::Local { uid: 0 }, idempotency_key: None, command };
        let decision = decide(&self.state, &request, now, &entropy)?;
        for event in decision.events {
            let index = self.state.last_index + 1;
            apply(&mut self.state, &Entry { format: FORMAT, index, at: now, caller: request.caller.clone(), event });
        }
        Ok(())
    }
}

fn spawn(actor: &TestActor, scene: &Scene) -> Result<Command, Refusal> {
    let TestActor { id, class, labels, user, session, parent } = actor;
    let parent = parent.as_deref().map(|parent| super::test::actor(parent, "parent", scene.class)).transpose()?;
    let user = user.as_deref().map(|user| super::test::user(user, "user")).transpose()?;
    Ok(Command::SpawnActor {
        class: class.as_ref().unwrap_or(scene.class).clone(),
        id: Some(id.clone()),
        labels: labels.clone(),
        lineage: Lineage { parent, user, session: session.clone(), ..Lineage::default() },
    })
}

fn grant(delegation: &TestDelegation, scene: &Scene) -> Result<Command, Refusal> {
    let TestDelegation { by, to, allow, session, not_before, expires_at, uses } = delegation;
    let by = match by.strip_prefix("actor/") {
        Some(actor) => Grantor::Actor(super::test::actor(actor, "by", scene.class)?),
        None => Grantor::User(super::test::user(by, "by")?),
    };
    let to = match (to.strip_prefix("actor/"), to.strip_prefix("class/")) {
        (Some(actor), _) => Grantee::Actor(super::test::actor(actor, "to", scene.class)?),
        (_, Some(class)) => Grantee::Class(super::test::class(class, "to", scene.class)?),
        _ => return Err(Refusal::new(Kind::Malformed, "it is neither actor/ID nor class/NAME").field("to")),
    };
    let at = |text: &Option<String>, field| text.as_deref().map(|text| super::test::time(text, field)).transpose();
    let not_before = at(not_before, "notBefore")?.unwrap_or(scene.begins);
    let expires_at = at(expires_at, "expiresAt")?.unwrap_or(not_before.plus_secs(TTL_SECS));
    let (allow, session, uses) = (allow.clone(), session.clone(), *uses);
    let terms = Terms { allow, session, purpose: String::new(), not_before, expires_at, uses };
    Ok(Command::GrantDelegation { by, to, offer: terms.into() })
}

/// A refusal about something that stands at this place of the test. The model writes names with `_`.
fn within(mut refusal: Refusal, place: &str) -> Refusal {
    refusal.field = Some(match refusal.field.as_deref() {
        Some("not_before") => format!("{place}.notBefore"),
        Some("expires_at") => format!("{place}.expiresAt"),
        Some(field) => format!("{place}.{field}"),
        None => place.to_owned(),
    });
    refusal
}
