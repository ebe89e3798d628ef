//! Where questions are decided on a node: about the actors that it holds from what the control plane told it, about others, and
//! about what is counted, by the control plane.
//!
//! INVARIANTS
//! - What is decided here was complete no longer ago than the control plane allows; the node knows because a heartbeat is
//!   acknowledged only after everything that was recorded before it was told.
//! - What has to be recorded waits in a queue with room for it before it is answered; what has the duty `log` is recorded by
//!   the control plane before it is answered.
//! - What cannot be decided is refused, and so is a no.

pub(crate) mod keeper;
mod known;
pub(crate) mod recorder;

use crate::clock::MonoClock;
use crate::endpoint::Decide;
use crate::event::{Event, Events};
use credence_model::command::Held;
use credence_model::guards::Guards;
use credence_model::id::DecisionId;
use credence_model::permission::decimal::Decimal;
use credence_model::refusal::{Kind, Refusal};
use credence_policy::asked::Asked;
use credence_policy::brief::Brief;
use credence_policy::decision;
use credence_policy::inquiry::{Answer, INQUIRIES_MAX, Inquiry, Wish, may_not_decide};
use credence_policy::judged::Judged;
use credence_policy::together::{Considered, Outcome, Together};
use credence_telemetry::limit::Limit;
use credence_telemetry::random;
use credence_telemetry::span::{SpanKind, Trace, Tracer};
use credence_telemetry::trace::TraceContext;
use futures_util::FutureExt as _;
use keeper::{Told, keeper};
use known::Fresh;
pub(crate) use known::{Complete, Known};
use recorder::{Records, recorder};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Longest wait for a decision of the control plane, in milliseconds.
const DECIDE_MS_MAX: u64 = 5_000;
/// The control plane does not decide in time.
pub(crate) static DECIDE_TIME: Limit =
    Limit::new("server_decision_time", DECIDE_MS_MAX, "milliseconds", "refused: unavailable");

/// Most requests of one actor that the control plane decides at once; further ones wait.
const ASKING_MAX: usize = 128;
/// An actor asks more of the control plane at once.
pub(crate) static ASKING: Limit =
    Limit::new("actor_decisions", ASKING_MAX as u64, "decisions of an actor at the server", "further ones wait");

/// Decides on this node.
#[derive(Clone)]
pub(crate) struct Judge {
    pub(crate) known: Arc<Known>,
    records: Records,
    events: Events,
    tracer: Tracer,
}

/// What one look at what the node knows comes to.
enum Looked {
    Decided(Vec<Answer>),
    /// The control plane has to be asked, for this reason.
    Elsewhere(&'static str),
}

impl Judge {
    /// Begins to keep what is told of permissions, and to have decisions recorded.
    pub(crate) fn begin(
        clock: MonoClock,
        events: &Events,
        connected: watch::Receiver<bool>,
        tracer: Tracer,
        tasks: &mut JoinSet<()>,
    ) -> (Self, mpsc::Sender<Told>) {
        let known = Arc::new(Known::new(clock));
        let (records, recording) = recorder(events.clone(), connected);
        let (keeper, keeping) = keeper(Arc::clone(&known));
        tasks.spawn(keeping);
        tasks.spawn(recording);
        (Self::new(known, records, events.clone(), tracer), keeper)
    }

    pub(crate) fn new(known: Arc<Known>, records: Records, events: Events, tracer: Tracer) -> Self {
        Self { known, records, events, tracer }
    }

    /// Where its decisions wait to be recorded.
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// Decides in the name of the actor of this binding.
    pub(crate) fn of(&self, asker: Held) -> Decide {
        let (judge, turns) = (self.clone(), Arc::new(Semaphore::new(ASKING_MAX)));
        Arc::new(move |inquiries, said| {
            let (judge, asker) = (judge.clone(), Asker { held: asker, turns: Arc::clone(&turns) });
            async move { judge.decide(asker, inquiries, said).await }.boxed()
        })
    }

    async fn decide(
        &self,
        asker: Asker,
        inquiries: Vec<Inquiry>,
        said: Option<TraceContext>,
    ) -> Result<Vec<Answer>, Refusal> {
        if inquiries.is_empty() || inquiries.len() > INQUIRIES_MAX {
            let message = format!("from 1 to {INQUIRIES_MAX} questions are decided at once");
            return Err(Refusal::new(Kind::Limited, message));
        }
        match self.look(asker.held, &inquiries)? {
            Looked::Decided(answers) => Ok(answers),
            Looked::Elsewhere(why) => {
                let mut part = self.tracer.follow(said, "decide", SpanKind::Server);
                part.set("credence.why", || why);
                let answers = self.ask(asker, inquiries, part.trace()).await;
                part.fail_if(answers.is_err());
                answers.map_err(|refusal| because(refusal, why))
            }
        }
    }

