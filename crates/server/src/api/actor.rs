//! Actors.

use super::list::{Listed, page};
use super::object::Done;
use super::text::Text;
use crate::app::App;
use crate::problem;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_model::actor::{Actor, ActorState, Outcome};
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command};
use credence_model::id::{
    ActorId, ActorRef, BindingId, ClassName, ClassRef, Digest, Epoch, Namespace, NodeName, WorkerRef,
};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_wire::node::{Exec, ReadLog, call, reply};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest time that a request waits for an actor to get where it is going, in milliseconds.
pub const UNTIL_MS_MAX: u64 = 120_000;
/// Longest command of `exec`, in arguments.
pub const EXEC_ARGUMENTS_MAX: usize = 256;
/// Longest argument of `exec`, in bytes.
pub const EXEC_ARGUMENT_BYTES_MAX: usize = 16 * 1024;
/// Longest run of `exec`, in milliseconds.
pub const EXEC_TIMEOUT_MS_MAX: u64 = 60_000;
/// Most bytes in one page of an actor's output.
pub const LOG_PAGE_BYTES_MAX: u32 = 256 * 1024;

/// An actor as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActorView {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub id: ActorId,
    /// Its class.
    pub class: ClassName,
    /// Its SPIFFE ID: the same for all its epochs.
    pub spiffe_id: SpiffeId,
    /// Where it is in its life.
    pub state: ActorState,
    /// Its place in the queue for a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitView>,
    /// The epoch of its present or last binding; 0 if it was never bound.
    pub epoch: Epoch,
    /// Its present binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// The worker that holds it, as `NAMESPACE/POOL/WORKER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// The worker's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The class revision that the binding runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// When the lease of its binding ends, unless its node is heard from again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at: Option<Timestamp>,
    /// Its labels.
    pub labels: Labels,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
    /// Who changed it last.
    pub changed_by: Caller,
    /// How its last binding ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Archive of its state, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Digest>,
    /// Why it was quarantined or terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A place in the queue for a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitView {
    /// Since when it waits.
    pub since: Timestamp,
    /// Until when it may wait.
    pub until: Timestamp,
    /// Its place, counted from 1.
    pub place: u64,
}

/// An actor is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateActorBody {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its class, in that namespace.
    pub class: ClassName,
    /// A proposed id; generated if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ActorId>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The user whom it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The session of that user in which it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The actor that it is a copy of, as `NAMESPACE/ACTOR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<Text<ActorRef>>,
}

impl CreateActorBody {
    /// An actor that comes from nowhere.
    pub fn new(class: ClassRef, id: Option<ActorId>, labels: Labels) -> Self {
        let ClassRef { namespace, class } = class;
        Self { namespace, class, id, labels, user: None, session: None, forked_from: None }
    }
}

/// How to resume an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResumeBody {
    /// The worker that an external scheduler picked, as `NAMESPACE/POOL/WORKER`; it is verified instead of picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// How long it may wait for a worker, in milliseconds; 0 refuses instead of waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Answer once it runs, or after so many milliseconds with what it is then. Without it, answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_running_ms: Option<u64>,
}

/// How to suspend an actor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuspendBody {
    /// Answer once its binding is over, or after so many milliseconds with what it is then. Without it, answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_suspended_ms: Option<u64>,
}

/// Why an actor is terminated or quarantined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReasonBody {
    /// In words, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A page of an actor's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsPage {
    /// Whole lines, `<RFC 3339 time> <out|err> <text>`.
    pub text: String,
    /// Pass it as `offset` to read on.
    pub next_offset: u64,
}

/// A command to run beside an actor's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecBody {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it may run, in milliseconds.
    pub timeout_ms: u64,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecResult {
    /// Its exit code; 128 + signal number if a signal ended it.
    pub exit_code: i32,
    /// What it wrote; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

/// How long a node may take to answer beyond the time that its work was given.
const NODE_ANSWER_MS: u64 = 5_000;

/// Which actors to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActorQuery {
    /// Only those of this namespace.
    namespace: Option<Namespace>,
    /// Only those of this class.
    class: Option<ClassName>,
    /// Only those in this state.
    state: Option<ActorState>,
    /// Most items in the page.
    limit: Option<usize>,
    /// What `next` of the page before said.
    after: Option<String>,
}

