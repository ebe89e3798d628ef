//! Settings of the trust domain: recorded, so that replay needs nothing from outside.

use crate::refusal::{Kind, Refusal};
use crate::spiffe_id::TrustDomain;
use crate::template::PathTemplates;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[cbor(map)]
pub struct Settings {
    /// Name of the trust domain; fixed when it is created.
    #[n(0)]
    pub trust_domain: TrustDomain,
    /// How SPIFFE ID paths are written; fixed when the trust domain is created.
    #[n(1)]
    pub templates: PathTemplates,
    /// How long a node may go on without hearing from the server, in milliseconds.
    #[n(2)]
    pub lease_ms: u64,
    /// How often a node sends a heartbeat, in milliseconds.
    #[n(3)]
    pub heartbeat_ms: u64,
    /// What the server waits beyond a lease before it binds again, in milliseconds: clocks may run apart by this much
    /// in one lease.
    #[n(4)]
    pub clock_margin_ms: u64,
    /// Life of a node's own SVID, in seconds.
    #[n(5)]
    pub node_ttl_secs: u64,
    /// Most actors that may wait for a worker.
    #[n(6)]
    pub waiting_max: u64,
    /// How long an actor waits for a worker if the caller does not say, in milliseconds.
    #[n(7)]
    pub wait_ms: u64,
}

/// Longest time that an actor may wait for a worker, in milliseconds.
pub const WAIT_MS_MAX: u64 = 600_000;

impl Settings {
    /// The default settings of a trust domain.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            templates: PathTemplates::default(),
            lease_ms: 10_000,
            heartbeat_ms: 2_000,
            clock_margin_ms: 500,
            node_ttl_secs: 3600,
            waiting_max: 10_000,
            wait_ms: 30_000,
        }
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Refusal> {
        self.templates.validate()?;
        let ranges = [
            ("leaseMs", self.lease_ms, 100, 120_000),
            ("heartbeatMs", self.heartbeat_ms, 10, self.lease_ms / 2),
            ("clockMarginMs", self.clock_margin_ms, 1, 60_000),
            ("nodeTtlSecs", self.node_ttl_secs, 60, 86_400),
            ("waitingMax", self.waiting_max, 1, 1_000_000),
            ("waitMs", self.wait_ms, 0, WAIT_MS_MAX),
        ];
        for (field, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(Refusal::new(Kind::Malformed, format!("{value} is not from {min} to {max}")).field(field));
            }
        }
        Ok(())
    }
}
