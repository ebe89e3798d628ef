//! What stands for a signature: the order that was signed, as it was signed. Like the issuer, it can be made only from an order,
//! and orders are made only by the model.

use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{JwtOrder, X509Order};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) subject: SpiffeId,
    /// The key that is certified; a token has none.
    pub(super) key: Option<Digest>,
    /// The binding that it speaks of; a node's own has none.
    pub(super) held: Option<(BindingId, Epoch)>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) authority: Option<Digest>,
}

impl Signed {
    pub(super) fn x509(order: &X509Order) -> Self {
        Self {
            subject: order.subject().clone(),
            key: Some(order.key()),
            held: order.claims().map(|claims| (claims.binding, claims.epoch)),
            not_before: order.not_before(),
            not_after: order.not_after(),
            authority: order.authority(),
        }
    }

    pub(super) fn jwt(order: &JwtOrder) -> Self {
        Self {
            subject: order.subject().clone(),
            key: None,
            held: Some((order.claims().binding, order.claims().epoch)),
            not_before: order.issued_at(),
            not_after: order.expires_at(),
            authority: order.authority(),
        }
    }

    /// As a chain of certificates carries it.
    pub(super) fn chain(&self) -> Vec<Vec<u8>> {
        let validity = (self.not_before, self.not_after);
        serde_json::to_vec(&(&self.subject, self.key, self.held, validity, self.authority)).into_iter().collect()
    }

    pub(super) fn read(chain: &[Vec<u8>]) -> Option<Self> {
        let (subject, key, held, (not_before, not_after), authority) = serde_json::from_slice(chain.first()?).ok()?;
        Some(Self { subject, key, held, not_before, not_after, authority })
    }

    /// Whether somebody whose clock shows this believes it, as an identity of this binding.
    pub(super) fn is_identity(&self, held: (BindingId, Epoch), at: Timestamp) -> bool {
        self.held == Some(held) && self.not_before <= at && at < self.not_after
    }
}
