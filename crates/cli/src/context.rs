//! Where the server and the node are: what was typed, else the environment, else the file that `credence dev` writes.

use crate::environment::Environment;
use crate::failure::Failure;
use credence_model::refusal::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the file, in `credence dev`'s home.
const FILE_NAME: &str = "context.toml";
/// Largest context file that is read, in bytes.
const CONTEXT_BYTES_MAX: u64 = 16 * 1024;

/// What `credence dev` says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// The server's admin socket.
    pub(crate) server_socket: PathBuf,
    /// The node's socket for local programs.
    pub(crate) node_socket: PathBuf,
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// The process.
    pub(crate) pid: u32,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerAddress {
    /// By its admin socket, on this machine.
    Unix(PathBuf),
    /// By TLS, `HOST:PORT`.
    Tls(String),
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls(authority) => write!(f, "https://{authority}"),
        }
    }
}

impl ServerAddress {
    /// Reads `unix:PATH`, an absolute path, `https://HOST:PORT` or `HOST:PORT`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into()));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let authority = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let port =
            authority.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        if text.starts_with("http://") || authority.contains(['/', '@', '?', '#']) || port.is_none() {
            let failure = Failure::used_wrongly(format!("`{}` is not the address of a server", text.escape_debug()));
            return Err(failure.hint("Write unix:PATH of its admin socket, or https://HOST:PORT"));
        }
        Ok(Self::Tls(authority.to_owned()))
    }
}

/// Which server is meant.
pub(crate) fn server(typed: Option<&str>, environment: &Environment) -> Result<ServerAddress, Failure> {
    if let Some(address) = typed.or(environment.server.as_deref()) {
        return ServerAddress::parse(address);
    }
    let context = read(environment)?.ok_or_else(|| {
        let failure = Failure::new(Kind::Unavailable, "no server is known");
        failure.hint("Start one on this machine with `credence dev`, or name one with --server or CREDENCE_SERVER")
    })?;
    Ok(ServerAddress::Unix(context.server_socket))
}

/// Which node is meant.
pub(crate) fn node_socket(typed: Option<&Path>, environment: &Environment) -> Result<PathBuf, Failure> {
    if let Some(socket) = typed.or(environment.node_socket.as_deref()) {
        return Ok(socket.to_owned());
    }
    let context = read(environment)?.ok_or_else(|| {
        let failure = Failure::new(Kind::Unavailable, "no node is known on this machine");
        failure.hint("Start one with `credence dev`, or name its socket with --node-socket or CREDENCE_NODE_SOCKET")
    })?;
    Ok(context.node_socket)
}

/// What `credence dev` wrote last, if it ever did.
pub(crate) fn read(environment: &Environment) -> Result<Option<Context>, Failure> {
    let Some(path) = environment.home.as_ref().map(|home| home.join(FILE_NAME)) else { return Ok(None) };
    let wrong = |why: String| {
        let failure = Failure::new(Kind::Malformed, format!("{} cannot be read: {why}", path.display()));
        failure.hint("Start `credence dev` again, or remove the file")
    };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
        Ok(metadata) if metadata.len() > CONTEXT_BYTES_MAX => return Err(wrong("it is too large".into())),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map(Some).map_err(|error| wrong(error.message().to_owned()))
}

/// Writes the file aside and renames it, readable by its owner alone.
pub(crate) fn write(home: &Path, context: &Context) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let path = home.join(FILE_NAME);
    let aside = home.join(format!("{FILE_NAME}.{}", context.pid));
    let text = toml::to_string(context).map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    let written = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home).and_then(|()| {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&aside, &path)
    });
    written
        .map_err(|error| Failure::new(Kind::Unavailable, format!("{} cannot be written: {error}", path.display())))?;
    Ok(path)
}

/// Removes the file if it is still about this process.
pub(crate) fn remove(home: &Path, pid: u32) {
    let environment = Environment { home: Some(home.to_owned()), ..Environment::default() };
    if matches!(read(&environment), Ok(Some(context)) if context.pid == pid) {
        // Nothing depends on its absence: a stale file only names a socket that nobody answers on.
        let _ = std::fs::remove_file(home.join(FILE_NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_or_tls_and_never_plain_http() {
        let unix = |path: &str| Some(ServerAddress::Unix(path.into()));
        let tls = |authority: &str| Some(ServerAddress::Tls(authority.into()));
        let cases = [
            ("unix:/run/c.sock", unix("/run/c.sock")),
            ("unix:///run/c.sock", unix("/run/c.sock")),
            ("/run/c.sock", unix("/run/c.sock")),
            ("https://h:8443/", tls("h:8443")),
            ("[::1]:8443", tls("[::1]:8443")),
            ("http://h:80", None),
            ("https://h", None),
            ("h:99999", None),
            ("u@h:1", None),
            (":1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(ServerAddress::parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_was_typed_wins_over_the_environment_and_that_over_the_file() {
        let home = tempfile::tempdir().expect("a directory");
        let context = Context { server_socket: "/c".into(), node_socket: "/n".into(), data_dir: "/d".into(), pid: 7 };
        let mut environment = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
        assert!(server(None, &environment).is_err());
        write(home.path(), &context).expect("written");
        assert_eq!(server(None, &environment), Ok(ServerAddress::Unix("/c".into())));
        assert_eq!(node_socket(None, &environment), Ok("/n".into()));
        environment.server = Some("/b".into());
        assert_eq!(server(None, &environment), Ok(ServerAddress::Unix("/b".into())));
        assert_eq!(server(Some("/a"), &environment), Ok(ServerAddress::Unix("/a".into())));
        remove(home.path(), 8);
        assert_eq!(read(&environment), Ok(Some(context)));
        remove(home.path(), 7);
        assert_eq!(read(&environment), Ok(None));
    }
}
