//! Idle workers, so indexed that choosing one does not look at those that cannot be chosen: by pool, then by node.
//!
//! A pool that a class does not select and a node that cannot take an actor now are each passed over as a whole.

use crate::id::{NodeName, PoolRef, WorkerId, WorkerRef};
use crate::time::Timestamp;
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The workers of a node in one pool, the one longest idle first.
type Queue = BTreeSet<(Timestamp, WorkerId)>;

/// All idle workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    pools: BTreeMap<PoolRef, BTreeMap<NodeName, Queue>>,
    len: usize,
}

impl Idle {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this worker is in the index, as idle since then.
    pub(crate) fn contains(&self, worker: &Worker) -> bool {
        let nodes = self.pools.get(&worker.worker.pool);
        let queue = nodes.and_then(|nodes| nodes.get(&worker.node));
        queue.is_some_and(|queue| queue.contains(&(worker.idle_since, worker.worker.worker.clone())))
    }

    pub(crate) fn insert(&mut self, worker: &Worker) {
        let nodes = self.pools.entry(worker.worker.pool.clone()).or_default();
        let queue = nodes.entry(worker.node.clone()).or_default();
        self.len += usize::from(queue.insert((worker.idle_since, worker.worker.worker.clone())));
    }

    /// Removes a worker that is in the index as idle since `since`.
    pub(crate) fn remove(&mut self, worker: &Worker, since: Timestamp) {
        let Some(nodes) = self.pools.get_mut(&worker.worker.pool) else { return };
        let Some(queue) = nodes.get_mut(&worker.node) else { return };
        self.len -= usize::from(queue.remove(&(since, worker.worker.worker.clone())));
        if queue.is_empty() {
            nodes.remove(&worker.node);
            if nodes.is_empty() {
                self.pools.remove(&worker.worker.pool);
            }
        }
    }

    /// The worker longest idle in all pools and on all nodes that may be chosen.
    pub(crate) fn longest(
        &self,
        may_pool: impl Fn(&PoolRef) -> bool,
        may_node: impl Fn(&NodeName) -> bool,
    ) -> Option<WorkerRef> {
        let nodes = self.pools.iter().filter(|(pool, _)| may_pool(pool));
        let queues = nodes.flat_map(|(pool, nodes)| nodes.iter().map(move |(node, queue)| (pool, node, queue)));
        let first = queues.filter_map(|(pool, node, queue)| queue.first().map(|first| (first, pool, node)));
        // Ties are broken by the name, so that a replay chooses as the first time.
        let longest =
            first.filter(|(_, _, node)| may_node(node)).min_by_key(|((since, id), pool, _)| (*since, *pool, id));
        longest.map(|((_, id), pool, _)| WorkerRef { pool: pool.clone(), worker: id.clone() })
    }
}