/// Which part of an actor's output to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsQuery {
    /// Byte to begin at; the beginning of what is kept if missing.
    offset: Option<u64>,
    /// Most bytes in the page.
    limit: Option<u32>,
}

pub(crate) fn routes() -> Vec<Route> {
    const ALL: &str = "/v1/actors";
    const ONE: &str = "/v1/actors/{namespace}/{id}";
    vec![
        route(Method::GET, ALL, Who::Admin, "lists actors", list),
        route(Method::POST, ALL, Who::Admin, "creates an actor, suspended", create),
        route(Method::GET, ONE, Who::Admin, "shows an actor", read),
        route(Method::DELETE, ONE, Who::Admin, "ends an actor and removes its record; its id stays used", delete),
        route(
            Method::POST,
            "/v1/actors/{namespace}/{id}/resume",
            Who::Admin,
            "admits an actor and binds it to a worker",
            resume,
        ),
        route(
            Method::POST,
            "/v1/actors/{namespace}/{id}/suspend",
            Who::Admin,
            "ends an actor's binding and keeps its state",
            suspend,
        ),
        route(Method::POST, "/v1/actors/{namespace}/{id}/terminate", Who::Admin, "ends an actor for ever", terminate),
        route(
            Method::POST,
            "/v1/actors/{namespace}/{id}/quarantine",
            Who::Admin,
            "revokes an actor and keeps the evidence",
            quarantine,
        ),
        route(
            Method::GET,
            "/v1/actors/{namespace}/{id}/logs",
            Who::Admin,
            "reads an actor's output from its node",
            logs,
        ),
        route(
            Method::POST,
            "/v1/actors/{namespace}/{id}/exec",
            Who::Admin,
            "runs a command beside an actor's program",
            exec,
        ),
    ]
}

async fn list(ask: Ask<ActorQuery>) -> Result<Listed<ActorView>, Refusal> {
    let ActorQuery { namespace, class, state: wanted, limit, after } = ask.query;
    let view = move |state: &State, actor: &Actor| {
        let matches = namespace.as_ref().is_none_or(|namespace| *namespace == actor.actor.namespace)
            && class.as_ref().is_none_or(|class| *class == actor.class)
            && wanted.is_none_or(|wanted| wanted == actor.state);
        matches.then(|| ActorView::of(state, actor))
    };
    page(&ask.app, limit, after.as_deref(), |state| &state.actors, view).await
}

async fn create(ask: Ask<Nothing, CreateActorBody>) -> Result<ActorView, Refusal> {
    let CreateActorBody { namespace, class, id, labels, user, session, forked_from } = ask.body.clone();
    let class = ClassRef { namespace, class };
    let forked_from = forked_from.map(|copied| copied.0);
    let lineage = Lineage { user, session, forked_from, ..Lineage::default() };
    let command = Command::SpawnActor { class, id, labels, lineage };
    match ask.submit(command).await?.answer {
        Answer::Actor { actor, .. } => find(&ask.app, actor).await,
        _ => Err(Refusal::new(Kind::Bug, "creating an actor was answered with something else")),
    }
}

async fn read(ask: Ask) -> Result<ActorView, Refusal> {
    find(&ask.app, ask.actor()?).await
}

async fn delete(ask: Ask) -> Result<Done, Refusal> {
    let actor = ask.actor()?;
    ask.submit(Command::DeleteActor { actor: actor.clone() }).await?;
    if let Err(error) = ask.app.archives.forget(&actor).await {
        tracing::warn!(%actor, %error, "an archive of a deleted actor is left over");
    }
    Ok(Done {})
}

async fn resume(ask: Ask<Nothing, ResumeBody>) -> Result<ActorView, Refusal> {
    let actor = ask.actor()?;
    let ResumeBody { worker, wait_ms, until_running_ms } = ask.body.clone();
    let patience = patience("until_running_ms", until_running_ms)?;
    let worker = worker.map(|worker| worker.0);
    ask.submit(Command::ResumeActor { actor: actor.clone(), worker, wait_ms }).await?;
    let on_its_way = |actor: &Actor| actor.wait.is_some() || matches!(actor.state, ActorState::Starting);
    settled(&ask.app, actor, patience, on_its_way).await
}

