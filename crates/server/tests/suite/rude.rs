//! Clients without manners, on real sockets: each is cut in time, counted by the limit that did it, and in nobody's way.

use crate::house::actor;
use crate::strained::Strained;
use credence_server::limits::{
    ANSWER_TIMEOUT_SECS, BODY_TIMEOUT_SECS, HANDSHAKE_TIMEOUT_SECS, HEAD_TIMEOUT_SECS, STRANGER_BODY_BYTES_MAX,
    STRANGER_SECS_MAX,
};
use credence_server::listen::{HEAD_BYTES_MAX, STREAMS_PER_CONNECTION_MAX};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

const HEAD: Duration = Duration::from_secs(HEAD_TIMEOUT_SECS);
const BODY: Duration = Duration::from_secs(BODY_TIMEOUT_SECS);
const ANSWER: Duration = Duration::from_secs(ANSWER_TIMEOUT_SECS);

/// Something that waits for a minute.
const WAITING: &str = "/v1/log?from=1000000&wait_ms=60000";

type Sender<B> = http2::SendRequest<B>;

/// A client of HTTP/2 that says at once what it is.
async fn http2<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    window: Option<u32>,
) -> (Sender<B>, JoinHandle<hyper::Result<()>>)
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    (sender, tokio::spawn(connection))
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://credence{path}")).body(Empty::new()).expect("a request")
}

#[tokio::test]
async fn who_connects_and_never_begins_a_handshake_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("handshake_time").await;
    let mut silent = strained.tcp().await;
    strained.cuts(&mut silent, Duration::from_secs(HANDSHAKE_TIMEOUT_SECS)).await;
    let mut half = strained.tcp().await;
    half.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    strained.cuts(&mut half, Duration::from_secs(HANDSHAKE_TIMEOUT_SECS)).await;
    assert_eq!(strained.hits("handshake_time").await - before, 2.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn who_finishes_the_handshake_or_opens_the_admin_socket_and_asks_nothing_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("head_time").await;
    let mut silent = strained.tls().await;
    assert_eq!(strained.cuts(&mut silent, HEAD).await, "");
    let mut silent = strained.unix().await;
    assert_eq!(strained.cuts(&mut silent, HEAD).await, "");
    let mut beginning = strained.unix().await;
    beginning.write_all(b"PRI * HT").await.unwrap();
    strained.cuts(&mut beginning, HEAD).await;
    let (_sender, silent) = http2::<Empty<Bytes>>(strained.tls().await, None).await;
    strained.reaches("head_time", before + 4.0, HEAD).await;
    silent.await.unwrap().ok();
    assert_eq!(strained.hits("head_time").await - before, 4.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn half_a_head_is_cut_as_the_first_and_as_a_later_one() {
    let mut strained = Strained::open().await;
    let before = strained.hits("head_time").await;
    let mut first = strained.tls().await;
    first.write_all(b"GET /healthz HTTP/1.1\r\nho").await.unwrap();
    assert_eq!(strained.cuts(&mut first, HEAD).await, "");
    let mut later = strained.unix().await;
    later.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /he").await.unwrap();
    let said = strained.cuts(&mut later, HEAD).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.matches("HTTP/1.1").count() == 1, "{said}");
    assert_eq!(strained.hits("head_time").await - before, 2.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn half_a_body_is_refused_in_time_of_a_request_and_of_a_call() {
    let mut strained = Strained::open().await;
    let before = strained.hits("body_time").await;
    let half = |path: &str, kind: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: 9\r\n\r\n{{"
        )
    };
    let mut request = strained.unix().await;
    request.write_all(half("/v1/actors", "application/json").as_bytes()).await.unwrap();
    let said = strained.cuts(&mut request, BODY).await;
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("did not arrive within 30 s"), "{said}");
    // The one call that anybody may make.
    let mut call = strained.tls().await;
    call.write_all(half("/credence.node.v1.NodeService/Attest", "application/grpc").as_bytes()).await.unwrap();
    let said = strained.cuts(&mut call, BODY).await;
    assert!(said.contains("grpc-status: 3"), "{said}");
    assert_eq!(strained.hits("body_time").await - before, 2.0);
    strained.serves().await;
    strained.close().await;
}

/// Of whoever has not said who it is, no more is kept than an attestation needs.
#[tokio::test]
async fn the_body_of_a_stranger_is_small() {
    let mut strained = Strained::open().await;
    let before = strained.hits("stranger_body_bytes").await;
    let body = "x".repeat(STRANGER_BODY_BYTES_MAX + 1);
    let post = |path: &str, kind: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}");
        format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let mut stranger = strained.tls().await;
    stranger.write_all(post("/credence.node.v1.NodeService/Attest", "application/grpc").as_bytes()).await.unwrap();
    let said = strained.cuts(&mut stranger, BODY).await;
    assert!(said.contains("larger%20than%2016384%20bytes") || said.contains("larger than 16384 bytes"), "{said}");
    let mut administrator = strained.unix().await;
    administrator.write_all(post("/v1/actors", "application/json").as_bytes()).await.unwrap();
    let said = strained.cuts(&mut administrator, BODY).await;
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("it is not JSON"), "{said}");
    assert_eq!(strained.hits("stranger_body_bytes").await - before, 1.0);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn who_stops_sending_is_let_go_at_once() {
    let mut strained = Strained::open().await;
    for said in ["", "GET /hea", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut unix = strained.unix().await;
        unix.write_all(said.as_bytes()).await.unwrap();
        unix.shutdown().await.unwrap();
        unix.read_to_end(&mut Vec::new()).await.ok();
        let mut tls = strained.tls().await;
        tls.write_all(said.as_bytes()).await.unwrap();
        tls.shutdown().await.unwrap();
        tls.read_to_end(&mut Vec::new()).await.ok();
    }
    strained.settles("credence_connections{peer=\"stranger\"}", |open| open == 0.0).await;
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn garbage_is_answered_with_the_end() {
    let mut strained = Strained::open().await;
    let garbage: Vec<_> = (0..=255).cycle().take(100_000).collect::<Vec<u8>>();
    let mut tcp = strained.tcp().await;
    // It may end the connection before all of it was sent.
    tcp.write_all(&garbage).await.ok();
    tcp.read_to_end(&mut Vec::new()).await.ok();
    let mut tls = strained.tls().await;
    tls.write_all(&garbage).await.ok();
    tls.read_to_end(&mut Vec::new()).await.ok();
    let mut unix = strained.unix().await;
    unix.write_all(&garbage).await.ok();
    unix.read_to_end(&mut Vec::new()).await.ok();
    let mut frames = strained.unix().await;
    frames.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    frames.write_all(&garbage).await.ok();
    frames.read_to_end(&mut Vec::new()).await.ok();
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let mut strained = Strained::open().await;
    let long = "x".repeat(HEAD_BYTES_MAX as usize + 1);
    let mut http1 = strained.unix().await;
    http1.write_all(format!("GET /healthz HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n").as_bytes()).await.ok();
    let mut said = Vec::new();
    http1.read_to_end(&mut said).await.ok();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&said));
    let (mut sender, _connection) = http2(strained.unix().await, None).await;
    let mut request = get("/healthz");
    request.headers_mut().insert("long", long.parse().unwrap());
    let answer = sender.send_request(request).await;
    assert!(answer.as_ref().map_or(true, |answer| answer.status() == 431), "{answer:?}");
    assert_eq!(sender.send_request(get("/healthz")).await.unwrap().status(), 200, "the connection goes on");
    strained.serves().await;
    strained.close().await;
}

