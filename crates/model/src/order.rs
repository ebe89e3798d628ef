//! Orders: what the issuer may sign, and nothing else.
//!
//! INVARIANT: the fields are private and the constructors are private to the model, so a credential can only be signed
//! for something that the registry says (`ARCHITECTURE.md`, invariant 3).

use crate::id::{BindingId, Digest, Epoch};
use crate::spiffe_id::SpiffeId;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The private claim object `credence` of every credential of an actor; in an X.509-SVID the same as one non-critical
/// extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// SPIFFE ID of the class.
    pub class: SpiffeId,
    /// The class revision that the binding runs.
    pub revision: RevisionClaim,
    /// The binding number.
    pub epoch: Epoch,
    /// SPIFFE ID of the worker that holds the binding.
    pub worker: SpiffeId,
    /// The binding.
    pub binding: BindingId,
}

/// A class revision, as credentials carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionClaim {
    /// Counted from 1.
    pub number: u32,
    /// SHA-256 of the revision's canonical JSON.
    pub digest: Digest,
}

/// An order for an X.509-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Order {
    pub(crate) subject: SpiffeId,
    pub(crate) key: Digest,
    pub(crate) claims: Option<Claims>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) authority: Option<Digest>,
}

impl X509Order {
    /// The one SPIFFE ID of the credential.
    pub fn subject(&self) -> &SpiffeId {
        &self.subject
    }

    /// SHA-256 of the SubjectPublicKeyInfo that must be certified, whose possession was proven.
    pub fn key(&self) -> Digest {
        self.key
    }

    /// What the credential says about the binding; `None` for nodes and the server.
    pub fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    /// Start of validity; whole seconds.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// End of validity; whole seconds.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Who signs it; `None` where the registry knows no authority yet.
    pub fn authority(&self) -> Option<Digest> {
        self.authority
    }
}

/// An order for a JWT-SVID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOrder {
    pub(crate) subject: SpiffeId,
    pub(crate) audience: Vec<String>,
    pub(crate) claims: Claims,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authority: Option<Digest>,
}

impl JwtOrder {
    /// The `sub` claim.
    pub fn subject(&self) -> &SpiffeId {
        &self.subject
    }

    /// The `aud` claim: at least one value.
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// The `credence` claim.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The `iat` claim; whole seconds.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The `exp` claim; whole seconds.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Who signs it; `None` where the registry knows no authority yet.
    pub fn authority(&self) -> Option<Digest> {
        self.authority
    }
}
