//! Holding the control plane: it knows, or was shown, that it is older than what it has given out, and decides nothing
//! until an operator does.
//!
//! A registry that was restored from a backup, or whose disk went back, has forgotten bindings that were real. Going on
//! would give their epochs out again, and an old holder could not be told from the live one. So from the entry
//! `cell_held` on nothing is bound, issued or changed; leases run out and are not renewed. The entry `cell_released`
//! ends that: every later epoch is above every earlier one, forgotten ones included.
//!
//! INVARIANT: while held, nothing is recorded but starts, ends of bindings and what was seen.
//! INVARIANT: it is released only when no binding is left and no lease that was given before it was held can still run.
//! INVARIANT: a pair of an actor and an epoch that anybody was given is never given again.

use crate::id::Epoch;
use crate::refusal::{Kind, Refusal};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far epochs jump at least when the control plane is released, beside one for each millisecond of the time that is
/// lost: an actor cannot be bound more often, since a binding waits for its node.
pub const EPOCH_JUMP_MIN: u64 = 1_000_000;

/// What is to be done about a hold.
pub const HOLD_HINT: &str =
    "An operator decides: make sure that no other server of this trust domain runs, then `credence release`";

/// What somebody outside has seen of the control plane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(map)]
pub struct Seen {
    /// The highest journal entry; 0 if unknown.
    #[n(0)]
    pub index: u64,
    /// The highest epoch of any actor.
    #[n(1)]
    pub epoch: Epoch,
    /// The highest sequence of the bundle; 0 if unknown.
    #[n(2)]
    pub bundle_sequence: u64,
}

impl Seen {
    /// The highest of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            index: self.index.max(other.index),
            epoch: self.epoch.max(other.epoch),
            bundle_sequence: self.bundle_sequence.max(other.bundle_sequence),
        }
    }
}

/// What an operator's decision sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(map)]
pub struct Release {
    /// Every later epoch is above this one, which is above every earlier one.
    #[n(0)]
    pub epoch_floor: Epoch,
    /// Every later sequence of the bundle is above this one.
    #[n(1)]
    pub bundle_floor: u64,
    /// Why, in the operator's words.
    #[n(2)]
    pub reason: Option<String>,
}

/// Why the control plane is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(map)]
pub enum HoldCause {
    /// Its data directory was built from a backup.
    #[n(0)]
    Restored {
        /// When the backup was made.
        #[n(0)]
        made_at: Timestamp,
        /// The last entry in it.
        #[n(1)]
        last_index: u64,
        /// When that was recorded.
        #[n(2)]
        last_at: Timestamp,
    },
    /// Somebody showed what it gave out and does not know of.
    #[n(1)]
    Behind {
        /// Who, in words: `node alpha`.
        #[n(0)]
        by: String,
        /// What they have seen.
        #[n(1)]
        seen: Seen,
    },
}

/// The control plane is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// The first reason.
    pub cause: HoldCause,
    /// The last moment before what is lost, as far as it is known.
    pub lost_from: Timestamp,
    /// The most that anybody has shown.
    pub seen: Seen,
    /// Who showed something last.
    pub seen_by: Option<String>,
}

/// A time of which the registry knows nothing, since it was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTime {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Hold {
    /// Why, in one sentence without a final period.
    pub fn reason(&self) -> String {
        match &self.cause {
            HoldCause::Restored { last_index, .. } => {
                let more = self.seen_by.as_ref().map(|by| format!("; {}", shown(by, &self.seen))).unwrap_or_default();
                format!("it was restored from a backup that ends at journal entry {last_index}{more}")
            }
            HoldCause::Behind { by, seen } => {
                format!("it is older than what it has given out: {}", shown(by, seen))
            }
        }
    }

    /// What everybody is told who wants something.
    pub fn refusal(&self) -> Refusal {
        let message = format!("this server is held and changes and issues nothing: {}", self.reason());
        Refusal::new(Kind::Unavailable, message).hint(HOLD_HINT)
    }
}

fn shown(by: &str, seen: &Seen) -> String {
    match (seen.index, seen.epoch) {
        (0, epoch) => format!("{by} has seen epoch {epoch}, which this server does not know"),
        (index, epoch) => format!("{by} has seen journal entry {index} and epoch {epoch}, and this server has not"),
    }
}
