//! Where questions are decided: on the registry as it is recorded, in the cell, and recorded before they are answered.

use crate::app::App;
use crate::compiled::CompiledPolicies;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::command::{Command, Held, Request};
use credence_model::id::{ActorRef, ClassRef, DecisionId, Digest, NodeName};
use credence_model::permission::decimal::Decimal;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_model::verify::verify;
use credence_policy::asked::Asked;
use credence_policy::brief::Brief;
use credence_policy::decision::{self, Decision, decide};
use credence_policy::inquiry::{Answer, Inquiry, Subject, Wish, may_not_decide};
use credence_policy::judged::Judged;
use credence_policy::together::{Ahead, Considered, Outcome, Together};
use credence_telemetry::random;
use std::sync::Arc;

/// How often a question is decided anew because somebody else used up meanwhile what it was to use.
pub(crate) const TRIES: usize = 3;

/// What is asked of an actor.
struct Matter {
    actor: ActorRef,
    /// Only whether it may act at all, if missing.
    asked: Option<Arc<Asked>>,
    confirms: bool,
}

/// Decides, and changes nothing.
pub(crate) async fn consider(app: &App, asked: Asked) -> Result<Judged, Refusal> {
    let now = app.clock.now();
    let compiled = app.policies.clone();
    let look = move |state: &State| look(state, &asked, &compiled, now, &Ahead::default());
    let (brief, decision) = looked(app, look).await?;
    Ok(Judged { id: decision_id(now)?, brief, decision })
}

/// Decides several things that are done together, if at all, and changes nothing.
async fn consider_all(app: &App, matters: &Arc<[Matter]>) -> Result<Together, Refusal> {
    let now = app.clock.now();
    let (all, compiled) = (Arc::clone(matters), app.policies.clone());
    looked(app, move |state: &State| look_all(state, &all, &compiled, now)).await.map(Together)
}

/// Looks until the policies that it takes are compiled.
async fn looked<T: Send + 'static>(
    app: &App,
    look: impl Fn(&State) -> Result<Looked<T>, Refusal> + Clone + Send + 'static,
) -> Result<T, Refusal> {
    for _ in 0..TRIES {
        match app.cell.glance(look.clone()).await?? {
            Looked::Decided(found) => return Ok(found),
            Looked::Uncompiled(all) => {
                for (digest, spec) in all {
                    app.policies.compile(digest, spec).await?;
                }
            }
        }
    }
    Err(Refusal::new(Kind::Unavailable, "its class changes all the time").retry_after_ms(100))
}

/// The id of a decision that is made now.
pub(crate) fn decision_id(now: Timestamp) -> Result<DecisionId, Refusal> {
    let entropy = random::bytes();
    let entropy = entropy.map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok(DecisionId::generate(now, entropy))
}

/// What one look at the registry comes to.
pub(crate) enum Looked<T> {
    Decided(T),
    /// Policies that have to be compiled first.
    Uncompiled(Vec<(Digest, Arc<ClassSpec>)>),
}

/// Decides on a registry as it is, if the policies are ready.
pub(crate) fn look(
    state: &State,
    asked: &Asked,
    compiled: &CompiledPolicies,
    now: Timestamp,
    ahead: &Ahead,
) -> Result<Looked<(Arc<Brief>, Decision)>, Refusal> {
    if let Some(hold) = &state.hold {
        return Err(hold.refusal());
    }
    // Time does not go back behind the last entry, whatever this machine's clock does.
    let now = now.max(state.last_at);
    let Asked { actor, class, .. } = asked;
    let brief = Brief::of(state, actor, &|digest| compiled.of(digest));
    let brief = brief.filter(|brief| class.as_ref().is_none_or(|class| *class == brief.class));
    let mut brief = brief.ok_or_else(|| no_actor(actor).field("subject.id"))?;
    let uncompiled = brief.uncompiled();
    if !uncompiled.is_empty() {
        return Ok(Looked::Uncompiled(uncompiled));
    }
    ahead.count(&mut brief);
    let question = asked.question(now);
    let spent = |actor: &ActorRef, budget, since| {
        let recorded = state.budgets.taken(actor, budget, since);
        recorded.plus(ahead.spent(actor, budget)).unwrap_or(Decimal::MAX)
    };
    let decision = decide(&brief, &question, &state.guards, &spent);
    Ok(Looked::Decided((Arc::new(brief), decision)))
}

/// Decides one after the other: what one takes is not there for those behind it.
fn look_all(
    state: &State,
    matters: &[Matter],
    compiled: &CompiledPolicies,
    now: Timestamp,
) -> Result<Looked<Vec<Considered>>, Refusal> {
    let (mut all, mut ahead) = (Vec::with_capacity(matters.len()), Ahead::default());
    for Matter { actor, asked, confirms } in matters {
        let outcome = match asked {
            Some(asked) => match look(state, asked, compiled, now, &ahead)? {
                Looked::Decided((brief, decision)) => {
                    ahead.add(actor, &decision.using);
                    let judged = Judged { id: decision_id(now)?, brief, decision };
                    Outcome::Judged(Box::new(judged), Arc::clone(asked))
                }
                Looked::Uncompiled(policies) => return Ok(Looked::Uncompiled(policies)),
            },
            None => {
                let brief = Brief::of(state, actor, &|_| None).ok_or_else(|| no_actor(actor))?;
                let decision = decision::standing(&brief);
                Outcome::Standing(Arc::new(brief), Box::new(decision))
            }
        };
        all.push(Considered { outcome, confirms: *confirms });
    }
    Ok(Looked::Decided(all))
}

