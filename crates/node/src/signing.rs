//! Which authority signs, and whose signatures are to be replaced.

use crate::clock::wall;
use credence_credential::bundle::{Bundle, X509Bundle};
use credence_credential::x509_svid;
use credence_model::id::Digest;
use std::time::Duration;
use tokio::time::Instant;

/// Over how long what a tainted authority signed is replaced, and the node's own SVID after a rotation, in milliseconds:
/// not everything at once.
pub(crate) const REISSUE_SPREAD_MS: u64 = 2_000;

/// Who signs, as the control plane said with a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Signing {
    /// Sequence of that bundle.
    pub(crate) sequence: u64,
    /// SHA-256 of the root that signs now; an old control plane does not say.
    pub(crate) active: Option<Digest>,
    /// SHA-256 of the roots whose signatures are to be replaced.
    pub(crate) tainted: Vec<Digest>,
}

/// Whether a chain leads to one of these roots of the bundle.
pub(crate) fn is_signed_by(chain: &[Vec<u8>], roots: &[Digest], bundle: &Bundle) -> bool {
    let meant: Vec<_> = bundle.x509().authorities().filter(|root| roots.contains(&Digest::of(root))).collect();
    let meant = (!meant.is_empty()).then(|| X509Bundle::new(bundle.trust_domain().clone(), &meant).ok()).flatten();
    meant.is_some_and(|meant| x509_svid::verify(chain, &meant, wall()).is_ok())
}

/// A moment within the spread.
pub(crate) fn soon() -> Instant {
    let mut random = [0; 2];
    // Without randomness everything is replaced at once.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let part = u64::from(u16::from_be_bytes(random)) * REISSUE_SPREAD_MS / u64::from(u16::MAX);
    Instant::now() + Duration::from_millis(part)
}
