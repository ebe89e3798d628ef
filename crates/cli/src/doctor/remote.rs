//! What the server says of itself.

use crate::client::{Call, Client};
use crate::clock;
use crate::session::Session;
use credence_model::time::Timestamp;
use credence_server::api::status::StatusView;
use std::path::Path;

/// What the server says, and when it was asked.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) status: StatusView,
    /// When the answer was there, by the clock of this machine.
    pub(super) heard_at: Timestamp,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
}

/// Asks the server that is known, else the one whose data directory is looked at; nothing if there is neither.
pub(super) async fn ask(session: &Session, data_dir: Option<&Path>) -> Option<Result<Server, String>> {
    let client = match (session.client(), data_dir) {
        (Ok(client), _) => client,
        (Err(_), Some(dir)) if session.global.server.is_none() => Client::unix(dir.join("server.sock")),
        (Err(failure), _) if session.global.server.is_some() => return Some(Err(failure.refusal.message)),
        (Err(_), _) => return None,
    };
    // The first answer may take a connection; the second is about the clock alone.
    let sent_at = match client.send::<StatusView>(Call::get("/v1/status")).await {
        Ok(_) => clock::now(),
        Err(failure) => return Some(Err(failure.refusal.to_string())),
    };
    let answer = client.send::<StatusView>(Call::get("/v1/status")).await;
    let heard_at = clock::now();
    let server = |status| Server { status, heard_at, took_ms: heard_at.ms_since(sent_at) };
    Some(answer.map(server).map_err(|failure| failure.refusal.to_string()))
}
