//! Actors.

use super::text::Text;
use credence_model::actor::{ActorState, Outcome};
use credence_model::caller::Caller;
use credence_model::id::{ActorId, BindingId, ClassName, Digest, Epoch, Namespace, NodeName, WorkerRef};
use credence_model::label::Labels;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest time that a request waits for an actor to get where it is going, in milliseconds.
pub const UNTIL_MS_MAX: u64 = 120_000;
/// Longest command of `exec`, in arguments.
pub const EXEC_ARGUMENTS_MAX: usize = 256;
/// Longest argument of `exec`, in bytes.
pub const EXEC_ARGUMENT_BYTES_MAX: usize = 16 * 1024;
/// Longest run of `exec`, in milliseconds.
pub const EXEC_TIMEOUT_MS_MAX: u64 = 60_000;
/// Most bytes in one page of an actor's output.
pub const LOG_PAGE_BYTES_MAX: u32 = 256 * 1024;

/// An actor as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActorView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: ActorId,
    /// Its class.
    pub class: ClassName,
    /// Its SPIFFE ID: the same for all its epochs.
    pub spiffe_id: SpiffeId,
    /// Where it is in its life.
    pub state: ActorState,
    /// Its place in the queue for a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitView>,
    /// The epoch of its present or last binding; 0 if it was never bound.
    pub epoch: Epoch,
    /// Its present binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// The worker that holds it, as `NAMESPACE/POOL/WORKER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// The worker's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The class revision that the binding runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// When the lease of its binding ends, unless its node is heard from again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at: Option<Timestamp>,
    /// Its labels.
    pub labels: Labels,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
    /// Who changed it last.
    pub changed_by: Caller,
    /// How its last binding ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Archive of its state, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Digest>,
    /// Why it was quarantined or terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A place in the queue for a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitView {
    /// Since when it waits.
    pub since: Timestamp,
    /// Until when it may wait.
    pub until: Timestamp,
    /// Its place, counted from 1.
    pub place: u64,
}

/// An actor is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateActorBody {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its class, in that namespace.
    pub class: ClassName,
    /// A proposed id; generated if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ActorId>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// How to resume an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResumeBody {
    /// The worker that an external scheduler picked, as `NAMESPACE/POOL/WORKER`; it is verified instead of picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// How long it may wait for a worker, in milliseconds; 0 refuses instead of waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Answer once it runs, or after so many milliseconds with what it is then. Without it, answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_running_ms: Option<u64>,
}

/// How to suspend an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuspendBody {
    /// Answer once its binding is over, or after so many milliseconds with what it is then. Without it, answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_suspended_ms: Option<u64>,
}

/// Why an actor is terminated or quarantined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReasonBody {
    /// In words, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A page of an actor's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsPage {
    /// Whole lines, `<RFC 3339 time> <out|err> <text>`.
    pub text: String,
    /// Pass it as `offset` to read on.
    pub next_offset: u64,
}

/// A command to run beside an actor's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecBody {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it may run, in milliseconds.
    pub timeout_ms: u64,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecResult {
    /// Its exit code; 128 + signal number if a signal ended it.
    pub exit_code: i32,
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}
