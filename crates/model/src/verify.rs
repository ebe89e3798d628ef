//! The online check: is the binding and the epoch that a credential names still the live one?

use crate::actor::{Actor, ActorState};
use crate::id::{ActorRef, BindingId, ClassRef, Epoch, NodeName, WorkerRef};
use crate::spiffe_id::SpiffeId;
use crate::state::{State, class_ref};
use crate::template::Named;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether what a credential says is true now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether the binding and the epoch are the live ones.
    pub live: bool,
    /// Why, in words.
    pub reason: String,
    /// Whether this is an epoch that the registry never gave out: if the credential is genuine, the registry is behind.
    pub is_newer: bool,
    /// The identity that was asked about.
    pub spiffe_id: SpiffeId,
    /// The actor it names.
    pub actor: Option<ActorRef>,
    /// Its class.
    pub class: Option<ClassRef>,
    /// The epoch that was asked about.
    pub epoch: Epoch,
    /// The actor's live epoch, if it is bound.
    pub live_epoch: Option<Epoch>,
    /// The worker of the live binding.
    pub worker: Option<WorkerRef>,
    /// The node of the live binding.
    pub node: Option<NodeName>,
}

/// Holds what a credential says against the registry. Anything that is not known to be live is not live.
pub fn verify(state: &State, id: &SpiffeId, epoch: Epoch, binding: BindingId, now: Timestamp) -> Verdict {
    let mut verdict = Verdict {
        live: false,
        is_newer: false,
        reason: String::new(),
        spiffe_id: id.clone(),
        actor: None,
        class: None,
        epoch,
        live_epoch: None,
        worker: None,
        node: None,
    };
    let named = id.is_in(&state.settings.trust_domain).then(|| state.settings.templates.read(id)).flatten();
    let Some(Named::Actor(class, actor)) = named else {
        verdict.reason = format!("{id} is not an actor of trust domain {}", state.settings.trust_domain);
        return verdict;
    };
    let found = state.actors.get(&actor).filter(|found| class_ref(found) == class);
    let found = found.as_deref();
    verdict.is_newer = match found {
        Some(found) => epoch > found.epoch.max(state.epoch_floor),
        None => epoch > state.epoch_floor && !state.is_tombstone(&actor),
    };
    verdict.reason = match found {
        None if state.is_tombstone(&actor) => format!("actor {actor} was deleted"),
        None => format!("there is no actor {actor} of class {class}"),
        Some(found) => {
            if let Some(held) = found.live_binding() {
                verdict.live_epoch = Some(held.epoch);
                verdict.worker = Some(held.worker.clone());
                verdict.node = Some(held.node.clone());
            }
            match check(state, found, epoch, binding, now) {
                Ok(()) => {
                    verdict.live = true;
                    format!("epoch {epoch} is live")
                }
                Err(reason) => reason,
            }
        }
    };
    verdict.actor = Some(actor);
    verdict.class = Some(class);
    verdict
}

fn check(state: &State, actor: &Actor, epoch: Epoch, binding: BindingId, now: Timestamp) -> Result<(), String> {
    if let Some(hold) = &state.hold {
        return Err(format!("this server is held and cannot know what is live: {}", hold.reason()));
    }
    match actor.state {
        ActorState::Quarantined => return Err(format!("actor {} is quarantined", actor.actor)),
        ActorState::Terminated => return Err(format!("actor {} is terminated", actor.actor)),
        _ => {}
    }
    if state.is_lost_epoch(actor.epoch, epoch) {
        return Err(format!("epoch {epoch} is over: it is from before this server was restored"));
    }
    if epoch > actor.epoch {
        return Err(format!("epoch {epoch} is newer than {}, the last one that this server knows", actor.epoch));
    }
    let Some(held) = &actor.binding else {
        return Err(format!("epoch {epoch} is over, and actor {} is not bound", actor.actor));
    };
    if held.epoch != epoch || held.id != binding {
        return Err(format!("epoch {epoch} is over, {} is live", held.epoch));
    }
    let lease_over = state.nodes.get(&held.node).is_none_or(|node| state.lease_ends_at(node) <= now);
    if lease_over { Err(format!("the lease of epoch {epoch} is over")) } else { Ok(()) }
}
