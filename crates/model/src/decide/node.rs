//! What commands about nodes, their join tokens and their workers lead to.

use super::Decision;
use super::actor::unbind;
use super::resume::{end_binding, expiry};
use crate::actor::{ActorState, Outcome, Phase, UnbindMode};
use crate::command::{Answer, Command, Held, Unbind};
use crate::event::Event;
use crate::id::{Digest, NodeName, PoolRef, WorkerRef};
use crate::node::{GRANTS_MAX, Node, PoolGrant, WORKERS_PER_GRANT_MAX};
use crate::refusal::{Kind, Refusal};
use crate::state::State;
use crate::time::Timestamp;
use crate::worker::{Worker, WorkerKind};
use std::collections::{BTreeMap, BTreeSet};

/// Longest life of a join token, in seconds.
const JOIN_TOKEN_TTL_SECS_MAX: u64 = 7 * 86_400;

pub(super) fn create_join_token(state: &State, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    let Command::CreateJoinToken { token, node, grants, ttl_secs } = command else {
        return Err(Refusal::new(Kind::Bug, "a command reached the wrong decision"));
    };
    let malformed = |field: String, message: String| Err(Refusal::new(Kind::Malformed, message).field(field));
    if !(1..=JOIN_TOKEN_TTL_SECS_MAX).contains(ttl_secs) {
        return malformed("ttl_secs".into(), format!("{ttl_secs} is not from 1 to {JOIN_TOKEN_TTL_SECS_MAX}"));
    }
    if grants.is_empty() || grants.len() > GRANTS_MAX {
        return malformed("pools".into(), format!("a join token grants from 1 to {GRANTS_MAX} pools"));
    }
    let mut seen = BTreeSet::new();
    for (index, grant) in grants.iter().enumerate() {
        if grant.workers_max > WORKERS_PER_GRANT_MAX {
            let message = format!("{} is not from 0 to {WORKERS_PER_GRANT_MAX}", grant.workers_max);
            return malformed(format!("pools[{index}].workers_max"), message);
        }
        if !seen.insert(&grant.pool) {
            return malformed(format!("pools[{index}].pool"), format!("pool {} is named twice", grant.pool));
        }
        check_pool(state, &grant.pool).map_err(|refusal| refusal.field(format!("pools[{index}].pool")))?;
    }
    if state.join_tokens.contains_key(token) {
        return Err(Refusal::new(Kind::Conflict, "this join token exists already"));
    }
    let expires_at = now.plus_secs(*ttl_secs);
    let event = Event::JoinTokenCreated { token: *token, node: node.clone(), grants: grants.clone(), expires_at };
    Ok(Decision { events: vec![event], answer: Answer::JoinToken { expires_at } })
}

pub(super) fn attest(
    state: &State,
    node: &NodeName,
    token: &Digest,
    key: Digest,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let refuse = |message: &str| {
        let hint = "Make a new one: credence token create";
        Err(Refusal::new(Kind::Unauthenticated, message).field("join_token").hint(hint))
    };
    let Some(found) = state.join_tokens.get(token) else { return refuse("this join token is unknown") };
    if found.used_by.is_some() {
        return refuse("this join token was used already; each works once");
    }
    if found.expires_at <= now {
        return refuse("this join token has expired");
    }
    if found.node.as_ref().is_some_and(|meant| meant != node) {
        return refuse("this join token was made for another node");
    }
    let not_after = expiry(now, state.settings.node_ttl_secs);
    let (node, grants) = (node.clone(), found.grants.clone());
    Ok(Decision::done(vec![Event::NodeAttested { node, token: *token, grants, key, not_after }]))
}

pub(super) fn renew(state: &State, node: &NodeName, key: Digest, now: Timestamp) -> Result<Decision, Refusal> {
    find_node(state, node)?;
    let not_after = expiry(now, state.settings.node_ttl_secs);
    Ok(Decision::done(vec![Event::NodeRenewed { node: node.clone(), key, not_after }]))
}

