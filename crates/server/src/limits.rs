//! How many and how long: the limits of this crate that refuse, cut or hold up, each with its counter.
//!
//! Limits on the size and form of single fields are beside what they are about. [`Limits`] is the part that a test makes
//! smaller; a server that is configured from a file has the default.

use crate::attest_limit::ATTESTATIONS;
use credence_model::node::RESERVOIR_KEYS_MAX;
use credence_telemetry::limit::Limit;
use std::time::Duration;

/// Most connections of nodes at once, of workloads, and of administrators of this machine.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Most of them from one SPIFFE ID, user or address.
pub const PEER_CONNECTIONS_MAX: usize = 500;
/// Most connections at once of peers that have not proved who they are; they do not use up anybody else's.
pub const STRANGER_CONNECTIONS_MAX: usize = 2_000;
/// How long a TLS handshake may take, in seconds.
pub const HANDSHAKE_TIMEOUT_SECS: u64 = 5;
/// How long the head of a request may take, in seconds, the first one's included.
pub const HEAD_TIMEOUT_SECS: u64 = 10;
/// How long a connection may ask nothing, in seconds.
pub const IDLE_TIMEOUT_SECS: u64 = 300;
/// How long a peer may leave a part of its answer unread, in seconds.
pub const ANSWER_TIMEOUT_SECS: u64 = 30;
/// Longest connection of a stranger, in seconds.
pub const STRANGER_SECS_MAX: u64 = 60;
/// Largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest body of a request of a stranger, in bytes: an attestation is a few kilobytes.
pub const STRANGER_BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take to arrive, in seconds.
pub const BODY_TIMEOUT_SECS: u64 = 30;
/// Most questions to one node that were not yet sent.
pub const QUESTIONS_WAITING_MAX: usize = 64;
/// Largest state archive, in bytes.
pub const ARCHIVE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long the next message of an archive may take, in seconds.
pub const CHUNK_TIMEOUT_SECS: u64 = 30;
/// How long the first message of a node may take, in seconds.
pub const HELLO_TIMEOUT_SECS: u64 = 10;
/// How long a node may not read before it is cut, in seconds.
pub const SEND_TIMEOUT_SECS: u64 = 5;
/// Most reports of one node that wait for their answer; no further message is read meanwhile.
pub const REPORTS_WAITING_MAX: usize = 128;
/// After so many leases without a word the stream is over: the node is gone, whatever TCP thinks.
pub const SILENT_LEASES: u64 = 2;

/// How old what a node knows of its actors' permissions may be when it decides by itself, in milliseconds: two heartbeats, and a
/// little.
pub const DECISION_AGE_MS_MAX: u64 = 5_000;

/// All connections of a kind of peer are taken.
pub(crate) static CONNECTIONS: Limit =
    Limit::new("connections", CONNECTIONS_MAX as u64, "connections of nodes, workloads or administrators", CLOSED);
/// A peer has too many connections.
pub(crate) static PEER_CONNECTIONS: Limit = Limit::new(
    "peer_connections",
    PEER_CONNECTIONS_MAX as u64,
    "connections of a SPIFFE ID, user or address",
    "closed at once; of an address, the longest that proved nothing gives way",
);
/// All connections of strangers are taken.
pub(crate) static STRANGER_CONNECTIONS: Limit = Limit::new(
    "stranger_connections",
    STRANGER_CONNECTIONS_MAX as u64,
    "connections of strangers",
    "the longest of them gives way",
);
/// A handshake is too slow.
pub(crate) static HANDSHAKE_TIME: Limit = Limit::new("handshake_time", HANDSHAKE_TIMEOUT_SECS, "seconds", CUT);
/// The head of a request is too slow, or none comes, or a silent peer does not answer.
pub(crate) static HEAD_TIME: Limit = Limit::new("head_time", HEAD_TIMEOUT_SECS, "seconds", CUT);
/// A connection asks nothing.
pub(crate) static IDLE_TIME: Limit = Limit::new("idle_time", IDLE_TIMEOUT_SECS, "seconds", "the connection is closed");
/// A peer does not read what it asked for.
pub(crate) static ANSWER_TIME: Limit = Limit::new("answer_time", ANSWER_TIMEOUT_SECS, "seconds", CUT);
/// A stranger stays too long.
pub(crate) static STRANGER_TIME: Limit =
    Limit::new("stranger_time", STRANGER_SECS_MAX, "seconds", "the connection is closed");
/// A body is too large.
pub(crate) static BODY_BYTES: Limit = Limit::new("body_bytes", BODY_BYTES_MAX as u64, "bytes", "refused: limited");
/// The body of somebody unknown is too large.
pub(crate) static STRANGER_BODY_BYTES: Limit =
    Limit::new("stranger_body_bytes", STRANGER_BODY_BYTES_MAX as u64, "bytes", "refused: limited");
/// A body is too slow.
pub(crate) static BODY_TIME: Limit = Limit::new("body_time", BODY_TIMEOUT_SECS, "seconds", "refused: malformed");
/// A node does not take its questions.
pub(crate) static QUESTIONS: Limit =
    Limit::new("node_questions", QUESTIONS_WAITING_MAX as u64, "questions", "refused: unavailable");
