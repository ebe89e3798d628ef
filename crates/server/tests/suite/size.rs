//! The size of single fields and messages: what is beyond is refused with its name, and changes nothing.

use crate::house::House;
use crate::node_client::{Node, attest};
use credence_server::api::actor::{EXEC_ARGUMENT_BYTES_MAX, EXEC_ARGUMENTS_MAX, LOG_PAGE_BYTES_MAX};
use credence_server::api::verification::CREDENTIAL_BYTES_MAX;
use credence_server::config::{CONFIG_BYTES_MAX, ConfigFile};
use credence_wire::node::{Held, Hello, KeyOffer, from_node};
use serde_json::{Value, json};
use std::path::Path;

/// Most workers and bindings in a Hello, and largest message of a node, in bytes.
const WORKERS_MAX: usize = 4096;
const HELD_MAX: usize = 8192;
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test]
async fn what_is_too_long_or_too_many_in_a_request_is_refused_and_what_just_fits_is_looked_at() {
    let house = House::furnished().await;
    let text = |bytes: usize| "x".repeat(bytes);
    let words = |count: usize| json!({ "command": vec!["x"; count], "timeout_ms": 1 });
    let word = |bytes: usize| json!({ "command": ["x", text(bytes)], "timeout_ms": 1 });
    let (exec, logs) = ("/v1/actors/finance/a-1/exec", "/v1/actors/finance/a-1/logs?limit=");
    let pem = |bytes: usize| json!({ "x509_svid_pem": text(bytes) });
    let jwt = |bytes: usize| json!({ "jwt_svid": text(bytes), "audience": "tool" });
    let longest = format!("{logs}{LOG_PAGE_BYTES_MAX}");
    let longer = format!("{logs}{}", LOG_PAGE_BYTES_MAX + 1);
    let mut checked = 0;
    let mut check = async |method, path, body: Value, kind: &str, field: &str, message: &str| {
        let error = house.refuses(method, path, &body).await;
        assert_eq!(
            (error["kind"].as_str(), error["field"].as_str().unwrap_or_default()),
            (Some(kind), field),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{message}: {error}");
        checked += 1;
    };
    // There is no such actor, which is seen only once the request itself is good.
    check("POST", exec, words(EXEC_ARGUMENTS_MAX), "not_found", "", "there is no actor").await;
    check("POST", exec, words(EXEC_ARGUMENTS_MAX + 1), "malformed", "command", "at most 255 arguments").await;
    check("POST", exec, word(EXEC_ARGUMENT_BYTES_MAX), "not_found", "", "there is no actor").await;
    check("POST", exec, word(EXEC_ARGUMENT_BYTES_MAX + 1), "malformed", "command[1]", "longer than 16384 bytes").await;
    check("GET", &longest, Value::Null, "not_found", "", "there is no actor").await;
    check("GET", &longer, Value::Null, "malformed", "limit", "262145 is not from 1 to 262144").await;
    check("POST", "/v1/verify", pem(CREDENTIAL_BYTES_MAX), "malformed", "x509_svid_pem", "").await;
    check("POST", "/v1/verify", pem(CREDENTIAL_BYTES_MAX + 1), "limited", "x509_svid_pem", "longer than 32768 bytes")
        .await;
    check("POST", "/v1/verify", jwt(CREDENTIAL_BYTES_MAX), "malformed", "jwt_svid", "").await;
    check("POST", "/v1/verify", jwt(CREDENTIAL_BYTES_MAX + 1), "limited", "jwt_svid", "longer than 32768 bytes").await;
    assert_eq!(checked, 10);
    house.close().await;
}

fn hello(workers: usize, held: usize) -> from_node::Message {
    let one = Held { binding: "01arz3ndektsv4rrffq69g5fav".into(), epoch: 1 };
    from_node::Message::Hello(Hello {
        workers: (0..workers).map(|nth| format!("finance/standard/w{nth}")).collect(),
        held: vec![one; held],
        ..Hello::default()
    })
}

#[tokio::test]
async fn a_node_that_names_too_much_in_its_hello_is_refused() {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let before = house.last_index().await;
    for (message, kind, field, words) in [
        (hello(WORKERS_MAX, 0), "denied", "workers", "its join token granted 2"),
        (hello(WORKERS_MAX + 1, 0), "malformed", "hello.workers", "more than 4096 workers"),
        (hello(0, HELD_MAX + 1), "malformed", "hello.held", "more than 8192 bindings"),
    ] {
        let mut line = node.open_silently(&house).await;
        line.say(message).await;
        let refused = line.end().await;
        assert_eq!((refused.kind.as_str(), refused.field.as_str()), (kind, field), "{refused:?}");
        assert!(refused.message.contains(words), "{refused:?}");
    }
    assert_eq!(house.last_index().await, before);
    house.close().await;
}

#[tokio::test]
async fn a_message_beyond_its_limit_ends_the_stream_or_the_call() {
    let house = House::furnished().await;
    let node = Node::join(&house, "alpha").await;
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    let offer = |bytes| from_node::Message::KeyOffer(KeyOffer { csrs: vec![vec![0; bytes]] });
    line.say(offer(MESSAGE_BYTES_MAX - 64)).await;
    assert_eq!(line.hear_refused().await.field, "key_offer.csrs[0]", "what fits is looked at");
    line.say(offer(MESSAGE_BYTES_MAX)).await;
    let refused = line.end().await;
    assert!(refused.message.contains("the stream broke") && refused.message.contains("1048576"), "{refused:?}");
    let refused = attest(&house, "beta", "none", vec![0; MESSAGE_BYTES_MAX]).await.unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.field.as_str()), ("limited", "body"), "{refused:?}");
    let mut line = node.attach(&house, &["w1"], Vec::new()).await;
    line.heartbeat().await;
    house.close().await;
}

#[test]
fn a_configuration_has_a_largest_size() {
    let parse = |bytes: usize| {
        let text = format!("trust_domain = 'a'\n#{}", "x".repeat(bytes - 20));
        ConfigFile::parse(Path::new("credence.toml"), &text).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(parse(CONFIG_BYTES_MAX), Ok(()));
    let error = parse(CONFIG_BYTES_MAX + 1).unwrap_err();
    assert!(error.contains("262145 bytes") && error.contains("at most 262144 are read"), "{error}");
}
