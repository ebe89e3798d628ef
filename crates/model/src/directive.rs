//! Directives: what a node, or the caller of a command, is given once an entry is recorded.
//!
//! They follow from the entry and the state after it, purely; the server signs the orders in them and sends them on.

use crate::actor::{Actor, Binding};
use crate::class::ClassSpec;
use crate::command::Unbind;
use crate::delegation::Grantee;
use crate::event::{Entry, Event, PermissionEvent};
use crate::id::{ActorRef, BindingId, ClassRef, Digest, Epoch, NodeName, WorkerRef};
use crate::node::{Node, NodeState};
use crate::order::{Claims, JwtOrder, RevisionClaim, X509Order};
use crate::spiffe_id::SpiffeId;
use crate::state::{State, class_ref};
use crate::time::Timestamp;
use crate::worker::WorkerKind;
use std::sync::Arc;

/// How far before its order a credential begins, so that clocks a little behind accept it, in seconds.
pub const NOT_BEFORE_CUSHION_SECS: u64 = 10;

/// What follows from a recorded entry for the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Tell the node to hold this binding, with its first X.509-SVID.
    Bind(Box<Bind>),
    /// Tell the node to end this binding.
    Unbind {
        /// The node.
        node: NodeName,
        /// What to end and how.
        unbind: Unbind,
    },
    /// Sign this for the node's binding and send it there.
    X509 {
        /// The node.
        node: NodeName,
        /// The binding.
        binding: BindingId,
        /// What to sign.
        order: X509Order,
    },
    /// Sign this for the node's binding and send it there.
    Jwt {
        /// The node.
        node: NodeName,
        /// The binding.
        binding: BindingId,
        /// What to sign.
        order: JwtOrder,
    },
    /// Sign this as the node's own SVID.
    NodeSvid {
        /// The node.
        node: NodeName,
        /// What to sign.
        order: X509Order,
    },
    /// Tell the node anew what its actors may do of which this is a part.
    Reconsider {
        /// The node.
        node: NodeName,
        /// What changed.
        touched: Touched,
    },
    /// Close this node's older streams, and its present one if it was deleted.
    EndSessions {
        /// The node.
        node: NodeName,
        /// The oldest session that may stay.
        before: u64,
    },
}

/// What a change of permissions is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Touched {
    /// All actors of a class, and what they spawned.
    Class(ClassRef),
    /// An actor, and what it spawned.
    Actor(ActorRef),
    /// What owners of resources say to all actors.
    Guards,
}

/// Everything that a node needs to hold a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The node.
    pub node: NodeName,
    /// The stream that it must be sent on; a newer stream has settled the binding otherwise.
    pub session: u64,
    /// The actor.
    pub actor: ActorRef,
    /// Its class.
    pub class: ClassRef,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The binding.
    pub binding: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker.
    pub worker: WorkerRef,
    /// Whether a program is to be started, or one runs already.
    pub kind: WorkerKind,
    /// The class revision.
    pub revision: u32,
    /// What the revision says, and so how to run it.
    pub spec: Arc<ClassSpec>,
    /// Archive of the actor's state to begin from.
    pub archive: Option<Digest>,
    /// The order for its first X.509-SVID.
    pub order: X509Order,
}

impl Directive {
    /// The node that it is for.
    pub fn node(&self) -> &NodeName {
        match self {
            Self::Bind(bind) => &bind.node,
            Self::Unbind { node, .. }
            | Self::X509 { node, .. }
            | Self::Jwt { node, .. }
            | Self::NodeSvid { node, .. }
            | Self::Reconsider { node, .. }
            | Self::EndSessions { node, .. } => node,
        }
    }
}

/// What follows from a recorded entry. `state` is the state after it.
pub fn directives(state: &State, entry: &Entry) -> Vec<Directive> {
    match &entry.event {
        Event::ActorBound { .. } => bind(state, entry).map(|bind| Directive::Bind(Box::new(bind))),
        Event::ActorUnbinding { actor, binding, mode, .. } => {
            let held = state.actors.active(actor).and_then(|actor| actor.binding.as_ref());
            let unbind = Unbind { binding: *binding, mode: *mode };
            held.filter(|held| is_connected(state, &held.node))
                .map(|held| Directive::Unbind { node: held.node.clone(), unbind })
        }
        Event::X509SvidOrdered { actor, binding, key, not_after, .. } => {
            live(state, actor, binding).and_then(|(actor, held)| {
                let order = x509_order(state, actor, held, entry.at, *key, *not_after)?;
                Some(Directive::X509 { node: held.node.clone(), binding: *binding, order })
            })
        }
        Event::JwtSvidOrdered { actor, binding, audience, expires_at, .. } => {
            live(state, actor, binding).and_then(|(actor, held)| {
                let order = JwtOrder {
                    subject: state.spiffe_id(actor),
                    audience: audience.clone(),
                    claims: claims(state, actor, held)?,
                    issued_at: Timestamp::from_secs(entry.at.as_secs()),
                    expires_at: *expires_at,
                    authority: signer(state),
                };
                Some(Directive::Jwt { node: held.node.clone(), binding: *binding, order })
            })
        }
        Event::NodeAttested { node, key, not_after, .. } | Event::NodeRenewed { node, key, not_after } => {
            let subject = state.settings.templates.node_id(&state.settings.trust_domain, node);
            let order = plain_order(state, subject, *key, entry.at, *not_after);
            Some(Directive::NodeSvid { node: node.clone(), order })
        }
        Event::NodeAttached { node, session, .. } => {
            Some(Directive::EndSessions { node: node.clone(), before: *session })
        }
        Event::NodeLost { node } => {
            let before = state.nodes.get(node).map_or(u64::MAX, |node| node.session.saturating_add(1));
            Some(Directive::EndSessions { node: node.clone(), before })
        }
        // Every stream ends: what is asked next is refused with the reason.
        Event::CellHeld { .. } => {
            let end = |node: &Node| Directive::EndSessions { node: node.name.clone(), before: u64::MAX };
            return state.nodes.values().map(end).collect();
        }
        Event::NodeDeleted { node } => Some(Directive::EndSessions { node: node.clone(), before: u64::MAX }),
        event => {
            let Some(touched) = touched(state, event) else { return Vec::new() };
            let connected = state.nodes.values().filter(|node| node.state == NodeState::Connected);
            let tell = |node: &Node| Directive::Reconsider { node: node.name.clone(), touched: touched.clone() };
            return connected.map(tell).collect();
        }
    }
    .into_iter()
    .collect()
}

