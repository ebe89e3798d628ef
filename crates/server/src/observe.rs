//! What the server says of itself to who watches it: its metrics, and whether it works.

use crate::app::App;
use crate::limits;
use crate::meter::signed;
use credence_model::actor::Phase;
use credence_model::node::NodeState;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_telemetry::board::Board;
use credence_telemetry::door::{self, Answering, Observed};
use credence_telemetry::limit::Limit;
use credence_telemetry::otlp;
use std::sync::Arc;

/// The server, observed.
pub(crate) struct Watched {
    app: Arc<App>,
    board: Board,
}

/// Numbers that are counted when somebody asks.
struct Census {
    actors: usize,
    waiting: usize,
    phases: [usize; 3],
    workers: usize,
    idle_workers: usize,
    nodes: [usize; 3],
    silent_ms: u64,
    is_held: bool,
}

/// Every limit that a server counts.
pub fn limits() -> Vec<&'static Limit> {
    let telling = door::LIMITS.iter().chain(&otlp::LIMITS);
    credence_control::LIMITS.iter().chain(&limits::ALL).chain(telling).copied().collect()
}

impl Watched {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let mut board = Board::new(limits());
        app.cell.meters().register(board.registry());
        app.meters.register(board.registry());
        Self { app, board }
    }
}

impl Observed for Watched {
    fn metrics(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            let (app, now) = (&self.app, self.app.clock.now());
            // A cell that does not answer leaves the numbers of its last answer; everything else is still told.
            if let Ok(census) = app.cell.read(move |state| census(state, now)).await {
                app.meters.phases(census.phases);
                app.meters.node_states(census.nodes);
                app.meters.actors.set(signed(census.actors));
                app.meters.waiting.set(signed(census.waiting));
                app.meters.workers.set(signed(census.workers));
                app.meters.idle_workers.set(signed(census.idle_workers));
                app.meters.held.set(i64::from(census.is_held));
                app.meters.silent_ms.set(i64::try_from(census.silent_ms).unwrap_or(i64::MAX));
            }
            app.meters.streams.set(signed(app.calls.streams()));
            self.board.text().map_err(|error| error.to_string())
        })
    }

    fn healthy(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            if self.app.cell.is_over() {
                return Err("the cell has ended: the journal could not be read again; see the log and restart".into());
            }
            Ok("the cell runs".into())
        })
    }

    fn ready(&self) -> Answering<'_, Result<String, String>> {
        Box::pin(async {
            if *self.app.stopping.borrow() {
                return Err("the server is stopping".into());
            }
            self.app.ready().await?;
            Ok("the journal is recovered, its fence is held, and the cell answers".into())
        })
    }
}

/// Costs what is bound, not what is registered.
fn census(state: &State, now: Timestamp) -> Census {
    let mut phases = [0; 3];
    for binding in state.actors.all_active().filter_map(|actor| actor.binding.as_ref()) {
        let [starting, live, ending] = &mut phases;
        *match binding.phase {
            Phase::Starting => starting,
            Phase::Live => live,
            Phase::Ending(_) => ending,
        } += 1;
    }
    let (mut nodes, mut silent_ms) = ([0; 3], 0);
    for node in state.nodes.values() {
        let [attested, connected, lost] = &mut nodes;
        *match node.state {
            NodeState::Attested => attested,
            NodeState::Connected => {
                silent_ms = silent_ms.max(now.ms_since(node.heard_at));
                connected
            }
            NodeState::Lost => lost,
        } += 1;
    }
    Census {
        actors: state.actors.len(),
        waiting: state.waiting.len(),
        phases,
        workers: state.workers.len(),
        idle_workers: state.idle.len(),
        nodes,
        silent_ms,
        is_held: state.hold.is_some(),
    }
}
