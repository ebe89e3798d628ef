//! How actors and their bindings change.

use crate::actor::{Actor, ActorState, Binding, Phase, Wait};
use crate::event::{Entry, Event};
use crate::id::{ActorRef, ClassRef, Epoch};
use crate::state::{State, class_ref, tombstone};
use crate::worker::WorkerKind;

pub(super) fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::ActorCreated { .. } => create(state, entry),
        Event::ActorQueued { actor, until } => {
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            let mut class = None;
            with_actor(state, entry, actor, |actor| {
                class = Some(class_ref(actor));
                actor.wait = Some(Wait { ticket, since: entry.at, until: *until });
                actor.wanted = true;
            });
            if let Some(class) = class {
                state.waiting.insert(ticket, class, actor.clone());
            }
        }
        Event::ActorUnqueued { actor, .. } => {
            unqueue(state, actor);
            with_actor(state, entry, actor, |actor| actor.wanted = false);
        }
        Event::ActorBound { .. } => bind(state, entry),
        Event::ActorRunning { actor, .. } => with_actor(state, entry, actor, |actor| {
            if let Some(binding) = actor.binding.as_mut().filter(|binding| binding.phase == Phase::Starting) {
                binding.phase = Phase::Live;
                actor.state = ActorState::Running;
            }
        }),
        Event::ActorUnbinding { actor, mode, wanted, .. } => with_actor(state, entry, actor, |actor| {
            actor.wanted = *wanted;
            if let Some(binding) = &mut actor.binding {
                binding.phase = Phase::Ending(*mode);
            }
            if matches!(actor.state, ActorState::Starting | ActorState::Running) {
                actor.state = ActorState::Suspending;
            }
        }),
        Event::BindingEnded { .. } => end(state, entry),
        Event::ActorTerminated { actor, reason } => {
            super::permission::child_ended(state, actor);
            stop(state, entry, actor, ActorState::Terminated, reason);
        }
        Event::ActorQuarantined { actor, reason } => stop(state, entry, actor, ActorState::Quarantined, reason),
        Event::ActorDeleted { actor } => delete(state, actor),
        _ => {}
    }
}

fn with_actor(state: &mut State, entry: &Entry, actor: &ActorRef, change: impl FnOnce(&mut Actor)) {
    state.actors.change(actor, |actor| {
        change(actor);
        actor.changed_at = entry.at;
        actor.changed_by = entry.caller.clone();
    });
}

fn create(state: &mut State, entry: &Entry) {
    let Event::ActorCreated { actor, class, labels } = &entry.event else { return };
    let class_ref = ClassRef { namespace: actor.namespace.clone(), class: class.clone() };
    *state.actors_per_class.entry(class_ref).or_default() += 1;
    let record = Actor {
        actor: actor.clone(),
        class: class.clone(),
        labels: labels.clone(),
        state: ActorState::Suspended,
        wanted: false,
        epoch: Epoch::default(),
        binding: None,
        wait: None,
        last: None,
        archive: None,
        outcome: None,
        created_at: entry.at,
        changed_at: entry.at,
        changed_by: entry.caller.clone(),
        reason: None,
    };
    state.actors.insert(record);
}

fn unqueue(state: &mut State, actor: &ActorRef) {
    if state.actors.active(actor).is_some_and(|actor| actor.wait.is_some()) {
        state.actors.change(actor, |actor| {
            if let Some(wait) = actor.wait.take() {
                state.waiting.remove(wait.ticket, &class_ref(actor));
            }
        });
    }
}

fn bind(state: &mut State, entry: &Entry) {
    let Event::ActorBound { actor, binding, epoch, worker, node, revision, key, .. } = &entry.event else { return };
    unqueue(state, actor);
    let mut is_slot = true;
    state.with_worker(worker, |worker| {
        worker.holds = Some((actor.clone(), *binding));
        is_slot = worker.kind == WorkerKind::Slot;
    });
    if let Some(node) = state.nodes.get_mut(node) {
        // The oldest key is always the one that is used.
        if node.reservoir.front() == Some(key) {
            node.reservoir.pop_front();
        }
    }
    state.epoch_max = state.epoch_max.max(*epoch);
    state.bindings.insert(*binding, actor.clone());
    with_actor(state, entry, actor, |actor| {
        actor.state = ActorState::Starting;
        actor.wanted = is_slot;
        actor.epoch = *epoch;
        actor.last = Some((worker.clone(), node.clone()));
        actor.binding = Some(Binding {
            id: *binding,
            epoch: *epoch,
            worker: worker.clone(),
            node: node.clone(),
            revision: *revision,
            phase: Phase::Starting,
            bound_at: entry.at,
        });
    });
}

fn end(state: &mut State, entry: &Entry) {
    let Event::BindingEnded { actor, binding, outcome, archive, .. } = &entry.event else { return };
    state.bindings.remove(binding);
    let mut freed = None;
    state.actors.change(actor, |actor| {
        freed = actor.binding.take().map(|binding| binding.worker);
        actor.wanted = false;
        actor.outcome = Some(outcome.clone());
        actor.archive = archive.or(actor.archive);
        // Who ended an actor for good stays on its record, whoever tells of the end of its binding.
        if !matches!(actor.state, ActorState::Quarantined | ActorState::Terminated) {
            actor.state = ActorState::Suspended;
            actor.changed_at = entry.at;
            actor.changed_by = entry.caller.clone();
        }
    });
    if let Some(worker) = freed {
        state.with_worker(&worker, |worker| {
            worker.holds = None;
            worker.idle_since = entry.at;
        });
    }
}

fn stop(state: &mut State, entry: &Entry, actor: &ActorRef, to: ActorState, reason: &Option<String>) {
    unqueue(state, actor);
    with_actor(state, entry, actor, |actor| {
        actor.state = to;
        actor.wanted = false;
        actor.reason.clone_from(reason);
    });
}

fn delete(state: &mut State, actor: &ActorRef) {
    let Some(removed) = state.actors.remove(actor) else { return };
    state.tombstones.insert(tombstone(actor));
    super::permission::forgotten(state, actor);
    let class = class_ref(&removed);
    if let Some(count) = state.actors_per_class.get_mut(&class) {
        *count -= 1;
        if *count == 0 {
            state.actors_per_class.remove(&class);
        }
    }
}
