//! The node's own identity: its X.509-SVID with the private key, and the bundle of its trust domain, as they lie in the
//! data directory.
//!
//! INVARIANT: certificate and key are one file that is replaced as a whole, so a crash never leaves a pair that does not
//! fit.

use credence_credential::bundle::{self, Bundle, BundleSet};
use credence_credential::key::KeyPair;
use credence_credential::key_file::{self, KeyFileError, Passphrase};
use credence_credential::pem::{self, Label};
use credence_credential::tls::{LiveBundles, LiveIdentity, PeerRule, TlsError, client_config};
use credence_credential::x509_svid::{self, VerifiedX509Svid};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use rustls::ClientConfig;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// The file with certificates and key.
const IDENTITY_FILE: &str = "identity.pem";
/// The file with the SPIFFE bundle document.
const BUNDLE_FILE: &str = "bundle.json";

/// Why an identity cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {why}; remove it and attest again with a new join token", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Its key is encrypted, and not under the passphrase that was given.
    #[error("{}: {source}; or remove it and attest again with a new join token", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Why it does not open.
        source: KeyFileError,
    },
    /// It is for another purpose or not of this trust domain.
    #[error("the identity that was given to this node cannot be used: {0}")]
    Unfit(String),
}

/// A node's identity.
pub(crate) struct NodeIdentity {
    svid: VerifiedX509Svid,
    chain: Vec<Vec<u8>>,
    key: KeyPair,
    bundle: Bundle,
}

impl NodeIdentity {
    /// Puts together what the control plane gave: verified with the bundle, and with our key in it.
    pub(crate) fn new(
        chain: Vec<Vec<u8>>,
        key: KeyPair,
        bundle: Bundle,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let svid =
            x509_svid::verify(&chain, bundle.x509(), now).map_err(|error| IdentityError::Unfit(error.to_string()))?;
        if svid.spki != key.public().spki() {
            return Err(IdentityError::Unfit("its certificate is for another key".into()));
        }
        Ok(Self { svid, chain, key, bundle })
    }

    /// Reads it from the data directory; `None` if it was never saved or is over.
    pub(crate) fn load(
        dir: &Path,
        passphrase: Option<&Passphrase>,
        now: Timestamp,
    ) -> Result<Option<Self>, IdentityError> {
        let (path, bundle_path) = (dir.join(IDENTITY_FILE), dir.join(BUNDLE_FILE));
        let text = match fs::read(&path).map(Zeroizing::new) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::Io { doing: "read", path, source }),
        };
        let document = fs::read(&bundle_path);
        let document = document.map_err(|source| IdentityError::Io { doing: "read", path: bundle_path, source })?;
        let damaged = |why: String| IdentityError::Damaged { path: path.clone(), why };
        let chain = pem::read_certificates(&text).map_err(|error| damaged(error.to_string()))?;
        let (key, encrypted) = key_file::read(&text, passphrase).map_err(|error| match error {
            KeyFileError::Locked | KeyFileError::Passphrase => {
                IdentityError::Locked { path: path.clone(), source: error }
            }
            other => damaged(other.to_string()),
        })?;
        let leaf = chain.first().map(|leaf| x509_svid::inspect(leaf)).transpose();
        let leaf = leaf.map_err(|error| damaged(error.to_string()))?;
        let Some((id, not_after)) = leaf.and_then(|leaf| Some((leaf.spiffe_id?, leaf.not_after))) else {
            return Err(damaged("its certificate names no SPIFFE ID".into()));
        };
        if not_after <= now {
            return Ok(None);
        }
        let bundle = read_bundle(&id.trust_domain(), &document)?;
        let identity = Self::new(chain, key, bundle, now)?;
        if passphrase.is_some() && !encrypted {
            identity.save(dir, passphrase)?;
        }
        Ok(Some(identity))
    }

    /// Writes it to the data directory: the bundle first, because it is of use without the identity and not the other way.
    pub(crate) fn save(&self, dir: &Path, passphrase: Option<&Passphrase>) -> Result<(), IdentityError> {
        save_bundle(&self.bundle, dir)?;
        let blocks = self.chain.iter().map(|der| pem::write(Label::Certificate, der));
        let key = key_file::write(&self.key, passphrase).map_err(|error| IdentityError::Unfit(error.to_string()))?;
        let blocks: Vec<_> = blocks.chain([key]).collect();
        // Reserved at once, so that no half-written copy of the key is left behind by a growing buffer.
        let mut text = Zeroizing::new(String::with_capacity(blocks.iter().map(|block| block.len()).sum()));
        blocks.iter().for_each(|block| text.push_str(block));
        replace(&dir.join(IDENTITY_FILE), text.as_bytes())
    }

    /// Its SPIFFE ID and its validity.
    pub(crate) fn svid(&self) -> &VerifiedX509Svid {
        &self.svid
    }

    /// Its certificates in DER, leaf first.
    pub(crate) fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Its certificate in DER.
    pub(crate) fn leaf(&self) -> Option<&[u8]> {
        self.chain.first().map(Vec::as_slice)
    }

    /// The trust domain.
    pub(crate) fn trust_domain(&self) -> TrustDomain {
        self.svid.id.trust_domain()
    }

    /// The bundle of the trust domain.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// TLS that shows this identity to the control plane and to nobody else.
    pub(crate) fn client_config(&self, server_path: &str, bundle: &Bundle) -> Result<ClientConfig, TlsError> {
        let identity = LiveIdentity::new(&self.chain, self.key.pkcs8())?;
        let bundles = LiveBundles::new(BundleSet::from(bundle.clone()));
        client_config(&identity, &bundles, server_rule(Some(self.trust_domain()), server_path))
    }
}

/// Only the control plane is talked to: by its path, and in this trust domain once it is known.
pub(crate) fn server_rule(trust_domain: Option<TrustDomain>, path: &str) -> PeerRule {
    let path = path.to_owned();
    let is_server = move |id: &SpiffeId| id.path() == path && trust_domain.as_ref().is_none_or(|known| id.is_in(known));
    PeerRule::Where(std::sync::Arc::new(move |peer| is_server(&peer.id)))
}

/// Removes the identity, so that the node has to prove its origin anew.
pub(crate) fn forget(dir: &Path) -> Result<(), IdentityError> {
    let path = dir.join(IDENTITY_FILE);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(IdentityError::Io { doing: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// Writes a bundle to the data directory.
pub(crate) fn save_bundle(bundle: &Bundle, dir: &Path) -> Result<(), IdentityError> {
    let document = bundle::write(bundle).map_err(|error| IdentityError::Unfit(error.to_string()))?;
    replace(&dir.join(BUNDLE_FILE), document.as_bytes())
}

/// Reads a SPIFFE bundle document.
pub(crate) fn read_bundle(trust_domain: &TrustDomain, document: &[u8]) -> Result<Bundle, IdentityError> {
    bundle::read(trust_domain, document).map_err(|error| IdentityError::Unfit(error.to_string()))
}

/// Writes a private file aside and puts it in the place of the old one, safely on disk.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let aside = path.with_extension("new");
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    };
    written().map_err(|source| IdentityError::Io { doing: "write", path: path.to_owned(), source })
}
