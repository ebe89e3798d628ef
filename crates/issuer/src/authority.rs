//! An authority of a trust domain: its root, its intermediate when asked for one, and its JWT key.
//!
//! Files in its directory, which is its own (mode 0700): `root.key.pem`, `root.cert.pem`, `intermediate.key.pem`,
//! `intermediate.cert.pem` and `jwt.key.pem`. Each key is written before its certificate, so a crash during creation leaves
//! at worst a key without a certificate, which has signed nothing and is used on the next start.
//!
//! With an intermediate the root key is read only when the intermediate has to be made anew; between those moments an
//! operator may keep it elsewhere.
//!
//! Lives: a root 10 years, because replacing it means telling everybody who pinned it; an intermediate 1 year, renewed at
//! a start after half of that.
//!
//! Further authorities lie beside the first one; the names of their files begin with the first digits of their id. Files
//! of an authority that the registry does not know (a crash before it was recorded) are never opened.

mod custody;

use aws_lc_rs::rand;
use credence_credential::bundle::thumbprint;
use credence_credential::key::{KeyAlgorithm, KeyError, KeyPair};
use credence_credential::key_file::{KeyFileError, Passphrase};
use credence_credential::x509_svid::{BuildError, CaTemplate, SERIAL_BYTES, SigningCertificate, build_root, inspect};
use credence_model::authority::{AuthorityKeys, Der};
use credence_model::id::Digest;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use custody::Custody;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Life of a root, in seconds: 10 years.
const ROOT_TTL_SECS: u64 = 10 * 365 * 86_400;
/// Life of an intermediate, in seconds: 1 year.
const INTERMEDIATE_TTL_SECS: u64 = 365 * 86_400;
/// How far before their making signing certificates begin, in seconds, for verifiers whose clocks are behind.
const CUSHION_SECS: u64 = 60;

/// How many hexadecimal digits of its id the names of an authority's files begin with.
const PREFIX_DIGITS: usize = 16;

const ROOT_KEY: &str = "root.key.pem";
const ROOT_CERTIFICATE: &str = "root.cert.pem";
const INTERMEDIATE_KEY: &str = "intermediate.key.pem";
const INTERMEDIATE_CERTIFICATE: &str = "intermediate.cert.pem";
const JWT_KEY: &str = "jwt.key.pem";

/// What an authority is made with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The trust domain that it signs for.
    pub trust_domain: TrustDomain,
    /// The kind of the keys that sign certificates. Tokens are signed with ES384 in a P-384 trust domain and with ES256
    /// in every other, because JWT-SVID has no EdDSA.
    pub algorithm: KeyAlgorithm,
    /// Whether leaves are signed by an intermediate instead of the root.
    pub intermediate: bool,
    /// Life of a root, in seconds.
    pub root_ttl_secs: u64,
    /// Life of an intermediate, in seconds; never beyond the root's.
    pub intermediate_ttl_secs: u64,
    /// What the private keys are encrypted with on disk; keys that lie there in the open are encrypted when they are
    /// opened.
    pub passphrase: Option<Arc<Passphrase>>,
}

impl Config {
    /// The defaults: ECDSA P-256, no intermediate, a root of 10 years.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            algorithm: KeyAlgorithm::default(),
            intermediate: false,
            root_ttl_secs: ROOT_TTL_SECS,
            intermediate_ttl_secs: INTERMEDIATE_TTL_SECS,
            passphrase: None,
        }
    }

    const fn jwt_algorithm(&self) -> KeyAlgorithm {
        match self.algorithm {
            KeyAlgorithm::EcdsaP384 => KeyAlgorithm::EcdsaP384,
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::Ed25519 => KeyAlgorithm::EcdsaP256,
        }
    }
}

