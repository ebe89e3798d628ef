//! The socket as a file: private from its first moment, and gone with its owner.

use crate::endpoint::{EndpointError, SOCKET_PATH_BYTES_MAX};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A socket file that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    is_kept: bool,
}

impl Socket {
    /// Listens on a new socket. A socket of that name that an earlier node left behind is replaced; nothing else is.
    ///
    /// Between `bind` and `chmod` the socket's mode is the umask's, so the directory must keep others out.
    pub(super) fn listen(path: &Path) -> Result<(Self, UnixListener), EndpointError> {
        if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
            return Err(EndpointError::PathTooLong(path.to_owned()));
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create the directory", dir))?;
        let metadata = fs::metadata(dir).map_err(failed("look at the directory", dir))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(EndpointError::OpenDirectory(dir.to_owned()));
        }
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => {
                fs::remove_file(path).map_err(failed("remove the old socket", path))?;
            }
            Ok(_) => return Err(EndpointError::Occupied(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("look at", path)(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed("listen on", path))?;
        let socket = Self { path: path.to_owned(), is_kept: false };
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("set the mode of", path))?;
        Ok((socket, listener))
    }

    /// Goes on with one that another program of this process listened on.
    pub(super) fn adopt(path: &Path, listener: OwnedFd) -> Result<(Self, UnixListener), EndpointError> {
        let listener = UnixListener::from_std(listener.into()).map_err(failed("take over", path))?;
        Ok((Self { path: path.to_owned(), is_kept: false }, listener))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket of an actor's endpoint");
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(Error) -> EndpointError {
    let path = path.to_owned();
    move |source| EndpointError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_and_gone_when_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s").join("x.sock");
        let (socket, _listener) = Socket::listen(&path).expect("it listens");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a parent"))), (0o600, 0o700));
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_an_earlier_node_left_behind_is_replaced_and_anything_else_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("a mode");
        let path = dir.path().join("x.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that nobody listens on"));
        let (_socket, _listener) = Socket::listen(&path).expect("it listens");
        let file = dir.path().join("file");
        fs::write(&file, "mine").expect("a file");
        assert!(matches!(Socket::listen(&file), Err(EndpointError::Occupied(_))));
        assert_eq!(fs::read(&file).expect("still there"), b"mine");
    }

    #[tokio::test]
    async fn a_directory_that_others_may_enter_and_a_path_that_does_not_fit_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("a mode");
        assert!(matches!(Socket::listen(&dir.path().join("x")), Err(EndpointError::OpenDirectory(_))));
        let long = dir.path().join("x".repeat(SOCKET_PATH_BYTES_MAX));
        assert!(matches!(Socket::listen(&long), Err(EndpointError::PathTooLong(_))));
    }
}
