//! What waits for the cell: one queue for each namespace and each node, emptied in turn.
//!
//! A namespace that floods the cell fills its own queue and is refused there; the others are served as if it asked only as
//! often as they do. If all queues together are full, the newest of the longest queue makes room for whoever has waiting
//! less than that.
//!
//! INVARIANT: what one caller was taken on before, in one queue, is served before.

use credence_model::command::{Command, Report};
use credence_model::delegation::Grantee;
use credence_model::id::{Namespace, NodeName};
use credence_telemetry::limit::Limit;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most requests that wait for the cell, all queues together.
pub const QUEUED_MAX: usize = 16_384;
/// Most requests that wait in one queue: of one namespace, of one node, or readers.
pub const LANE_QUEUED_MAX: usize = 4_096;

/// All queues together are full.
pub(crate) static QUEUED: Limit = Limit::new("cell_queue", QUEUED_MAX as u64, "requests", "refused: unavailable");
/// One queue is full.
pub(crate) static LANE_QUEUED: Limit =
    Limit::new("cell_namespace_queue", LANE_QUEUED_MAX as u64, "requests", "refused: unavailable");

/// Whose queue something waits in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Commands about a namespace.
    Namespace(Namespace),
    /// What a node says.
    Node(NodeName),
    /// Looking at the registry and the journal.
    Readers,
    /// Everything else: tokens, nodes' records.
    House,
}

impl Lane {
    /// Where a command waits.
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::ApplyClass { class, .. }
            | Command::EnableClass { class, .. }
            | Command::DeleteClass { class }
            | Command::ConsentRevision { class, .. }
            | Command::WithdrawConsent { class, .. }
            | Command::GrantDelegation { to: Grantee::Class(class), .. }
            | Command::SpawnActor { class, .. }
            | Command::CreateActor { class, .. } => Self::Namespace(class.namespace.clone()),
            Command::ApplyGuard { guard, .. } | Command::DeleteGuard { guard } => {
                Self::Namespace(guard.namespace.clone())
            }
            Command::ApplyPool { pool, .. } | Command::DeletePool { pool } => Self::Namespace(pool.namespace.clone()),
            Command::ResumeActor { actor, .. }
            | Command::SuspendActor { actor }
            | Command::GrantDelegation { to: Grantee::Actor(actor), .. }
            | Command::TerminateActor { actor, .. }
            | Command::QuarantineActor { actor, .. }
            | Command::DeleteActor { actor } => Self::Namespace(actor.namespace.clone()),
            Command::Use { uses } => match uses.first() {
                Some(first) => Self::Namespace(first.actor.namespace.clone()),
                None => Self::House,
            },
            Command::DrainWorker { worker } => Self::Namespace(worker.pool.namespace.clone()),
            // A node's processes must not push its own heartbeats away.
            Command::Report { report: Report::BindProcess { class, .. }, .. } => {
                Self::Namespace(class.namespace.clone())
            }
            Command::AttachNode { node, .. } | Command::Report { node, .. } | Command::RecordDecisions { node, .. } => {
                Self::Node(node.clone())
            }
            _ => Self::House,
        }
    }
}

/// Why something was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turned<T> {
    /// The queue of its lane is full.
    LaneFull(T),
    /// All queues together are full, and no other is longer.
    Full(T),
    /// Nobody empties the queues any more.
    Closed(T),
}

/// The callers' end. The other end closes when the last clone is gone.
#[derive(Debug)]
pub(crate) struct Intake<T>(Arc<Shared<T>>);

/// The cell's end. When it is gone, everything that waits is dropped and nothing more is taken.
#[derive(Debug)]
pub(crate) struct Outlet<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    lanes: Mutex<Lanes<T>>,
    came: Condvar,
    queued_max: usize,
    lane_max: usize,
}

#[derive(Debug)]
struct Lanes<T> {
    queues: HashMap<Lane, VecDeque<T>>,
    /// Lanes with something in them, the one served longest ago first.
    round: VecDeque<Lane>,
    queued: usize,
    closed: bool,
    /// Nobody is left who asks: nothing is closed in order.
    abandoned: bool,
}

/// Both ends of new queues.
pub(crate) fn intake<T>(queued_max: usize, lane_max: usize) -> (Intake<T>, Outlet<T>) {
    let lanes = Lanes { queues: HashMap::new(), round: VecDeque::new(), queued: 0, closed: false, abandoned: false };
    let shared = Arc::new(Shared { lanes: Mutex::new(lanes), came: Condvar::new(), queued_max, lane_max });
    (Intake(Arc::clone(&shared)), Outlet(shared))
}

impl<T> Intake<T> {
    /// Takes something on. What had to make room for it is handed back: it must be refused.
    pub(crate) fn push(&self, lane: Lane, item: T) -> Result<Option<T>, Turned<T>> {
        let mut lanes = self.0.lock();
        if lanes.closed {
            return Err(Turned::Closed(item));
        }
        let waiting = lanes.queues.get(&lane).map_or(0, VecDeque::len);
        if waiting >= self.0.lane_max {
            return Err(Turned::LaneFull(item));
        }
        let mut displaced = None;
        if lanes.queued >= self.0.queued_max {
            displaced = lanes.displace(waiting + 1);
            if displaced.is_none() {
                return Err(Turned::Full(item));
            }
        }
        lanes.add(lane, item);
        drop(lanes);
        self.0.came.notify_one();
        Ok(displaced)
    }

    /// Takes nothing on any more; what waits is still served.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.came.notify_one();
    }
}

