//! What the hub is told of permissions, the questions that it passes on, and the decisions that it has recorded.

use super::{ASKED_MAX, Hub, busy};
use crate::core::MonoMs;
use crate::event::Batch;
use crate::judge::Complete;
use crate::judge::keeper::{TOLD, Told};
use crate::protocol;
use credence_model::command::Held;
use credence_model::guard::{GUARDS_MAX, Guard};
use credence_model::id::BindingId;
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_policy::inquiry::{Answer, Inquiry};
use credence_telemetry::limit::Limit;
use credence_telemetry::span::Trace;
use credence_wire::node as wire;
use credence_wire::node::from_node;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The node's actors ask too much at once.
pub(crate) static DECISIONS: Limit =
    Limit::new("server_decisions", ASKED_MAX as u64, "decisions asked of the server", "refused: unavailable");

/// Somebody waits for answers of the control plane.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Vec<Answer>, Refusal>>,
    pub(super) _turn: OwnedSemaphorePermit,
}

pub(super) type Recorded = oneshot::Sender<Result<(), Refusal>>;

impl Hub {
    pub(super) fn briefed(&mut self, stream: u64, brief: &wire::Brief) -> Result<(), Refusal> {
        let malformed = |error: String| protocol::malformed("brief.brief", error);
        let binding = BindingId::parse(&brief.binding).map_err(|error| protocol::malformed("brief.binding", error))?;
        let brief = match brief.brief.as_slice() {
            [] => None,
            bytes => Some(serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?),
        };
        self.keep(stream, Told::Brief(binding, brief));
        Ok(())
    }

    pub(super) fn guarded(&mut self, stream: u64, part: &wire::Guards) -> Result<(), Refusal> {
        // Taken: after a part that cannot be read none of them counts.
        let begun = if part.first { Some(Vec::new()) } else { self.guards.take() };
        let mut guards = begun.ok_or_else(|| protocol::malformed("guards.first", "there was no first part"))?;
        if guards.len() + part.guards.len() > GUARDS_MAX {
            return Err(protocol::malformed("guards.guards", format!("more than {GUARDS_MAX} guards")));
        }
        for bytes in &part.guards {
            let guard: Guard =
                serde_json::from_slice(bytes).map_err(|error| protocol::malformed("guards.guards", error))?;
            guards.push(guard);
        }
        match part.last {
            true => self.keep(stream, Told::Guards(guards.into_iter().collect())),
            false => self.guards = Some(guards),
        }
        Ok(())
    }

    /// Everything was told that was recorded until the heartbeat was; it was sent no earlier than the newest that counts.
    pub(super) fn completed(&mut self, stream: u64, as_of: Option<MonoMs>, server_now: Timestamp) {
        if let (Some(as_of), Some(age_ms_max)) = (as_of, self.decision_age_ms) {
            self.keep(stream, Told::Complete(Complete { as_of, heard: self.clock.now(), server_now, age_ms_max }));
        }
    }

    pub(super) fn keep(&mut self, stream: u64, told: Told) {
        if self.parts.told.try_send(told).is_err() {
            TOLD.hit();
            self.disconnect(stream);
        }
    }

    pub(super) fn decide(&mut self, asker: Held, inquiries: Vec<Inquiry>, trace: &Trace, waiting: Waiting) {
        let request = self.next_request();
        let questions = inquiries.into_iter().map(protocol::question).collect();
        let decide = wire::Decide { request, held: Some(protocol::held(asker)), questions };
        let has_room = self.decisions.len() < ASKED_MAX;
        let decide = from_node::Message::Decide(decide);
        let asked = if has_room { self.send_traced(decide, trace) } else { Err(busy(&DECISIONS)) };
        match asked {
            Ok(()) => drop(self.decisions.insert(request, waiting)),
            // Whoever asked may have gone away.
            Err(refusal) => drop(waiting.answer.send(Err(refusal))),
        }
    }

    /// What cannot be understood is a no to whoever asked, and nothing to anybody else.
    pub(super) fn decided(&mut self, decisions: wire::Decisions) {
        let Some(waiting) = self.decisions.remove(&decisions.request) else { return };
        let answers = match decisions.refused {
            Some(refused) => Err(protocol::refusal(refused)),
            None => serde_json::from_slice(&decisions.answers).map_err(|error| {
                Refusal::new(Kind::Unavailable, format!("the decision cannot be understood: {error}"))
            }),
        };
        // Whoever asked may have gone away.
        let _ = waiting.answer.send(answers);
    }

    pub(super) fn record(&mut self, batch: &Batch, answer: Recorded) {
        let request = self.next_request();
        match self.send(from_node::Message::Record(wire::Record { request, decided: batch.to_vec() })) {
            Ok(()) => drop(self.records.insert(request, answer)),
            // The recorder ends with the node only.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }

    pub(super) fn recorded(&mut self, recorded: wire::Recorded) {
        let result = recorded.refused.map(protocol::refusal).map_or(Ok(()), Err);
        // The recorder ends with the node only.
        let _ = self.records.remove(&recorded.request).map(|waiting| waiting.send(result));
    }
}
