//! Requests to the control API, as bytes on a connection to a server that runs in this process.

use super::{runtime, scratch};
use credence_server::config::{ConfigFile, SettingsFile};
use credence_server::start::Server;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Longest answer to one connection that is read, in bytes; a larger one is a fault.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest wait for the end of a connection whose client has said all it says.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

/// How long an answer may take to begin before the client closes its side: what it said may be no whole request. The laws
/// hold whether it comes in time or not.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// What is asked after whatever came before.
pub(super) const NEXT: &[u8] = b"GET /v1/bundle HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

struct House {
    runtime: Runtime,
    socket: PathBuf,
    _server: Server,
    _dir: tempfile::TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let runtime = runtime();
    let dir = scratch();
    let server = runtime.block_on(server(&dir.path().join("data")));
    House { socket: server.admin_socket().to_owned(), runtime, _server: server, _dir: dir }
});

/// A server with the longest lease there is: no run waits for one.
pub(super) async fn server(data_dir: &Path) -> Server {
    let file = ConfigFile {
        trust_domain: Some("td.test".into()),
        data_dir: Some(data_dir.to_owned()),
        listen: Some("127.0.0.1:0".into()),
        settings: SettingsFile { lease_ms: Some(120_000), ..SettingsFile::default() },
        ..ConfigFile::default()
    };
    Server::start(file.resolve().expect("a configuration")).await.expect("a server")
}

/// Whatever an administrator's connection says, the answer is whole, bounded, ends, and is no "internal error"; and the
/// server answers the next one.
pub fn http(bytes: &[u8]) {
    // A request that holds its answer open until something happens is the API's business, not the parser's.
    if bytes.windows(5).any(|window| window.eq_ignore_ascii_case(b"watch") || window.eq_ignore_ascii_case(b"wait_")) {
        return;
    }
    let house = &*HOUSE;
    let answer = house.runtime.block_on(ask(&house.socket, bytes, PAUSE));
    if let Some(status) = status_of(&answer) {
        assert!((100..500).contains(&status) || [501, 503, 505].contains(&status), "status {status}");
    }
    let next = house.runtime.block_on(ask(&house.socket, NEXT, PATIENCE));
    assert!(next.starts_with(b"HTTP/1.1 200"), "the next request is not answered");
}

/// The status of an answer in HTTP/1.
pub(super) fn status_of(answer: &[u8]) -> Option<u16> {
    let status = std::str::from_utf8(answer.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()?;
    Some(status.parse().expect("a status"))
}

/// Says `bytes`, and that no more will come once an answer begins or `pause` is over.
pub(super) async fn ask(socket: &Path, bytes: &[u8], pause: Duration) -> Vec<u8> {
    let mut connection = UnixStream::connect(socket).await.expect("the server's socket");
    let exchange = async {
        // The server may close before it has read all; what it answered until then counts.
        let _ = connection.write_all(bytes).await;
        let mut answer = vec![0; 4096];
        let begun = tokio::time::timeout(pause, connection.read(&mut answer)).await;
        answer.truncate(begun.map_or(0, |count| count.unwrap_or(0)));
        let _ = connection.shutdown().await;
        let _ = (&mut connection).take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("the connection ends");
    assert!(answer.len() as u64 <= ANSWER_BYTES_MAX, "an answer without end");
    answer
}