/// Decides, takes what that uses up, and records it: what is answered is in the journal.
pub(crate) async fn judge(app: &App, caller: &Caller, asked: Asked) -> Result<Judged, Refusal> {
    // Whoever asks over AuthZEN is told of the duty.
    let matter = Matter { actor: asked.actor.clone(), asked: Some(Arc::new(asked)), confirms: true };
    let Together(all) = judge_all(app, caller, [matter].into()).await?;
    match all.into_iter().next().map(|considered| considered.outcome) {
        Some(Outcome::Judged(judged, _)) => Ok(*judged),
        _ => Err(Refusal::new(Kind::Bug, "a question was not decided")),
    }
}

/// The same of several things that are done together, if at all.
async fn judge_all(app: &App, caller: &Caller, matters: Arc<[Matter]>) -> Result<Together, Refusal> {
    for _ in 0..TRIES {
        let together = consider_all(app, &matters).await?;
        let uses = together.uses();
        if uses.is_empty() {
            return Ok(together);
        }
        let command = Command::Use { uses };
        match app.cell.submit(Request { caller: caller.clone(), idempotency_key: None, command }).await {
            Ok(_) => return Ok(together),
            // Somebody else was quicker.
            Err(refusal) if refusal.kind == Kind::Denied => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let message = "what it uses up is asked for by many at once";
    Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(100))
}

/// An actor for which a node speaks.
pub(crate) struct Holder {
    actor: ActorRef,
    spiffe_id: SpiffeId,
}

/// The actor that a node speaks for: the one that it holds in this binding.
pub(crate) async fn holder(app: &App, node: &NodeName, held: Held) -> Result<Holder, Refusal> {
    let name = node.clone();
    let look = move |state: &State| {
        let actor = state.actors.active(state.bindings.get(&held.binding)?)?;
        let is_held = actor.live_binding().is_some_and(|live| live.epoch == held.epoch && live.node == name);
        is_held.then(|| Holder { actor: actor.actor.clone(), spiffe_id: state.spiffe_id(actor) })
    };
    let unknown = || Refusal::new(Kind::Stale, format!("node {node} holds no binding {}", held.binding));
    app.cell.glance(look).await?.ok_or_else(unknown)
}

/// Decides what an actor asks about others, of whose class its own has to let it (the action `decide`), and about itself. What
/// is used up is taken only if all of it is done.
pub(crate) async fn answer_all(app: &App, asker: Holder, inquiries: Vec<Inquiry>) -> Result<Vec<Answer>, Refusal> {
    let mut matters = Vec::with_capacity(inquiries.len());
    let mut known: Option<(Subject, ActorRef)> = None;
    for Inquiry { subject, wish, confirms } in inquiries {
        // Most requests are those of one subject.
        let actor = match known.take().filter(|(last, _)| *last == subject) {
            Some((_, actor)) => actor,
            None => may_ask_about(app, &asker.actor, &subject).await?,
        };
        let asked = wish.map(|wish| wish.read(actor.clone()).map(Arc::new)).transpose()?;
        matters.push(Matter { actor: actor.clone(), asked, confirms });
        known = Some((subject, actor));
    }
    let caller = Caller::Svid { id: asker.spiffe_id };
    Ok(judge_all(app, &caller, matters.into()).await?.answers(0))
}

/// The actor that is asked about, if it is live and an actor may have decisions made about it.
async fn may_ask_about(app: &App, asker: &ActorRef, subject: &Subject) -> Result<ActorRef, Refusal> {
    let (actor, class) = live(app, subject).await?;
    may_ask(app, asker, &actor, &class).await?;
    Ok(actor)
}

/// Whoever is asked about acts in its live binding.
async fn live(app: &App, Subject { spiffe_id, held }: &Subject) -> Result<(ActorRef, ClassRef), Refusal> {
    let (id, held, now) = (spiffe_id.clone(), *held, app.clock.now());
    let verdict = app.cell.glance(move |state| verify(state, &id, held.epoch, held.binding, now)).await?;
    match (verdict.live, verdict.actor, verdict.class) {
        (true, Some(actor), Some(class)) => Ok((actor, class)),
        _ => {
            let message = format!("the identity {spiffe_id} is not live: {}", verdict.reason);
            Err(Refusal::new(Kind::Stale, message))
        }
    }
}

/// Whether an actor may have decisions made about another. About itself it always may.
pub(crate) async fn may_ask(app: &App, asker: &ActorRef, about: &ActorRef, class: &ClassRef) -> Result<(), Refusal> {
    if asker == about {
        return Ok(());
    }
    let judged = consider(app, Wish::to_decide(class).read(asker.clone())?).await?;
    may_not_decide(asker, class, &judged.decision).map_or(Ok(()), Err)
}

/// The refusal of whoever asks about somebody who is not there.
pub(crate) fn no_actor(actor: &ActorRef) -> Refusal {
    Refusal::new(Kind::NotFound, format!("there is no actor {actor}"))
}
