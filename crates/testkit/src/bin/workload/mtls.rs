//! mTLS between two workloads, each with nothing but its SVID and its bundle.

use crate::Failure;
use crate::say::say;
use serde_json::json;
use spiffe::cert::spiffe_id_from_der;
use spiffe::{SpiffeId, X509Source};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::CommonState;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What the server says to a client that it trusts.
const GREETING: &[u8] = b"welcome";

/// Says where it listens, then for each client who it is or that it was not trusted; ends after the first that was.
pub(super) async fn serve(peer: String) -> Result<(), Failure> {
    let source = X509Source::new().await?;
    let config = spiffe_rustls::mtls_server(source).authorize(of(peer)).build()?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&json!({ "listening": listener.local_addr()?.to_string() }))?;
    loop {
        let (stream, _) = listener.accept().await?;
        match acceptor.accept(stream).await {
            Ok(mut stream) => {
                say(&json!({ "client": who(stream.get_ref().1)? }))?;
                stream.write_all(GREETING).await?;
                return Ok(stream.shutdown().await?);
            }
            Err(error) => say(&json!({ "not trusted": error.to_string() }))?,
        }
    }
}

/// Says who the server is once it has answered, or that there was no handshake.
pub(super) async fn call(addr: SocketAddr, peer: String) -> Result<(), Failure> {
    let source = X509Source::new().await?;
    let connector = TlsConnector::from(Arc::new(spiffe_rustls::mtls_client(source).authorize(of(peer)).build()?));
    let stream = TcpStream::connect(addr).await?;
    // SPIFFE servers are known by their URI name; the address only fills the field.
    let mut stream = match connector.connect(ServerName::from(addr.ip()), stream).await {
        Ok(stream) => stream,
        Err(error) => return Ok(say(&json!({ "not trusted": error.to_string() }))?),
    };
    let mut heard = Vec::new();
    // In TLS 1.3 a client learns only here that it was not trusted.
    if let Err(error) = stream.read_to_end(&mut heard).await {
        return Ok(say(&json!({ "refused": error.to_string() }))?);
    }
    say(&json!({ "server": who(stream.get_ref().1)?, "heard": String::from_utf8_lossy(&heard) }))?;
    Ok(())
}

/// Says where it listens and welcomes whoever it trusts, for ever.
pub(super) async fn greet(peer: String) -> Result<(), Failure> {
    let source = X509Source::new().await?;
    let acceptor = TlsAcceptor::from(Arc::new(spiffe_rustls::mtls_server(source).authorize(of(peer)).build()?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&json!({ "listening": listener.local_addr()?.to_string() }))?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that it does not trust says so itself.
        if let Ok(mut stream) = acceptor.accept(stream).await
            && stream.write_all(GREETING).await.is_ok()
        {
            let _ = stream.shutdown().await;
        }
    }
}

/// One handshake after the other, each on a connection of its own. For each line of standard input it says how many there
/// were and how many failed.
pub(super) async fn visit(addr: SocketAddr, peer: String, pace: Duration) -> Result<(), Failure> {
    let source = X509Source::new().await?;
    let connector = TlsConnector::from(Arc::new(spiffe_rustls::mtls_client(source).authorize(of(peer)).build()?));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut met, mut failed, mut why) = (0_u64, 0_u64, String::new());
    let mut every = tokio::time::interval(pace);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            line = lines.next_line() => {
                if line?.is_none() {
                    return Ok(());
                }
                say(&json!({ "met": met, "failed": failed, "why": why }))?;
            }
            greeted = greeted(&connector, addr) => match greeted {
                Ok(()) => met += 1,
                Err(error) => (failed, why) = (failed + 1, error.to_string()),
            }
        }
        every.tick().await;
    }
}

async fn greeted(connector: &TlsConnector, addr: SocketAddr) -> Result<(), Failure> {
    let stream = TcpStream::connect(addr).await?;
    let mut stream = connector.connect(ServerName::from(addr.ip()), stream).await?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    if heard == GREETING { Ok(()) } else { Err("it was not welcomed".into()) }
}

fn of(peer: String) -> impl Fn(&SpiffeId) -> bool + Send + Sync + 'static {
    move |id| id.path().starts_with(&peer)
}

fn who(state: &CommonState) -> Result<String, Failure> {
    let leaf = state.peer_certificates().and_then(<[_]>::first).ok_or("the peer showed no certificate")?;
    Ok(spiffe_id_from_der(leaf)?.to_string())
}
