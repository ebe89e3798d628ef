//! Attestation: how a node gets its first identity, once, for a join token.
//!
//! The token names the root that the server's chain must end in, so the secret is shown to nobody but the control plane
//! that made it. What comes back is verified before it is kept.

use crate::dial::{Dial, DialError};
use crate::identity::{IdentityError, NodeIdentity, read_bundle, server_rule};
use crate::protocol;
use crate::reservoir::{self, KeyMakingError};
use credence_attest::join_token::{JoinToken, JoinTokenError};
use credence_credential::tls::{TlsError, first_contact_client_config};
use credence_credential::x509_svid;
use credence_model::id::{Digest, NodeName};
use credence_model::refusal::Refusal;
use credence_model::time::Timestamp;
use credence_wire::node::AttestRequest;
use credence_wire::node::node_service_client::NodeServiceClient;
use std::time::Duration;
use thiserror::Error;
use zeroize::Zeroizing;

/// How long the control plane may take to attest, in seconds.
const ATTEST_SECS_MAX: u64 = 30;

/// Why a node was not let in.
#[derive(Debug, Error)]
pub enum AttestError {
    /// The join token cannot be read.
    #[error(transparent)]
    Token(#[from] JoinTokenError),
    /// The control plane cannot be reached, or is not the one that made the token.
    #[error("{0}")]
    Unreachable(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No key could be made.
    #[error("{0}")]
    Key(String),
    /// The control plane said no.
    #[error("the control plane does not let this node in: {0}")]
    Refused(Refusal),
    /// What it gave cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl From<DialError> for AttestError {
    fn from(error: DialError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl From<KeyMakingError> for AttestError {
    fn from(error: KeyMakingError) -> Self {
        Self::Key(error.to_string())
    }
}

/// Shows the join token and a fresh key; answers the identity that was given for them. Nothing is saved.
pub(crate) async fn attest(
    dial: &Dial,
    server_path: &str,
    node: &NodeName,
    token: &str,
    now: Timestamp,
) -> Result<NodeIdentity, AttestError> {
    let token = JoinToken::parse(token.trim())?;
    let (key, csr) = reservoir::fresh()?;
    let tls = first_contact_client_config(token.root(), server_rule(None, server_path))?;
    let mut client = NodeServiceClient::new(dial.connect(tls).await?);
    // tonic keeps a copy of its own until the request is sent; ours is wiped.
    let join_token = Zeroizing::new(token.render().to_string());
    let request = AttestRequest { node: node.to_string(), join_token: join_token.to_string(), csr };
    let answer = tokio::time::timeout(Duration::from_secs(ATTEST_SECS_MAX), client.attest(request)).await;
    let late = |_| AttestError::Unreachable(format!("the control plane did not answer within {ATTEST_SECS_MAX} s"));
    let answer = answer.map_err(late)?;
    let answer = answer.map_err(|status| AttestError::Refused(protocol::status(&status)))?.into_inner();
    let leaf = answer.x509_svid.first().map(|leaf| x509_svid::inspect(leaf)).transpose();
    let id = leaf.ok().flatten().and_then(|leaf| leaf.spiffe_id);
    let unfit = |why: &str| IdentityError::Unfit(why.to_owned());
    let id = id.ok_or_else(|| unfit("its certificate names no SPIFFE ID"))?;
    let document = answer.bundle.map(|bundle| bundle.document).unwrap_or_default();
    let bundle = read_bundle(&id.trust_domain(), &document)?;
    if !bundle.x509().authorities().any(|authority| Digest::of(authority) == token.root()) {
        return Err(unfit("the bundle does not hold the root that the join token names").into());
    }
    Ok(NodeIdentity::new(answer.x509_svid, key, bundle, now)?)
}
