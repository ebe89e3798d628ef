//! `credence dev`: server, node and a default pool in one process on this machine.
//!
//! It is the real thing on a small scale: the same TLS, the same attestation with a join token, the same journal. What it
//! adds is only that nobody has to type it.

use crate::args::DevArgs;
use crate::client::{Call, Client};
use crate::context::{self, Context};
use crate::daemon::{Ending, write_log};
use crate::failure::Failure;
use crate::session::Session;
use crate::verb::server;
use credence_model::pool::PoolSpec;
use credence_model::refusal::Kind;
use credence_server::api::actor::{ActorView, SuspendBody};
use credence_server::api::object::{Applied, Metadata, ObjectBody};
use credence_server::config::{Config, ConfigFile};
use credence_server::start::Server;
use std::path::{Path, PathBuf};

/// Namespace and name of the pool.
const POOL: &str = "default";
/// Name of the node.
const NODE: &str = "dev";
/// How long an actor may take to be suspended at the end, in milliseconds.
const SUSPEND_MS: u64 = 20_000;

pub(super) async fn run(args: DevArgs, session: &Session) -> Result<(), Failure> {
    write_log(&session.environment, "warn")?;
    let home = session.environment.home.clone().ok_or_else(|| {
        Failure::used_wrongly("there is no home directory to keep things in").hint("Set CREDENCE_HOME to a directory")
    })?;
    let data_dir = absolute(args.data_dir.clone().unwrap_or_else(|| home.join("dev")))?;
    let mut ending = Ending::catch()?;
    let server = server::start(config(&args, &data_dir)?).await?;
    let client = Client::unix(server.admin_socket());
    let up = tokio::select! {
        up = come_up(&client) => up,
        () = ending.wait() => Ok(()),
    };
    let result = match up {
        Ok(()) => {
            let context = Context {
                server_socket: server.admin_socket().to_owned(),
                node_socket: data_dir.join("node/node.sock"),
                data_dir: data_dir.clone(),
                pid: std::process::id(),
            };
            let file = context::write(&home, &context)?;
            tell(session, &server, &context, &file)?;
            ending.wait().await;
            context::remove(&home, context.pid);
            suspend_all(&client).await
        }
        Err(failure) => Err(failure),
    };
    server.stop().await;
    result
}

fn absolute(dir: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&dir)
        .map_err(|error| Failure::used_wrongly(format!("{} is no directory: {error}", dir.display())))
}

fn config(args: &DevArgs, data_dir: &Path) -> Result<Config, Failure> {
    let file = ConfigFile {
        trust_domain: Some(args.trust_domain.to_string()),
        data_dir: Some(data_dir.join("server")),
        listen: Some(args.listen.to_string()),
        ..ConfigFile::default()
    };
    file.resolve().map_err(|error| Failure::caused(Kind::Malformed, &error))
}

/// What an administrator would do first.
async fn come_up(client: &Client) -> Result<(), Failure> {
    let spec = PoolSpec {
        description: "Workers of credence dev".into(),
        share_with_all: true,
        direct: true,
        ..PoolSpec::default()
    };
    let metadata = Metadata { namespace: POOL.into(), name: POOL.into(), labels: Default::default(), version: None };
    let _: Applied = client.send(Call::put(format!("/v1/pools/{POOL}/{POOL}"), &ObjectBody { metadata, spec })).await?;
    Ok(())
}

fn tell(session: &Session, server: &Server, context: &Context, file: &Path) -> Result<(), Failure> {
    let out = session.out;
    if out.is_object() {
        return out.stream_object(context);
    }
    out.line(format!(
        "Credence dev · trust domain {} · Ctrl-C ends it and suspends its actors",
        server.trust_domain()
    ))?;
    out.line(format!("  server  https://{}   unix:{}", server.addr(), context.server_socket.display()))?;
    out.line(format!("  node    {NODE}   unix:{}", context.node_socket.display()))?;
    out.line(format!("  data    {}   (found by {})", context.data_dir.display(), file.display()))?;
    out.line("Try next, in another terminal:")?;
    out.line("  credence apply -f examples/expense-agent.yaml")?;
    out.line("  credence run --class finance/expense-agent -- your-program")
}

/// Ends what runs, so that it can go on at the next start.
async fn suspend_all(client: &Client) -> Result<(), Failure> {
    let actors: Vec<ActorView> = client.list("/v1/actors").await?;
    let bound: Vec<_> = actors.into_iter().filter(|actor| actor.binding.is_some() || actor.waiting.is_some()).collect();
    let mut suspending = tokio::task::JoinSet::new();
    for actor in bound {
        let (client, path) = (client.clone(), format!("/v1/actors/{}/{}/suspend", actor.namespace, actor.id));
        suspending.spawn(async move {
            let body = SuspendBody { until_suspended_ms: Some(SUSPEND_MS) };
            // One that cannot be suspended now is ended with its node, and lost until its lease is over.
            let _: Result<ActorView, Failure> = client.send(Call::post(path, &body).wait_ms(SUSPEND_MS)).await;
        });
    }
    while suspending.join_next().await.is_some() {}
    Ok(())
}
