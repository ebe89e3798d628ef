//! What a node's reports lead to.
//!
//! INVARIANT: a report counts only on the node's present stream, and only for a binding that the node holds under its
//! present epoch. Whatever comes late is `stale`.

use super::actor::created;
use super::authority::hold_bundle;
use super::node::{find_node, leave};
use super::resume::{Place, admit, bind_event, eligible, end_binding, expiry};
use super::{Decision, Moment};
use crate::actor::{Actor, ActorState, Binding};
use crate::class::Revision;
use crate::command::{AUDIENCE_BYTES_MAX, AUDIENCES_MAX, Answer, Held, Report};
use crate::event::Event;
use crate::id::{ActorId, ActorRef, ClassRef, Digest, Epoch, NodeName, WorkerId, WorkerRef};
use crate::label::Labels;
use crate::node::{Node, NodeState, RESERVOIR_KEYS_MAX};
use crate::refusal::{Kind, Refusal};
use crate::state::State;
use crate::worker::WorkerKind;

pub(super) fn report(
    state: &State,
    name: &NodeName,
    session: u64,
    report: &Report,
    moment: Moment,
) -> Result<Decision, Refusal> {
    let node = find_node(state, name)?;
    if node.session != session || node.state != NodeState::Connected {
        if *report == Report::Detached {
            return Ok(Decision::done(Vec::new()));
        }
        let message = format!("stream {session} of node {name} is over");
        return Err(Refusal::new(Kind::Stale, message).hint("Open a new one"));
    }
    match report {
        Report::Heartbeat => Ok(Decision::done(vec![Event::NodeHeard { node: name.clone() }])),
        Report::Detached => Ok(Decision::done(vec![Event::NodeLost { node: name.clone() }])),
        Report::Leaving => Ok(leave(state, node)),
        Report::KeysOffered(keys) => offer_keys(node, keys),
        Report::BundleHeld { sequence, reissued } => hold_bundle(state, name, *sequence, *reissued),
        Report::Running(held) => running(state, name, held),
        Report::Ended { held, outcome, archive } => {
            let (actor, _) = holder(state, name, held)?;
            let events = end_binding(state, actor, outcome.clone(), *archive, moment.now);
            Ok(Decision::about(actor, events))
        }
        Report::RenewX509 { held, key } => renew_x509(state, node, held, *key, moment),
        Report::MintJwt { held, audience } => mint_jwt(state, node, held, audience, moment),
        Report::BindProcess { class, actor } => bind_process(state, node, class, actor.as_ref(), moment),
    }
}

fn offer_keys(node: &Node, keys: &[Digest]) -> Result<Decision, Refusal> {
    if node.reservoir.len() + keys.len() > RESERVOIR_KEYS_MAX {
        let message = format!("node {} has {} of {RESERVOIR_KEYS_MAX} keys ready", node.name, node.reservoir.len());
        return Err(Refusal::new(Kind::Limited, message));
    }
    Ok(Decision::done(vec![Event::KeysOffered { node: node.name.clone(), keys: keys.to_vec() }]))
}

fn running(state: &State, node: &NodeName, held: &Held) -> Result<Decision, Refusal> {
    let (actor, binding) = holder(state, node, held)?;
    let starting = actor.state == ActorState::Starting;
    let event = Event::ActorRunning { actor: actor.actor.clone(), binding: binding.id };
    Ok(Decision::about(actor, starting.then_some(event).into_iter().collect()))
}

fn renew_x509(state: &State, node: &Node, held: &Held, key: Digest, moment: Moment) -> Result<Decision, Refusal> {
    let (actor, revision) = entitled(state, node, held, moment)?;
    let event = Event::X509SvidOrdered {
        actor: actor.actor.clone(),
        binding: held.binding,
        epoch: held.epoch,
        key,
        not_after: expiry(moment.now, revision.spec.credentials.x509_ttl_secs),
    };
    Ok(Decision::about(actor, vec![event]))
}

fn mint_jwt(state: &State, node: &Node, held: &Held, audience: &[String], moment: Moment) -> Result<Decision, Refusal> {
    let malformed = |message: String| Err(Refusal::new(Kind::Malformed, message).field("audience"));
    if audience.is_empty() || audience.len() > AUDIENCES_MAX {
        return malformed(format!("a JWT-SVID has from 1 to {AUDIENCES_MAX} audiences"));
    }
    if audience.iter().any(|text| text.is_empty() || text.len() > AUDIENCE_BYTES_MAX) {
        return malformed(format!("an audience has from 1 to {AUDIENCE_BYTES_MAX} bytes"));
    }
    let (actor, revision) = entitled(state, node, held, moment)?;
    let event = Event::JwtSvidOrdered {
        actor: actor.actor.clone(),
        binding: held.binding,
        epoch: held.epoch,
        audience: audience.to_vec(),
        expires_at: expiry(moment.now, revision.spec.credentials.jwt_ttl_secs),
    };
    Ok(Decision::about(actor, vec![event]))
}

