//! Where questions are decided: on the registry as it is recorded, in the cell, and recorded before they are answered.

use crate::app::App;
use crate::compiled::CompiledPolicies;
use credence_model::caller::Caller;
use credence_model::class::ClassSpec;
use credence_model::command::{Command, Held, Request};
use credence_model::id::{ActorRef, ClassRef, DecisionId, Digest, ID_ENTROPY_BYTES, NodeName};
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
use std::sync::Arc;

/// How often a question is decided anew because somebody else used up meanwhile what it was to use.
pub(crate) const TRIES: usize = 3;

/// Decides, and changes nothing.
pub(crate) async fn consider(app: &App, asked: Asked) -> Result<Judged, Refusal> {
    let now = app.clock.now();
    let id = decision_id(now)?;
    for _ in 0..TRIES {
        let (asked, compiled) = (asked.clone(), app.policies.clone());
        let look = move |state: &State| look(state, asked, &compiled, now);
        match app.cell.read(look).await?? {
            Looked::Decided(brief, decision) => return Ok(Judged { id, brief, decision }),
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
    let mut entropy = [0; ID_ENTROPY_BYTES];
    aws_lc_rs::rand::fill(&mut entropy).map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok(DecisionId::generate(now, entropy))
}

/// What one look at the registry comes to.
pub(crate) enum Looked {
    Decided(Arc<Brief>, Decision),
    /// Policies that have to be compiled first.
    Uncompiled(Vec<(Digest, Arc<ClassSpec>)>),
}

/// Decides on a registry as it is, if the policies are ready.
pub(crate) fn look(
    state: &State,
    asked: Asked,
    compiled: &CompiledPolicies,
    now: Timestamp,
) -> Result<Looked, Refusal> {
    if let Some(hold) = &state.hold {
        return Err(hold.refusal());
    }
    // Time does not go back behind the last entry, whatever this machine's clock does.
    let now = now.max(state.last_at);
    let Asked { actor, class, .. } = &asked;
    let brief = Brief::of(state, actor, &|digest| compiled.of(digest));
    let brief = brief.filter(|brief| class.as_ref().is_none_or(|class| *class == brief.class));
    let unknown = || Refusal::new(Kind::NotFound, format!("there is no actor {actor}")).field("subject.id");
    let brief = Arc::new(brief.ok_or_else(unknown)?);
    let uncompiled = brief.uncompiled();
    if !uncompiled.is_empty() {
        return Ok(Looked::Uncompiled(uncompiled));
    }
    let question = asked.question(now);
    let spent = |actor: &ActorRef, budget, since| state.budgets.taken(actor, budget, since);
    let decision = decide(&brief, &question, &state.guards, &spent);
    Ok(Looked::Decided(brief, decision))
}

/// Decides, takes what that uses up, and records it: what is answered is in the journal.
pub(crate) async fn judge(app: &App, caller: &Caller, asked: &Asked) -> Result<Judged, Refusal> {
    for _ in 0..TRIES {
        let judged = consider(app, asked.clone()).await?;
        let decided = judged.is_recorded().then(|| Box::new(judged.told(asked)));
        let using = judged.decision.using.clone();
        if decided.is_none() && using.is_empty() {
            return Ok(judged);
        }
        let (actor, delegations, budgets) = (asked.actor.clone(), using.delegations, using.budgets);
        let command = Command::Use { actor, decided, delegations, budgets };
        match app.cell.submit(Request { caller: caller.clone(), idempotency_key: None, command }).await {
            Ok(_) => return Ok(judged),
            // Somebody else was quicker.
            Err(refusal) if refusal.kind == Kind::Denied => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let message = "what it uses up is asked for by many at once";
    Err(Refusal::new(Kind::Unavailable, message).retry_after_ms(100))
}

/// The actor that a node speaks for: the one that it holds in this binding.
pub(crate) async fn holder(app: &App, node: &NodeName, held: Held) -> Result<ActorRef, Refusal> {
    let name = node.clone();
    let look = move |state: &State| {
        let actor = state.actors.active(state.bindings.get(&held.binding)?)?;
        let is_held = actor.live_binding().is_some_and(|live| live.epoch == held.epoch && live.node == name);
        is_held.then(|| actor.actor.clone())
    };
    let unknown = || Refusal::new(Kind::Stale, format!("node {node} holds no binding {}", held.binding));
    app.cell.read(look).await?.ok_or_else(unknown)
}

/// Decides what an actor asks about others, of whose class its own has to let it (the action `decide`), and about itself. What
/// is used up is taken only if all of it is allowed.
pub(crate) async fn answer_all(app: &App, asker: &ActorRef, inquiries: Vec<Inquiry>) -> Result<Vec<Answer>, Refusal> {
    let mut asked = Vec::with_capacity(inquiries.len());
    for Inquiry { subject, wish } in inquiries {
        let (actor, class) = live(app, subject).await?;
        may_ask(app, asker, &actor, &class).await?;
        asked.push(match wish {
            Some(wish) => Ok(wish.read(actor)?),
            None => Err(actor),
        });
    }
    let caller = Caller::Svid { id: spiffe_id(app, asker).await? };
    let mut considered = Vec::with_capacity(asked.len());
    for asked in &asked {
        considered.push(match asked {
            Ok(asked) => Answer::of(&consider(app, asked.clone()).await?, 0),
            Err(actor) => standing(app, actor).await?,
        });
    }
    let all = considered.iter().all(|answer| answer.allowed);
    for (answer, asked) in considered.iter_mut().zip(&asked) {
        // What is allowed beside something that is denied is not done, and so neither used up nor recorded.
        if let (Ok(asked), true) = (asked, all || !answer.allowed) {
            *answer = Answer::of(&judge(app, &caller, asked).await?, 0);
        }
    }
    Ok(considered)
}

/// Whoever is asked about acts in its live binding.
async fn live(app: &App, subject: Subject) -> Result<(ActorRef, ClassRef), Refusal> {
    let Subject { spiffe_id, held } = subject;
    let (id, now) = (spiffe_id.clone(), app.clock.now());
    let verdict = app.cell.read(move |state| verify(state, &id, held.epoch, held.binding, now)).await?;
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

async fn standing(app: &App, actor: &ActorRef) -> Result<Answer, Refusal> {
    let (name, unknown) = (actor.clone(), || Refusal::new(Kind::NotFound, format!("there is no actor {actor}")));
    let brief = app.cell.read(move |state| Brief::of(state, &name, &|_| None)).await?.ok_or_else(unknown)?;
    Ok(Answer::about(&brief, decision::standing(&brief), 0))
}

async fn spiffe_id(app: &App, actor: &ActorRef) -> Result<SpiffeId, Refusal> {
    let (name, unknown) = (actor.clone(), || Refusal::new(Kind::NotFound, format!("there is no actor {actor}")));
    let found = app.cell.read(move |state| state.actors.get(&name).map(|found| state.spiffe_id(&found))).await?;
    found.ok_or_else(unknown)
}
