//! Configuration, in two steps: [`ConfigFile`] is what was typed, [`Config`] is what it means.

use crate::endpoint::SOCKET_PATH_BYTES_MAX;
use credence_credential::key_file::Passphrase;
use credence_model::id::{Digest, NodeName, PoolRef, WorkerId, WorkerRef};
use credence_telemetry::otlp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Where data is kept if the configuration does not say.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/credence-node";
/// Path of the control plane's SPIFFE ID if the configuration does not say.
pub const SERVER_PATH_DEFAULT: &str = "/credence/server";
/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// Most workers of one node.
pub const WORKERS_MAX: usize = 4096;
/// The longest name of a file in the directory of sockets, with the `/` before it: see `endpoint::socket_name`.
const SOCKET_NAME_BYTES: usize = 35;

/// The configuration file as it is written (TOML). Command-line flags overwrite single fields before
/// [`ConfigFile::resolve`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Name of this node in the trust domain. Required.
    pub name: Option<String>,
    /// HOST:PORT of the control plane. Required.
    pub connect: Option<String>,
    /// Where everything is kept. Default: [`DATA_DIR_DEFAULT`].
    pub data_dir: Option<PathBuf>,
    /// Loopback address and port of `/metrics`, `/healthz` and `/readyz` in plain HTTP; nowhere by default.
    pub observe: Option<String>,
    /// The collector that is told traces and metrics (OTLP over gRPC); nobody by default.
    pub otlp: otlp::SettingsFile,
    /// Workers to offer, as `NAMESPACE/POOL=N`.
    pub workers: Vec<String>,
    /// Path of the control plane's SPIFFE ID, if the trust domain has other templates than the usual.
    pub server_path: Option<String>,
}

/// What the configuration means.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of this node in the trust domain.
    pub name: NodeName,
    /// HOST:PORT of the control plane.
    pub connect: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where metrics and probes are, if anywhere.
    pub observe: Option<SocketAddr>,
    /// Who is told traces and metrics, if anybody.
    pub otlp: Option<otlp::Settings>,
    /// The slots of this node.
    pub workers: Vec<WorkerRef>,
    /// Path of the control plane's SPIFFE ID.
    pub server_path: String,
    /// The program that keeps an actor's process tree together, and its arguments: this one, with `actor-init`.
    pub supervisor: (PathBuf, Vec<OsString>),
    /// The node's environment, from which `PATH`, `LANG`, `TZ` and what a class names are passed on to actors.
    pub environment: BTreeMap<String, String>,
    /// Where sockets are made if the data directory's path is too long for them.
    pub runtime_dir: PathBuf,
    /// What the node's key is encrypted with on disk; never in the file.
    pub passphrase: Option<Arc<Passphrase>>,
}

/// Why a configuration does not mean anything. Names the field and what to do.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not TOML of this shape.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        message: String,
    },
    /// Something is needed.
    #[error("{field} is missing; {hint}")]
    Missing {
        /// What.
        field: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// A value means nothing.
    #[error("{field}: {message}")]
    Value {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

impl ConfigFile {
    /// Reads the text of a configuration file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let message = |error: toml::de::Error| error.to_string().trim_end().to_owned();
        toml::from_str(text).map_err(|error| ConfigError::File { path: path.to_owned(), message: message(error) })
    }

    /// What it means. `supervisor`, `environment` and `runtime_dir` come from the surroundings, see [`Config`].
    pub fn resolve(
        self,
        supervisor: (PathBuf, Vec<OsString>),
        environment: BTreeMap<String, String>,
        runtime_dir: PathBuf,
    ) -> Result<Config, ConfigError> {
        let name = self.name.ok_or(ConfigError::Missing { field: "name", hint: "pass --name NAME" })?;
        let name =
            NodeName::parse(&name).map_err(|error| ConfigError::Value { field: "name", message: error.to_string() })?;
        let connect =
            self.connect.ok_or(ConfigError::Missing { field: "connect", hint: "pass --connect HOST:PORT" })?;
        let has_port =
            connect.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            let message = format!("{connect:?} is not HOST:PORT");
            return Err(ConfigError::Value { field: "connect", message });
        }
        let wrong = |text: &str| format!("{text:?} is not ADDRESS:PORT, e.g. 127.0.0.1:9465");
        let observe = self.observe.map(|text| text.parse().map_err(|_| wrong(&text))).transpose();
        let observe = observe.map_err(|message| ConfigError::Value { field: "observe", message })?;
        let otlp = self.otlp.0.resolve();
        let otlp = otlp.map_err(|error| ConfigError::Value { field: error.field, message: error.to_string() })?;
        let data_dir = self.data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into());
        let data_dir = std::path::absolute(&data_dir)
            .map_err(|error| ConfigError::Value { field: "data_dir", message: error.to_string() })?;
        Ok(Config {
            workers: workers(&name, &self.workers)?,
            name,
            connect,
            observe,
            otlp,
            data_dir,
            server_path: self.server_path.unwrap_or_else(|| SERVER_PATH_DEFAULT.to_owned()),
            supervisor,
            environment,
            runtime_dir,
            passphrase: None,
        })
    }
}