/// Why an authority could not be opened or made.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The file system refused.
    #[error("authority: cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read a key, or enter the directory.
    #[error("authority: others can reach {0} (mode {mode:04o}); if nobody did, run `chmod {wanted:o} {0}`, else make a new authority", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// The mode it has.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// A certificate is there and its key is not.
    #[error("authority: {} is missing although its certificate is there; restore it from a backup", .0.display())]
    MissingKey(PathBuf),
    /// A file cannot be read as what it should be.
    #[error("authority: {}: {why}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A key is encrypted, and not under the passphrase that was given.
    #[error("authority: {}: {source}", path.display())]
    Locked {
        /// The key.
        path: PathBuf,
        /// Why it does not open.
        source: KeyFileError,
    },
    /// The authority in the directory is another trust domain's.
    #[error("authority: {} belongs to the trust domain {found}; use its name or another data directory", path.display())]
    OtherTrustDomain {
        /// The certificate.
        path: PathBuf,
        /// Whose it is.
        found: TrustDomain,
    },
    /// A key is of another kind than the configuration asks for.
    #[error("authority: {} is an {found} key but the configuration asks for {wanted}; set it back, the kind is fixed at creation", path.display())]
    OtherAlgorithm {
        /// The key.
        path: PathBuf,
        /// What it is.
        found: KeyAlgorithm,
        /// What was asked for.
        wanted: KeyAlgorithm,
    },
    /// The registry knows an authority whose files are not here.
    #[error("authority: {} is missing, of the authority {id} that this trust domain's journal names; restore the directory from the backup that the journal is from", path.display())]
    Missing {
        /// The authority.
        id: Digest,
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The root has expired.
    #[error("authority: {} has expired; make a new authority and give its bundle to everybody who trusts this one", .0.display())]
    Expired(PathBuf),
    /// A certificate could not be made.
    #[error("authority: its certificate could not be made ({0})")]
    Build(BuildError),
    /// A key could not be made.
    #[error("authority: {0}")]
    Key(KeyError),
}

impl AuthorityError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } | Self::Expired(_) => Kind::Unavailable,
            Self::Build(_) | Self::Key(_) => Kind::Bug,
            _ => Kind::Conflict,
        }
    }
}

/// The keys and certificates that a trust domain signs with.
#[derive(Debug)]
pub struct Authority {
    id: Digest,
    pub(crate) root: Vec<u8>,
    /// What signs leaves: the root, or the intermediate.
    pub(crate) signer: SigningCertificate<KeyPair>,
    /// The intermediate, sent along with every leaf.
    pub(crate) intermediate: Option<Vec<u8>>,
    pub(crate) jwt: KeyPair,
    pub(crate) jwt_key_id: String,
}

impl Authority {
    /// Opens the authority that the data directory began with, or makes it there at the first start.
    pub fn open_or_create(dir: &Path, config: &Config, now: Timestamp) -> Result<Self, AuthorityError> {
        let custody = Custody::open(dir, String::new(), config.passphrase.clone())?;
        Self::open_in(&custody, config, now)
    }

    /// Makes a further authority beside those in `dir`. Its files are safely on disk when this returns; whether it counts
    /// is for the registry to say.
    pub fn create(dir: &Path, config: &Config, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate(config.algorithm).map_err(AuthorityError::Key)?;
        let der = build_root(&ca_template(config, config.root_ttl_secs, now)?, &key).map_err(AuthorityError::Build)?;
        let custody = Custody::open(dir, prefix(&Digest::of(&der)), config.passphrase.clone())?;
        custody.write_key(ROOT_KEY, &key)?;
        custody.write_certificate(ROOT_CERTIFICATE, &der)?;
        Self::open_in(&custody, config, now)
    }

    /// Opens an authority that the registry knows. Nothing is made anew but an intermediate.
    pub fn open(dir: &Path, id: &Digest, config: &Config, now: Timestamp) -> Result<Self, AuthorityError> {
        let missing = |path: PathBuf| AuthorityError::Missing { id: *id, path };
        let custody = custody_of(dir, id, config)?;
        if custody.read_certificate(ROOT_CERTIFICATE)?.is_none_or(|root| Digest::of(&root) != *id) {
            return Err(missing(Custody::open(dir, prefix(id), None)?.path(ROOT_CERTIFICATE)));
        }
        if custody.read_key(JWT_KEY)?.is_none() {
            return Err(missing(custody.path(JWT_KEY)));
        }
        Self::open_in(&custody, config, now)
    }

