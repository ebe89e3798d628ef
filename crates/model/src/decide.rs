//! `decide`: what a command leads to. Pure: the same state, command, time and entropy give the same events, always.

mod actor;
mod authority;
mod binding;
mod catalogue;
mod clock;
mod consent;
mod delegation;
mod guard;
mod hold;
mod lineage;
mod node;
pub mod resume;

use crate::actor::Actor;
use crate::caller::Caller;
use crate::command::{Answer, Command, IDEMPOTENCY_KEY_BYTES_MAX, Request};
use crate::event::Event;
use crate::id::{ActorRef, Digest, ID_ENTROPY_BYTES};
use crate::refusal::{Kind, Refusal};
use crate::state::State;
use crate::time::Timestamp;
use std::borrow::Cow;

/// Fresh randomness for one decision.
pub type Entropy = [u8; 32];

/// What a command leads to: events to record and then apply, and the answer once they are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// In order; empty if nothing changes.
    pub events: Vec<Event>,
    /// What the caller is told.
    pub answer: Answer,
}

/// When it is, and fresh randomness: everything that a decision may know from outside.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The time.
    pub now: Timestamp,
    /// The randomness.
    pub entropy: &'a Entropy,
}

/// Decides a request: a retry under a known idempotency key gets the first answer, anything else is decided anew.
/// Refusals are not remembered, since they changed nothing.
pub fn decide(state: &State, request: &Request, now: Timestamp, entropy: &Entropy) -> Result<Decision, Refusal> {
    if state.last_index == 0 && !matches!(request.command, Command::Start(_)) {
        return Err(Refusal::new(Kind::Unavailable, "the trust domain was not started").retry_after_ms(1000));
    }
    let Some(key) = &request.idempotency_key else {
        return decide_anew(state, &request.command, Moment { now, entropy });
    };
    let key = answer_key(&request.caller, key)?;
    let command = Digest::of(crate::canonical_json::write(&request.command).as_bytes());
    if let Some(remembered) = state.answers.get(&key) {
        if remembered.command == command {
            return Ok(Decision { events: Vec::new(), answer: remembered.answer.clone() });
        }
        let message = "this idempotency key was used for another command";
        return Err(Refusal::new(Kind::Conflict, message)
            .field("Idempotency-Key")
            .hint("Use a new key for a new command"));
    }
    let mut decision = decide_anew(state, &request.command, Moment { now, entropy })?;
    decision.events.push(Event::CommandAnswered { key, command, answer: decision.answer.clone() });
    Ok(decision)
}

