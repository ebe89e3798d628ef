//! One class, twelve actors, three workers: they take turns.

use super::short;
use crate::client::{Call, Client};
use crate::demo::house::{ACTORS, House, actor, class, resume, suspend};
use crate::demo::stage::Stage;
use crate::demo::tool::Lines;
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::actor::ActorState;
use credence_model::id::{ActorRef, BindingId, ClassRef, Epoch, WorkerRef};
use credence_model::label::Labels;
use credence_model::refusal::Kind;
use credence_model::worker::WorkerKind;
use credence_server::api::actor::{ActorView, CreateActorBody};
use credence_server::api::worker::WorkerView;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often each actor is resumed.
const ROUNDS: usize = 3;
/// How many turns are told one by one.
const TOLD: usize = 4;

/// One turn of one actor.
struct Turn {
    actor: ActorRef,
    epoch: Epoch,
    binding: BindingId,
    worker: WorkerRef,
    /// From the identity being live to the tool's answer.
    called_after: Duration,
}

pub(in crate::demo) async fn play(stage: &Stage, house: &mut House) -> Result<(), Failure> {
    stage.heading(1, "One class, twelve actors, three workers")?;
    introduce(stage, house).await?;
    create(&house.client).await?;
    let (told, mut turns) = mpsc::channel(ACTORS * ROUNDS);
    let mut actors = JoinSet::new();
    for number in 1..=ACTORS {
        let (client, actor, lines, told) = (house.client.clone(), actor(number)?, house.tool.lines(), told.clone());
        actors.spawn(async move { take_turns(&client, &actor, lines, told).await });
    }
    drop(told);
    let (mut done, mut workers) = (Vec::new(), BTreeSet::new());
    while let Some(turn) = turns.recv().await {
        if done.len() < TOLD {
            tell(stage, house, &turn).await?;
        }
        workers.insert(turn.worker.clone());
        done.push(turn);
        stage.progress(&format!("{} of {} turns", done.len(), ACTORS * ROUNDS))?;
    }
    while let Some(ended) = actors.join_next().await {
        ended.map_err(|error| Failure::new(Kind::Bug, format!("an actor's turns were lost: {error}")))??;
    }
    sum_up(stage, house, &done, workers.len()).await
}

async fn introduce(stage: &Stage, house: &House) -> Result<(), Failure> {
    let text = |path: &str| house.class.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
    let revision = house.class.pointer("/revision").and_then(Value::as_u64).unwrap_or_default();
    let (owner, purpose) = (text("/spec/owner"), text("/spec/purpose"));
    stage.line(format!(
        "   class    finance/expense-agent  revision {revision} · owner {owner} · {purpose:?}   (examples/expenses.yaml)"
    ))?;
    let workers: Vec<WorkerView> = house.client.list("/v1/workers").await?;
    let slots = workers.iter().filter(|worker| worker.kind == WorkerKind::Slot);
    let names: Vec<_> = slots.map(|worker| worker.id.as_str()).collect();
    unless(names.len() == 3, || format!("there are {} workers", names.len()))?;
    stage.line(format!("   workers  {}   on two nodes, each attested with a join token of its own", names.join("  ")))
}

async fn create(client: &Client) -> Result<(), Failure> {
    for number in 1..=ACTORS {
        let ActorRef { namespace, actor } = actor(number)?;
        let body = CreateActorBody::new(ClassRef { namespace, class: class()? }, Some(actor), Labels::new());
        let _: ActorView = client.send(Call::post("/v1/actors", &body)).await?;
    }
    Ok(())
}

/// Resumed, seen by the tool, suspended: again and again.
async fn take_turns(
    client: &Client,
    actor: &ActorRef,
    mut lines: Lines,
    told: mpsc::Sender<Turn>,
) -> Result<(), Failure> {
    for _ in 0..ROUNDS {
        let view = resume(client, actor, None).await?;
        let begun = Instant::now();
        let held = view.binding.zip(view.worker).filter(|_| view.state == ActorState::Running);
        let Some((binding, worker)) = held else {
            return Err(Failure::new(Kind::Bug, format!("{actor} does not run: {:?}", view.state)));
        };
        let (peer, epoch) = (view.spiffe_id.to_string(), view.epoch);
        let what = format!("a call of {actor} in epoch {epoch}");
        lines.find(&what, |line| line.accepted && line.peer == peer && line.epoch == epoch).await?;
        let called_after = begun.elapsed();
        suspend(client, actor).await?;
        let turn = Turn { actor: actor.clone(), epoch, binding, worker: worker.0, called_after };
        // Nobody listens any more when the demo is over.
        let _ = told.send(turn).await;
    }
    Ok(())
}

async fn tell(stage: &Stage, house: &mut House, turn: &Turn) -> Result<(), Failure> {
    house.ledger.refresh(0).await?;
    let live_ms = house.ledger.live_after_ms(turn.binding);
    let live = live_ms.map_or_else(|| "-".into(), |ms| ms.to_string());
    stage.event(&format!(
        "{} on {:<8} epoch {}   identity live {live} ms after the decision, {} ms later the tool says {}",
        turn.actor.actor,
        short(&turn.worker),
        turn.epoch,
        turn.called_after.as_millis(),
        stage.good("ok"),
    ))
}

async fn sum_up(stage: &Stage, house: &mut House, turns: &[Turn], workers: usize) -> Result<(), Failure> {
    house.ledger.refresh(0).await?;
    let mut live: Vec<_> = turns.iter().filter_map(|turn| house.ledger.live_after_ms(turn.binding)).collect();
    live.sort_unstable();
    let median = live.get(live.len() / 2).copied().unwrap_or_default();
    unless(turns.len() == ACTORS * ROUNDS && live.len() == turns.len(), || "a turn is missing in the journal".into())?;
    unless(workers == 3, || format!("only {workers} of three workers were used"))?;
    stage.line(format!(
        "   …        {ACTORS} actors took turns on {workers} workers: {} bindings, median {median} ms to a live identity",
        turns.len()
    ))
}
