//! `credence server`: the control plane, in the foreground.

use crate::args::ServerArgs;
use crate::daemon::{Noted, Orders, Told, allow_all_descriptors, write_log};
use crate::failure::Failure;
use crate::output::Output;
use crate::passphrase;
use crate::pem;
use crate::session::Session;
use crate::takeover::{self, Estate, Successor};
use credence_credential::key_file::Passphrase;
use credence_model::refusal::Kind;
use credence_server::config::{CONFIG_BYTES_MAX, Config, ConfigFile};
use credence_server::listeners::Listeners;
use credence_server::start::Server;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What is printed once the server answers; with `-o json` one line that a program can wait for.
#[derive(Serialize)]
struct Started {
    trust_domain: String,
    addr: String,
    admin_socket: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_at: Option<String>,
    pid: u32,
}

pub(super) async fn run(args: ServerArgs, session: &Session) -> Result<(), Failure> {
    write_log(&session.environment, "info", args.ending.log_format)?;
    let mut config = resolve(args.clone())?;
    if args.beginning.check {
        return session.out.line("the configuration is good");
    }
    let successor = Successor::of_this_process()?;
    let mut orders = Orders::catch(args.ending)?;
    let inherited = args.beginning.take_over.then(Left::take).transpose()?;
    let (listeners, passphrase) = match inherited {
        Some(left) => (Some(left.listeners), left.passphrase),
        None => (None, passphrase::read(&args.passphrase, &session.environment)?),
    };
    config.passphrase = passphrase.clone();
    allow_all_descriptors();
    let server = Server::start_on(listeners, config).await.map_err(|error| Failure::caused(Kind::Conflict, &error))?;
    tell(&server, session.out)?;
    loop {
        let told = tokio::select! {
            told = orders.told() => told,
            () = server.broken() => {
                server.stop().await;
                let what = "the journal cannot be used any more, and the server has stopped; its log says why";
                return Err(Failure::new(Kind::Unavailable, what).hint("Run `credence doctor`, then start it again"));
            }
        };
        match told {
            Told::End => break,
            Told::Reload => reload(&server, args.clone(), passphrase.clone(), session.out).await?,
            Told::Upgrade => match successor.check().await {
                Ok(()) => return Err(upgrade(server, passphrase.as_deref(), &successor).await),
                Err(failure) => {
                    tracing::error!(%failure, "no upgrade: this program goes on");
                    Noted { error: Some(failure.to_string()), ..Noted::of("upgrade") }.tell(session.out)?;
                }
            },
        }
    }
    server.stop().await;
    Ok(())
}

/// Reads the configuration again. What was typed wins over it, as at the start.
async fn reload(
    server: &Server,
    args: ServerArgs,
    passphrase: Option<Arc<Passphrase>>,
    out: Output,
) -> Result<(), Failure> {
    let reloaded = match resolve(args) {
        Ok(config) => {
            let reloaded = server.reload(Config { passphrase, ..config }).await;
            reloaded.map_err(|error| Failure::caused(Kind::Conflict, &error))
        }
        Err(failure) => Err(failure),
    };
    match reloaded {
        Ok(changed) => {
            tracing::info!(changed = changed.join(" "), "the configuration was read again");
            Noted { changed, ..Noted::of("reload") }.tell(out)
        }
        Err(failure) => {
            tracing::error!(%failure, "the configuration was read again and not taken over");
            Noted { error: Some(failure.to_string()), ..Noted::of("reload") }.tell(out)
        }
    }
}

/// What a server leaves to the program that goes on in its place.
struct Left {
    listeners: Listeners,
    passphrase: Option<Arc<Passphrase>>,
}

/// What is remembered of it; the sockets are open files, and so is the passphrase.
#[derive(Serialize, Deserialize)]
struct Memory {
    listen: SocketAddr,
}

/// Stops serving and becomes the other program. It returns only if that failed.
async fn upgrade(server: Server, passphrase: Option<&Passphrase>, successor: &Successor) -> Failure {
    tracing::info!(program = %takeover::name(successor).display(), "makes way for another program");
    let (listen, sockets) = server.hand_over().await.leave();
    let lost = |error: &dyn Display| {
        Failure::new(Kind::Unavailable, format!("the upgrade failed: {error}")).hint("Start the server again")
    };
    let memory = match serde_json::to_vec(&Memory { listen }) {
        Ok(memory) => memory,
        Err(error) => return lost(&error),
    };
    let mut files = Vec::from(sockets);
    match passphrase.map(|passphrase| takeover::remember(passphrase.expose())).transpose() {
        Ok(file) => files.extend(file),
        Err(error) => return lost(&error),
    }
    successor.become_it(&memory, files)
}

impl Left {
    fn take() -> Result<Self, Failure> {
        let Estate { memory, files } = Estate::take()?;
        let wrong = |why: &dyn Display| Failure::new(Kind::Conflict, format!("what the earlier program left: {why}"));
        let Memory { listen } = serde_json::from_slice(&memory).map_err(|error| wrong(&error))?;
        let mut files = files.into_iter();
        let (Some(tcp), Some(unix)) = (files.next(), files.next()) else {
            return Err(wrong(&"its sockets are missing"));
        };
        let passphrase = files.next().map(takeover::recall).transpose().map_err(|error| wrong(&error))?;
        let passphrase = passphrase.map(Passphrase::new).transpose().map_err(|error| wrong(&error))?;
        Ok(Self { listeners: Listeners::inherited(listen, [tcp, unix]), passphrase: passphrase.map(Arc::new) })
    }
}

/// Starts a server; errors say what to do.
pub(super) async fn start(config: Config) -> Result<Server, Failure> {
    Server::start(config).await.map_err(|error| Failure::caused(Kind::Conflict, &error))
}

fn resolve(args: ServerArgs) -> Result<Config, Failure> {
    let wrong = |error| Failure::caused(Kind::Malformed, &error);
    let mut file = match &args.config {
        Some(path) => ConfigFile::parse(path, &pem::read_text(path, CONFIG_BYTES_MAX)?).map_err(wrong)?,
        None => ConfigFile::default(),
    };
    file.data_dir = args.data_dir.or(file.data_dir);
    file.listen = args.listen.map(|addr| addr.to_string()).or(file.listen);
    file.observe = args.observe.map(|addr| addr.to_string()).or(file.observe);
    file.otlp = args.otlp.over(file.otlp);
    file.trust_domain = args.trust_domain.map(String::from).or(file.trust_domain);
    file.resolve().map_err(wrong)
}

fn tell(server: &Server, out: Output) -> Result<(), Failure> {
    let started = Started {
        trust_domain: server.trust_domain().to_string(),
        addr: server.addr().to_string(),
        admin_socket: server.admin_socket().to_owned(),
        observed_at: server.observed_at().map(|addr| addr.to_string()),
        pid: std::process::id(),
    };
    if out.is_object() {
        return out.stream_object(&started);
    }
    let report = server.report();
    let found = if report.created { "a new one".into() } else { format!("{} journal entries", report.last) };
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    out.line(format!("trust domain {} ({found})", started.trust_domain))?;
    out.line(format!("  nodes and workloads  https://{}", started.addr))?;
    if let Some(addr) = &started.observed_at {
        out.line(format!("  metrics and probes   http://{addr}"))?;
    }
    out.line(format!("  administrators       unix:{}", started.admin_socket.display()))
}
