//! Everything that a decision about one actor depends on, and nothing of any other actor: what a node holds of its own.

use credence_model::actor::{Actor, ActorState};
use credence_model::class::ClassSpec;
use credence_model::delegation::{Delegation, Grantee, Grantor};
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::state::{State, class_ref};
use std::sync::Arc;

/// What is known of an actor.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub enum Ancestor {
    /// What is known of it.
    Known(Box<Brief>),
    /// It was deleted: nothing is left that could permit anything.
    Deleted(ActorRef),
}

impl Brief {
    /// What the registry says of an actor; `None` if there is none.
    pub fn of(state: &State, actor: &ActorRef) -> Option<Self> {
        let actor = state.actors.get(actor)?;
        let lineage = state.lineages.get(&actor.actor).cloned().unwrap_or_default();
        let in_force = state.class_of(&actor).and_then(|class| class.in_force());
        // The length of a chain is limited when it is made, so this ends.
        let ancestor = |parent: &ActorRef| match Self::of(state, parent) {
            Some(brief) => Ancestor::Known(Box::new(brief)),
            None => Ancestor::Deleted(parent.clone()),
        };
        let parent = lineage.parent.as_ref().map(ancestor);
        Some(Self {
            class: class_ref(&actor),
            labels: actor.labels.clone(),
            barred: barred(state, &actor),
            revision: in_force.map_or(0, |(number, _)| number),
            spec: in_force.map(|(_, revision)| Arc::clone(&revision.spec)).unwrap_or_default(),
            only: in_force.map(|(_, revision)| revision.consent.only.clone()).unwrap_or_default(),
            delegations: delegations(state, &actor, &lineage),
            lineage,
            parent,
            actor: actor.actor.clone(),
        })
    }
}

fn barred(state: &State, actor: &Actor) -> Option<String> {
    let (id, class) = (&actor.actor, class_ref(actor));
    match actor.state {
        ActorState::Terminated => return Some(format!("actor {id} was terminated")),
        ActorState::Quarantined => return Some(format!("actor {id} was quarantined")),
        _ => {}
    }
    let Some(found) = state.class_of(actor) else { return Some(format!("class {class} does not exist any more")) };
    if !found.enabled {
        return Some(format!("class {class} is disabled"));
    }
    found.in_force().is_none().then(|| format!("no revision of class {class} is in force"))
}

/// Those of its user, to it or to its class, in its session; or those of the actor that spawned it, to it.
fn delegations(state: &State, actor: &Actor, lineage: &Lineage) -> Vec<Delegation> {
    let by = match (&lineage.parent, &lineage.user) {
        (Some(parent), _) => Grantor::Actor(parent.clone()),
        (None, Some(user)) => Grantor::User(user.clone()),
        (None, None) => return Vec::new(),
    };
    let is_meant = |delegation: &&Delegation| {
        let is_session = delegation.terms.session.is_none() || delegation.terms.session == lineage.session;
        delegation.by == by && is_session
    };
    let (to, to_class) = (Grantee::Actor(actor.actor.clone()), Grantee::Class(class_ref(actor)));
    state.delegations.granted_to(&to).chain(state.delegations.granted_to(&to_class)).filter(is_meant).cloned().collect()
}
