//! The chain of an actor that has a binding.

use super::{Chain, secs};
use crate::actor::{Actor, ActorState, Binding, Phase, UnbindMode};
use crate::node::{Node, NodeState};
use crate::state::State;
use crate::time::Timestamp;
use crate::worker::WorkerState;

pub(super) fn follow(chain: &mut Chain, state: &State, actor: &Actor, binding: &Binding, now: Timestamp) {
    let waited = now.ms_since(binding.bound_at);
    chain.ok(&format!("left {} ago", secs(waited)));
    let draining = state.workers.get(&binding.worker).is_some_and(|worker| worker.state == WorkerState::Draining);
    let leaving = if draining { ", which takes no further actor" } else { "" };
    chain.ok(&format!("{}{leaving}, epoch {}, binding {}", binding.worker, binding.epoch, binding.id));
    let Some(node) = state.nodes.get(&binding.node) else {
        let says = format!("node {} does not exist any more", binding.node);
        chain.failed(&says, &says);
        return chain.advise("The registry contradicts itself; see what else does: credence doctor");
    };
    lease(chain, state, actor, node, now);
    connection(chain, state, node, now);
    socket(chain, actor, binding, waited, node.state == NodeState::Connected);
}

fn lease(chain: &mut Chain, state: &State, actor: &Actor, node: &Node, now: Timestamp) {
    let ends_at = state.lease_ends_at(node);
    let left_ms = ends_at.ms_since(now);
    if node.state == NodeState::Lost || actor.state == ActorState::Lost {
        let says = format!(
            "node {} was last heard from {} ago; nobody else may be it for another {}",
            node.name,
            secs(now.ms_since(node.heard_at)),
            secs(left_ms)
        );
        chain.failed(&format!("node {} fell silent and the lease is not over yet", node.name), &says);
        chain.advise(format!(
            "Start node {} again or restore its network; or wait {}: then the actor is free for another worker",
            node.name,
            secs(left_ms)
        ));
    } else {
        chain.ok(&format!("ends in {} unless the node is heard from", secs(left_ms)));
    }
}

fn connection(chain: &mut Chain, state: &State, node: &Node, now: Timestamp) {
    let silent_ms = now.ms_since(node.heard_at);
    let says = format!("{}, last heard from {} ago", node.name, secs(silent_ms));
    match node.state {
        NodeState::Connected if silent_ms <= state.settings.heartbeat_ms.saturating_mul(2) => chain.ok(&says),
        NodeState::Connected => chain.ok(&format!("{says}, which is later than it should be")),
        NodeState::Lost => chain.failed(&format!("node {} is not connected", node.name), &format!("{says}, lost")),
        NodeState::Attested => {
            chain.failed(&format!("node {} never connected", node.name), &format!("{}, not connected", node.name));
            chain.advise(format!(
                "Start node {0}, or see in its log why it does not connect: credence node --name {0}",
                node.name
            ));
        }
    }
}

fn socket(chain: &mut Chain, actor: &Actor, binding: &Binding, waited_ms: u64, connected: bool) {
    let id = &actor.actor;
    match binding.phase {
        // The node ends what it cannot renew, so a socket behind a silent node is not one to count on.
        Phase::Live if !connected => chain.add(super::LinkState::Unknown, "the node does not say"),
        Phase::Live => chain.ok("open; the node said that the program runs"),
        Phase::Starting => {
            chain.waiting(&format!("the node was told {} ago and has not said yet that it runs", secs(waited_ms)));
            chain.advise(format!("Wait; if it stays so, look at the node's log and at: credence actor logs {id}"));
        }
        Phase::Ending(mode) => {
            let how = match mode {
                UnbindMode::Suspend => "suspended",
                UnbindMode::Terminate => "terminated",
                UnbindMode::Quarantine => "quarantined",
                UnbindMode::Drop => "dropped",
            };
            chain.failed(&format!("it is being {how}"), &format!("closing: the actor is being {how}"));
            if matches!(mode, UnbindMode::Suspend | UnbindMode::Drop) {
                chain.advise(format!("When it is suspended, resume it: credence actor resume {id}"));
            }
        }
    }
}