/// Whose permission an event changes. What is used up does not: who decides without the registry decides nothing that is counted.
fn touched(state: &State, event: &Event) -> Option<Touched> {
    let delegated = |to: &Grantee| match to {
        Grantee::Class(class) => Touched::Class(class.clone()),
        Grantee::Actor(actor) => Touched::Actor(actor.clone()),
    };
    match event {
        Event::ClassRevised { class, .. }
        | Event::ClassEnabled { class, .. }
        | Event::RevisionAllowed { class, .. }
        | Event::ClassDeleted { class }
        | Event::Permission(
            PermissionEvent::ConsentWanted { class, .. }
            | PermissionEvent::RevisionConsented { class, .. }
            | PermissionEvent::ConsentWithdrawn { class, .. },
        ) => Some(Touched::Class(class.clone())),
        Event::ActorTerminated { actor, .. }
        | Event::ActorQuarantined { actor, .. }
        | Event::ActorDeleted { actor, .. } => Some(Touched::Actor(actor.clone())),
        Event::Permission(PermissionEvent::GuardApplied { .. } | PermissionEvent::GuardDeleted { .. }) => {
            Some(Touched::Guards)
        }
        Event::Permission(PermissionEvent::DelegationGranted { delegation }) => Some(delegated(&delegation.to)),
        Event::Permission(
            PermissionEvent::DelegationNarrowed { delegation, .. }
            | PermissionEvent::DelegationRevoked { delegation, .. },
        ) => state.delegations.get(delegation).map(|found| delegated(&found.to)),
        _ => None,
    }
}

/// The order for the control plane's own X.509-SVID.
pub fn server_order(state: &State, key: Digest, now: Timestamp, ttl_secs: u64) -> X509Order {
    let subject = state.settings.templates.server_id(&state.settings.trust_domain);
    plain_order(state, subject, key, now, Timestamp::from_secs(now.as_secs() + ttl_secs))
}

fn bind(state: &State, entry: &Entry) -> Option<Bind> {
    let Event::ActorBound { actor, binding, worker, node, key, not_after, .. } = &entry.event else { return None };
    let (actor, held) = live(state, actor, binding)?;
    let revision = state.class_of(actor)?.revisions.get(&held.revision)?;
    let order = x509_order(state, actor, held, entry.at, *key, *not_after)?;
    Some(Bind {
        node: node.clone(),
        session: state.nodes.get(node)?.session,
        actor: actor.actor.clone(),
        class: class_ref(actor),
        spiffe_id: order.subject.clone(),
        binding: *binding,
        epoch: held.epoch,
        worker: worker.clone(),
        kind: state.workers.get(worker)?.kind,
        revision: held.revision,
        spec: Arc::clone(&revision.spec),
        archive: actor.archive,
        order,
    })
}

/// INVARIANT: every order for an actor passes here: its binding is the live one.
fn live<'s>(state: &'s State, actor: &ActorRef, binding: &BindingId) -> Option<(&'s Actor, &'s Binding)> {
    let actor = state.actors.active(actor)?;
    actor.live_binding().filter(|held| held.id == *binding).map(|held| (actor, held))
}

fn x509_order(
    state: &State,
    actor: &Actor,
    held: &Binding,
    at: Timestamp,
    key: Digest,
    not_after: Timestamp,
) -> Option<X509Order> {
    let claims = claims(state, actor, held)?;
    Some(X509Order { claims: Some(claims), ..plain_order(state, state.spiffe_id(actor), key, at, not_after) })
}

/// The authority that signs at this moment. An order keeps it, so that what is signed later is what was recorded.
fn signer(state: &State) -> Option<Digest> {
    state.authorities.active().map(|active| active.id)
}

fn plain_order(state: &State, subject: SpiffeId, key: Digest, at: Timestamp, not_after: Timestamp) -> X509Order {
    let not_before = Timestamp::from_secs(at.minus_secs(NOT_BEFORE_CUSHION_SECS).as_secs());
    X509Order { subject, key, claims: None, not_before, not_after, authority: signer(state) }
}

fn claims(state: &State, actor: &Actor, held: &Binding) -> Option<Claims> {
    let (templates, td) = (&state.settings.templates, &state.settings.trust_domain);
    let revision = state.class_of(actor)?.revisions.get(&held.revision)?;
    Some(Claims {
        class: templates.class_id(td, &class_ref(actor)),
        revision: RevisionClaim { number: held.revision, digest: revision.digest },
        epoch: held.epoch,
        worker: templates.worker_id(td, &held.worker),
        binding: held.id,
    })
}

fn is_connected(state: &State, node: &NodeName) -> bool {
    state.nodes.get(node).is_some_and(|node| node.state == NodeState::Connected)
}