/// HTTP/1 that asks again and again and never reads: what it may send is bounded, and then it is cut.
#[tokio::test]
async fn who_asks_on_and_on_and_reads_nothing_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("answer_time").await;
    let asking = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let mut stream = strained.unix().await;
    let mut sent = 0;
    let cut = async {
        // However it ends, it ends.
        while let Ok(bytes) = stream.write(asking.as_bytes()).await {
            sent += bytes;
            assert!(sent < 16 << 20, "everything is taken");
        }
    };
    let passing = strained.reaches("answer_time", before + 1.0, ANSWER);
    tokio::join!(cut, passing);
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn who_gives_its_answers_no_window_is_cut() {
    let mut strained = Strained::open().await;
    let before = strained.hits("answer_time").await;
    let (mut sender, connection) = http2(strained.unix().await, Some(0)).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(sender.send_request(get("/v1/log")).await.expect("a head").into_body());
    }
    strained.settles("credence_open_requests", |open| open >= 11.0).await;
    strained.reaches("answer_time", before + 1.0, ANSWER).await;
    connection.await.unwrap().ok();
    assert_eq!(strained.hits("answer_time").await - before, 1.0);
    assert!(answers.pop().unwrap().collect().await.is_err());
    // The stream of the node, and nothing else, is left.
    strained.settles("credence_open_requests", |open| open == 1.0).await;
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn who_answers_pings_and_asks_no_more_is_let_go() {
    let idle = Duration::from_secs(40);
    let mut strained = Strained::open_with(|config| config.limits.idle_time = idle).await;
    let before = strained.hits("idle_time").await;
    let (mut sender, connection) =
        http2(strained.tls_as(strained.tcp().await, &strained.node.identity).await.unwrap(), None).await;
    assert_eq!(sender.send_request(get("/healthz")).await.unwrap().status(), 200);
    strained.reaches("idle_time", before + 1.0, idle).await;
    connection.await.unwrap().ok();
    strained.serves().await;
    strained.close().await;
}

#[tokio::test]
async fn a_stranger_does_not_stay_however_busy_it_is() {
    let mut strained = Strained::open().await;
    let before = strained.hits("stranger_time").await;
    let (mut sender, connection) = http2(strained.tls().await, None).await;
    assert_eq!(sender.send_request(get("/healthz")).await.unwrap().status(), 200);
    strained.reaches("stranger_time", before + 1.0, Duration::from_secs(STRANGER_SECS_MAX)).await;
    connection.await.unwrap().ok();
    strained.serves().await;
    strained.close().await;
}

