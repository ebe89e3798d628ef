//! Admission and scheduling: whether an actor may be bound, and to which worker.
//!
//! Eligible are the pools that serve the actor's namespace and carry the labels its class selects. Among their idle
//! workers the one it held last comes first, else the one longest idle. When none is idle the actor waits, first come
//! first served, for a bounded time in a bounded queue.

use super::actor::{ended, words};
use super::{Decision, Moment, answer_about, draw, find_actor};
use crate::actor::{Actor, ActorState, Outcome};
use crate::class::{Class, ClassSpec, OnLost, Revision};
use crate::command::Answer;
use crate::event::Event;
use crate::id::{ActorRef, BindingId, ClassRef, Digest, Epoch, NodeName, PoolRef, WorkerRef};
use crate::node::{Node, NodeState};
use crate::refusal::{Kind, Refusal};
use crate::settings::WAIT_MS_MAX;
use crate::state::{State, class_ref};
use crate::time::Timestamp;
use crate::worker::{Worker, WorkerKind, WorkerState};

/// What a caller is told to wait before trying again when no worker is idle, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

pub(super) fn resume(
    state: &State,
    actor: &ActorRef,
    worker: Option<&WorkerRef>,
    wait_ms: Option<u64>,
    moment: Moment,
) -> Result<Decision, Refusal> {
    let actor = &*find_actor(state, actor)?;
    check_resumable(state, actor, moment.now)?;
    let admitted = admit(state, actor)?;
    let revision = admitted.1;
    if revision.spec.runtime.command.is_empty() {
        let message = format!("class {} has no spec.runtime.command to start", class_ref(actor));
        return Err(
            Refusal::new(Kind::Conflict, message).hint("Add one, or bind a program that runs already: credence run")
        );
    }
    let picked = match worker {
        Some(worker) => Some(verify_picked(state, actor, &revision.spec, worker, moment.now)?),
        None if state.waiting.is_empty() => pick(state, actor, &revision.spec, moment.now),
        None => None,
    };
    if let Some(picked) = picked {
        return Ok(bound(state, actor, admitted, picked, moment));
    }
    let wait_ms = wait_ms.unwrap_or(state.settings.wait_ms);
    if wait_ms > WAIT_MS_MAX {
        let message = format!("{wait_ms} is not from 0 to {WAIT_MS_MAX}");
        return Err(Refusal::new(Kind::Malformed, message).field("wait_ms"));
    }
    if wait_ms == 0 {
        let message = format!("no worker is free for actor {}", actor.actor);
        return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS));
    }
    if state.waiting.len() as u64 >= state.settings.waiting_max {
        let message = format!("{} actors wait for a worker already, which is the limit", state.waiting.len());
        return Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(RETRY_AFTER_MS));
    }
    let until = moment.now.plus_ms(wait_ms);
    let mut answer = answer_about(actor);
    if let Answer::Actor { waiting, .. } = &mut answer {
        *waiting = true;
    }
    Ok(Decision { events: vec![Event::ActorQueued { actor: actor.actor.clone(), until }], answer })
}

/// Binds the first waiting actor for which a worker is free; actors that are no longer admitted leave the queue.
pub(super) fn schedule(state: &State, moment: Moment) -> Decision {
    if state.idle.is_empty() || state.hold.is_some() {
        return Decision::done(Vec::new());
    }
    for actor in state.waiting.firsts().into_iter().filter_map(|actor| state.actors.active(actor)) {
        match admit(state, actor) {
            Err(refusal) => {
                let reason = refusal.to_string();
                return Decision::done(vec![Event::ActorUnqueued { actor: actor.actor.clone(), reason }]);
            }
            Ok(admitted) => {
                if let Some(picked) = pick(state, actor, &admitted.1.spec, moment.now) {
                    return bound(state, actor, admitted, picked, moment);
                }
            }
        }
    }
    Decision::done(Vec::new())
}

/// Admission: the class exists and is enabled, a revision is allowed, the actor is not revoked. Checked at every
/// binding and every renewal, never remembered (promise G5).
pub fn admit<'s>(state: &'s State, actor: &Actor) -> Result<(u32, &'s Revision), Refusal> {
    if matches!(actor.state, ActorState::Quarantined | ActorState::Terminated) {
        return Err(ended(actor, "resumed"));
    }
    let name = class_ref(actor);
    let class = state
        .class_of(actor)
        .ok_or_else(|| Refusal::new(Kind::NotFound, format!("class {name} does not exist any more")))?;
    if !class.enabled {
        return Err(disabled(&name));
    }
    class.in_force().ok_or_else(|| not_in_force(class))
}

