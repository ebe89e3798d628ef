//! Decisions, as they are recorded: what was asked, what was answered, and why. Not what the request said beside it, which
//! can be anybody's business; its digest tells whether it was the same.

use crate::id::{ActorRef, ClassRef, DecisionId, Digest};
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most verdicts that are recorded of a decision: eight for each actor of the longest chain, and two for each guard that can cover
/// a resource.
pub const VERDICTS_MAX: usize = 200;
/// Longest sentence that is recorded of a verdict, in bytes; the rest of it is cut off.
pub const WHY_BYTES_MAX: usize = 512;

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[cbor(map)]
pub struct Decided {
    /// Its id.
    #[n(0)]
    pub id: DecisionId,
    /// Who was to do it.
    #[n(1)]
    pub actor: ActorRef,
    /// Its class.
    #[n(2)]
    pub class: ClassRef,
    /// The revision of that in force; 0 if none was.
    #[n(3)]
    pub revision: u32,
    /// What was to be done.
    #[n(4)]
    pub action: String,
    /// To what, as `KIND/NAME`.
    #[n(5)]
    pub resource: String,
    /// SHA-256 of the canonical JSON of what the request said beside it.
    #[n(6)]
    pub context: Digest,
    /// Whether it was allowed.
    #[n(7)]
    pub allowed: bool,
    /// What the layers said.
    #[n(8)]
    pub verdicts: Vec<Said>,
    /// What had to happen beside it.
    #[n(9)]
    pub obligations: Vec<String>,
}

/// What one layer said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct Said {
    /// Of which actor.
    #[n(0)]
    pub actor: ActorRef,
    /// Which layer.
    #[n(1)]
    pub layer: String,
    /// Whether it allowed.
    #[n(2)]
    pub allowed: bool,
    /// By what, in a sentence.
    #[n(3)]
    pub why: String,
    /// The smallest grant that would have made it allow, and who could give it.
    #[n(4)]
    pub missing: Option<String>,
}