async fn suspend(ask: Ask<Nothing, SuspendBody>) -> Result<ActorView, Refusal> {
    let actor = ask.actor()?;
    let patience = patience("until_suspended_ms", ask.body.until_suspended_ms)?;
    ask.submit(Command::SuspendActor { actor: actor.clone() }).await?;
    settled(&ask.app, actor, patience, |actor| actor.binding.is_some()).await
}

async fn terminate(ask: Ask<Nothing, ReasonBody>) -> Result<ActorView, Refusal> {
    let actor = ask.actor()?;
    ask.submit(Command::TerminateActor { actor: actor.clone(), reason: ask.body.reason.clone() }).await?;
    find(&ask.app, actor).await
}

async fn quarantine(ask: Ask<Nothing, ReasonBody>) -> Result<ActorView, Refusal> {
    let actor = ask.actor()?;
    ask.submit(Command::QuarantineActor { actor: actor.clone(), reason: ask.body.reason.clone() }).await?;
    find(&ask.app, actor).await
}

async fn logs(ask: Ask<LogsQuery>) -> Result<LogsPage, Refusal> {
    let actor = ask.actor()?;
    let bytes_max = ask.query.limit.unwrap_or(LOG_PAGE_BYTES_MAX);
    if !(1..=LOG_PAGE_BYTES_MAX).contains(&bytes_max) {
        let message = format!("{bytes_max} is not from 1 to {LOG_PAGE_BYTES_MAX}");
        return Err(Refusal::new(Kind::Malformed, message).field("limit"));
    }
    let view = find(&ask.app, actor.clone()).await?;
    let offset = ask.query.offset.unwrap_or(0);
    if view.state == ActorState::Starting {
        // Its log is on its way to the node; what that node has of an earlier stay would mislead who follows by offset.
        return Ok(LogsPage { text: String::new(), next_offset: offset });
    }
    let name = actor.clone();
    let last = move |state: &State| state.actors.get(&name)?.last.as_ref().map(|(_, node)| node.clone());
    let node = match view.node {
        Some(node) => Some(node),
        None => ask.app.cell.read(last).await?,
    };
    let node = node.ok_or_else(|| Refusal::new(Kind::NotFound, format!("actor {actor} has not run yet")))?;
    let (namespace, actor) = (actor.namespace.to_string(), actor.actor.to_string());
    let question = ReadLog { namespace, actor, offset, bytes_max };
    match ask.app.calls.ask(&node, call::Call::ReadLog(question), Duration::from_millis(NODE_ANSWER_MS)).await? {
        reply::Reply::LogPage(page) => {
            Ok(LogsPage { text: String::from_utf8_lossy(&page.bytes).into_owned(), next_offset: page.next_offset })
        }
        other => Err(unexpected(other)),
    }
}

