//! The authority's private keys: left out of a backup, given again at a restore, and held against their certificates.

use super::{BackupError, archive, io_error};
use credence_credential::key::KeyPair;
use credence_credential::pem;
use std::fs;
use std::path::Path;
use zeroize::Zeroizing;

const KEY_ENDING: &str = ".key.pem";
const CERTIFICATE_ENDING: &str = ".cert.pem";
/// What an encrypted key begins with (RFC 7468 §11).
const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";

/// Whether a file of the authority is one that nobody else may have. What is not known not to be is.
pub(super) fn is_secret(path: &str) -> bool {
    !path.ends_with(CERTIFICATE_ENDING)
}

/// Puts the keys that a backup left out where they belong, from a copy of the directory `authority`.
pub(super) fn complete(backup: &Path, left_out: &[String], keys: Option<&Path>, dir: &Path) -> Result<(), BackupError> {
    for path in left_out {
        let missing = || BackupError::NoKeys { path: backup.to_owned(), missing: path.escape_debug().to_string() };
        // A stranger may have written it: `authority//etc/shadow` is not among the keys.
        let name = path.strip_prefix("authority/").filter(|name| archive::is_inside(name));
        let from = keys.zip(name).map(|(keys, name)| keys.join(name)).ok_or_else(missing)?;
        if !from.is_file() {
            return Err(missing());
        }
        archive::copy_private(&from, &dir.join(path))?;
    }
    Ok(())
}

/// Holds each key against the certificate beside it. A key that is encrypted is the server's to open.
pub(super) fn check(authority: &Path) -> Result<(), BackupError> {
    let entries = fs::read_dir(authority).map_err(io_error("look into", authority))?;
    for entry in entries {
        let path = entry.map_err(io_error("look into", authority))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(KEY_ENDING) else { continue };
        let text = Zeroizing::new(fs::read(&path).map_err(io_error("read", &path))?);
        let certificate = authority.join(format!("{stem}{CERTIFICATE_ENDING}"));
        if text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
            continue;
        }
        let wrong = |why: String| BackupError::OtherKey { path: path.clone(), why };
        let key = pem::read_private_key(&text).map_err(|error| wrong(error.to_string()))?;
        let key = KeyPair::from_pkcs8(&key).map_err(|error| wrong(error.to_string()))?;
        if !certificate.is_file() {
            continue;
        }
        let text = fs::read(&certificate).map_err(io_error("read", &certificate))?;
        let der = pem::read_certificates(&text).map_err(|error| wrong(error.to_string()))?;
        let der = der.first().ok_or_else(|| wrong("its certificate is empty".to_owned()))?;
        // Its SubjectPublicKeyInfo stands in a certificate as it is.
        let spki = key.public().spki();
        if !der.windows(spki.len()).any(|part| part == spki) {
            return Err(wrong(format!("it is not the key of {stem}{CERTIFICATE_ENDING}")));
        }
    }
    Ok(())
}
