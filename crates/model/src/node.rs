//! Nodes and the join tokens they attest with.

use crate::id::{Digest, NodeName, PoolRef, WorkerRef};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Most workers that one join token may grant in one pool.
pub const WORKERS_PER_GRANT_MAX: u32 = 4096;
/// Most pools in one join token.
pub const GRANTS_MAX: usize = 64;
/// Most checked keys that the server keeps for one node.
pub const RESERVOIR_KEYS_MAX: usize = 1024;

/// How many workers a node may hold in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[cbor(array)]
pub struct PoolGrant {
    /// The pool.
    #[n(0)]
    pub pool: PoolRef,
    /// Most slots there. Zero allows only process trees, if the pool allows those.
    #[n(1)]
    pub workers_max: u32,
}

/// Most earlier keys that a node is known by.
pub const FORMER_KEYS_MAX: usize = 8;

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Attested, never connected since.
    Attested,
    /// Its stream is open.
    Connected,
    /// Its stream broke or it stopped answering.
    Lost,
}

/// A node in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// What its join token granted.
    pub grants: Vec<PoolGrant>,
    /// SHA-256 of the SubjectPublicKeyInfo of its present SVID.
    pub key: Digest,
    /// Those of its SVIDs since it proved its origin that came before, newest first: the answer with a renewed one may
    /// never have reached it.
    pub former_keys: VecDeque<Digest>,
    /// When it proved its origin.
    pub attested_at: Timestamp,
    /// Number of its present stream; every attachment raises it, and reports of an older one are refused.
    pub session: u64,
    /// Where it is in its life.
    pub state: NodeState,
    /// When the server last heard from it: its bindings' leases are counted from here.
    pub heard_at: Timestamp,
    /// The lease that it was told when its stream was opened, in milliseconds: it goes by that one until it is told another.
    pub lease_ms: u64,
    /// Its workers.
    pub workers: BTreeSet<WorkerRef>,
    /// SHA-256 digests of keys that it holds and whose possession the server has checked, first one next.
    pub reservoir: VecDeque<Digest>,
    /// Sequence of the bundle that it and all its endpoints hold, as it said on its present stream; 0 before.
    pub bundle_held: u64,
    /// Sequence up to which nothing of a tainted authority is left with it.
    pub reissued: u64,
}

impl Node {
    /// Until when the node may believe that its bindings are its own, if both clocks are right.
    pub fn believes_until(&self) -> Timestamp {
        self.heard_at.plus_ms(self.lease_ms)
    }

    /// Whether an SVID for this key is one of this node since it last proved its origin.
    pub fn is_known_by(&self, key: &Digest) -> bool {
        self.key == *key || self.former_keys.contains(key)
    }
}

/// A join token. The secret itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The node that may use it, or any.
    pub node: Option<NodeName>,
    /// What it grants.
    pub grants: Vec<PoolGrant>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The node that used it up.
    pub used_by: Option<NodeName>,
}
