//! What goes on in another program of the node's process: the lease, what is served, and what may not have been heard.

use super::binding::{Binding, End, Heard, Phase};
use super::message::BindNotice;
use super::{Core, MonoMs};
use credence_model::actor::Outcome;
use credence_model::command::Held;
use credence_model::id::{Digest, WorkerRef};
use serde::{Deserialize, Serialize};

/// A binding that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub held: Held,
    /// How it ended.
    pub outcome: Outcome,
    /// The archive that was put, if one was made.
    pub archive: Option<Digest>,
}

impl Core {
    /// A node that goes on where another program of its process was: it serves these bindings, under the lease that it has.
    pub fn resume(
        workers: Vec<WorkerRef>,
        lease: Option<(u64, MonoMs)>,
        served: Vec<BindNotice>,
        ends: Vec<Ended>,
    ) -> Self {
        let mut core = Self::new(workers);
        if let Some((length_ms, sent_at)) = lease {
            core.lease.begin(length_ms, sent_at);
        }
        let binding = |notice: BindNotice| {
            (notice.binding, Binding { notice: Box::new(notice), phase: Phase::Running, heard: Heard::No })
        };
        core.bindings = served.into_iter().map(binding).collect();
        let end = |Ended { held, outcome, archive }| (held.binding, End { held, outcome, archive, heard: Heard::No });
        core.ends = ends.into_iter().map(end).collect();
        core
    }

    /// Of how many bindings something is left.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether no binding is left.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Whether no binding is being started or ended.
    pub fn is_steady(&self) -> bool {
        self.bindings.values().all(|binding| binding.phase == Phase::Running)
    }

    /// Length of the lease in milliseconds, and when the newest heartbeat was sent that counts.
    pub fn lease(&self) -> Option<(u64, MonoMs)> {
        self.lease.running()
    }

    /// Ends that may not have been heard.
    pub fn ends(&self) -> Vec<Ended> {
        let ended = |end: &End| Ended { held: end.held, outcome: end.outcome.clone(), archive: end.archive };
        self.ends.values().map(ended).collect()
    }
}
