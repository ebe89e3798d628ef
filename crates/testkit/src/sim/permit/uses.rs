//! Actors ask for something. What is decided is recorded at once, or later and perhaps by another server, when others have used
//! something up meanwhile.

use super::super::Fault;
use super::super::check::Broken;
use super::super::ledger::Asked;
use super::super::server::judge::Judged;
use super::super::world::World;
use credence_model::caller::Caller;
use credence_model::command::{Command, Use};
use credence_policy::decision::Using;
use credence_policy::verdict::Layer;

const TOOLS: [&str; 2] = ["t/a", "t/b"];
/// Decisions that are not recorded yet, at most.
const UNDER_WAY_MAX: usize = 4;

impl World {
    /// Somebody asks for something, or what was decided is recorded.
    pub(super) fn use_something(&mut self) -> Result<(), Broken> {
        if !self.permits.under_way.is_empty() && self.random.one_in(3) {
            let nth = self.random.below(self.permits.under_way.len() as u64) as usize;
            let judged = self.permits.under_way.swap_remove(nth);
            self.note("use recorded later", String::new());
            self.record(judged);
            return Ok(());
        }
        let Some(judged) = self.judge() else { return Ok(()) };
        self.compare(&judged)?;
        self.note(if judged.decision.allowed { "allowed" } else { "denied" }, String::new());
        if self.permits.under_way.len() < UNDER_WAY_MAX && self.random.one_in(3) {
            self.permits.under_way.push(judged);
        } else {
            self.record(judged);
        }
        Ok(())
    }

    fn judge(&mut self) -> Option<Judged> {
        let actor = self.some_of_somebody()?;
        let tool = TOOLS.get(self.random.below(TOOLS.len() as u64) as usize).copied().unwrap_or("t/a");
        let asked = Asked { tool, amount: self.random.between(1, 100) as i64 };
        let server = self.some_server()?;
        self.with_server(server, |server, outside| server.judge(outside, &actor, asked)).flatten()
    }

    /// What was decided is what the journal alone says, if it was decided on all of it.
    fn compare(&mut self, judged: &Judged) -> Result<(), Broken> {
        if judged.after != self.checks.known.len() as u64 {
            return Ok(());
        }
        let name = judged.actor.to_string();
        let denies = self.checks.ledger.denies(&name, judged.asked, judged.at);
        let what = || format!("{name} asked for {:?} at {}: {:?}", judged.asked, judged.at.0, judged.decision.layers);
        let is_spent = judged.decision.denials().any(|verdict| verdict.layer == Layer::Budget);
        match (judged.decision.allowed, denies) {
            (true, Some(layer)) => Err(Broken::Exceeded(format!("{layer} denies it: {}", what()))),
            (false, None) if !is_spent => Err(Broken::Exceeded(format!("nothing denies it: {}", what()))),
            _ => Ok(()),
        }
    }

    /// The decision is recorded, and what it uses up taken; then whoever asked is told.
    fn record(&mut self, judged: Judged) {
        let (id, actor) = (judged.id, judged.actor.clone());
        self.checks.ledger.ask(id, judged.asked);
        let decided = Some(Box::new(judged.told()));
        let is_forgotten = self.options.fault == Some(Fault::UsesUncounted);
        let Using { delegations, budgets } = if is_forgotten { Using::default() } else { judged.decision.using };
        let command = Command::Use { uses: vec![Use { actor, decided, delegations, budgets }] };
        self.trace_line(format!("{command:?}"));
        let Some(server) = self.some_server() else { return };
        let local = Caller::Local { uid: 0 };
        let answer = self.with_server(server, |server, outside| server.ask(outside, local, command)).flatten();
        self.trace_line(format!("  → {answer:?}"));
        match answer {
            Some(Ok(_)) => self.checks.ledger.tell(id),
            _ if self.options.fault == Some(Fault::AnswersUndecided) => self.checks.ledger.tell(id),
            Some(Err(_)) => self.note("use refused", String::new()),
            None => {}
        }
    }
}
