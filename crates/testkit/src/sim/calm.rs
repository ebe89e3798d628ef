//! Liveness: when misfortune stops, everything comes to rest within a bound.
//!
//! Partitions end, everybody is started again, and nobody asks for anything any more. Then every actor is bound and runs,
//! or is suspended, or ended: nobody is lost, starting or suspending for ever, and nobody waits for a worker while one is
//! free, or longer than it was told.

use super::check::{Broken, Unrest};
use super::node::Node;
use super::world::World;
use credence_model::actor::{ActorState, Phase};
use credence_model::command::Command;
use credence_model::node::NodeState;
use credence_model::settings::WAIT_MS_MAX;

/// By then whoever lost a node is back or unbound: a broken stream is noticed (15 s), the lease and its margin are over
/// (11 s), the node is back, and the slowest program has ended (5 s), each with the worst clock.
const SETTLED_MS_MAX: u64 = 60_000;
/// By then nobody waits beside an idle worker: its node is connected and has offered keys.
const SCHEDULED_MS_MAX: u64 = 45_000;
/// The pause between two tries of a node to connect.
const RECONNECT_MS: u64 = 100;
/// By then every lease from before a hold is over.
const RELEASED_MS_MAX: u64 = 60_000;
/// By then whoever waits for a worker has one or was told that there is none.
const WAITED_MS_MAX: u64 = WAIT_MS_MAX + WAIT_MS_MAX / 50 + 1_000;

impl World {
    /// Lets everything come to rest; [`Broken::Starved`] if it does not.
    pub(super) fn calm_down(&mut self) -> Result<(), Broken> {
        self.network.cut.clear();
        self.network.is_calm = true;
        self.ground.is_unlucky = false;
        if let Some(disk) = self.ground.store.disk() {
            disk.heal();
        }
        self.nodes.iter_mut().for_each(|node| node.wall_off_ms = 0);
        // Whoever is suspended wakes in its time.
        let awake = self.nodes.iter().filter_map(|node| node.paused(self.now_ms));
        let busy = self.servers.iter().filter_map(|server| server.busy(self.now_ms));
        let mut since_ms = awake.chain(busy).max().unwrap_or(self.now_ms);
        for index in 0..self.nodes.len() {
            if self.nodes.get(index).is_some_and(Node::has_ended) {
                self.nodes.iter_mut().skip(index).take(1).for_each(Node::crash);
                self.network.cut_stream(self.now_ms, &mut self.random, index);
            }
        }
        let (began_ms, mut idle_since_ms, mut reconnect_at_ms) = (since_ms, since_ms, 0);
        loop {
            if self.servers.iter().all(|server| server.registry.is_none()) {
                self.start_server(0)?;
                self.check(true)?;
            }
            if self.checks.state().hold.is_some() {
                self.ask(Command::Release { reason: None });
                since_ms = self.now_ms;
            }
            self.nodes.iter_mut().filter(|node| node.core.is_none()).for_each(Node::start);
            if self.now_ms >= reconnect_at_ms {
                reconnect_at_ms = self.now_ms + RECONNECT_MS;
                self.reconnect()?;
            }
            let at = self.next_thing_ms().unwrap_or(self.now_ms);
            self.next_action_ms = at;
            let restarted = self.happen_without_acting()?;
            self.check(restarted)?;
            if self.checks.state().hold.is_some() {
                if self.now_ms > began_ms + RELEASED_MS_MAX {
                    return Err(Broken::Stuck("the server is held and cannot be released".into()));
                }
                continue;
            }
            if self.checks.state().idle.is_empty() {
                idle_since_ms = self.now_ms;
            }
            let mut passed_ms = self.now_ms.saturating_sub(since_ms);
            let Some(unsettled) = self.unsettled(passed_ms) else {
                self.note("came to rest", String::new());
                return Ok(());
            };
            if unsettled.unrest == Unrest::Beside {
                passed_ms = self.now_ms.saturating_sub(idle_since_ms);
            }
            if passed_ms > unsettled.most_ms {
                let what = format!("{}, {passed_ms} ms after misfortune stopped", unsettled.what);
                return Err(Broken::Starved(unsettled.unrest, what));
            }
        }
    }

    /// What is not at rest yet.
    fn unsettled(&self, passed_ms: u64) -> Option<Unsettled> {
        let state = self.checks.state();
        let lost = state.nodes.values().find(|node| node.state != NodeState::Connected);
        if let Some(node) = lost.filter(|_| passed_ms > 0) {
            let what = format!("node {} is not connected", node.name);
            return Some(Unsettled { unrest: Unrest::Node, what, most_ms: SETTLED_MS_MAX });
        }
        for actor in state.actors.all_active() {
            // Also of an actor that was ended for good: its binding is not over until its node says so.
            let phase = actor.binding.as_ref().map(|binding| binding.phase);
            if actor.state == ActorState::Lost || matches!(phase, Some(Phase::Starting | Phase::Ending(_))) {
                let what = format!("actor {} is {:?}, its binding {phase:?}", actor.actor, actor.state);
                return Some(Unsettled { unrest: Unrest::Actor, what, most_ms: SETTLED_MS_MAX });
            }
            if actor.wait.is_some() {
                let what = format!("actor {} waits, and {} workers are idle", actor.actor, state.idle.len());
                let waits = (Unrest::Waits, WAITED_MS_MAX);
                let (unrest, most_ms) = if state.idle.is_empty() { waits } else { (Unrest::Beside, SCHEDULED_MS_MAX) };
                return Some(Unsettled { unrest, what, most_ms });
            }
        }
        None
    }
}

struct Unsettled {
    unrest: Unrest,
    what: String,
    /// How long it may last.
    most_ms: u64,
}
