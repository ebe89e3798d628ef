//! The sockets that a server listens on. They can outlive it: the program that comes after it goes on with them, so that no
//! connection is refused in between.

use crate::config::Config;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

/// Why a server cannot listen where it should.
#[derive(Debug, Error)]
pub enum ListenersError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The admin socket cannot be made, or not be protected.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The sockets that a server listens on.
#[derive(Debug)]
pub struct Listeners {
    /// The address that was configured; its port can be 0.
    configured: SocketAddr,
    tcp: std::net::TcpListener,
    unix: std::os::unix::net::UnixListener,
}

impl Listeners {
    /// Opens them where the configuration says.
    pub(crate) fn open(config: &Config) -> Result<Self, ListenersError> {
        let refused = |source| ListenersError::Listen { addr: config.listen, source };
        let tcp = std::net::TcpListener::bind(config.listen).map_err(refused)?;
        tcp.set_nonblocking(true).map_err(refused)?;
        Ok(Self { configured: config.listen, tcp, unix: admin_listener(config)? })
    }

    /// What an earlier server left. The address is the one that it was configured with.
    pub fn inherited(configured: SocketAddr, [tcp, unix]: [OwnedFd; 2]) -> Self {
        Self { configured, tcp: tcp.into(), unix: unix.into() }
    }

    /// The address that was configured, and the sockets, for the program that comes after this one.
    pub fn leave(self) -> (SocketAddr, [OwnedFd; 2]) {
        (self.configured, [self.tcp.into(), self.unix.into()])
    }

    /// The same sockets if they are where the configuration says, else others.
    pub(crate) fn suit(self, config: &Config) -> Result<Self, ListenersError> {
        if self.configured != config.listen {
            drop(self);
            return Self::open(config);
        }
        protect(&config.data_dir, &config.admin_uids)?;
        Ok(self)
    }

    /// To accept connections with; these stay open beside it.
    pub(crate) fn serving(&self) -> Result<(TcpListener, UnixListener), ListenersError> {
        let both =
            || Ok((TcpListener::from_std(self.tcp.try_clone()?)?, UnixListener::from_std(self.unix.try_clone()?)?));
        both().map_err(|source| ListenersError::Listen { addr: self.configured, source })
    }
}

/// Where administrators of this machine reach the server.
pub(crate) fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("server.sock")
}

/// One that an earlier server left is replaced: the journal's lock is ours.
fn admin_listener(config: &Config) -> Result<std::os::unix::net::UnixListener, ListenersError> {
    let path = admin_socket(&config.data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("replace", &path)(error)),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&path).map_err(io_error("listen on", &path))?;
    listener.set_nonblocking(true).map_err(io_error("listen on", &path))?;
    protect(&config.data_dir, &config.admin_uids)?;
    Ok(listener)
}

/// Only this user reaches the admin socket, or everybody if other user ids may administer: then each connection is asked
/// whose it is, and they may pass through the data directory. What lies beside it is private by itself.
pub(crate) fn protect(data_dir: &Path, admin_uids: &[u32]) -> Result<(), ListenersError> {
    let (path, alone) = (admin_socket(data_dir), admin_uids.is_empty());
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&path, mode(if alone { 0o600 } else { 0o666 })).map_err(io_error("protect", &path))?;
    if alone {
        return Ok(());
    }
    let now = std::fs::metadata(data_dir).map_err(io_error("read", data_dir))?.permissions().mode();
    std::fs::set_permissions(data_dir, mode(now | 0o011)).map_err(io_error("open", data_dir))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ListenersError {
    let path = path.to_owned();
    move |source| ListenersError::Io { doing, path, source }
}
