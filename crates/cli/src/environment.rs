//! What the program's surroundings say: environment variables and the terminal, read once at the start and passed on.
//!
//! None of these variables holds a secret.

use credence_telemetry::trace::TraceContext;
use rustix::termios::isatty;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The surroundings of this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `CREDENCE_SERVER`: which server to talk to.
    pub(crate) server: Option<String>,
    /// `CREDENCE_NODE_SOCKET`: which node on this machine to talk to.
    pub(crate) node_socket: Option<PathBuf>,
    /// `CREDENCE_LOG`: what servers and nodes write about their work, as `tracing` filters spell it.
    pub(crate) log: Option<String>,
    /// `TRACEPARENT`: the request that this run is a part of, as a pipeline passes it on (OpenTelemetry, environment variables
    /// as context propagation carriers). What cannot be read is as if it were not there.
    pub(crate) trace: Option<TraceContext>,
    /// `CREDENTIALS_DIRECTORY`: where the service manager lays this service's secrets (systemd.exec).
    pub(crate) credentials: Option<PathBuf>,
    /// Where `credence dev` keeps its things: `CREDENCE_HOME`, else `~/.local/state/credence`.
    pub(crate) home: Option<PathBuf>,
    /// Whether standard output may be coloured: a terminal, and neither `NO_COLOR` nor `TERM=dumb`.
    pub(crate) color: bool,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
}

impl Environment {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let terminal = isatty(rustix::stdio::stdout());
        let home = variable("CREDENCE_HOME").map(PathBuf::from).or_else(|| {
            let state = variable("XDG_STATE_HOME").map(PathBuf::from);
            let state = state.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")));
            state.map(|state| state.join("credence"))
        });
        Self {
            server: variable("CREDENCE_SERVER"),
            node_socket: variable("CREDENCE_NODE_SOCKET").map(PathBuf::from),
            log: variable("CREDENCE_LOG"),
            trace: variable("TRACEPARENT").as_deref().and_then(TraceContext::parse),
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            home,
            color: terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb"),
            terminal,
        }
    }
}

/// The whole environment, for a node: actors are passed what their class names of it, and nothing else.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let readable = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(readable).collect()
}

/// Where sockets may lie whose usual place has too long a path: `XDG_RUNTIME_DIR`, else the directory of temporary files.
pub(crate) fn runtime_dir() -> PathBuf {
    variable("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// An empty variable counts as absent, as for `NO_COLOR` (no-color.org).
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the binary reads its environment; everything else is passed it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