pub(super) fn attach(
    state: &State,
    name: &NodeName,
    workers: &[WorkerRef],
    held: &[Held],
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let node = find_node(state, name)?;
    check_workers(state, node, workers)?;
    let session = node.session + 1;
    let offered: BTreeSet<_> = workers.iter().collect();
    let (mut kept, mut ended, mut unbinds) = (Vec::new(), Vec::new(), Vec::new());
    for worker in node.workers.iter().filter_map(|worker| state.workers.get(worker)) {
        let there = worker.kind == WorkerKind::Process || offered.contains(&worker.worker);
        let actor = worker.holds.as_ref().and_then(|(actor, _)| state.actors.active(actor));
        match actor.and_then(|actor| actor.binding.as_ref().map(|binding| (actor, binding))) {
            Some((_, binding)) if there && held.contains(&Held { binding: binding.id, epoch: binding.epoch }) => {
                kept.push(binding.id);
                if let Phase::Ending(mode) = binding.phase {
                    unbinds.push(Unbind { binding: binding.id, mode });
                }
            }
            Some((actor, binding)) => {
                ended.extend(end_binding(state, actor, Outcome::Dropped, None, now));
                let gone = Event::WorkerGone { worker: binding.worker.clone() };
                if !there && !ended.contains(&gone) {
                    ended.push(gone);
                }
            }
            None if !there => ended.push(Event::WorkerGone { worker: worker.worker.clone() }),
            None => {}
        }
    }
    let unknown = held.iter().filter(|held| !kept.contains(&held.binding));
    unbinds.extend(unknown.map(|held| Unbind { binding: held.binding, mode: UnbindMode::Drop }));
    let attached = Event::NodeAttached { node: name.clone(), session, workers: workers.to_vec(), kept };
    let events = std::iter::once(attached).chain(ended).collect();
    Ok(Decision { events, answer: Answer::Attached { session, unbind: unbinds } })
}

pub(super) fn delete(state: &State, name: &NodeName) -> Result<Decision, Refusal> {
    let node = find_node(state, name)?;
    let workers = || node.workers.iter().filter_map(|worker| state.workers.get(worker));
    if let Some((actor, _)) = workers().find_map(|worker| worker.holds.as_ref()) {
        let message = format!("node {name} still holds actor {actor}");
        return Err(Refusal::new(Kind::Conflict, message).hint("Suspend it, or wait until the node's lease is over"));
    }
    let mut events: Vec<_> = workers().map(|worker| Event::WorkerGone { worker: worker.worker.clone() }).collect();
    events.push(Event::NodeDeleted { node: name.clone() });
    Ok(Decision::done(events))
}

pub(super) fn drain(state: &State, worker: &WorkerRef) -> Result<Decision, Refusal> {
    let Some(found) = state.workers.get(worker) else {
        return Err(Refusal::new(Kind::NotFound, format!("there is no worker {worker}")));
    };
    Ok(Decision::done(draining(state, found)))
}

/// All workers of a node take nothing on any more, and their actors go elsewhere.
pub(super) fn leave(state: &State, node: &Node) -> Decision {
    let workers = node.workers.iter().filter_map(|worker| state.workers.get(worker));
    let slots = workers.filter(|worker| worker.kind == WorkerKind::Slot);
    Decision::done(slots.flat_map(|worker| draining(state, worker)).collect())
}

fn draining(state: &State, found: &Worker) -> Vec<Event> {
    let worker = &found.worker;
    let mut events = vec![Event::WorkerDraining { worker: worker.clone() }];
    match found.holds.as_ref().and_then(|(actor, _)| state.actors.active(actor)) {
        Some(actor) if matches!(actor.state, ActorState::Starting | ActorState::Running) => {
            events.extend(unbind(actor, UnbindMode::Suspend, actor.wanted));
        }
        Some(_) => {}
        None => events.push(Event::WorkerGone { worker: worker.clone() }),
    }
    events
}

pub(super) fn find_node<'s>(state: &'s State, node: &NodeName) -> Result<&'s Node, Refusal> {
    state.nodes.get(node).ok_or_else(|| {
        Refusal::new(Kind::NotFound, format!("there is no node {node}")).hint("It has to attest with a join token")
    })
}

fn check_pool(state: &State, pool: &PoolRef) -> Result<(), Refusal> {
    if state.pools.contains_key(pool) {
        return Ok(());
    }
    let hint = "Apply it first: credence apply -f FILE";
    Err(Refusal::new(Kind::NotFound, format!("there is no pool {pool}")).hint(hint))
}

fn check_workers(state: &State, node: &Node, workers: &[WorkerRef]) -> Result<(), Refusal> {
    let denied = |message: String| Err(Refusal::new(Kind::Denied, message).field("workers"));
    let mut per_pool: BTreeMap<&PoolRef, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for worker in workers {
        check_pool(state, &worker.pool)?;
        if !seen.insert(worker) {
            return denied(format!("worker {worker} is named twice"));
        }
        if let Some(other) = state.workers.get(worker).filter(|found| found.node != node.name) {
            return denied(format!("worker {worker} belongs to node {}", other.node));
        }
        *per_pool.entry(&worker.pool).or_default() += 1;
    }
    for (pool, count) in per_pool {
        let granted =
            node.grants.iter().find(|grant| grant.pool == *pool).map_or(0, |grant: &PoolGrant| grant.workers_max);
        if count > granted {
            return denied(format!(
                "node {} offers {count} workers in pool {pool}; its join token granted {granted}",
                node.name
            ));
        }
    }
    Ok(())
}
