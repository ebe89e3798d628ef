//! Bytes from strangers: one function for each parser of bytes that Credence did not write itself.
//!
//! Each takes any bytes and fails (panics) when a law does not hold. "Does not panic" is only the first of them: the same
//! bytes get the same answer twice, what is accepted is written back to the same meaning, nothing becomes larger than its
//! limit, a signature covers what is believed, and where a second implementation exists the two agree.
//!
//! The functions are plain, so that a property test, a corpus file and libFuzzer (`fuzz/`, `cargo xtask fuzz`) run the same
//! code. None keeps anything between calls that could change an answer, but for [`http`], [`local_socket`], [`node_stream`]
//! and [`workload`], which ask one running server, node or endpoint again and again.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "to fail is how a law is reported; clippy exempts only test functions"
)]

mod admin;
mod archive;
mod backup;
mod config;
mod credential;
mod gateway;
mod http;
mod journal;
mod local;
mod local_socket;
mod manifest;
mod model;
mod node_stream;
mod permission;
mod raw;
mod to_node;
mod workload;

pub use archive::archive;
pub use backup::backup;
pub use config::{node_config, server_config};
pub use credential::{bundle, certificate, join_token, jwt_svid, request, user_token};
pub use gateway::gateway;
pub use http::http;
pub use journal::{journal, snapshot};
pub use local::{control_frame, key_file, left_behind, process_stat, traceparent};
pub use local_socket::local_socket;
pub use manifest::manifest;
pub use model::{entry, spiffe_id, state};
pub use node_stream::node_stream;
pub use permission::permission;
pub use to_node::to_node;
pub use workload::workload;

use signal_hook::consts::SIGPIPE;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use tokio::runtime::{Builder, Runtime};

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of the function, of the fuzz target, and of the directory of its corpus.
    pub name: &'static str,
    /// Fails when a law does not hold for these bytes.
    pub check: fn(&[u8]),
}

/// Every parser of bytes from strangers.
pub const TARGETS: &[Target] = &[
    Target { name: "archive", check: archive },
    Target { name: "backup", check: backup },
    Target { name: "bundle", check: bundle },
    Target { name: "certificate", check: certificate },
    Target { name: "control_frame", check: control_frame },
    Target { name: "entry", check: entry },
    Target { name: "gateway", check: gateway },
    Target { name: "http", check: http },
    Target { name: "join_token", check: join_token },
    Target { name: "journal", check: journal },
    Target { name: "jwt_svid", check: jwt_svid },
    Target { name: "key_file", check: key_file },
    Target { name: "left_behind", check: left_behind },
    Target { name: "local_socket", check: local_socket },
    Target { name: "manifest", check: manifest },
    Target { name: "node_config", check: node_config },
    Target { name: "node_stream", check: node_stream },
    Target { name: "permission", check: permission },
    Target { name: "process_stat", check: process_stat },
    Target { name: "request", check: request },
    Target { name: "server_config", check: server_config },
    Target { name: "snapshot", check: snapshot },
    Target { name: "spiffe_id", check: spiffe_id },
    Target { name: "state", check: state },
    Target { name: "to_node", check: to_node },
    Target { name: "traceparent", check: traceparent },
    Target { name: "user_token", check: user_token },
    Target { name: "workload", check: workload },
];

/// Longest message of a refusal, in bytes: whoever sends much gets no large answer.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A directory that only lives in memory where the system has one: thousands are made in a second.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory for the files of one run")
}

/// Where the sockets of a target are served and asked.
///
/// To write to a socket whose peer is gone must be an error and not the end of this process. The runtime of Rust sees to
/// that before `main`, but the `main` of libFuzzer is not Rust's.
fn runtime() -> Runtime {
    static SIGPIPE_IGNORED: Once = Once::new();
    SIGPIPE_IGNORED.call_once(|| {
        let nobody_looks = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGPIPE, nobody_looks).expect("a signal that can be handled");
    });
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A refusal is a text of bounded size that is the same each time.
#[track_caller]
fn refused_alike(one: impl std::fmt::Display, two: impl std::fmt::Display) {
    let message = one.to_string();
    assert_eq!(message, two.to_string(), "refused twice, for two reasons");
    assert!(!message.is_empty() && message.len() <= MESSAGE_BYTES_MAX, "a message of {} bytes", message.len());
}
