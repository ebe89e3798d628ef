//! Key and certificate files: written whole or not at all, and readable by nobody else.

use crate::authority::AuthorityError;
use credence_credential::key::{KeyError, KeyPair};
use credence_credential::key_file::{self, KeyFileError, Passphrase};
use credence_credential::pem::{self, Label};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest file that is read, in bytes: a key or a certificate in PEM is far smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The files of one authority in the directory of all.
pub(super) struct Custody {
    dir: PathBuf,
    /// What the names of its files begin with; nothing for the authority that a data directory began with.
    prefix: String,
    passphrase: Option<Arc<Passphrase>>,
}

impl Custody {
    /// Opens the directory, making it with mode 0700 if it is not there; refuses one that others can enter.
    pub(super) fn open(
        dir: &Path,
        prefix: String,
        passphrase: Option<Arc<Passphrase>>,
    ) -> Result<Self, AuthorityError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create", dir))?;
        let mode = fs::metadata(dir).map_err(failed("read", dir))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthorityError::Exposed { path: dir.to_owned(), mode, wanted: 0o700 });
        }
        Ok(Self { dir: dir.to_owned(), prefix, passphrase })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}{name}", self.prefix))
    }

    /// Removes files that are there, and makes sure that they stay away.
    pub(super) fn remove(&self, names: &[&str]) -> Result<(), AuthorityError> {
        for path in names.iter().map(|name| self.path(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
                _ => {}
            }
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", &self.dir))
    }

    /// Reads a private key; none when the file is not there. Refuses a file that others can read. With a passphrase, a
    /// key that lies there in the open is written anew under it.
    pub(super) fn read_key(&self, name: &str) -> Result<Option<KeyPair>, AuthorityError> {
        let path = self.path(name);
        let Some(text) = read(&path, true)? else { return Ok(None) };
        let (key, encrypted) =
            key_file::read(&text, self.passphrase.as_deref()).map_err(|error| unusable(&path, error))?;
        if self.passphrase.is_some() && !encrypted {
            self.write_key(name, &key)?;
        }
        Ok(Some(key))
    }

    /// Reads a certificate in DER; none when the file is not there.
    pub(super) fn read_certificate(&self, name: &str) -> Result<Option<Vec<u8>>, AuthorityError> {
        let path = self.path(name);
        let Some(text) = read(&path, false)? else { return Ok(None) };
        let damaged = |why: String| AuthorityError::Damaged { path: path.clone(), why };
        let certificates = pem::read_certificates(&text).map_err(|error| damaged(error.to_string()))?;
        match <[Vec<u8>; 1]>::try_from(certificates) {
            Ok([certificate]) => Ok(Some(certificate)),
            Err(_) => Err(damaged("it holds more than one certificate".to_owned())),
        }
    }

    pub(super) fn write_key(&self, name: &str, key: &KeyPair) -> Result<(), AuthorityError> {
        let text = key_file::write(key, self.passphrase.as_deref());
        self.write(name, text.map_err(|error| unusable(&self.path(name), error))?.as_bytes())
    }

    pub(super) fn write_certificate(&self, name: &str, der: &[u8]) -> Result<(), AuthorityError> {
        self.write(name, pem::write(Label::Certificate, der).as_bytes())
    }

    /// Writes aside, syncs, renames and syncs the directory: a crash leaves the old file or the new one.
    fn write(&self, name: &str, text: &[u8]) -> Result<(), AuthorityError> {
        let (path, aside) = (self.path(name), self.path(&format!("{name}.new")));
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &aside)(error)),
            _ => {}
        }
        // The mode is given at creation: there is no moment at which others could read it.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
        let mut file = file.map_err(failed("create", &aside))?;
        file.write_all(text).and_then(|()| file.sync_all()).map_err(failed("write", &aside))?;
        fs::rename(&aside, &path).map_err(failed("rename", &aside))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", &self.dir))
    }
}

fn read(path: &Path, secret: bool) -> Result<Option<Zeroizing<Vec<u8>>>, AuthorityError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    // Judged by the open file and not by its name, which could point elsewhere a moment later.
    let metadata = file.metadata().map_err(failed("read", path))?;
    let mode = metadata.mode() & 0o777;
    if secret && mode & 0o077 != 0 {
        return Err(AuthorityError::Exposed { path: path.to_owned(), mode, wanted: 0o600 });
    }
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        let why = "it is not a file of at most 64 KiB".to_owned();
        return Err(AuthorityError::Damaged { path: path.to_owned(), why });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or_default()));
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed("read", path))?;
    Ok(Some(text))
}

fn unusable(path: &Path, error: KeyFileError) -> AuthorityError {
    let path = path.to_owned();
    match error {
        KeyFileError::Locked | KeyFileError::Passphrase => AuthorityError::Locked { path, source: error },
        KeyFileError::Key(source @ KeyError::Library(_)) => AuthorityError::Key(source),
        other => AuthorityError::Damaged { path, why: other.to_string() },
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthorityError + use<> {
    let path = path.to_owned();
    move |source| AuthorityError::Io { action, path, source }
}