fn decide_anew(state: &State, command: &Command, moment: Moment) -> Result<Decision, Refusal> {
    let now = moment.now;
    hold::check(state, command)?;
    match command {
        Command::Start(settings) => clock::start(state, settings),
        Command::Configure(settings) => clock::configure(state, settings),
        Command::Expire => Ok(clock::expire(state, now)),
        Command::Hold { cause } => hold::hold(state, cause),
        Command::Release { reason } => hold::release(state, reason.as_ref(), now),
        Command::Schedule => Ok(resume::schedule(state, moment)),
        Command::AdoptAuthority { keys } => authority::adopt(state, keys, now),
        Command::PrepareAuthority { keys } => authority::prepare(state, keys, now),
        Command::ActivateAuthority { authority, force } => authority::activate(state, authority, *force),
        Command::TaintAuthority { authority, reason } => authority::taint(state, authority, reason.as_ref()),
        Command::RetireAuthority { authority, force } => authority::retire(state, authority, *force, now),
        Command::ApplyClass { .. } => catalogue::apply_class(state, command),
        Command::EnableClass { class, revision, enabled } => catalogue::enable(state, class, *revision, *enabled),
        Command::ConsentRevision { class, revision, only } => consent::give(state, class, *revision, only),
        Command::WithdrawConsent { class, revision } => consent::withdraw(state, class, *revision),
        Command::DeleteClass { class } => catalogue::delete_class(state, class),
        Command::ApplyPool { .. } => catalogue::apply_pool(state, command),
        Command::DeletePool { pool } => catalogue::delete_pool(state, pool),
        Command::ApplyGuard { .. } => guard::apply(state, command),
        Command::DeleteGuard { guard } => guard::delete(state, guard),
        Command::CreateJoinToken { .. } => node::create_join_token(state, command, now),
        Command::AttestNode { node, token, key } => node::attest(state, node, token, *key, now),
        Command::RenewNode { node, key } => node::renew(state, node, *key, now),
        Command::AttachNode { node, workers, held } => node::attach(state, node, workers, held, now),
        Command::DeleteNode { node } => node::delete(state, node),
        Command::DrainWorker { worker } => node::drain(state, worker),
        Command::Report { node, session, report } => binding::report(state, node, *session, report, moment),
        Command::SpawnActor { .. } => lineage::spawn(state, command, moment),
        Command::GrantDelegation { by, to, offer } => delegation::grant(state, by, to, offer, moment),
        Command::NarrowDelegation { delegation, of, terms } => {
            delegation::narrow(state, delegation, of.as_ref(), terms, now)
        }
        Command::RevokeDelegation { delegation, of, reason } => {
            delegation::revoke(state, delegation, of.as_ref(), reason.as_ref(), now)
        }
        Command::Use { uses } => delegation::take(state, uses, now),
        Command::RecordDecisions { node, decided } => delegation::record(state, node, decided),
        Command::CreateActor { class, id, labels } => actor::create(state, class, id.as_ref(), labels, moment),
        Command::ResumeActor { actor, worker, wait_ms } => {
            resume::resume(state, actor, worker.as_ref(), *wait_ms, moment)
        }
        Command::SuspendActor { actor } => actor::suspend(state, actor),
        Command::TerminateActor { actor, reason } => actor::terminate(state, actor, reason.as_ref()),
        Command::QuarantineActor { actor, reason } => actor::quarantine(state, actor, reason.as_ref()),
        Command::DeleteActor { actor } => actor::delete(state, actor),
    }
}

/// Keys are scoped to their caller: nobody reads another's answers.
fn answer_key(caller: &Caller, key: &str) -> Result<Digest, Refusal> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let message = format!("an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Refusal::new(Kind::Malformed, message).field("Idempotency-Key"));
    }
    Ok(Digest::of(format!("{}\n{key}", crate::canonical_json::write(caller)).as_bytes()))
}

impl Decision {
    pub(crate) fn done(events: Vec<Event>) -> Self {
        Self { events, answer: Answer::Done {} }
    }

    /// What is true of the actor already, with these further events.
    pub(crate) fn about(actor: &Actor, events: Vec<Event>) -> Self {
        Self { events, answer: answer_about(actor) }
    }
}

pub(crate) fn answer_about(actor: &Actor) -> Answer {
    Answer::Actor {
        actor: actor.actor.clone(),
        state: actor.state,
        epoch: actor.epoch,
        binding: actor.binding.as_ref().map(|binding| binding.id),
        waiting: actor.wait.is_some(),
    }
}

pub(crate) fn find_actor<'s>(state: &'s State, actor: &ActorRef) -> Result<Cow<'s, Actor>, Refusal> {
    state.actors.get(actor).ok_or_else(|| {
        if state.is_tombstone(actor) {
            Refusal::new(Kind::NotFound, format!("actor {actor} was deleted; its id is never used again"))
        } else {
            Refusal::new(Kind::NotFound, format!("there is no actor {actor}"))
        }
    })
}

/// Three independent draws: for a binding, an actor and a worker.
pub(crate) fn draw(entropy: &Entropy, nth: usize) -> [u8; ID_ENTROPY_BYTES] {
    let mut drawn = [0; ID_ENTROPY_BYTES];
    let from = entropy.iter().skip(nth * ID_ENTROPY_BYTES);
    drawn.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    drawn
}

/// A time of day for people, in UTC: the date is in the entry.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    let secs = at.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02} UTC", secs / 3600, secs / 60 % 60, secs % 60)
}