impl Config {
    /// Where sockets are made: in the data directory, unless its path is too long for a socket's address.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        let usual = self.data_dir.join("s");
        let bytes = usual.as_os_str().len() + SOCKET_NAME_BYTES;
        if bytes <= SOCKET_PATH_BYTES_MAX { usual } else { self.fallback() }
    }

    /// Another node of this name with another data directory has another one.
    fn fallback(&self) -> PathBuf {
        let digest = Digest::of(self.data_dir.as_os_str().as_encoded_bytes()).hex();
        self.runtime_dir.join(format!("credence-{}", digest.get(..16).unwrap_or(&digest)))
    }
}

/// `NAMESPACE/POOL=N` each: the workers are named after the node, `<node>-1` to `<node>-N`.
fn workers(node: &NodeName, texts: &[String]) -> Result<Vec<WorkerRef>, ConfigError> {
    let wrong = |message: String| ConfigError::Value { field: "workers", message };
    let (mut workers, mut pools) = (Vec::new(), BTreeSet::new());
    for text in texts {
        let parsed = text.split_once('=').and_then(|(pool, count)| Some((pool, count.parse::<usize>().ok()?)));
        let (pool, count) = parsed.ok_or_else(|| wrong(format!("{text:?} is not NAMESPACE/POOL=N")))?;
        let pool: PoolRef = pool.parse().map_err(|error| wrong(format!("{text:?}: {error}")))?;
        if !pools.insert(pool.clone()) {
            return Err(wrong(format!("pool {pool} is named twice")));
        }
        if count > WORKERS_MAX - workers.len() {
            return Err(wrong(format!("a node has at most {WORKERS_MAX} workers")));
        }
        for number in 1..=count {
            let worker = WorkerId::parse(&format!("{node}-{number}"));
            let worker = worker.map_err(|error| wrong(format!("the workers' names are too long: {error}")))?;
            workers.push(WorkerRef { pool: pool.clone(), worker });
        }
    }
    Ok(workers)
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError, ConfigFile};
    use std::path::Path;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        let file = ConfigFile::parse(Path::new("node.toml"), text)?;
        file.resolve(("/bin/credence".into(), Vec::new()), Default::default(), "/run".into())
    }

    #[test]
    fn workers_are_named_after_their_node() {
        let config =
            resolve("name = 'alpha'\nconnect = 'localhost:8443'\nworkers = ['a/b=2']").expect("a configuration");
        let workers: Vec<_> = config.workers.iter().map(ToString::to_string).collect();
        assert_eq!(workers, ["a/b/alpha-1", "a/b/alpha-2"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "name is missing; pass --name NAME"),
            ("name = 'A'", "name: "),
            ("name = 'a'", "connect is missing; pass --connect HOST:PORT"),
            ("name = 'a'\nconnect = 'localhost'", "connect: \"localhost\" is not HOST:PORT"),
            ("name = 'a'\nconnect = 'h:1'\nworkers = ['x']", "workers: \"x\" is not NAMESPACE/POOL=N"),
            ("name = 'a'\nconnect = 'h:1'\nworkers = ['x/y=-1']", "workers: \"x/y=-1\" is not NAMESPACE/POOL=N"),
            ("name = 'a'\nconnect = 'h:1'\nworkers = ['x/../y=1']", "workers: \"x/../y=1\": "),
            ("name = 'a'\nconnect = 'h:1'\nworkers = ['x/y=1', 'x/y=1']", "workers: pool x/y is named twice"),
            ("name = 'a'\nconnect = 'h:1'\nworkers = ['x/y=5000']", "workers: a node has at most 4096 workers"),
            ("name = 'a'\nconnect = 'h:1'\nobserve = 'x'", "observe: \"x\" is not ADDRESS:PORT"),
            ("name = 'a'\nconnect = 'h:1'\notlp = 'http://h:4317'", "otlp.endpoint: `h` is not a loopback address"),
            ("nmae = 'a'", "node.toml: "),
        ] {
            let error = resolve(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn sockets_move_out_of_a_data_directory_whose_path_is_too_long_for_them() {
        let dir = format!("/{}", "d".repeat(90));
        let config = resolve(&format!("name = 'a'\nconnect = 'h:1'\ndata_dir = '{dir}'")).expect("a configuration");
        assert!(config.socket_dir().starts_with("/run") && config.socket_dir().as_os_str().len() < 40);
        let other = resolve(&format!("name = 'a'\nconnect = 'h:1'\ndata_dir = '{dir}x'")).expect("a configuration");
        assert_ne!(config.socket_dir(), other.socket_dir(), "two nodes would share their sockets");
        let binding = "01m85w5pyg1f8h4ze7qgh4stcq".parse().expect("a binding");
        assert_eq!(super::SOCKET_NAME_BYTES, 1 + crate::endpoint::socket_name(binding).len());
    }
}
