//! `credence node`: the host daemon, in the foreground.

use crate::args::NodeArgs;
use crate::daemon::{Noted, Orders, Told, allow_all_descriptors, node_config, use_small_pages, write_log};
use crate::failure::Failure;
use crate::output::Output;
use crate::passphrase;
use crate::pem;
use crate::session::Session;
use crate::takeover::{self, Estate, Successor};
use credence_attest::join_token::TEXT_BYTES;
use credence_credential::key_file::Passphrase;
use credence_model::refusal::Kind;
use credence_node::config::{CONFIG_BYTES_MAX, Config, ConfigFile};
use credence_node::handover::Handover;
use credence_node::start::Node;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    use_small_pages();
    allow_all_descriptors();
    let mut config = resolve(args.clone())?;
    if args.beginning.check {
        return session.out.line("the configuration is good");
    }
    let successor = Successor::of_this_process()?;
    let mut orders = Orders::catch(args.ending)?;
    let mut node = if args.beginning.take_over {
        let Left { handover, passphrase } = Left::take()?;
        config.passphrase = passphrase;
        let again = Node::start_again(config.clone(), handover).await;
        again.map_err(|error| Failure::caused(Kind::Conflict, &error))?
    } else {
        let join_token = args.join_token_file.as_deref().map(read_token).transpose()?;
        config.passphrase = passphrase::read(&args.passphrase, &session.environment)?;
        tokio::select! {
            node = start(config.clone(), join_token) => node?,
            () = told_to_end(&mut orders) => return Ok(()),
        }
    };
    let mut is_told = false;
    loop {
        let told = tokio::select! {
            told = orders.told() => told,
            Err(failure) = stay(&node, session.out, &mut is_told) => {
                node.stop().await;
                return Err(failure);
            }
        };
        let (order, fit) = match told {
            Told::End => break,
            Told::Reload => ("reload", reload(&config, args.clone())),
            Told::Upgrade => ("upgrade", Ok(())),
        };
        let fit = match fit {
            Ok(()) => successor.check().await,
            unfit => unfit,
        };
        node = match fit {
            Ok(()) => match node.hand_over().await {
                Ok(handover) => return Err(make_way(handover, &config, &successor)),
                Err(node) => noted(node, session.out, order, &busy())?,
            },
            Err(failure) => noted(node, session.out, order, &failure)?,
        };
    }
    node.stop().await;
    Ok(())
}

/// An order that was not followed: the node goes on.
fn noted(node: Node, out: Output, order: &'static str, failure: &Failure) -> Result<Node, Failure> {
    tracing::error!(%failure, order, "the node goes on as it is");
    Noted { error: Some(failure.to_string()), ..Noted::of(order) }.tell(out)?;
    Ok(node)
}

fn busy() -> Failure {
    Failure::new(Kind::Unavailable, "actors are being started and ended all the time").hint("Try again")
}

async fn told_to_end(orders: &mut Orders) {
    while orders.told().await != Told::End {}
}

/// A configuration that is read again can name another address of the control plane, and another one for metrics.
fn reload(config: &Config, args: NodeArgs) -> Result<(), Failure> {
    let again = resolve(args)?;
    let same = [
        ("name", config.name == again.name),
        ("data_dir", config.data_dir == again.data_dir),
        ("workers", config.workers == again.workers),
        ("server_path", config.server_path == again.server_path),
    ];
    match same.into_iter().find(|(_, is_same)| !is_same) {
        None => Ok(()),
        Some((field, _)) => {
            let what = format!("{field} cannot change while the node runs");
            Err(Failure::new(Kind::Conflict, what).hint("Set it back, or stop the node and start it again"))
        }
    }
}

/// What is remembered beside what the node left.
#[derive(Serialize, Deserialize)]
struct Memory {
    has_passphrase: bool,
}

/// What an earlier program of this process left.
struct Left {
    handover: Handover,
    passphrase: Option<Arc<Passphrase>>,
}

/// Becomes the other program. It returns only if that failed.
fn make_way(handover: Handover, config: &Config, successor: &Successor) -> Failure {
    let written = || {
        let memory = serde_json::to_vec(&Memory { has_passphrase: config.passphrase.is_some() })?;
        let mut files = vec![takeover::remember(&handover.state)?];
        if let Some(passphrase) = &config.passphrase {
            files.push(takeover::remember(passphrase.expose())?);
        }
        Ok::<_, std::io::Error>((memory, files))
    };
    match written() {
        Ok((memory, mut files)) => {
            files.extend(handover.files);
            successor.become_it(&memory, files)
        }
        Err(error) => Failure::new(Kind::Unavailable, format!("the node could not make way: {error}")),
    }
}

impl Left {
    fn take() -> Result<Self, Failure> {
        let Estate { memory, files } = Estate::take()?;
        let wrong = |why: &dyn Display| Failure::new(Kind::Conflict, format!("what the earlier program left: {why}"));
        let Memory { has_passphrase } = serde_json::from_slice(&memory).map_err(|error| wrong(&error))?;
        let mut files = files.into_iter();
        let state = files.next().ok_or_else(|| wrong(&"its state is missing"))?;
        let state = takeover::recall(state).map_err(|error| wrong(&error))?;
        let passphrase = has_passphrase.then(|| files.next()).flatten().map(takeover::recall).transpose();
        let passphrase = passphrase.map_err(|error| wrong(&error))?.map(Passphrase::new).transpose();
        let passphrase = passphrase.map_err(|error| wrong(&error))?.map(Arc::new);
        Ok(Self { handover: Handover::new(state, files.collect()), passphrase })
    }
}

/// Says once that the node is connected. It resolves only if something went wrong.
async fn stay(node: &Node, out: Output, is_told: &mut bool) -> Result<(), Failure> {
    if !*is_told {
        node.connected().await;
        *is_told = true;
        tell(node, out)?;
    }
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
    file.otlp = args.otlp.over(file.otlp);
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