/// An archive is too large.
pub(crate) static ARCHIVE_BYTES: Limit = Limit::new("archive_bytes", ARCHIVE_BYTES_MAX, "bytes", "refused: limited");
/// A part of an archive is too slow.
pub(crate) static CHUNK_TIME: Limit =
    Limit::new("archive_time", CHUNK_TIMEOUT_SECS, "seconds", "the transfer is refused: unavailable");
/// A node does not say who it is in time.
pub(crate) static HELLO_TIME: Limit = Limit::new("node_hello_time", HELLO_TIMEOUT_SECS, "seconds", ENDS);
/// A node does not read what it is sent.
pub(crate) static SEND_TIME: Limit = Limit::new("node_send_time", SEND_TIMEOUT_SECS, "seconds", ENDS);
/// A node says more than the cell answers.
pub(crate) static REPORTS: Limit = Limit::new(
    "node_reports",
    REPORTS_WAITING_MAX as u64,
    "reports of a node",
    "no more is read until one is answered",
);
/// A node is silent.
pub(crate) static SILENCE: Limit = Limit::new("node_silence", SILENT_LEASES, "leases", ENDS);
/// A node offers too many keys.
pub(crate) static KEYS: Limit =
    Limit::new("node_keys", RESERVOIR_KEYS_MAX as u64, "keys of a node", "refused: limited");

const CLOSED: &str = "closed at once";
const CUT: &str = "the connection is cut";
const ENDS: &str = "the stream ends";

/// Every one of them.
pub(crate) static ALL: [&Limit; 20] = [
    &CONNECTIONS,
    &PEER_CONNECTIONS,
    &STRANGER_CONNECTIONS,
    &HANDSHAKE_TIME,
    &HEAD_TIME,
    &IDLE_TIME,
    &ANSWER_TIME,
    &STRANGER_TIME,
    &BODY_BYTES,
    &STRANGER_BODY_BYTES,
    &BODY_TIME,
    &QUESTIONS,
    &ATTESTATIONS,
    &ARCHIVE_BYTES,
    &CHUNK_TIME,
    &HELLO_TIME,
    &SEND_TIME,
    &REPORTS,
    &SILENCE,
    &KEYS,
];

/// Limits that a test makes smaller, so that it need not do so much or wait so long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// See [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// See [`PEER_CONNECTIONS_MAX`].
    pub peer_connections: usize,
    /// See [`STRANGER_CONNECTIONS_MAX`].
    pub stranger_connections: usize,
    /// See [`HANDSHAKE_TIMEOUT_SECS`].
    pub handshake_time: Duration,
    /// See [`HEAD_TIMEOUT_SECS`].
    pub head_time: Duration,
    /// See [`IDLE_TIMEOUT_SECS`].
    pub idle_time: Duration,
    /// See [`ANSWER_TIMEOUT_SECS`].
    pub answer_time: Duration,
    /// See [`STRANGER_SECS_MAX`].
    pub stranger_time: Duration,
    /// See [`BODY_TIMEOUT_SECS`].
    pub body_time: Duration,
    /// See [`ARCHIVE_BYTES_MAX`].
    pub archive_bytes: u64,
    /// See [`CHUNK_TIMEOUT_SECS`].
    pub archive_time: Duration,
    /// See [`HELLO_TIMEOUT_SECS`].
    pub hello_time: Duration,
    /// See [`SEND_TIMEOUT_SECS`].
    pub send_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            peer_connections: PEER_CONNECTIONS_MAX,
            stranger_connections: STRANGER_CONNECTIONS_MAX,
            handshake_time: Duration::from_secs(HANDSHAKE_TIMEOUT_SECS),
            head_time: Duration::from_secs(HEAD_TIMEOUT_SECS),
            idle_time: Duration::from_secs(IDLE_TIMEOUT_SECS),
            answer_time: Duration::from_secs(ANSWER_TIMEOUT_SECS),
            stranger_time: Duration::from_secs(STRANGER_SECS_MAX),
            body_time: Duration::from_secs(BODY_TIMEOUT_SECS),
            archive_bytes: ARCHIVE_BYTES_MAX,
            archive_time: Duration::from_secs(CHUNK_TIMEOUT_SECS),
            hello_time: Duration::from_secs(HELLO_TIMEOUT_SECS),
            send_time: Duration::from_secs(SEND_TIMEOUT_SECS),
        }
    }
}

impl Limits {
    /// The same with so few connections that they fit into so many file descriptors, beside what else the process opens.
    pub(crate) fn within(mut self, descriptors: usize) -> Self {
        // Nodes, workloads, administrators, and strangers on two listeners: four fifths of all.
        self.connections = self.connections.min(descriptors / 5);
        self.stranger_connections = self.stranger_connections.min(descriptors / 10);
        // No peer has more than an eighth of a room, and no address more than a quarter of that of the strangers.
        self.peer_connections = self.peer_connections.min(descriptors / 40);
        CONNECTIONS.lower(self.connections as u64);
        STRANGER_CONNECTIONS.lower(self.stranger_connections as u64);
        PEER_CONNECTIONS.lower(self.peer_connections as u64);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn connections_leave_descriptors_for_the_journal() {
        let few = Limits::default().within(1024);
        assert!(3 * few.connections + 2 * few.stranger_connections <= 1024 * 4 / 5, "{few:?}");
        assert!(4 * few.peer_connections <= few.stranger_connections, "one address has them all: {few:?}");
        let many = Limits::default().within(1_000_000);
        assert_eq!(format!("{many:?}"), format!("{:?}", Limits::default()));
    }
}
