//! The Workload API of an endpoint: what its streams say, what it refuses, and how it closes.

use crate::door::{Door, Other, closed, mint, request};
use crate::identity::{ACTOR, TRUST_DOMAIN, served};
use crate::limits::hits;
use credence_model::refusal::{Kind, Refusal};
use credence_node::endpoint::Served;
use credence_wire::workload::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, X509BundlesRequest, X509svidRequest, X509svidResponse,
};
use futures_util::FutureExt as _;
use std::sync::Arc;
use tonic::{Code, Streaming};

/// Most connections of an actor, and of strangers at its socket.
const CONNECTIONS_MAX: usize = 256;
const STRANGERS_MAX: usize = 16;
/// Most streams of one connection.
const STREAMS_MAX: usize = 64;

async fn certificates(stream: &mut Streaming<X509svidResponse>) -> Vec<u8> {
    let message = stream.message().await.expect("no end").expect("a message");
    let svid = message.svids.first().expect("an identity");
    assert_eq!((svid.spiffe_id.as_str(), message.svids.len()), (ACTOR, 1));
    svid.x509_svid.clone()
}

#[tokio::test]
async fn a_stream_tells_each_identity_once_and_then_its_end() {
    let door = Door::own().await;
    let mut stream =
        door.client().await.fetch_x509svid(request(X509svidRequest {})).await.expect("served").into_inner();
    assert_eq!(certificates(&mut stream).await, [1, 1, 1, 9, 9]);
    // The same once more is no news.
    door.served.send_replace(served(1));
    door.served.send_replace(served(2));
    assert_eq!(certificates(&mut stream).await, [2, 2, 2, 9, 9]);
    door.served.send_replace(Served::Ended);
    let end = stream.message().await.expect_err("the end");
    assert_eq!(end.code(), Code::PermissionDenied);
    assert!(end.message().starts_with("no identity issued"), "{}", end.message());
    // Nothing is served again, not even if somebody says so.
    door.served.send_replace(Served::Ended);
    let refused = door.client().await.fetch_x509svid(request(X509svidRequest {})).await.expect("a stream").into_inner();
    assert_eq!({ refused }.message().await.expect_err("refused").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn bundles_are_those_of_the_one_trust_domain() {
    let door = Door::own().await;
    let mut client = door.client().await;
    let x509 = client.fetch_x509_bundles(request(X509BundlesRequest {})).await.expect("served").into_inner();
    let x509 = { x509 }.message().await.expect("no end").expect("a message").bundles;
    let jwt = client.fetch_jwt_bundles(request(JwtBundlesRequest {})).await.expect("served").into_inner();
    let jwt = { jwt }.message().await.expect("no end").expect("a message").bundles;
    assert_eq!(x509.keys().chain(jwt.keys()).collect::<Vec<_>>(), [TRUST_DOMAIN, TRUST_DOMAIN]);
    let keys: serde_json::Value = serde_json::from_slice(&jwt[TRUST_DOMAIN]).expect("a JWK set");
    assert_eq!(keys["keys"][0]["kid"], "jwt-1");
}

#[tokio::test]
async fn closing_ends_streams_with_a_status_and_is_not_held_up_by_who_does_not_read() {
    let door = Door::own().await;
    let path = door.path();
    let mut stream =
        door.client().await.fetch_x509svid(request(X509svidRequest {})).await.expect("served").into_inner();
    certificates(&mut stream).await;
    let silent = door.connect().await;
    let deaf = door.client().await.fetch_x509svid(request(X509svidRequest {})).await.expect("served");
    let Door { endpoint, .. } = door;
    endpoint.close().await;
    assert!(!path.exists());
    assert!(tokio::net::UnixStream::connect(&path).await.is_err());
    assert_eq!(stream.message().await.expect_err("the end").code(), Code::PermissionDenied);
    closed(silent).await;
    drop(deaf);
}

#[tokio::test]
async fn a_token_is_minted_for_the_actor_itself_and_for_audiences_only() {
    let door = Door::own().await;
    let mut client = door.client().await;
    let mut fetch = async |audience: &[&str], spiffe_id: &str| {
        let audience = audience.iter().map(|text| (*text).to_owned()).collect();
        let answer = client.fetch_jwtsvid(request(JwtsvidRequest { audience, spiffe_id: spiffe_id.to_owned() })).await;
        answer.map(|answer| answer.into_inner().svids[0].svid.clone()).map_err(|status| status.code())
    };
    assert_eq!(fetch(&["a", "b"], "").await.as_deref(), Ok("a b"));
    assert_eq!(fetch(&["a"], ACTOR).await.as_deref(), Ok("a"));
    assert_eq!(fetch(&["a"], "spiffe://td.test/somebody/else").await, Err(Code::PermissionDenied));
    assert_eq!(fetch(&["a"], "not an id").await, Err(Code::InvalidArgument));
    assert_eq!(fetch(&[], "").await, Err(Code::InvalidArgument));
    assert_eq!(fetch(&[""], "").await, Err(Code::InvalidArgument));
    assert_eq!(fetch(&["a"; 17], "").await, Err(Code::InvalidArgument));
    assert_eq!(fetch(&["a".repeat(2000).as_str()], "").await, Err(Code::InvalidArgument));
}

#[tokio::test]
async fn what_the_control_plane_refuses_is_said_with_the_code_of_its_kind() {
    for (kind, code) in [
        (Kind::Unavailable, Code::Unavailable),
        (Kind::Stale, Code::PermissionDenied),
        (Kind::Limited, Code::ResourceExhausted),
    ] {
        let door = Door::minting(mint(move |_| Err(Refusal::new(kind, "because")))).await;
        let asked = JwtsvidRequest { audience: vec!["a".into()], spiffe_id: String::new() };
        let status = door.client().await.fetch_jwtsvid(request(asked)).await.expect_err("refused");
        assert_eq!((status.code(), status.message()), (code, "because"));
    }
}

#[tokio::test]
async fn a_token_that_comes_after_the_end_is_given_to_nobody() {
    let (asked, minting) = tokio::sync::oneshot::channel();
    let asked = std::sync::Mutex::new(Some(asked));
    let door = Door::minting(Arc::new(move |_, _| {
        if let Some(asked) = asked.lock().expect("nobody panicked").take() {
            asked.send(()).expect("the test waits");
        }
        std::future::pending().boxed()
    }))
    .await;
    let mut client = door.client().await;
    let asked = JwtsvidRequest { audience: vec!["a".into()], spiffe_id: String::new() };
    let waiting = tokio::spawn(async move { client.fetch_jwtsvid(request(asked)).await });
    minting.await.expect("the mint was asked");
    door.served.send_replace(Served::Ended);
    let status = waiting.await.expect("no panic").expect_err("refused");
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_token_to_validate_must_be_there_and_genuine_and_not_too_long() {
    let door = Door::own().await;
    let mut client = door.client().await;
    for (audience, svid, code) in [
        ("", "a.b.c", Code::InvalidArgument),
        ("a", "", Code::InvalidArgument),
        ("a", "a.b.c", Code::InvalidArgument),
        ("a", &"a".repeat(100_000), Code::OutOfRange),
    ] {
        let asked = ValidateJwtsvidRequest { audience: audience.to_owned(), svid: svid.to_owned() };
        let status = client.validate_jwtsvid(request(asked)).await.expect_err("refused");
        assert_eq!(status.code(), code, "{status}");
    }
}

#[tokio::test]
async fn an_actor_has_so_many_connections_and_no_more() {
    let (door, before) = (Door::own().await, hits("actor_connections"));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        connections.push(door.connect().await);
    }
    closed(door.connect().await).await;
    assert!(hits("actor_connections") > before);
    // They are accepted in their order, so the first is one of those that are served.
    let served = connections.swap_remove(0);
    let request = "GET /identity HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n";
    assert!(crate::door::exchange(served, request).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn strangers_are_told_no_a_few_at_a_time() {
    let other = Other::start();
    let door = Door::of(other.pid(), mint(|_| Ok("a token".into()))).await;
    let answer = door.get("/identity").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("no identity issued"), "{answer}");
    assert!(!answer.contains(ACTOR), "a stranger does not learn whose endpoint it is: {answer}");
    let status = door.client().await.fetch_x509svid(request(X509svidRequest {})).await.expect_err("refused");
    assert_eq!(status.code(), Code::PermissionDenied);

    let door = Door::of(other.pid(), mint(|_| Ok("a token".into()))).await;
    let (mut connections, before) = (Vec::new(), hits("stranger_connections"));
    for _ in 0..STRANGERS_MAX {
        connections.push(door.connect().await);
    }
    closed(door.connect().await).await;
    assert!(hits("stranger_connections") > before);
}

#[tokio::test]
async fn an_endpoint_whose_tree_is_gone_serves_nobody() {
    let other = Other::start();
    let door = Door::of(other.pid(), mint(|_| Ok("a token".into()))).await;
    drop(other);
    assert!(door.get("/identity").await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_connection_has_only_so_many_streams_and_a_further_one_waits_for_room() {
    let door = Door::own().await;
    let client = door.client().await;
    let open = || {
        let mut client = client.clone();
        async move { client.fetch_x509svid(request(X509svidRequest {})).await.expect("served").into_inner() }
    };
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(open().await);
    }
    let mut further = std::pin::pin!(open());
    let elsewhere = async {
        for _ in 0..20 {
            assert!(door.get("/identity").await.contains(ACTOR), "others are served meanwhile");
        }
    };
    tokio::select! {
        biased;
        _ = further.as_mut() => panic!("one more than {STREAMS_MAX} streams were served"),
        () = elsewhere => {}
    }
    streams.pop();
    assert_eq!(certificates(&mut further.await).await, [1, 1, 1, 9, 9]);
}
