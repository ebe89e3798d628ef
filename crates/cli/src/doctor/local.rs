//! What this machine tells: configuration, directories, the disk, the journal, certificates, sockets.

use super::shown;
use crate::pem;
use credence_credential::x509_svid;
use credence_model::time::Timestamp;
use credence_server::backup::{BackupError, Checked, check_journal};
use credence_server::config::{CONFIG_BYTES_MAX, Config, ConfigFile};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Largest file of certificates that is read, in bytes.
const CERTIFICATES_BYTES_MAX: usize = 256 * 1024;
/// The node's own SVID in its data directory.
const NODE_SVID: &str = "identity.pem";

/// Where to look.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// The server's data directory.
    pub(super) data_dir: Option<PathBuf>,
    /// The node's.
    pub(super) node_dir: Option<PathBuf>,
    /// Where programs become actors.
    pub(super) node_socket: Option<PathBuf>,
}

/// What was found; what was not looked for is missing.
#[derive(Debug, Clone, Default)]
pub(super) struct Local {
    pub(super) config: Option<Result<(), String>>,
    pub(super) data: Option<Result<Data, String>>,
    pub(super) disk: Option<Result<Disk, String>>,
    pub(super) journal: Option<Result<Checked, Unread>>,
    pub(super) authority: Option<Result<Vec<Certificate>, String>>,
    pub(super) node_svid: Option<Result<Certificate, String>>,
    pub(super) node_socket: Option<(PathBuf, Result<(), String>)>,
}

/// Why a journal was not read to its end.
#[derive(Debug, Clone)]
pub(super) enum Unread {
    /// It is not what was written.
    Damaged(String),
    /// It could not be looked at: no permission, no room.
    Unchecked(String),
}

/// A data directory.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) dir: String,
    /// What others can reach and must not, with its mode.
    pub(super) exposed: Vec<(String, u32)>,
}

/// A file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) free_bytes: u64,
    pub(super) all_bytes: u64,
}

/// How long a certificate lives.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) name: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// Reads a configuration as a start would.
pub(super) fn config(path: &Path) -> Result<Config, String> {
    let text = pem::read_text(path, CONFIG_BYTES_MAX).map_err(|failure| failure.refusal.message)?;
    ConfigFile::parse(path, &text).and_then(ConfigFile::resolve).map_err(|error| error.to_string())
}

pub(super) fn look(places: &Places, config: Option<Result<(), String>>) -> Local {
    let node_socket = places.node_socket.as_ref();
    let Some(dir) = &places.data_dir else {
        return Local {
            config,
            node_svid: node_svid(places),
            node_socket: node_socket.map(reached),
            ..Local::default()
        };
    };
    let data = data(dir);
    // What is not there has no disk and no journal to speak of.
    let is_there = data.is_ok();
    Local {
        config,
        data: Some(data),
        disk: is_there.then(|| disk(dir)),
        journal: is_there.then(|| check_journal(dir).map_err(unread)),
        authority: is_there.then(|| authority(&dir.join("authority"))),
        node_svid: node_svid(places),
        node_socket: node_socket.map(reached),
    }
}

fn data(dir: &Path) -> Result<Data, String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", shown(dir));
    let metadata = fs::metadata(dir).map_err(failed)?;
    if !metadata.is_dir() || !dir.join("journal").is_dir() {
        return Err(format!("{} is not the data directory of a server", shown(dir)));
    }
    let mut exposed = Vec::new();
    // Others may pass through to the admin socket, and read nothing.
    if metadata.mode() & 0o066 != 0 {
        exposed.push((shown(dir), metadata.mode() & 0o777));
    }
    let authority = fs::read_dir(dir.join("authority")).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_key = |path: &PathBuf| path.to_string_lossy().ends_with(".key.pem");
    let secrets = authority.filter(is_key).chain([dir.join("token-seed"), dir.join("mark-key"), dir.join("authority")]);
    for path in secrets {
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.mode() & 0o077 != 0
        {
            exposed.push((shown(&path), metadata.mode() & 0o777));
        }
    }
    exposed.sort();
    Ok(Data { dir: shown(dir), exposed })
}

fn disk(dir: &Path) -> Result<Disk, String> {
    let found = rustix::fs::statvfs(dir).map_err(|error| format!("the disk of {}: {error}", shown(dir)))?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Disk { free_bytes: bytes(found.f_bavail), all_bytes: bytes(found.f_blocks) })
}

fn authority(dir: &Path) -> Result<Vec<Certificate>, String> {
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", shown(dir)))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".cert.pem"));
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{} holds no certificate", shown(dir)));
    }
    paths.iter().map(|path| certificate(path)).collect()
}

fn node_svid(places: &Places) -> Option<Result<Certificate, String>> {
    let path = places.node_dir.as_ref()?.join(NODE_SVID);
    path.is_file().then(|| certificate(&path))
}

fn certificate(path: &Path) -> Result<Certificate, String> {
    let wrong = |why: String| format!("{}: {why}", shown(path));
    let text = pem::read_text(path, CERTIFICATES_BYTES_MAX).map_err(|failure| failure.refusal.message)?;
    let chain = pem::certificates(&text).map_err(wrong)?;
    let leaf = chain.first().ok_or_else(|| wrong("no certificate".to_owned()))?;
    let found = x509_svid::inspect(leaf).map_err(|error| wrong(error.to_string()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.trim_end_matches(".cert.pem").to_owned();
    Ok(Certificate { name, not_before: found.not_before, not_after: found.not_after })
}

fn reached(socket: &PathBuf) -> (PathBuf, Result<(), String>) {
    (socket.clone(), UnixStream::connect(socket).map(drop).map_err(|error| error.to_string()))
}

fn unread(error: BackupError) -> Unread {
    match error {
        BackupError::Io { .. } => Unread::Unchecked(caused(&error)),
        _ => Unread::Damaged(caused(&error)),
    }
}

fn caused(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said += &format!(": {cause}");
        source = cause.source();
    }
    said
}
