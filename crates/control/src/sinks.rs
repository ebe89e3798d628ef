//! Where directives go: one bounded queue for each node's present stream.

use credence_model::directive::Directive;
use credence_model::id::NodeName;
use credence_telemetry::limit::Limit;
use credence_telemetry::span::Trace;
use std::collections::HashMap;
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

#[derive(Default)]
pub(crate) struct Sinks {
    open: HashMap<NodeName, Sink>,
}

struct Sink {
    session: u64,
    queue: Sender<Directed>,
}

impl Sinks {
    /// A stream was opened; an older one of this node ends, because its queue closes.
    pub(crate) fn open(&mut self, node: NodeName, session: u64, queue: Sender<Directed>) {
        self.open.insert(node, Sink { session, queue });
    }

    /// After a failed append nobody knows what was told to whom: every stream ends and opens anew.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }

    pub(crate) fn deliver(&mut self, directed: Directed) {
        let node = directed.directive.node().clone();
        let Some(sink) = self.open.get(&node) else { return };
        let over = match &directed.directive {
            Directive::EndSessions { before, .. } => sink.session < *before,
            Directive::Bind(bind) if bind.session != sink.session => false,
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