    /// Removes the files of an authority, if they are there.
    pub fn remove(dir: &Path, id: &Digest, config: &Config) -> Result<(), AuthorityError> {
        let custody = custody_of(dir, id, config)?;
        if custody.read_certificate(ROOT_CERTIFICATE)?.is_some_and(|root| Digest::of(&root) != *id) {
            return Ok(());
        }
        // The certificate goes last: as long as it is there, it is known whose the other files are.
        custody.remove(&[ROOT_KEY, INTERMEDIATE_KEY, JWT_KEY, INTERMEDIATE_CERTIFICATE])?;
        custody.remove(&[ROOT_CERTIFICATE])
    }

    fn open_in(custody: &Custody, config: &Config, now: Timestamp) -> Result<Self, AuthorityError> {
        let root = open_root(custody, config, now)?;
        let id = Digest::of(&root);
        let jwt = open_key(custody, JWT_KEY, config.jwt_algorithm())?;
        let jwt_key_id = thumbprint(jwt.public());
        if config.intermediate {
            let signer = open_intermediate(custody, config, &root, now)?;
            let intermediate = Some(signer.der().to_vec());
            return Ok(Self { id, root, signer, intermediate, jwt, jwt_key_id });
        }
        let key = custody.read_key(ROOT_KEY)?.ok_or_else(|| AuthorityError::MissingKey(custody.path(ROOT_KEY)))?;
        let signer = join(custody, ROOT_CERTIFICATE, &root, key)?;
        Ok(Self { id, root, signer, intermediate: None, jwt, jwt_key_id })
    }

    /// The trust domain that it signs for.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.signer.trust_domain()
    }

    /// The root certificate in DER.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Its id: SHA-256 of the root certificate's DER, which is also what join tokens carry.
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The public half, for the registry.
    pub fn keys(&self) -> AuthorityKeys {
        // It was read when the authority was opened; a root that says nothing here would be one that has expired.
        let not_after = inspect(&self.root).map(|root| root.not_after).unwrap_or_default();
        AuthorityKeys {
            root: Der(self.root.clone()),
            jwt_key: Der(self.jwt.public().spki().to_vec()),
            jwt_key_id: self.jwt_key_id.clone(),
            not_after,
        }
    }

    /// When the certificate that signs leaves expires; no leaf outlives it.
    pub fn not_after(&self) -> Timestamp {
        self.signer.not_after()
    }
}

/// What the names of an authority's files begin with: enough of its id to tell it from every other.
fn prefix(id: &Digest) -> String {
    let id = id.to_string();
    let digits = id.strip_prefix("sha256:").unwrap_or(&id);
    format!("{}.", digits.get(..PREFIX_DIGITS).unwrap_or(digits))
}

/// The files of an authority: under its own name, or under none if it is the one that the directory began with.
fn custody_of(dir: &Path, id: &Digest, config: &Config) -> Result<Custody, AuthorityError> {
    let named = Custody::open(dir, prefix(id), config.passphrase.clone())?;
    if named.path(ROOT_CERTIFICATE).exists() {
        return Ok(named);
    }
    Custody::open(dir, String::new(), config.passphrase.clone())
}

/// The root certificate, made at the first start, checked at every other.
fn open_root(custody: &Custody, config: &Config, now: Timestamp) -> Result<Vec<u8>, AuthorityError> {
    let path = custody.path(ROOT_CERTIFICATE);
    let Some(der) = custody.read_certificate(ROOT_CERTIFICATE)? else {
        let key = open_key(custody, ROOT_KEY, config.algorithm)?;
        let der = build_root(&ca_template(config, config.root_ttl_secs, now)?, &key).map_err(AuthorityError::Build)?;
        custody.write_certificate(ROOT_CERTIFICATE, &der)?;
        return Ok(der);
    };
    let damaged = |why: String| AuthorityError::Damaged { path: path.clone(), why };
    let root = inspect(&der).map_err(|error| damaged(error.to_string()))?;
    if let Some(violation) = root.violations.first() {
        return Err(damaged(violation.clone()));
    }
    let id = root.spiffe_id.ok_or_else(|| damaged("it has no SPIFFE ID".to_owned()))?;
    if !root.is_ca {
        return Err(damaged("it is not a signing certificate".to_owned()));
    }
    if !id.is_in(&config.trust_domain) {
        return Err(AuthorityError::OtherTrustDomain { path, found: id.trust_domain() });
    }
    if root.not_after.as_secs() <= now.as_secs() {
        return Err(AuthorityError::Expired(path));
    }
    // The key may be kept elsewhere, but what is here must be safe and must match.
    if let Some(key) = custody.read_key(ROOT_KEY)? {
        check_algorithm(custody, ROOT_KEY, &key, config.algorithm)?;
        join(custody, ROOT_CERTIFICATE, &der, key)?;
    }
    Ok(der)
}

