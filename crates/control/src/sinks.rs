//! Where directives go: one bounded queue for each node's present stream.

use credence_model::directive::{Directive, Touched};
use credence_model::id::NodeName;
use credence_telemetry::limit::Limit;
use credence_telemetry::span::Trace;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Most directives that wait for one node; a node with more is cut.
pub const DIRECTIVES_QUEUED_MAX: usize = 1_024;
/// A node does not read what it is told.
pub(crate) static DIRECTIVES_QUEUED: Limit =
    Limit::new("node_directives", DIRECTIVES_QUEUED_MAX as u64, "directives", "the node's stream is cut");

/// A directive on its way to a node, with the id of the request that caused it.
#[derive(Debug, Clone)]
pub struct Directed {
    /// What the node is to be told.
    pub directive: Directive,
    /// The request, if it is known.
    pub trace: Trace,
}

/// Most changes of permissions that are told apart for one node; with more, all of its actors are looked at.
const TOUCHED_MAX: usize = 4_096;

/// What changed of the permissions of a node's actors since it was asked last. It never grows without end and never has the
/// stream cut: many changes are one.
#[derive(Debug, Default)]
pub struct Reconsidered {
    changes: Mutex<Changes>,
    changed: Notify,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Only this.
    Some(HashSet<Touched>),
    /// Nobody knows.
    All,
}

impl Default for Changes {
    fn default() -> Self {
        Self::Some(HashSet::new())
    }
}

impl Reconsidered {
    fn add(&self, touched: Touched) {
        let mut changes = self.changes();
        if let Changes::Some(some) = &mut *changes {
            some.insert(touched);
            if some.len() > TOUCHED_MAX {
                *changes = Changes::All;
            }
        }
        drop(changes);
        self.changed.notify_one();
    }

    /// What changed meanwhile; nothing of it is told again.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut *self.changes())
    }

    /// Resolves when something has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        // The set is whole even if somebody panicked while holding it.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Sinks {
    open: HashMap<NodeName, Stream>,
}

struct Stream {
    session: u64,
    sink: Sink,
}

/// Where a stream is told something.
pub(crate) struct Sink {
    pub(crate) queue: Sender<Directed>,
    pub(crate) reconsidered: Arc<Reconsidered>,
}

impl Sinks {
    /// A stream was opened; an older one of this node ends, because its queue closes.
    pub(crate) fn open(&mut self, node: NodeName, session: u64, sink: Sink) {
        self.open.insert(node, Stream { session, sink });
    }

    /// After a failed append nobody knows what was told to whom: every stream ends and opens anew.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }

    pub(crate) fn deliver(&mut self, directed: Directed) {
        let node = directed.directive.node().clone();
        let Some(Stream { session, sink }) = self.open.get(&node) else { return };
        let over = match &directed.directive {
            Directive::Reconsider { touched, .. } => return sink.reconsidered.add(touched.clone()),
            Directive::EndSessions { before, .. } => session < before,
            Directive::Bind(bind) if bind.session != *session => false,
            // A node that does not read its queue is cut: it finds out what is true when it opens its next stream.
            _ => match sink.queue.try_send(directed) {
                Ok(()) => false,
                Err(TrySendError::Full(_)) => {
                    DIRECTIVES_QUEUED.hit();
                    true
                }
                Err(TrySendError::Closed(_)) => true,
            },
        };
        if over {
            self.open.remove(&node);
        }
    }
}
