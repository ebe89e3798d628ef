//! Who a subject is: an actor, by its own name, its SPIFFE ID, or a type that the configuration says is a namespace's actors.

use super::Entity;
use crate::app::App;
use credence_model::id::{ActorRef, ClassRef, Namespace};
use credence_model::spiffe_id::{SCHEME, SpiffeId};
use credence_model::template::Named;

/// The type of subjects that is always known.
pub(super) const ACTOR: &str = "actor";

/// Which actors have a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sort {
    /// All of them, by namespace and id.
    Actors,
    /// Those of this namespace, by their id.
    Of(Namespace),
}

impl Sort {
    /// What a type stands for; `None` if it is not known.
    pub(super) fn of(app: &App, kind: &str) -> Option<Self> {
        match kind {
            ACTOR => Some(Self::Actors),
            kind => app.subject_types.get(kind).cloned().map(Self::Of),
        }
    }

    /// How an actor is called as a subject of this type.
    pub(super) fn id(&self, actor: &ActorRef) -> String {
        match self {
            Self::Actors => actor.to_string(),
            Self::Of(_) => actor.actor.to_string(),
        }
    }

    /// The namespace that it is limited to.
    pub(super) fn namespace(self) -> Option<Namespace> {
        match self {
            Self::Actors => None,
            Self::Of(namespace) => Some(namespace),
        }
    }
}

/// The actor that a subject is, and the class that it has to be of. What is none is nobody who may do anything.
pub(super) fn actor_of(app: &App, subject: &Entity) -> Option<(ActorRef, Option<ClassRef>)> {
    if let Sort::Of(namespace) = Sort::of(app, &subject.kind)? {
        return Some((ActorRef { namespace, actor: subject.id.parse().ok()? }, None));
    }
    if subject.id.starts_with(SCHEME) {
        let id = SpiffeId::parse(&subject.id).ok()?;
        return match app.templates.read(&id) {
            Some(Named::Actor(class, actor)) if id.trust_domain() == app.trust_domain => Some((actor, Some(class))),
            _ => None,
        };
    }
    subject.id.parse().ok().map(|actor| (actor, None))
}