/// The intermediate, made anew when there is none, when it is of another root or past half of its life.
fn open_intermediate(
    custody: &Custody,
    config: &Config,
    root: &[u8],
    now: Timestamp,
) -> Result<SigningCertificate<KeyPair>, AuthorityError> {
    if let Some(der) = custody.read_certificate(INTERMEDIATE_CERTIFICATE)? {
        let missing = || AuthorityError::MissingKey(custody.path(INTERMEDIATE_KEY));
        let key = custody.read_key(INTERMEDIATE_KEY)?.ok_or_else(missing)?;
        check_algorithm(custody, INTERMEDIATE_KEY, &key, config.algorithm)?;
        let signer = join(custody, INTERMEDIATE_CERTIFICATE, &der, key)?;
        let half = (signer.not_before().as_secs() + signer.not_after().as_secs()) / 2;
        if now.as_secs() < half && signer.names_as_issuer(root) {
            return Ok(signer);
        }
    }
    let missing = || AuthorityError::MissingKey(custody.path(ROOT_KEY));
    let root_key = custody.read_key(ROOT_KEY)?.ok_or_else(missing)?;
    let root = join(custody, ROOT_CERTIFICATE, root, root_key)?;
    // The key stays: a crash between the two files must never leave a certificate with another's key.
    let key = open_key(custody, INTERMEDIATE_KEY, config.algorithm)?;
    let mut template = ca_template(config, config.intermediate_ttl_secs, now)?;
    template.not_after = template.not_after.min(root.not_after());
    let der = root.build_intermediate(&template, key.public().spki()).map_err(AuthorityError::Build)?;
    custody.write_certificate(INTERMEDIATE_CERTIFICATE, &der)?;
    join(custody, INTERMEDIATE_CERTIFICATE, &der, key)
}

/// A key of the wanted kind: the one in the file, or a new one.
fn open_key(custody: &Custody, name: &str, wanted: KeyAlgorithm) -> Result<KeyPair, AuthorityError> {
    if let Some(key) = custody.read_key(name)? {
        return check_algorithm(custody, name, &key, wanted).map(|()| key);
    }
    let key = KeyPair::generate(wanted).map_err(AuthorityError::Key)?;
    custody.write_key(name, &key)?;
    Ok(key)
}

fn check_algorithm(custody: &Custody, name: &str, key: &KeyPair, wanted: KeyAlgorithm) -> Result<(), AuthorityError> {
    let found = key.algorithm();
    if found == wanted {
        return Ok(());
    }
    Err(AuthorityError::OtherAlgorithm { path: custody.path(name), found, wanted })
}

fn join(
    custody: &Custody,
    name: &str,
    der: &[u8],
    key: KeyPair,
) -> Result<SigningCertificate<KeyPair>, AuthorityError> {
    SigningCertificate::new(der, key)
        .map_err(|error| AuthorityError::Damaged { path: custody.path(name), why: error.to_string() })
}

fn ca_template(config: &Config, ttl_secs: u64, now: Timestamp) -> Result<CaTemplate, AuthorityError> {
    let mut serial = [0; SERIAL_BYTES];
    rand::fill(&mut serial).map_err(|_| AuthorityError::Key(KeyError::Library("read random bytes")))?;
    Ok(CaTemplate {
        trust_domain: config.trust_domain.clone(),
        not_before: now.minus_secs(CUSHION_SECS),
        not_after: now.plus_secs(ttl_secs),
        serial,
    })
}