    /// Decides what can be decided here.
    fn look(&self, asker: Held, inquiries: &[Inquiry]) -> Result<Looked, Refusal> {
        let Some(fresh) = self.known.fresh() else {
            return Ok(Looked::Elsewhere("what this node knows is older than it may be"));
        };
        let unknown = Looked::Elsewhere("the control plane has not told this node what the actor may do");
        let (Some(own), Some(guards)) = (self.known.brief(asker), self.known.guards()) else { return Ok(unknown) };
        let at = At { fresh, guards };
        let mut all = Vec::with_capacity(inquiries.len());
        for Inquiry { subject, wish, confirms } in inquiries {
            let Some(brief) = self.known.brief_of(subject) else { return Ok(unknown) };
            if subject.held != asker {
                may_decide(&own, &brief, &at)?;
            }
            all.push(Considered { outcome: decide(&brief, wish.as_ref(), &at)?, confirms: *confirms });
        }
        self.settle(Together(all), fresh.age_ms)
    }

    /// Answers what was decided, unless something of it is counted or has to be recorded first.
    fn settle(&self, together: Together, age_ms: u64) -> Result<Looked, Refusal> {
        if together.waits_for_record() {
            return Ok(Looked::Elsewhere("what it uses up, or its record, comes first"));
        }
        let decided = together.uses().into_iter().filter_map(|used| used.decided.map(|decided| *decided));
        self.records.put(decided.collect())?;
        Ok(Looked::Decided(together.answers(age_ms)))
    }

    /// Asks the hub, which asks the control plane.
    async fn ask(&self, asker: Asker, inquiries: Vec<Inquiry>, trace: Trace) -> Result<Vec<Answer>, Refusal> {
        let away = || Refusal::new(Kind::Unavailable, "the node is not connected to the control plane");
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let turn = asker.turn().await.ok_or_else(away)?;
            let event = Event::Decide { asker: asker.held, inquiries, trace, answer, turn };
            self.events.send(event).await.map_err(|_| away())?;
            answered.await.unwrap_or_else(|_| Err(away()))
        };
        match tokio::time::timeout(Duration::from_millis(DECIDE_MS_MAX), asked).await {
            Ok(answers) => answers,
            Err(_) => {
                DECIDE_TIME.hit();
                Err(Refusal::new(Kind::Unavailable, "the control plane did not decide in time"))
            }
        }
    }
}

/// An actor that asks.
struct Asker {
    held: Held,
    /// Its ways to the control plane that are free.
    turns: Arc<Semaphore>,
}

impl Asker {
    /// Its turn is over when the control plane has answered, and not before: whoever asks and goes away takes as much.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if self.turns.available_permits() == 0 {
            ASKING.hit();
        }
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}

/// What every decision of one look is made with.
struct At {
    fresh: Fresh,
    guards: Guards,
}

/// What is counted is not known here: nothing was used up, and whatever would be is decided elsewhere.
fn decide(brief: &Arc<Brief>, wish: Option<&Wish>, at: &At) -> Result<Outcome, Refusal> {
    let Some(wish) = wish else {
        return Ok(Outcome::Standing(Arc::clone(brief), Box::new(decision::standing(brief))));
    };
    let (judged, asked) = judge(brief, wish, at)?;
    Ok(Outcome::Judged(Box::new(judged), Arc::new(asked)))
}

fn judge(brief: &Arc<Brief>, wish: &Wish, At { fresh, guards }: &At) -> Result<(Judged, Asked), Refusal> {
    let asked = wish.read(brief.actor.clone())?;
    let decision = decision::decide(brief, &asked.question(fresh.now), guards, &|_, _, _| Decimal::default());
    let entropy = random::bytes();
    let entropy = entropy.map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok((Judged { id: DecisionId::generate(fresh.now, entropy), brief: Arc::clone(brief), decision }, asked))
}

/// Whether the class of who asks lets it ask about that class.
fn may_decide(asker: &Arc<Brief>, about: &Brief, at: &At) -> Result<(), Refusal> {
    let (judged, _) = judge(asker, &Wish::to_decide(&about.class), at)?;
    may_not_decide(&asker.actor, &about.class, &judged.decision).map_or(Ok(()), Err)
}

/// Why the control plane was asked belongs to why it could not be.
fn because(refusal: Refusal, why: &str) -> Refusal {
    match refusal.kind {
        Kind::Unavailable => Refusal { message: format!("{why}, and {}", refusal.message), ..refusal },
        _ => refusal,
    }
}

#[cfg(test)]
mod tests;
