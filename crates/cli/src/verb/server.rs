//! `credence server`: the control plane, in the foreground.

use crate::args::ServerArgs;
use crate::daemon::{Ending, write_log};
use crate::failure::Failure;
use crate::output::Output;
use crate::passphrase;
use crate::pem;
use crate::session::Session;
use credence_model::refusal::Kind;
use credence_server::config::{CONFIG_BYTES_MAX, Config, ConfigFile};
use credence_server::start::Server;
use serde::Serialize;
use std::path::PathBuf;

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
    let mut ending = Ending::catch(args.ending)?;
    let passphrase = passphrase::read(&args.passphrase, &session.environment)?;
    let server = start(Config { passphrase, ..resolve(args)? }).await?;
    tell(&server, session.out)?;
    ending.wait().await;
    server.stop().await;
    Ok(())
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
