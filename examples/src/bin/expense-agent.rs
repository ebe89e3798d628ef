//! An agent that files expense reports with a tool, over mTLS, for as long as it runs.
//!
//! It keeps the number of its last report in its home directory. When it is suspended and resumed elsewhere, it goes on
//! with the next one.

use clap::{Parser, Subcommand};
use credence_examples::post::post;
use credence_examples::tool;
use credence_examples::{copy, counter};
use rustls::ClientConfig;
use serde_json::{Value, json};
use spiffe::{SpiffeId, X509Source};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Path of the control plane's SPIFFE ID.
const CONTROL_PLANE_PATH: &str = "/credence/server";

/// How long it thinks about the next report.
const PAUSE: Duration = Duration::from_secs(1);

/// Files expense reports until it is told to end.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Copies the identity of the moment into a file: what a thief would do
    KeepACopy {
        /// The file
        file: PathBuf,
    },
    /// Asks the control plane for an actor below this one, and prints its answer; exits with 1 if it is refused
    Spawn {
        /// Where to ask, e.g. https://127.0.0.1:8443/v1/children
        url: String,
        /// What is wanted, as JSON
        #[arg(value_parser = json)]
        wanted: Value,
    },
    /// Calls the tool with a copy: as a certificate, then as a token; exits with 1 if both are refused
    Replay {
        /// The file
        file: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        None => work().await.map(|()| true),
        Some(Verb::KeepACopy { file }) => copy::keep(&file).await.map(|()| true),
        Some(Verb::Spawn { url, wanted }) => spawn(&url, &wanted).await,
        Some(Verb::Replay { file }) => copy::replay(&file).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("expense-agent: {error}");
            ExitCode::from(2)
        }
    }
}

async fn work() -> Result<(), Box<dyn Error>> {
    let mut end = signal(SignalKind::terminate())?;
    let source = X509Source::new().await?;
    let me = source.svid()?.spiffe_id().clone();
    println!("I am {me}");
    let own = me.trust_domain().clone();
    let is_tool = move |peer: &SpiffeId| *peer.trust_domain() == own && peer.path().starts_with(tool::TOOL_PATH);
    let tls = Arc::new(spiffe_rustls::mtls_client(source.clone()).authorize(is_tool).build()?);
    loop {
        tokio::select! {
            filed = file_one(Arc::clone(&tls)) => println!("{}", filed?),
            _ = end.recv() => return Ok(()),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = end.recv() => return Ok(()),
        }
    }
}

/// It proves who it is as it does to the tool, and so cannot ask in anybody else's name.
async fn spawn(url: &str, wanted: &Value) -> Result<bool, Box<dyn Error>> {
    let source = X509Source::new().await?;
    let own = source.svid()?.spiffe_id().trust_domain().clone();
    let is_server = move |peer: &SpiffeId| *peer.trust_domain() == own && peer.path() == CONTROL_PLANE_PATH;
    let tls = Arc::new(spiffe_rustls::mtls_client(source.clone()).authorize(is_server).build()?);
    let (status, answer) = post(tls, url, None, wanted).await?;
    println!("{answer}");
    Ok(status.is_success())
}

/// Files the next report and keeps its number if it was taken. Says in words what came of it.
async fn file_one(tls: Arc<ClientConfig>) -> Result<String, Box<dyn Error>> {
    let number = counter::last()? + 1;
    let url = format!("{}/reports", tool::url()?);
    Ok(match post(tls, &url, None, &json!({ "report": number })).await {
        Ok((status, answer)) if status.is_success() => {
            counter::keep(number)?;
            format!("report {number} filed by {}", said(&answer, "by"))
        }
        Ok((status, answer)) => format!("report {number} refused: {status}: {}", said(&answer, "error")),
        Err(error) => format!("report {number} not filed: {error}"),
    })
}

fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn said<'a>(answer: &'a Value, what: &str) -> &'a str {
    answer.get(what).and_then(Value::as_str).unwrap_or("nobody said")
}
