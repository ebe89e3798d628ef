//! What the node says of itself to who watches it: its metrics, and whether it works.

use crate::endpoint::{authorization, desk, listener};
use crate::hub::{self, call, decide};
use crate::judge::{self, keeper, recorder};
use crate::meter::Meters;
use crate::runtime::{self, process};
use crate::{core, event, local, session, transfer};
use credence_telemetry::board::Board;
use credence_telemetry::door::{self, Answering, Observed};
use credence_telemetry::limit::Limit;
use credence_telemetry::otlp;
use tokio::sync::watch;

/// Every limit of this crate that refuses, cuts or holds up.
static LIMITS: [&Limit; 29] = [
    &session::OUTGOING,
    &call::CALLS,
    &hub::TOKENS,
    &hub::PROGRAMS,
    &decide::DECISIONS,
    &judge::DECIDE_TIME,
    &judge::ASKING,
    &keeper::TOLD,
    &recorder::RECORDS,
    &event::EVENTS,
    &core::BINDINGS,
    &core::ENDS,
    &listener::CONNECTIONS,
    &listener::STRANGERS,
    &listener::STRANGER_TIME,
    &listener::FIRST_TIME,
    &listener::IDLE,
    &listener::HEAD_TIME,
    &listener::WRITE_TIME,
    &desk::MINTS,
    &desk::MINT_TIME,
    &authorization::BODY,
    &authorization::BATCH,
    &process::ORDERS,
    &runtime::EXECS,
    &local::CONNECTIONS,
    &local::BEGIN_TIME,
    &local::REFUSED_TIME,
    &transfer::TIME,
];

/// Every limit that a node counts.
pub fn limits() -> Vec<&'static Limit> {
    LIMITS.iter().chain(&door::LIMITS).chain(&otlp::LIMITS).copied().collect()
}

/// The node, observed.
pub(crate) struct Watched {
    meters: Meters,
    /// Whether the server has welcomed it; closed when the hub has ended.
    connected: watch::Receiver<bool>,
    board: Board,
}

impl Watched {
    pub(crate) fn new(meters: Meters, connected: watch::Receiver<bool>) -> Self {
        let mut board = Board::new(limits());
        meters.register(board.registry());
        Self { meters, connected, board }
    }
}

impl Observed for Watched {
    fn metrics(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            self.meters.lease_left_ms();
            self.board.text().map_err(|error| error.to_string())
        })
    }

    fn healthy(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            if self.connected.has_changed().is_err() {
                return Err("the node's hub has ended; see the log and restart".into());
            }
            Ok("the hub runs".into())
        })
    }

    fn ready(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            if !*self.connected.borrow() {
                return Err("the node is not connected to the control plane".into());
            }
            match self.meters.lease_left_ms() {
                0 => Err("the node's lease is over".into()),
                left_ms => Ok(format!("connected, and the lease is good for {left_ms} ms")),
            }
        })
    }
}

#[cfg(test)]
mod tests;