/// The frames of a client that was told how many streams it may open, and opens more.
fn frames(streams: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // :method GET, :scheme http, :path, :authority (RFC 7541 appendix A).
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(WAITING.len()).unwrap()];
    block.extend(WAITING.bytes());
    block.extend([0x41, 1, b'x']);
    for stream in 0..streams {
        let length = u32::try_from(block.len()).unwrap().to_be_bytes();
        bytes.extend(&length[1..]);
        bytes.extend([1, 0x4 | 0x1]);
        bytes.extend((2 * stream + 1).to_be_bytes());
        bytes.extend(&block);
    }
    bytes
}

#[tokio::test]
async fn streams_beyond_the_limit_of_a_connection_are_refused() {
    let mut strained = Strained::open().await;
    let beyond = 10;
    let mut stream = strained.unix().await;
    stream.write_all(&frames(STREAMS_PER_CONNECTION_MAX + beyond)).await.unwrap();
    let mut refused = 0;
    while refused < beyond {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.expect("its payload");
        // RST_STREAM with REFUSED_STREAM (RFC 9113 §7).
        if head[3] == 3 {
            assert_eq!(payload, [0, 0, 0, 7]);
            refused += 1;
        }
    }
    let all = f64::from(STREAMS_PER_CONNECTION_MAX) + 1.0;
    strained.settles("credence_open_requests", |open| open == all).await;
    strained.serves().await;
    drop(stream);
    strained.settles("credence_open_requests", |open| open == 1.0).await;
    strained.close().await;
}

#[tokio::test]
async fn strangers_give_way_to_each_other_and_take_nothing_from_nodes_and_administrators() {
    let mut strained = Strained::open_with(|config| {
        config.limits.stranger_connections = 8;
        config.limits.peer_connections = 6;
    })
    .await;
    let (of_one, of_all) = (strained.hits("peer_connections").await, strained.hits("stranger_connections").await);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(strained.tcp().await);
    }
    strained.pass(Duration::from_secs(1)).await;
    assert!(strained.hits("peer_connections").await - of_one >= 14.0);
    let open = strained.sample("credence_connections{peer=\"stranger\"}").await;
    assert!(open <= 6.0, "{open} of one address");
    for last in 2..20 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        silent.push(socket.connect(strained.house.server.addr()).await.unwrap());
    }
    strained.pass(Duration::from_secs(1)).await;
    assert!(strained.hits("stranger_connections").await - of_all >= 10.0);
    let open = strained.sample("credence_connections{peer=\"stranger\"}").await;
    assert!(open <= 8.0, "{open} of all addresses");
    // All places of strangers are taken, and this needs one for its handshake.
    strained.serves().await;
    drop(silent);
    strained.settles("credence_connections{peer=\"stranger\"}", |open| open == 0.0).await;
    strained.close().await;
}

#[tokio::test]
async fn a_connection_without_room_for_its_kind_is_closed() {
    let mut strained = Strained::open_with(|config| config.limits.connections = 8).await;
    let before = strained.hits("connections").await;
    let mut open = Vec::new();
    loop {
        let stream = strained.tls_as(strained.tcp().await, &strained.node.identity).await;
        let mut stream = stream.expect("a handshake");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.ok();
        if stream.read(&mut [0; 12]).await.unwrap_or(0) == 0 {
            break;
        }
        open.push(stream);
        assert!(open.len() < 8, "the node's stream is one of eight");
    }
    assert_eq!(strained.hits("connections").await - before, 1.0);
    assert_eq!(strained.house.admin().get("/healthz").await.status, 200);
    assert_eq!(strained.house.anonymous().get("/healthz").await.status, 200);
    strained.line.heartbeat().await;
    open.pop();
    strained.settles("credence_connections{peer=\"node\"}", |open| open < 8.0).await;
    strained.serves().await;
    strained.close().await;
}

/// Ten thousand requests that wait at once: each connection has its bound, and all of it is let go of.
#[tokio::test]
async fn ten_thousand_streams_are_borne_and_let_go_of() {
    const CONNECTIONS: u32 = 40;
    let mut strained = Strained::open().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (sender, connection) = http2::<Empty<Bytes>>(strained.unix().await, None).await;
        // More than a connection may have open: a client with manners keeps the rest to itself.
        for _ in 0..STREAMS_PER_CONNECTION_MAX + 4 {
            let mut sender = sender.clone();
            clients.push(tokio::spawn(async move { sender.send_request(get(WAITING)).await.map(drop) }));
        }
        clients.push(connection);
    }
    let all = f64::from(CONNECTIONS * STREAMS_PER_CONNECTION_MAX) + 1.0;
    strained.settles("credence_open_requests", |open| open >= all).await;
    strained.serves().await;
    assert_eq!(strained.house.admin().post("/v1/actors", &actor("a-1")).await.status, 200);
    assert_eq!(strained.sample("credence_open_requests").await, all);
    clients.iter().for_each(JoinHandle::abort);
    drop(clients);
    strained.settles("credence_open_requests", |open| open == 1.0).await;
    strained.settles("credence_connections{peer=\"administrator\"}", |open| open == 0.0).await;
    strained.serves().await;
    strained.close().await;
}
