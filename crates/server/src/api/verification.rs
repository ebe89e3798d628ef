//! The online check: is this credential's binding and epoch still the live one?

use super::text::Text;
use credence_model::id::{ActorRef, BindingId, ClassRef, Epoch, NodeName, WorkerRef};
use credence_model::spiffe_id::SpiffeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest PEM chain or token that is verified, in bytes.
pub const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;

/// A credential to verify: exactly one of `x509_svid_pem`, `jwt_svid`, or `spiffe_id` with `epoch` and `binding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyBody {
    /// Certificates in PEM, leaf first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x509_svid_pem: Option<String>,
    /// A JWT-SVID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_svid: Option<String>,
    /// The audience that a JWT-SVID must name. Required with `jwt_svid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// SPIFFE ID of an actor, from a credential that the caller verified itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<SpiffeId>,
    /// The epoch that the credential carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The binding that the credential carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictView {
    /// Whether the credential is genuine and its epoch is the live one, now.
    pub live: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// The SPIFFE ID that it was issued to.
    pub spiffe_id: SpiffeId,
    /// The class, as `NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Text<ClassRef>>,
    /// The actor, as `NAMESPACE/ACTOR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Text<ActorRef>>,
    /// The epoch that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The epoch that is live now; missing if the actor is not bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_epoch: Option<Epoch>,
    /// The class revision that it was issued under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The worker of the live binding, as `NAMESPACE/POOL/WORKER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// The worker's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The binding that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// Number of the last journal entry that this verdict takes into account.
    pub entry_index: u64,
}
