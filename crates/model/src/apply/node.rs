//! How nodes, their workers and their leases change.

use crate::actor::{ActorState, Phase};
use crate::event::{Entry, Event};
use crate::id::{BindingId, NodeName, WorkerRef};
use crate::node::{FORMER_KEYS_MAX, JoinToken, Node, NodeState, RESERVOIR_KEYS_MAX};
use crate::state::State;
use crate::worker::{Worker, WorkerKind, WorkerState};
use std::collections::{BTreeSet, VecDeque};

/// How long a join token is remembered after its end, so that its late use is explained, in seconds.
const TOKEN_MEMORY_SECS: u64 = 86_400;

pub(super) fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::CellStarted {} => start(state, entry),
        Event::JoinTokenCreated { token, node, grants, expires_at } => {
            state.join_tokens.retain(|_, token| token.expires_at.plus_secs(TOKEN_MEMORY_SECS) > entry.at);
            let token_record =
                JoinToken { node: node.clone(), grants: grants.clone(), expires_at: *expires_at, used_by: None };
            state.join_tokens.insert(*token, token_record);
        }
        Event::NodeAttested { .. } => attest(state, entry),
        Event::NodeRenewed { node, key, .. } => with_node(state, node, |node| {
            node.former_keys.push_front(std::mem::replace(&mut node.key, *key));
            node.former_keys.truncate(FORMER_KEYS_MAX);
        }),
        Event::NodeAttached { node, session, workers, kept } => attach(state, entry, node, *session, workers, kept),
        Event::NodeHeard { node } => with_node(state, node, |node| node.heard_at = entry.at),
        Event::NodeLost { node } => lose(state, node),
        Event::NodeDeleted { node } => {
            state.nodes.remove(node);
        }
        Event::KeysOffered { node, keys } => with_node(state, node, |node| {
            node.reservoir.extend(keys);
            node.reservoir.truncate(RESERVOIR_KEYS_MAX);
        }),
        Event::BundleHeld { node, sequence, reissued } => with_node(state, node, |node| {
            node.bundle_held = node.bundle_held.max(*sequence);
            if *reissued {
                node.reissued = node.reissued.max(*sequence);
            }
        }),
        Event::WorkerRegistered { worker, node, kind } => register(state, entry, worker, node, *kind),
        Event::WorkerDraining { worker } => state.with_worker(worker, |worker| worker.state = WorkerState::Draining),
        Event::WorkerGone { worker } => remove(state, worker),
        _ => {}
    }
}

fn with_node(state: &mut State, node: &NodeName, change: impl FnOnce(&mut Node)) {
    if let Some(node) = state.nodes.get_mut(node) {
        change(node);
    }
}

/// Nobody knows how long the control plane was away, so every node gets one whole lease from now.
fn start(state: &mut State, entry: &Entry) {
    let nodes: Vec<_> = state.nodes.keys().cloned().collect();
    for name in nodes {
        with_node(state, &name, |node| node.heard_at = entry.at);
        lose(state, &name);
    }
}

fn attest(state: &mut State, entry: &Entry) {
    let Event::NodeAttested { node: name, token, grants, key, .. } = &entry.event else { return };
    if let Some(token) = state.join_tokens.get_mut(token) {
        token.used_by = Some(name.clone());
    }
    let node = state.nodes.entry(name.clone()).or_insert_with(|| Node {
        name: name.clone(),
        grants: Vec::new(),
        key: *key,
        former_keys: VecDeque::new(),
        attested_at: entry.at,
        session: 0,
        state: NodeState::Attested,
        heard_at: entry.at,
        lease_ms: state.settings.lease_ms,
        workers: BTreeSet::new(),
        reservoir: VecDeque::new(),
        bundle_held: 0,
        reissued: 0,
    });
    node.grants.clone_from(grants);
    node.key = *key;
    node.former_keys.clear();
    node.attested_at = entry.at;
}

fn attach(state: &mut State, entry: &Entry, name: &NodeName, session: u64, workers: &[WorkerRef], kept: &[BindingId]) {
    let (lease_ms, is_holding) = (state.settings.lease_ms, is_holding(state, name));
    with_node(state, name, |node| {
        node.session = session;
        node.state = NodeState::Connected;
        // What it holds it holds by the lease that it was told before, until it hears of this one; that may be never.
        node.lease_ms = if is_holding { node.lease_ms.max(lease_ms) } else { lease_ms };
        node.heard_at = entry.at;
        node.reservoir.clear();
        // It says anew what it holds: its files may be older than what it said before.
        (node.bundle_held, node.reissued) = (0, 0);
    });
    for worker in workers {
        if state.workers.contains_key(worker) {
            state.with_worker(worker, |worker| {
                if worker.state == WorkerState::Lost {
                    worker.state = WorkerState::Ready;
                }
            });
        } else {
            register(state, entry, worker, name, WorkerKind::Slot);
        }
    }
    for binding in kept {
        let Some(actor) = state.bindings.get(binding) else { continue };
        let mut held_on = None;
        state.actors.change(actor, |actor| {
            let Some(held) = &actor.binding else { return };
            held_on = Some(held.worker.clone());
            if actor.state == ActorState::Lost {
                actor.state = match held.phase {
                    Phase::Starting => ActorState::Starting,
                    Phase::Live => ActorState::Running,
                    Phase::Ending(_) => ActorState::Suspending,
                };
                actor.changed_at = entry.at;
            }
        });
        let Some(worker) = held_on else { continue };
        state.with_worker(&worker, |worker| {
            if worker.state == WorkerState::Lost {
                worker.state = WorkerState::Ready;
            }
        });
    }
}

/// Whether a worker of this node holds an actor.
fn is_holding(state: &State, name: &NodeName) -> bool {
    let held = |worker: &WorkerRef| state.workers.get(worker).is_some_and(|worker| worker.holds.is_some());
    state.nodes.get(name).is_some_and(|node| node.workers.iter().any(held))
}

pub(super) fn lose(state: &mut State, name: &NodeName) {
    let Some(node) = state.nodes.get_mut(name) else { return };
    node.state = NodeState::Lost;
    node.reservoir.clear();
    for worker in node.workers.clone() {
        let mut holder = None;
        state.with_worker(&worker, |worker| {
            if worker.state == WorkerState::Ready {
                worker.state = WorkerState::Lost;
            }
            holder = worker.holds.clone();
        });
        let Some((actor, _)) = holder else { continue };
        let at = state.last_at;
        state.actors.change(&actor, |actor| {
            if matches!(actor.state, ActorState::Starting | ActorState::Running | ActorState::Suspending) {
                actor.state = ActorState::Lost;
                actor.changed_at = at;
            }
        });
    }
}

fn register(state: &mut State, entry: &Entry, worker: &WorkerRef, node: &NodeName, kind: WorkerKind) {
    let record = Worker {
        worker: worker.clone(),
        node: node.clone(),
        kind,
        state: WorkerState::Ready,
        holds: None,
        idle_since: entry.at,
    };
    if record.is_idle() {
        state.idle.insert(&record);
    }
    state.workers.insert(worker.clone(), record);
    with_node(state, node, |node| {
        node.workers.insert(worker.clone());
    });
}

fn remove(state: &mut State, worker: &WorkerRef) {
    let Some(removed) = state.workers.remove(worker) else { return };
    if removed.is_idle() {
        state.idle.remove(&removed, removed.idle_since);
    }
    with_node(state, &removed.node, |node| {
        node.workers.remove(worker);
    });
}
