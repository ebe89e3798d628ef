//! `credence actor …`: an actor's life.

mod output;
mod permissions;

use crate::args::{ActorVerb, CreateActorArgs, NamespaceArg, ReasonArgs, ResumeArgs, SuspendArgs};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::session::Session;
use crate::verb::delegation::parse_user;
use crate::view::{outcome_words, worker_name};
use credence_model::actor::ActorState;
use credence_model::id::ActorId;
use credence_model::label::Labels;
use credence_server::api::actor::{ActorView, CreateActorBody, ReasonBody, ResumeBody, SuspendBody, UNTIL_MS_MAX};
use credence_server::api::text::Text;
use std::process::ExitCode;

pub(super) async fn run(verb: ActorVerb, session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client()?;
    match verb {
        ActorVerb::Create(args) => create(args, session, &client).await?,
        ActorVerb::Permissions(args) => permissions::show(args, session, &client).await?,
        ActorVerb::Resume(args) => resume_all(args, session, &client).await?,
        ActorVerb::Suspend(args) => suspend_all(args, session, &client).await?,
        ActorVerb::Terminate(args) => stop_all("terminate", "terminated", args, session, &client).await?,
        ActorVerb::Quarantine(args) => stop_all("quarantine", "quarantined", args, session, &client).await?,
        ActorVerb::Logs(args) => output::logs(args, session, &client).await?,
        ActorVerb::Exec(args) => return output::exec(args, session, &client).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateActorArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let class = match Object::named(Kind::Class, &args.class, &args.namespace.namespace)? {
        Object::Class(class) => class,
        other => return Err(Failure::used_wrongly(format!("{other} is not a class"))),
    };
    let id = args.id.as_deref().map(ActorId::parse).transpose()?;
    let labels = args.labels.iter().map(|label| parse_label(label)).collect::<Result<Labels, _>>()?;
    let user = args.user.as_deref().map(parse_user).transpose()?;
    let copied = args.copy_of.as_deref().map(|copied| Object::named(Kind::Actor, copied, &args.namespace.namespace));
    let forked_from = match copied.transpose()? {
        Some(Object::Actor(copied)) => Some(Text(copied)),
        _ => None,
    };
    let of_session = args.session.clone();
    let body = CreateActorBody { user, session: of_session, forked_from, ..CreateActorBody::new(class, id, labels) };
    let actor: ActorView = client.send(Call::post("/v1/actors", &body)).await?;
    if !args.resume {
        return session.out.answer(&actor, || format!("actor {}/{}: created, suspended", actor.namespace, actor.id));
    }
    let path = format!("/v1/actors/{}/{}", actor.namespace, actor.id);
    resume(&path, ResumeBody { until_running_ms: Some(UNTIL_MS_MAX), ..ResumeBody::default() }, session, client).await
}

fn parse_label(text: &str) -> Result<(String, String), Failure> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Failure::used_wrongly(format!("`{}` is not a label", text.escape_debug())).hint("Write KEY=VALUE")
    })?;
    Ok((key.to_owned(), value.to_owned()))
}

fn paths(actors: &[String], namespace: &NamespaceArg) -> Result<Vec<String>, Failure> {
    actors.iter().map(|actor| Ok(Object::named(Kind::Actor, actor, &namespace.namespace)?.path())).collect()
}

async fn resume_all(args: ResumeArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let worker = args.worker.as_deref().map(|worker| Object::named(Kind::Worker, worker, &args.namespace.namespace));
    let worker = match worker.transpose()? {
        Some(Object::Worker(worker)) => Some(credence_server::api::text::Text(worker)),
        _ => None,
    };
    let until_running_ms = (!args.no_wait).then_some(UNTIL_MS_MAX);
    let body = ResumeBody { worker, wait_ms: args.wait.map(|secs| secs.saturating_mul(1000)), until_running_ms };
    for path in paths(&args.actors, &args.namespace)? {
        resume(&path, body.clone(), session, client).await?;
    }
    Ok(())
}

async fn resume(path: &str, body: ResumeBody, session: &Session, client: &Client) -> Result<(), Failure> {
    let wait_ms = body.until_running_ms.unwrap_or_default();
    let before: ActorView = client.send(Call::get(path)).await?;
    let actor: ActorView = client.send(Call::post(format!("{path}/resume"), &body).wait_ms(wait_ms)).await?;
    let waited = body.until_running_ms.is_some();
    if waited && actor.state == ActorState::Suspended && actor.waiting.is_none() {
        return Err(not_running(&before, &actor));
    }
    session.out.answer(&actor, || line(&actor))
}

/// Why an actor that was resumed is suspended again.
fn not_running(before: &ActorView, actor: &ActorView) -> Failure {
    let name = format!("{}/{}", actor.namespace, actor.id);
    if actor.epoch == before.epoch {
        let message = format!("actor {name} waited for a worker in vain: none was free in time");
        let failure = Failure::new(credence_model::refusal::Kind::Unavailable, message);
        return failure.hint("See which there are: credence get pools -A; credence worker list");
    }
    let why = actor.outcome.as_ref().map_or_else(|| "it is suspended again".into(), outcome_words);
    let message = format!("actor {name} does not run: {why}");
    Failure::new(credence_model::refusal::Kind::Conflict, message)
        .hint(format!("`credence actor logs {name}` shows what it wrote"))
}

async fn suspend_all(args: SuspendArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let body = SuspendBody { until_suspended_ms: (!args.no_wait).then_some(UNTIL_MS_MAX) };
    for path in paths(&args.actors, &args.namespace)? {
        let call = Call::post(format!("{path}/suspend"), &body).wait_ms(body.until_suspended_ms.unwrap_or_default());
        let actor: ActorView = client.send(call).await?;
        session.out.answer(&actor, || line(&actor))?;
    }
    Ok(())
}

async fn stop_all(word: &str, done: &str, args: ReasonArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let body = ReasonBody { reason: args.reason };
    for path in paths(&args.actors, &args.namespace)? {
        let actor: ActorView = client.send(Call::post(format!("{path}/{word}"), &body)).await?;
        session.out.answer(&actor, || format!("actor {}/{}: {done}", actor.namespace, actor.id))?;
    }
    Ok(())
}

/// Where an actor is now, in one line.
fn line(actor: &ActorView) -> String {
    let name = format!("actor {}/{}", actor.namespace, actor.id);
    if let Some(wait) = &actor.waiting {
        return format!("{name}: waiting for a worker, number {} in the queue", wait.place);
    }
    let place = actor.worker.as_ref().map(|worker| format!(" on {}, epoch {}", worker_name(&worker.0), actor.epoch));
    let state = match actor.state {
        ActorState::Suspended => "suspended",
        ActorState::Starting => "starting",
        ActorState::Running => "running",
        ActorState::Suspending => "suspending",
        ActorState::Lost => "lost",
        ActorState::Quarantined => "quarantined",
        ActorState::Terminated => "terminated",
    };
    format!("{name}: {state}{}", place.unwrap_or_default())
}