async fn exec(ask: Ask<Nothing, ExecBody>) -> Result<ExecResult, Refusal> {
    let actor = ask.actor()?;
    ask.body.check()?;
    let view = find(&ask.app, actor.clone()).await?;
    let (ActorState::Running, Some(binding), Some(node)) = (view.state, view.binding, view.node) else {
        let message = format!("actor {actor} does not run");
        return Err(Refusal::new(Kind::Conflict, message).hint("Resume it first: credence actor resume"));
    };
    let ExecBody { command, timeout_ms } = ask.body.clone();
    let question = call::Call::Exec(Exec { binding: binding.to_string(), command, timeout_ms });
    match ask.app.calls.ask(&node, question, Duration::from_millis(timeout_ms + NODE_ANSWER_MS)).await? {
        reply::Reply::ExecResult(result) => Ok(ExecResult {
            exit_code: result.exit_code,
            stdout: String::from_utf8_lossy(&result.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&result.stderr).into_owned(),
        }),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: reply::Reply) -> Refusal {
    match reply {
        reply::Reply::Refused(refused) => problem::from_refused(refused),
        _ => Refusal::new(Kind::Unavailable, "the node answered another question"),
    }
}

pub(super) async fn find(app: &App, actor: ActorRef) -> Result<ActorView, Refusal> {
    app.cell.read(move |state| look(state, &actor, |_| false).map(|(view, _)| view)).await?
}

/// The actor now, and whether it is still `on_its_way`.
fn look(state: &State, actor: &ActorRef, on_its_way: fn(&Actor) -> bool) -> Result<(ActorView, bool), Refusal> {
    let found = state.actors.get(actor).ok_or_else(|| {
        let deleted = if state.is_tombstone(actor) { " any more; its id is never used again" } else { "" };
        Refusal::new(Kind::NotFound, format!("there is no actor {actor}{deleted}"))
    })?;
    Ok((ActorView::of(state, &found), on_its_way(&found)))
}

/// The actor once it is no longer `on_its_way`, or when the patience is over or the server stops.
async fn settled(
    app: &App,
    actor: ActorRef,
    patience: Duration,
    on_its_way: fn(&Actor) -> bool,
) -> Result<ActorView, Refusal> {
    let (mut recorded, mut stopping) = (app.cell.recorded(), app.stopping.clone());
    let over = tokio::time::sleep(patience);
    tokio::pin!(over);
    loop {
        recorded.mark_unchanged();
        let name = actor.clone();
        let (view, on_its_way) = app.cell.read(move |state| look(state, &name, on_its_way)).await??;
        if !on_its_way || patience.is_zero() {
            return Ok(view);
        }
        tokio::select! {
            changed = recorded.changed() => if changed.is_err() { return Ok(view) },
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(view),
            () = &mut over => return Ok(view),
        }
    }
}

fn patience(field: &str, ms: Option<u64>) -> Result<Duration, Refusal> {
    let ms = ms.unwrap_or(0);
    if ms > UNTIL_MS_MAX {
        return Err(Refusal::new(Kind::Malformed, format!("{ms} is not from 0 to {UNTIL_MS_MAX}")).field(field));
    }
    Ok(Duration::from_millis(ms))
}

impl ExecBody {
    fn check(&self) -> Result<(), Refusal> {
        let malformed = |field: String, message: String| Err(Refusal::new(Kind::Malformed, message).field(field));
        if self.command.is_empty() || self.command.len() > EXEC_ARGUMENTS_MAX {
            return malformed("command".into(), format!("a program and at most {} arguments", EXEC_ARGUMENTS_MAX - 1));
        }
        let wrong = |text: &String| text.len() > EXEC_ARGUMENT_BYTES_MAX || text.contains('\0');
        if let Some(index) = self.command.iter().position(wrong) {
            let message = format!("longer than {EXEC_ARGUMENT_BYTES_MAX} bytes, or holds a NUL byte");
            return malformed(format!("command[{index}]"), message);
        }
        if !(1..=EXEC_TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            return malformed(
                "timeout_ms".into(),
                format!("{} is not from 1 to {EXEC_TIMEOUT_MS_MAX}", self.timeout_ms),
            );
        }
        Ok(())
    }
}

impl ActorView {
    fn of(state: &State, actor: &Actor) -> Self {
        let binding = actor.binding.as_ref();
        let node = binding.and_then(|binding| state.nodes.get(&binding.node));
        let waiting = actor.wait.as_ref().map(|wait| WaitView {
            since: wait.since,
            until: wait.until,
            place: state.place_in_queue(actor).and_then(|place| u64::try_from(place).ok()).unwrap_or_default(),
        });
        Self {
            namespace: actor.actor.namespace.clone(),
            id: actor.actor.actor.clone(),
            class: actor.class.clone(),
            spiffe_id: state.spiffe_id(actor),
            state: actor.state,
            waiting,
            epoch: actor.epoch,
            binding: binding.map(|binding| binding.id),
            worker: binding.map(|binding| Text(binding.worker.clone())),
            node: binding.map(|binding| binding.node.clone()),
            revision: binding.map(|binding| binding.revision),
            lease_ends_at: node.map(|node| node.believes_until()),
            labels: actor.labels.clone(),
            created_at: actor.created_at,
            changed_at: actor.changed_at,
            changed_by: actor.changed_by.clone(),
            outcome: actor.outcome.clone(),
            archive: actor.archive,
            reason: actor.reason.clone(),
        }
    }
}
