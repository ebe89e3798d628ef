//! Everything that a decision about one actor depends on, and nothing of any other actor: what a node holds of its own.

use crate::policies::Policies;
use credence_model::actor::{Actor, ActorState};
use credence_model::class::{Class, ClassSpec};
use credence_model::delegation::{Delegation, Grantee, Grantor};
use credence_model::id::{ActorRef, ClassRef, Digest};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::question::Principal;
use credence_model::state::{State, class_ref};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where compiled policies are.
pub type Compiled<'a> = &'a dyn Fn(&Digest) -> Option<Arc<Policies>>;

/// What is known of an actor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Brief {
    /// Which.
    pub actor: ActorRef,
    /// Its class.
    pub class: ClassRef,
    /// Its labels.
    pub labels: Labels,
    /// Why it may do nothing at all, in words; it may if missing.
    pub barred: Option<String>,
    /// The revision of its class that is in force.
    pub revision: u32,
    /// What that says.
    pub spec: Arc<ClassSpec>,
    /// Digest of that.
    pub digest: Digest,
    /// Its Cedar policies, if it has any and they are compiled. They follow from what the revision says, and are compiled anew
    /// by whoever is told of it.
    #[serde(skip)]
    pub policies: Option<Arc<Policies>>,
    /// What the consent is limited to; to nothing less than the revision permits if empty.
    pub only: Vec<Permission>,
    /// Where it comes from.
    pub lineage: Lineage,
    /// What was delegated to it, in force or not.
    pub delegations: Vec<Delegation>,
    /// What is known of the actor that spawned it.
    pub parent: Option<Ancestor>,
}

/// An actor that spawned another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ancestor {
    /// What is known of it.
    Known(Box<Brief>),
    /// It was deleted: nothing is left that could permit anything.
    Deleted(ActorRef),
}

impl Brief {
    /// What the registry says of an actor; `None` if there is none. `compiled` has the policies of revisions, by digest.
    pub fn of(state: &State, actor: &ActorRef, compiled: Compiled) -> Option<Self> {
        let actor = state.actors.get(actor)?;
        let lineage = state.lineages.get(&actor.actor).cloned().unwrap_or_default();
        let class = state.class_of(&actor);
        let in_force = class.and_then(Class::in_force);
        // The length of a chain is limited when it is made, so this ends.
        let ancestor = |parent: &ActorRef| match Self::of(state, parent, compiled) {
            Some(brief) => Ancestor::Known(Box::new(brief)),
            None => Ancestor::Deleted(parent.clone()),
        };
        let parent = lineage.parent.as_ref().map(ancestor);
        Some(Self {
            class: class_ref(&actor),
            labels: actor.labels.clone(),
            barred: barred(&actor, class, in_force.is_some()),
            revision: in_force.map_or(0, |(number, _)| number),
            spec: in_force.map(|(_, revision)| Arc::clone(&revision.spec)).unwrap_or_default(),
            digest: in_force.map_or(Digest([0; 32]), |(_, revision)| revision.digest),
            policies: in_force
                .filter(|(_, revision)| has_cedar(&revision.spec))
                .and_then(|(_, revision)| compiled(&revision.digest)),
            only: in_force.map(|(_, revision)| revision.consent.only.clone()).unwrap_or_default(),
            delegations: delegations(state, &actor, class, &lineage),
            lineage,
            parent,
            actor: actor.actor.clone(),
        })
    }
}

impl Brief {
    /// The actor, as conditions see it.
    pub fn principal(&self) -> Principal<'_> {
        Principal { actor: &self.actor, class: &self.class, user: self.lineage.user.as_ref(), labels: &self.labels }
    }

    /// The revisions, of the actor and its ancestors, whose Cedar policies have to be compiled before anything of them is
    /// permitted.
    pub fn uncompiled(&self) -> Vec<(Digest, Arc<ClassSpec>)> {
        let mut all = match &self.parent {
            Some(Ancestor::Known(parent)) => parent.uncompiled(),
            Some(Ancestor::Deleted(_)) | None => Vec::new(),
        };
        if self.policies.is_none() && has_cedar(&self.spec) {
            all.push((self.digest, Arc::clone(&self.spec)));
        }
        all
    }

    /// Gives it the policies that were compiled since.
    pub fn equip(&mut self, compiled: Compiled) {
        self.policies = compiled(&self.digest);
        if let Some(Ancestor::Known(parent)) = &mut self.parent {
            parent.equip(compiled);
        }
    }
}

fn has_cedar(spec: &ClassSpec) -> bool {
    !spec.permissions.cedar.is_empty()
}

fn barred(actor: &Actor, class: Option<&Class>, is_in_force: bool) -> Option<String> {
    let id = &actor.actor;
    match (actor.state, class) {
        (ActorState::Terminated, _) => Some(format!("actor {id} was terminated")),
        (ActorState::Quarantined, _) => Some(format!("actor {id} was quarantined")),
        (_, None) => Some(format!("class {} does not exist any more", class_ref(actor))),
        (_, Some(class)) if !class.enabled => Some(format!("class {} is disabled", class.class)),
        (_, Some(class)) => (!is_in_force).then(|| none_in_force(&class.class)),
    }
}

/// Why a class without a revision in force permits nothing.
pub(crate) fn none_in_force(class: &ClassRef) -> String {
    format!("no revision of class {class} is in force")
}

/// Those of its user, to it or to its class, in its session; or those of the actor that spawned it, to it.
fn delegations(state: &State, actor: &Actor, class: Option<&Class>, lineage: &Lineage) -> Vec<Delegation> {
    let by = match (&lineage.parent, &lineage.user) {
        (Some(parent), _) => Grantor::Actor(parent.clone()),
        (None, Some(user)) => Grantor::User(user.clone()),
        (None, None) => return Vec::new(),
    };
    let is_session = |found: &Delegation| found.terms.session.is_none() || found.terms.session == lineage.session;
    // A class that was made anew under the same name is another one.
    let is_of_class = |found: &Delegation| class.is_some_and(|class| class.created_at <= found.granted_at);
    let (to, to_class) = (Grantee::Actor(actor.actor.clone()), Grantee::Class(class_ref(actor)));
    let own = state.delegations.between(&by, &to);
    own.chain(state.delegations.between(&by, &to_class).filter(is_of_class)).filter(is_session).collect()
}
