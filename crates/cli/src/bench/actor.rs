//! The actor's side of a measurement: an ordinary client of the Workload API, inside the process tree that it serves.

use super::{gateway, io, narrowing};
use crate::args::BenchPart;
use crate::failure::Failure;
use crate::session::Session;
use credence_bench::{median, quantile};
use credence_model::refusal::Kind;
use credence_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use credence_wire::workload::{JwtsvidRequest, X509svidRequest};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// New connections that are measured.
const CONNECTIONS: usize = 1_000;
/// How long tokens are fetched, and how many at a time.
const TOKENS_FOR: Duration = Duration::from_secs(3);
const TOKENS_AT_ONCE: u64 = 32;
/// Streams that are left open, and how many share a connection where they share one: a client of SPIFFE's Go library has
/// one connection for its SVID, its bundles and its tokens' bundles.
pub(super) const STREAMS: u64 = 200;
const SHARING: u64 = 3;

/// What the actor tells, one line of JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) per_second: f64,
    pub(super) count: u64,
    /// The same of work that cannot be left out.
    #[serde(default)]
    pub(super) limit_p99_ms: f64,
}

/// Does its part and tells what it saw on standard output.
pub(super) async fn run(part: BenchPart, session: &Session) -> Result<(), Failure> {
    let socket = socket()?;
    match part {
        BenchPart::Once => {
            first_svid(&socket).await?;
            tell(&Told::default())
        }
        BenchPart::Connections => connections(&socket).await,
        BenchPart::Tokens => tokens(&socket).await,
        BenchPart::Streams => streams(&socket, 1).await,
        BenchPart::SharedStreams => streams(&socket, SHARING).await,
        BenchPart::Checks => gateway::checks(&socket).await,
        BenchPart::Narrowings => narrowing::narrowings(&socket, &session.client()?).await,
    }
}

async fn connections(socket: &str) -> Result<(), Failure> {
    let mut took = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let begin = Instant::now();
        first_svid(socket).await?;
        took.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    tell(&Told { p50_ms: median(&mut took), p99_ms: quantile(&mut took, 0.99), ..Told::default() })
}

async fn tokens(socket: &str) -> Result<(), Failure> {
    let client = client(socket).await?;
    let count = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let fetch = |lane: u64| {
        let (mut client, count) = (client.clone(), Arc::clone(&count));
        async move {
            for nth in 0_u64.. {
                if begin.elapsed() >= TOKENS_FOR {
                    break;
                }
                let audience = vec![format!("spiffe://bench.internal/{lane}/{nth}")];
                let request = JwtsvidRequest { audience, spiffe_id: String::new() };
                client.fetch_jwtsvid(asked(request)).await.map_err(|status| refused(&status))?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Failure>(())
        }
    };
    let lanes: Vec<_> = (0..TOKENS_AT_ONCE).map(|lane| tokio::spawn(fetch(lane))).collect();
    for lane in lanes {
        lane.await.map_err(|error| Failure::new(Kind::Bug, format!("a lane was lost: {error}")))??;
    }
    let count = count.load(Ordering::Relaxed);
    tell(&Told { count, per_second: count as f64 / begin.elapsed().as_secs_f64(), ..Told::default() })
}

/// Opens one stream, waits for a line on standard input, opens the others, waits again: the node is looked at meanwhile.
async fn streams(socket: &str, of_each: u64) -> Result<(), Failure> {
    let (mut open, mut present) = (Vec::new(), None);
    for wanted in [1, STREAMS + 1] {
        while (open.len() as u64) < wanted {
            if present.is_none() || (open.len() as u64).is_multiple_of(of_each) {
                present = Some(client(socket).await?);
            }
            let Some(client) = &mut present else { continue };
            let mut stream =
                client.fetch_x509svid(asked(X509svidRequest {})).await.map_err(|status| refused(&status))?.into_inner();
            stream.message().await.map_err(|status| refused(&status))?;
            open.push((client.clone(), stream));
        }
        tell(&Told { count: wanted, ..Told::default() })?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|error| io("standard input", &error))?;
    }
    Ok(())
}

pub(super) async fn first_svid(socket: &str) -> Result<(), Failure> {
    fetched(socket).await.map(drop)
}

/// The certificates of the actor in DER, one after the other.
pub(super) async fn fetched(socket: &str) -> Result<Vec<u8>, Failure> {
    let answer = client(socket).await?.fetch_x509svid(asked(X509svidRequest {})).await;
    let first = answer.map_err(|status| refused(&status))?.into_inner().message().await;
    let first = first.map_err(|status| refused(&status))?.and_then(|answer| answer.svids.into_iter().next());
    first.map(|svid| svid.x509_svid).ok_or_else(|| Failure::new(Kind::Bug, "the stream had no SVID"))
}

async fn client(socket: &str) -> Result<SpiffeWorkloadApiClient<Channel>, Failure> {
    channel(socket).await.map(SpiffeWorkloadApiClient::new)
}

/// A connection to the socket.
pub(super) async fn channel(socket: &str) -> Result<Channel, Failure> {
    let path = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://workload").connect_with_connector(connect).await;
    channel.map_err(|error| Failure::caused(Kind::Unavailable, &error))
}

fn asked<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("workload.spiffe.io", tonic::metadata::MetadataValue::from_static("true"));
    request
}

pub(super) fn refused(status: &tonic::Status) -> Failure {
    Failure::new(Kind::Unavailable, format!("the socket refused: {status}"))
}

#[expect(clippy::disallowed_methods, reason = "an actor learns where its endpoint is from its environment")]
fn socket() -> Result<String, Failure> {
    let endpoint = std::env::var("SPIFFE_ENDPOINT_SOCKET").unwrap_or_default();
    let path = endpoint.strip_prefix("unix:").map(|path| path.trim_start_matches("//"));
    path.map(str::to_owned).ok_or_else(|| Failure::used_wrongly("SPIFFE_ENDPOINT_SOCKET names no Unix socket"))
}

pub(super) fn tell(told: &Told) -> Result<(), Failure> {
    let line = serde_json::to_string(told).map_err(|error| Failure::new(Kind::Bug, error.to_string()))?;
    println!("{line}");
    Ok(())
}