impl<T> Drop for Intake<T> {
    fn drop(&mut self) {
        let mut lanes = self.0.lock();
        lanes.abandoned = !lanes.closed;
        lanes.closed = true;
        drop(lanes);
        self.0.came.notify_one();
    }
}

impl<T> Outlet<T> {
    /// Takes at most `max`, one from each lane in turn, and waits for the first for so long at most. `None` once nothing
    /// waits and nothing will.
    pub(crate) fn take(&self, max: usize, wait: Duration) -> Option<Vec<T>> {
        let until = Instant::now() + wait;
        let mut lanes = self.0.lock();
        while lanes.queued == 0 {
            if lanes.closed {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Vec::new());
            }
            lanes = self.0.came.wait_timeout(lanes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(lanes.take(max))
    }

    /// Whether the other end was dropped without being closed.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.lock().abandoned
    }

    /// How many wait, how many lanes they are in, and how many are in the longest.
    pub(crate) fn depth(&self) -> (usize, usize, usize) {
        let lanes = self.0.lock();
        (lanes.queued, lanes.round.len(), lanes.queues.values().map(VecDeque::len).max().unwrap_or_default())
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        let mut lanes = self.0.lock();
        lanes.closed = true;
        let dropped = std::mem::take(&mut lanes.queues);
        lanes.round.clear();
        lanes.queued = 0;
        drop(lanes);
        // Whoever waits for these is told by their end, and not while the lock is held.
        drop(dropped);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Lanes<T>> {
        // Nothing here panics between two changes that belong together.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lanes<T> {
    fn add(&mut self, lane: Lane, item: T) {
        let queue = self.queues.entry(lane.clone()).or_default();
        if queue.is_empty() {
            self.round.push_back(lane);
        }
        queue.push_back(item);
        self.queued += 1;
    }

    fn take(&mut self, max: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(max.min(self.queued));
        while taken.len() < max {
            let Some(lane) = self.round.pop_front() else { break };
            let Some(queue) = self.queues.get_mut(&lane) else { continue };
            if let Some(item) = queue.pop_front() {
                taken.push(item);
                self.queued -= 1;
            }
            if queue.is_empty() {
                // Names come and go; memory stays with those that ask.
                self.queues.remove(&lane);
            } else {
                self.round.push_back(lane);
            }
        }
        taken
    }

    /// The newest of the longest queue, if that one is longer than `than`.
    fn displace(&mut self, than: usize) -> Option<T> {
        let (_, longest) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len())?;
        if longest.len() <= than {
            return None;
        }
        self.queued -= 1;
        longest.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Turned, intake};
    use credence_model::id::Namespace;
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;

    fn lane(name: &str) -> Lane {
        Lane::Namespace(Namespace::parse(name).expect("a namespace"))
    }

    #[test]
    fn who_comes_behind_a_flood_of_another_is_served_in_the_next_round() {
        let (intake, outlet) = intake(1_000, 500);
        for nth in 0..500 {
            intake.push(lane("loud"), ("loud", nth)).expect("room");
        }
        assert_eq!(intake.push(lane("loud"), ("loud", 500)), Err(Turned::LaneFull(("loud", 500))));
        for nth in 0..2 {
            intake.push(lane("quiet"), ("quiet", nth)).expect("room in its own queue");
        }
        let taken = outlet.take(4, NOW).expect("open");
        assert_eq!(taken, [("loud", 0), ("quiet", 0), ("loud", 1), ("quiet", 1)]);
        assert_eq!(outlet.depth(), (498, 1, 498));
    }

    #[test]
    fn when_everything_is_full_the_longest_queue_makes_room() {
        let (intake, outlet) = intake(6, 6);
        for nth in 0..6 {
            intake.push(lane("loud"), ("loud", nth)).expect("room");
        }
        for (nth, gone) in [(0, 5), (1, 4)] {
            assert_eq!(intake.push(lane("quiet"), ("quiet", nth)), Ok(Some(("loud", gone))));
        }
        // Now 4 and 2; a third one of the quiet is still fair, a fourth is not.
        assert_eq!(intake.push(lane("quiet"), ("quiet", 2)), Ok(Some(("loud", 3))));
        assert_eq!(intake.push(lane("quiet"), ("quiet", 3)), Err(Turned::Full(("quiet", 3))));
        assert_eq!(intake.push(lane("loud"), ("loud", 6)), Err(Turned::Full(("loud", 6))));
        assert_eq!(outlet.depth(), (6, 2, 3));
    }

    #[test]
    fn what_waits_at_the_end_is_served_and_what_comes_later_is_not_taken() {
        let (intake, outlet) = intake(4, 4);
        intake.push(lane("a"), 1).expect("room");
        intake.close();
        assert_eq!(intake.push(lane("a"), 2), Err(Turned::Closed(2)));
        assert_eq!(outlet.take(4, NOW), Some(vec![1]));
        assert_eq!(outlet.take(4, Duration::from_secs(60)), None);
    }

    #[test]
    fn nothing_is_remembered_of_lanes_that_are_empty() {
        let (intake, outlet) = intake(1_000, 4);
        for nth in 0..1_000 {
            intake.push(lane(&format!("n-{nth}")), nth).expect("room");
        }
        assert_eq!(outlet.take(1_000, NOW).map(|taken| taken.len()), Some(1_000));
        let lanes = outlet.0.lock();
        assert_eq!((lanes.queues.len(), lanes.round.len(), lanes.queued), (0, 0, 0));
    }
}
