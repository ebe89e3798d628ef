//! `credence node`: the host daemon, in the foreground.

use crate::args::NodeArgs;
use crate::daemon::{Ending, node_config, write_log};
use crate::failure::Failure;
use crate::output::Output;
use crate::passphrase;
use crate::pem;
use crate::session::Session;
use credence_attest::join_token::TEXT_BYTES;
use credence_model::refusal::Kind;
use credence_node::config::{CONFIG_BYTES_MAX, Config, ConfigFile};
use credence_node::start::Node;
use serde::Serialize;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What is printed once the node is connected; with `-o json` one line that a program can wait for.
#[derive(Serialize)]
struct Started {
    node: String,
    socket: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_at: Option<String>,
    pid: u32,
}

pub(super) async fn run(args: NodeArgs, session: &Session) -> Result<(), Failure> {
    write_log(&session.environment, "info", args.ending.log_format)?;
    let mut ending = Ending::catch(args.ending)?;
    let join_token = args.join_token_file.as_deref().map(read_token).transpose()?;
    let passphrase = passphrase::read(&args.passphrase, &session.environment)?;
    let config = Config { passphrase, ..resolve(args)? };
    let node = tokio::select! {
        node = start(config, join_token) => node?,
        () = ending.wait() => return Ok(()),
    };
    let ended = tokio::select! {
        told = stay(&node, session.out) => told,
        () = ending.wait() => Ok(()),
    };
    node.stop().await;
    ended
}

/// Says once that the node is connected. It resolves only if something went wrong.
async fn stay(node: &Node, out: Output) -> Result<(), Failure> {
    node.connected().await;
    tell(node, out)?;
    node.broken().await;
    Err(Failure::new(Kind::Bug, "the node stopped working; start it again").hint("Its log says why"))
}

/// Starts a node; errors say what to do.
pub(super) async fn start(config: Config, join_token: Option<Zeroizing<String>>) -> Result<Node, Failure> {
    Node::start(config, join_token).await.map_err(|error| Failure::caused(Kind::Conflict, &error))
}

fn resolve(args: NodeArgs) -> Result<Config, Failure> {
    let mut file = match &args.config {
        Some(path) => ConfigFile::parse(path, &pem::read_text(path, CONFIG_BYTES_MAX)?)
            .map_err(|error| Failure::caused(Kind::Malformed, &error))?,
        None => ConfigFile::default(),
    };
    file.name = args.name.map(|name| name.to_string()).or(file.name);
    file.connect = args.connect.or(file.connect);
    file.observe = args.observe.map(|addr| addr.to_string()).or(file.observe);
    file.data_dir = args.data_dir.or(file.data_dir);
    if !args.workers.is_empty() {
        file.workers = args.workers;
    }
    node_config(file)
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, Failure> {
    // Room for a line end.
    let bytes = pem::read(path, TEXT_BYTES + 2)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::new(Kind::Malformed, format!("{} does not hold a join token", pem::name(path))))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn tell(node: &Node, out: Output) -> Result<(), Failure> {
    let started = Started {
        node: node.name().to_string(),
        socket: node.socket().to_owned(),
        observed_at: node.observed_at().map(|addr| addr.to_string()),
        pid: std::process::id(),
    };
    if out.is_object() {
        return out.stream_object(&started);
    }
    out.line(format!("node {} is connected", started.node))?;
    if let Some(addr) = &started.observed_at {
        out.line(format!("  metrics and probes  http://{addr}"))?;
    }
    out.line(format!("  local programs  unix:{}", started.socket.display()))
}
