//! `credence dev`: server, node and a default pool in one process on this machine.
//!
//! It is the real thing on a small scale: the same TLS, the same attestation with a join token, the same journal. What it
//! adds is only that nobody has to type it.

use crate::args::{DEV_WORKERS_MAX, DevArgs};
use crate::client::{Call, Client};
use crate::context::{self, Context};
use crate::daemon::{Ending, allow_all_descriptors, node_config, use_small_pages, write_log};
use crate::failure::Failure;
use crate::session::Session;
use crate::verb::{node, server};
use credence_model::id::NodeName;
use credence_model::pool::PoolSpec;
use credence_model::refusal::Kind;
use credence_node::start::Node;
use credence_server::api::actor::{ActorView, SuspendBody};
use credence_server::api::join_token::{JoinTokenBody, JoinTokenCreated};
use credence_server::api::node::{Grant, NodeView};
use credence_server::api::object::{Applied, Metadata, ObjectBody};
use credence_server::api::text::Text;
use credence_server::config::{Config, ConfigFile};
use credence_server::start::Server;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Namespace and name of the pool.
const POOL: &str = "default";
/// Name of the node.
const NODE: &str = "dev";
/// Life of the node's join token, in seconds: it is used at once.
const JOIN_TOKEN_TTL_SECS: u64 = 60;
/// How long the node may take to connect, in seconds.
const CONNECT_SECS_MAX: u64 = 20;
/// How long an actor may take to be suspended at the end, in milliseconds.
const SUSPEND_MS: u64 = 20_000;

pub(super) async fn run(args: DevArgs, session: &Session) -> Result<(), Failure> {
    write_log(&session.environment, "warn", args.ending.log_format)?;
    use_small_pages();
    allow_all_descriptors();
    let home = session.environment.home.clone().ok_or_else(|| {
        Failure::used_wrongly("there is no home directory to keep things in").hint("Set CREDENCE_HOME to a directory")
    })?;
    let data_dir = absolute(args.data_dir.clone().unwrap_or_else(|| home.join("dev")))?;
    let mut ending = Ending::catch(args.ending)?;
    let server = server::start(config(&args, &data_dir)?).await?;
    let client = Client::unix(server.admin_socket());
    let node = tokio::select! {
        node = come_up(&args, &data_dir, &server, &client) => node.map(Some),
        () = ending.wait() => Ok(None),
    };
    let node = match node {
        Ok(Some(node)) => node,
        early => {
            server.stop().await;
            return early.map(drop);
        }
    };
    let up = tokio::select! {
        up = connected(&node) => up,
        () = ending.wait() => Err(Failure::new(Kind::Unavailable, "it was told to end before it was up")),
    };
    let stayed = match up {
        Ok(()) => stay(session, &home, &data_dir, (&server, &node), &mut ending).await,
        early => early,
    };
    let suspended = suspend_all(&client).await;
    node.stop().await;
    server.stop().await;
    stayed.and(suspended)
}

/// Says that everything is up, where it is found, and waits until it is to end.
async fn stay(
    session: &Session,
    home: &Path,
    data_dir: &Path,
    (server, node): (&Server, &Node),
    ending: &mut Ending,
) -> Result<(), Failure> {
    let context = Context {
        server_socket: server.admin_socket().to_owned(),
        node_socket: node.socket().to_owned(),
        data_dir: data_dir.to_owned(),
        pid: std::process::id(),
    };
    let file = context::write(home, &context)?;
    let told = tell(session, server, &context, &file);
    if told.is_ok() {
        ending.wait().await;
    }
    context::remove(home, context.pid);
    told
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
        otlp: args.otlp.clone().over(Default::default()),
        ..ConfigFile::default()
    };
    file.resolve().map_err(|error| Failure::caused(Kind::Malformed, &error))
}

/// What an administrator would do first: a pool, a join token, and a node that uses it.
async fn come_up(args: &DevArgs, data_dir: &Path, server: &Server, client: &Client) -> Result<Node, Failure> {
    let spec = PoolSpec {
        description: "Workers of credence dev".into(),
        share_with_all: true,
        direct: true,
        ..PoolSpec::default()
    };
    let metadata = Metadata { namespace: POOL.into(), name: POOL.into(), labels: Default::default(), version: None };
    let _: Applied = client.send(Call::put(format!("/v1/pools/{POOL}/{POOL}"), &ObjectBody { metadata, spec })).await?;
    let node_dir = data_dir.join("node");
    // One that was deleted is let in anew: nobody else could do that for it.
    let known = client.send::<NodeView>(Call::get(format!("/v1/nodes/{NODE}"))).await;
    if known.is_err_and(|failure| failure.refusal.kind == Kind::NotFound) {
        Node::forget_identity(&node_dir).map_err(|error| Failure::caused(Kind::Conflict, &error))?;
    }
    let needs = Node::needs_join_token(&node_dir).map_err(|error| Failure::caused(Kind::Conflict, &error))?;
    let token = if needs { Some(join_token(client).await?) } else { None };
    let file = credence_node::config::ConfigFile {
        observe: None,
        otlp: args.otlp.clone().over(Default::default()),
        name: Some(NODE.to_owned()),
        connect: Some(reachable(server.addr()).to_string()),
        data_dir: Some(node_dir),
        workers: vec![format!("{POOL}/{POOL}={}", args.workers)],
        server_path: None,
    };
    node::start(node_config(file)?, token).await
}

async fn connected(node: &Node) -> Result<(), Failure> {
    let connected = tokio::time::timeout(Duration::from_secs(CONNECT_SECS_MAX), node.connected()).await;
    connected.map_err(|_| {
        let message = format!("the node did not connect to its own server within {CONNECT_SECS_MAX} s");
        Failure::new(Kind::Unavailable, message).hint("Run it with CREDENCE_LOG=info to see why")
    })
}

/// One that grants as many workers as may ever be asked for, so that --workers can change.
async fn join_token(client: &Client) -> Result<Zeroizing<String>, Failure> {
    let pool = Text(format!("{POOL}/{POOL}").parse()?);
    let pools = vec![Grant { pool, workers_max: DEV_WORKERS_MAX }];
    let node = Some(NodeName::parse(NODE)?);
    let body = JoinTokenBody { node, pools, ttl_secs: JOIN_TOKEN_TTL_SECS };
    let created: JoinTokenCreated = client.send(Call::post("/v1/join-tokens", &body)).await?;
    Ok(Zeroizing::new(created.token))
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, addr.port()).into(),
        _ => addr,
    }
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
    out.line("  credence apply -f examples/expenses.yaml")?;
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