fn bind_process(
    state: &State,
    node: &Node,
    class: &ClassRef,
    id: Option<&ActorId>,
    moment: Moment,
) -> Result<Decision, Refusal> {
    // What was heard of it does not prolong its lease: it may have dropped everything already.
    if node.believes_until() <= moment.now {
        return Err(lease_over(node));
    }
    let existing =
        id.and_then(|id| state.actors.get(&ActorRef { namespace: class.namespace.clone(), actor: id.clone() }));
    let mut events = Vec::new();
    let (actor, epoch) = match &existing {
        Some(actor) => (actor.actor.clone(), state.epoch_after(actor.epoch)),
        None => {
            let (actor, event) = created(state, class, id, &Labels::new(), moment)?;
            events.push(event);
            (actor, state.epoch_after(Epoch::default()))
        }
    };
    let (number, revision) = match &existing {
        Some(existing) => admit_process(state, existing, class)?,
        None => admit_class(state, class)?,
    };
    let direct = |grant: &&crate::node::PoolGrant| {
        state.pools.get(&grant.pool).is_some_and(|pool| pool.spec.direct)
            && eligible(state, &actor, &revision.spec, &grant.pool)
    };
    let Some(grant) = node.grants.iter().find(direct) else {
        let message = format!("no pool of node {} binds process trees of class {class}", node.name);
        return Err(Refusal::new(Kind::Denied, message).hint("A pool does with spec.direct: true"));
    };
    let worker =
        WorkerRef { pool: grant.pool.clone(), worker: WorkerId::generate(moment.now, super::draw(moment.entropy, 2)) };
    let place = Place { worker: &worker, node };
    let Some((bound, binding)) = bind_event(&actor, epoch, number, revision, &place, moment) else {
        let message = format!("node {} has no key ready", node.name);
        return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(100));
    };
    events.push(Event::WorkerRegistered { worker, node: node.name.clone(), kind: WorkerKind::Process });
    events.push(bound);
    let answer = Answer::Actor { actor, state: ActorState::Starting, epoch, binding: Some(binding), waiting: false };
    Ok(Decision { events, answer })
}

fn admit_process<'s>(state: &'s State, actor: &Actor, class: &ClassRef) -> Result<(u32, &'s Revision), Refusal> {
    if actor.class != class.class {
        let message = format!("actor {} is of class {}, not {}", actor.actor, actor.class, class.class);
        return Err(Refusal::new(Kind::Conflict, message).field("actor"));
    }
    let admitted = admit(state, actor)?;
    if actor.state != ActorState::Suspended || actor.wait.is_some() {
        let message = format!("{} is {} already", actor.actor, super::actor::words(actor));
        return Err(Refusal::new(Kind::Conflict, message));
    }
    Ok(admitted)
}

fn admit_class<'s>(state: &'s State, class: &ClassRef) -> Result<(u32, &'s Revision), Refusal> {
    let found = super::catalogue::find_class(state, class)?;
    if !found.enabled {
        return Err(super::resume::disabled(class));
    }
    found.in_force().ok_or_else(|| super::resume::not_in_force(found))
}

/// The actor and the binding that a node names, if the node holds it under its present epoch.
fn holder<'s>(state: &'s State, node: &NodeName, held: &Held) -> Result<(&'s Actor, &'s Binding), Refusal> {
    let actor = state.bindings.get(&held.binding).and_then(|actor| state.actors.active(actor));
    let binding = actor.and_then(|actor| actor.binding.as_ref());
    match actor.zip(binding) {
        Some((actor, binding)) if binding.node == *node && binding.epoch == held.epoch => Ok((actor, binding)),
        _ => {
            let message =
                format!("binding {} with epoch {} is not held by node {node}, or is over", held.binding, held.epoch);
            Err(Refusal::new(Kind::Stale, message).field("binding"))
        }
    }
}

/// The holder of a binding that may have credentials now: within its lease, admitted, not revoked.
fn entitled<'s>(
    state: &'s State,
    node: &Node,
    held: &Held,
    moment: Moment,
) -> Result<(&'s Actor, &'s Revision), Refusal> {
    let (actor, binding) = holder(state, &node.name, held)?;
    let (_, _) = admit(state, actor)?;
    if node.believes_until() <= moment.now {
        return Err(lease_over(node));
    }
    let class = state.class_of(actor);
    let revision = class.and_then(|class| class.revisions.get(&binding.revision)).filter(|revision| revision.allowed);
    let revision = revision.ok_or_else(|| {
        let message = format!("revision {} of class {} is not allowed any more", binding.revision, actor.class);
        Refusal::new(Kind::Revoked, message)
    })?;
    Ok((actor, revision))
}

fn lease_over(node: &Node) -> Refusal {
    Refusal::new(Kind::Stale, format!("the lease of node {} is over", node.name))
}