pub(super) fn disabled(class: &ClassRef) -> Refusal {
    Refusal::new(Kind::Denied, format!("class {class} is disabled")).hint("Enable it: credence class enable")
}

/// Why nobody can be an instance of a class now that is enabled.
pub(super) fn not_in_force(class: &Class) -> Refusal {
    let (name, newest) = (&class.class, class.newest());
    match newest.filter(|(_, revision)| revision.allowed && !revision.consent.holds()) {
        Some((number, _)) => Refusal::new(
            Kind::Denied,
            format!("revision {number} of class {name} has no consent, and no other is in force"),
        )
        .hint(format!("An administrator consents to what it permits: credence class consent {name}")),
        None => Refusal::new(Kind::Denied, format!("no revision of class {name} is allowed"))
            .hint("Allow one, or apply a new one"),
    }
}

/// The events that end an actor's binding: its worker is free or gone, and the actor waits again if it is meant to run.
pub(super) fn end_binding(
    state: &State,
    actor: &Actor,
    outcome: Outcome,
    archive: Option<Digest>,
    now: Timestamp,
) -> Vec<Event> {
    let Some(binding) = &actor.binding else { return Vec::new() };
    let moved = match &outcome {
        Outcome::Stopped => true,
        Outcome::Dropped | Outcome::LeaseOver => on_lost(state, actor) == OnLost::Resume,
        Outcome::Exited { .. } | Outcome::Failed { .. } => false,
    };
    let over = matches!(actor.state, ActorState::Quarantined | ActorState::Terminated);
    let (id, epoch) = (binding.id, binding.epoch);
    let mut events = vec![Event::BindingEnded { actor: actor.actor.clone(), binding: id, epoch, outcome, archive }];
    if let Some(worker) = state.workers.get(&binding.worker)
        && (worker.kind == WorkerKind::Process || worker.state == WorkerState::Draining)
    {
        events.push(Event::WorkerGone { worker: binding.worker.clone() });
    }
    if moved && actor.wanted && !over {
        events.push(Event::ActorQueued { actor: actor.actor.clone(), until: now.plus_ms(WAIT_MS_MAX) });
    }
    events
}

fn on_lost(state: &State, actor: &Actor) -> OnLost {
    let revision = actor.binding.as_ref().map(|binding| binding.revision);
    let class = state.class_of(actor);
    let revision = class.zip(revision).and_then(|(class, number)| class.revisions.get(&number));
    revision.map_or(OnLost::Suspend, |revision| revision.spec.runtime.on_lost)
}

fn check_resumable(state: &State, actor: &Actor, now: Timestamp) -> Result<(), Refusal> {
    let id = &actor.actor;
    let refuse = |message: String| Err(Refusal::new(Kind::Conflict, message));
    match actor.state {
        ActorState::Suspended if actor.wait.is_none() => Ok(()),
        ActorState::Suspended => refuse(format!("{id} waits for a worker already")),
        ActorState::Starting | ActorState::Running | ActorState::Suspending => {
            let worker = actor.binding.as_ref().map(|binding| binding.worker.to_string()).unwrap_or_default();
            refuse(format!("{id} is {} already, epoch {} on worker {worker}", words(actor), actor.epoch))
        }
        ActorState::Lost => {
            let node = actor.binding.as_ref().and_then(|binding| state.nodes.get(&binding.node));
            let left_ms = node.map_or(0, |node| state.lease_ends_at(node).ms_since(now));
            let message = format!("{id} has lost its node, and nobody else may be it until the lease is over");
            let hint = format!("The lease is over in {:.1} s at most", left_ms as f64 / 1000.0);
            Err(Refusal::new(Kind::Conflict, message).hint(hint).retry_after_ms(left_ms))
        }
        ActorState::Quarantined | ActorState::Terminated => Err(ended(actor, "resumed")),
    }
}

pub(crate) fn eligible(state: &State, actor: &ActorRef, spec: &ClassSpec, pool: &PoolRef) -> bool {
    let selector = &spec.runtime.pool_selector;
    state.pools.get(pool).is_some_and(|pool| pool.serves(&actor.namespace) && selector.matches(&pool.labels))
}

