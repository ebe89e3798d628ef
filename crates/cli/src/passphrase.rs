//! Where the passphrase of the keys on disk comes from: an open pipe, or a service's credential directory. Never an
//! argument, an environment variable or the configuration, which other processes and logs can show.

use crate::args::PassphraseArgs;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::pem;
use credence_credential::key_file::{PASSPHRASE_BYTES_MAX, Passphrase};
use credence_model::refusal::Kind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the passphrase that was pointed to; none if none was.
pub(crate) fn read(args: &PassphraseArgs, environment: &Environment) -> Result<Option<Arc<Passphrase>>, Failure> {
    let path = match (args.key_passphrase_fd, &args.key_passphrase_credential) {
        (Some(fd), _) => pipe(fd)?,
        (None, Some(name)) => credential(name, environment)?,
        (None, None) => return Ok(None),
    };
    // Room for a line end.
    let bytes = pem::read(&path, PASSPHRASE_BYTES_MAX + 1)?;
    let passphrase = Passphrase::new(bytes).map_err(|error| Failure::caused(Kind::Malformed, &error))?;
    Ok(Some(Arc::new(passphrase)))
}

/// Only a pipe: it is empty once it was read, and programs that are started later find nothing in it.
fn pipe(fd: u32) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
    let is_pipe = std::fs::metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let wrong = || {
        Failure::used_wrongly(format!("file descriptor {fd} is not an open pipe"))
            .hint("Start it as: credence server --key-passphrase-fd 3 3< <(your-secret-store read …)")
    };
    if is_pipe { Ok(path) } else { Err(wrong()) }
}

/// A file of the directory that the service manager keeps for this service's secrets (systemd.exec, `LoadCredential=`).
fn credential(name: &str, environment: &Environment) -> Result<PathBuf, Failure> {
    let dir = environment.credentials.as_deref().ok_or_else(|| {
        Failure::used_wrongly("there is no credential directory: CREDENTIALS_DIRECTORY is not set")
            .hint(format!("Let the service manager load it, e.g. LoadCredential={name}:/path/of/the/secret"))
    })?;
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        return Err(Failure::used_wrongly(format!("{name:?} is not the name of a file in the credential directory")));
    }
    let path = dir.join(name);
    let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.mode() & 0o777);
    if mode & 0o077 != 0 {
        let what = format!("others can read {} (mode {mode:04o})", path.display());
        return Err(Failure::new(Kind::Denied, what).hint(format!("Run `chmod 0600 {}`", path.display())));
    }
    Ok(path)
}
