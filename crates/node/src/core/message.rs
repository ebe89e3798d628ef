//! What the state machine is given and what it says, without a wire format.

use credence_model::actor::Outcome;
use credence_model::class::Runtime;
use credence_model::command::{Held, Report};
use credence_model::directive;
use credence_model::id::{ActorRef, BindingId, ClassRef, Digest, Epoch, WorkerRef};
use credence_model::spiffe_id::SpiffeId;
use credence_model::worker::WorkerKind;
use serde::{Deserialize, Serialize};

/// An order to hold a binding, with everything that is needed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindNotice {
    /// The actor.
    pub actor: ActorRef,
    /// Its class.
    pub class: ClassRef,
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The binding.
    pub binding: BindingId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The worker.
    pub worker: WorkerRef,
    /// Whether a program is to be started, or a process tree runs already.
    pub kind: WorkerKind,
    /// The class revision.
    pub revision: u32,
    /// How to run it.
    pub runtime: Runtime,
    /// Archive of the actor's state to begin from.
    pub archive: Option<Digest>,
    /// The first X.509-SVID: certificates in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
}

impl BindNotice {
    /// What the control plane's directive says, with the chain that its order was signed into.
    pub fn from_directive(bind: &directive::Bind, chain: Vec<Vec<u8>>) -> Self {
        Self {
            actor: bind.actor.clone(),
            class: bind.class.clone(),
            spiffe_id: bind.spiffe_id.clone(),
            binding: bind.binding,
            epoch: bind.epoch,
            worker: bind.worker.clone(),
            kind: bind.kind,
            revision: bind.revision,
            runtime: bind.spec.runtime.clone(),
            archive: bind.archive,
            chain,
        }
    }

    /// The binding with its epoch, as reports name it.
    pub fn held(&self) -> Held {
        Held { binding: self.binding, epoch: self.epoch }
    }
}

/// What the state machine says to the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromNodeMessage {
    /// The first message of a stream.
    Hello {
        /// The node's slots.
        workers: Vec<WorkerRef>,
        /// Bindings that it holds, and those whose end has not been heard yet.
        held: Vec<Held>,
    },
    /// It is there.
    Heartbeat {
        /// Rises by one with every heartbeat of a stream, from 1.
        number: u64,
    },
    /// It is about to end and takes nothing on any more.
    Leaving,
    /// The actor runs and its identity is served.
    Running(Held),
    /// The binding is over on the node: processes, socket and keys are gone.
    Ended {
        /// The binding.
        held: Held,
        /// How it ended.
        outcome: Outcome,
        /// Archive of the actor's state, stored at the server.
        archive: Option<Digest>,
    },
}

impl FromNodeMessage {
    /// The binding that it says to run.
    pub(crate) fn running(&self) -> Option<Held> {
        if let Self::Running(held) = self { Some(*held) } else { None }
    }

    /// The report that it is to the model; a Hello is not one, it attaches the node.
    pub fn report(&self) -> Option<Report> {
        match self {
            Self::Hello { .. } => None,
            Self::Heartbeat { .. } => Some(Report::Heartbeat),
            Self::Leaving => Some(Report::Leaving),
            Self::Running(held) => Some(Report::Running(*held)),
            Self::Ended { held, outcome, archive } => {
                Some(Report::Ended { held: *held, outcome: outcome.clone(), archive: *archive })
            }
        }
    }
}
