use super::{CONNECTIONS_MAX, MESSAGE_BYTES_MAX, caller, connection, serve};
use crate::event::{EVENTS, Events};
use crate::fixture::hits;
use crate::protocol;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::Tracer;
use credence_wire::local::local_service_client::LocalServiceClient;
use credence_wire::local::{Begin, RunRequest, run_request};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

async fn client(stream: UnixStream) -> LocalServiceClient<Channel> {
    let mut stream = Some(TokioIo::new(stream));
    let once =
        tower::service_fn(move |_| std::future::ready(stream.take().ok_or_else(|| std::io::Error::other("once"))));
    LocalServiceClient::new(Endpoint::from_static("http://node").connect_with_connector(once).await.expect("connected"))
}

fn denied() -> Refusal {
    Refusal::new(Kind::Denied, "not you")
}

#[tokio::test(start_paused = true)]
async fn whoever_connects_and_does_not_call_is_cut() {
    for (is_refused, limit) in [(false, "local_begin_time"), (true, "local_refused_time")] {
        let ((ours, _theirs), before) = (UnixStream::pair().expect("a pair"), hits(limit));
        let caller = if is_refused { Err(denied()) } else { caller(&ours) };
        connection(ours, caller, (Events::new(&EVENTS).0, Tracer::default())).await;
        assert!(hits(limit) > before, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_calls_and_does_not_begin_is_refused_and_cut() {
    let ((ours, theirs), before) = (UnixStream::pair().expect("a pair"), hits("local_begin_time"));
    let caller = caller(&ours);
    let served = tokio::spawn(connection(ours, caller, (Events::new(&EVENTS).0, Tracer::default())));
    let mut client = client(theirs).await;
    let (_says_nothing, requests) = mpsc::channel(1);
    let refused = client.run(ReceiverStream::new(requests)).await.expect_err("it did not begin");
    assert_eq!(protocol::status(&refused).kind, Kind::Malformed, "{refused}");
    served.await.expect("the connection ends");
    assert!(hits("local_begin_time") > before);
}

/// What goes on to the control plane is far below what that one takes: nobody cuts the node's stream with a long name.
#[tokio::test]
async fn a_long_message_goes_no_further() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (caller, (events, mut happening)) = (caller(&ours), Events::new(&EVENTS));
    let served = tokio::spawn(connection(ours, caller, (events, Tracer::default())));
    let mut client = client(theirs).await;
    let (requests, outgoing) = mpsc::channel(1);
    let begin = Begin { class: "x".repeat(MESSAGE_BYTES_MAX), actor: String::new(), binding: String::new() };
    let begin = RunRequest { message: Some(run_request::Message::Begin(begin)) };
    requests.send(begin).await.expect("there is room");
    let refused = protocol::status(&client.run(ReceiverStream::new(outgoing)).await.expect_err("it is refused"));
    assert_eq!((refused.kind, refused.message.as_str()), (Kind::Malformed, "it is larger than 16384 bytes"));
    drop((client, requests));
    served.await.expect("the connection ends");
    assert!(happening.recv().await.is_none(), "the hub heard of nothing");
}

#[tokio::test]
async fn whoever_is_refused_is_told_why_and_the_connection_ends() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let served = tokio::spawn(connection(ours, Err(denied()), (Events::new(&EVENTS).0, Tracer::default())));
    let mut client = client(theirs).await;
    let (requests, outgoing) = mpsc::channel(1);
    let begin = Begin { class: "demo/class".into(), actor: String::new(), binding: String::new() };
    let begin = RunRequest { message: Some(run_request::Message::Begin(begin)) };
    requests.send(begin).await.expect("there is room");
    let refused = client.run(ReceiverStream::new(outgoing)).await.expect_err("it is refused");
    assert_eq!(protocol::status(&refused), denied());
    // Though the caller keeps its end open.
    served.await.expect("the connection ends");
}

#[tokio::test]
async fn so_many_local_programs_are_connected_and_further_ones_wait() {
    let (dir, before) = (tempfile::tempdir().expect("a directory"), hits("local_connections"));
    let path = dir.path().join("node.sock");
    let serving =
        tokio::spawn(serve(UnixListener::bind(&path).expect("a socket"), Events::new(&EVENTS).0, Tracer::default()));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        connections.push(UnixStream::connect(&path).await.expect("there is room"));
    }
    while hits("local_connections") == before {
        tokio::task::yield_now().await;
    }
    serving.abort();
}