/// A node that is connected, within its lease, and has a checked key to give.
pub(crate) fn usable<'s>(state: &'s State, node: &NodeName, now: Timestamp) -> Option<&'s Node> {
    let node = state.nodes.get(node)?;
    let heard = node.believes_until() > now;
    (node.state == NodeState::Connected && heard && !node.reservoir.is_empty()).then_some(node)
}

fn pick<'s>(state: &'s State, actor: &Actor, spec: &ClassSpec, now: Timestamp) -> Option<(&'s Worker, &'s Node)> {
    let fits = |worker: &'s Worker| {
        let fits = worker.is_idle() && eligible(state, &actor.actor, spec, &worker.worker.pool);
        if fits { usable(state, &worker.node, now).map(|node| (worker, node)) } else { None }
    };
    let last = actor.last.as_ref().and_then(|(worker, _)| state.workers.get(worker));
    last.and_then(fits).or_else(|| {
        let may_pool = |pool: &PoolRef| eligible(state, &actor.actor, spec, pool);
        let longest = state.idle.longest(may_pool, |node| usable(state, node, now).is_some())?;
        state.workers.get(&longest).and_then(fits)
    })
}

/// A worker that an external scheduler picked is held to the same rules.
fn verify_picked<'s>(
    state: &'s State,
    actor: &Actor,
    spec: &ClassSpec,
    picked: &WorkerRef,
    now: Timestamp,
) -> Result<(&'s Worker, &'s Node), Refusal> {
    let refuse = |kind, message: String| Err(Refusal::new(kind, message).field("worker"));
    let Some(worker) = state.workers.get(picked) else {
        return refuse(Kind::NotFound, format!("there is no worker {picked}"));
    };
    if !eligible(state, &actor.actor, spec, &picked.pool) {
        let class = class_ref(actor);
        return refuse(Kind::Denied, format!("pool {} may not run class {class}", picked.pool));
    }
    if let Some((holder, _)) = &worker.holds {
        return refuse(Kind::Conflict, format!("worker {picked} is held by actor {holder}"));
    }
    if !worker.is_idle() {
        return refuse(Kind::Conflict, format!("worker {picked} takes no actor now"));
    }
    match usable(state, &worker.node, now) {
        Some(node) => Ok((worker, node)),
        None => Err(Refusal::new(Kind::Unavailable, format!("node {} is not ready", worker.node))
            .field("worker")
            .retry_after_ms(RETRY_AFTER_MS)),
    }
}

fn bound(
    state: &State,
    actor: &Actor,
    (number, revision): (u32, &Revision),
    (worker, node): (&Worker, &Node),
    moment: Moment,
) -> Decision {
    debug_assert!(state.idle.contains(worker));
    let to = Place { worker: &worker.worker, node };
    let epoch = state.epoch_after(actor.epoch);
    match bind_event(&actor.actor, epoch, number, revision, &to, moment) {
        Some((event, binding)) => {
            let answer = Answer::Actor {
                actor: actor.actor.clone(),
                state: ActorState::Starting,
                epoch,
                binding: Some(binding),
                waiting: false,
            };
            Decision { events: vec![event], answer }
        }
        None => Decision::about(actor, Vec::new()),
    }
}

/// Where an actor is bound to.
pub(super) struct Place<'a> {
    pub(super) worker: &'a WorkerRef,
    pub(super) node: &'a Node,
}

/// The event that binds an actor, if the node has a key to give.
pub(super) fn bind_event(
    actor: &ActorRef,
    epoch: Epoch,
    number: u32,
    revision: &Revision,
    to: &Place,
    moment: Moment,
) -> Option<(Event, BindingId)> {
    let key = *to.node.reservoir.front()?;
    let binding = BindingId::generate(moment.now, draw(moment.entropy, 0));
    let not_after = expiry(moment.now, revision.spec.credentials.x509_ttl_secs);
    let event = Event::ActorBound {
        actor: actor.clone(),
        binding,
        epoch,
        worker: to.worker.clone(),
        node: to.node.name.clone(),
        revision: number,
        key,
        not_after,
    };
    Some((event, binding))
}

/// End of a credential of this life: whole seconds.
pub(super) fn expiry(now: Timestamp, ttl_secs: u64) -> Timestamp {
    Timestamp::from_secs(now.as_secs() + ttl_secs)
}
