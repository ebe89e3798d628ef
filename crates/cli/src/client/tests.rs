use super::*;
use credence_server::api::object::Done;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// A server that gives these answers, one a connection, and keeps what it was asked.
struct Scripted {
    client: Client,
    asked: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{body}", body.len())
}

impl Scripted {
    fn start(answers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            while let (Some(answer), Ok((mut stream, _))) = (answers.pop_front(), listener.accept().await) {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.expect("a request");
                kept.lock().expect("lock").push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(answer.as_bytes()).await.expect("answered");
            }
        });
        Self { client: Client::unix(path), asked, _dir: dir }
    }

    fn keys(&self) -> Vec<Option<String>> {
        let key = |request: &String| {
            request.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).map(str::to_owned)
        };
        self.asked.lock().expect("lock").iter().map(key).collect()
    }
}

const LATER: &str = r#"{"error":{"kind":"unavailable","message":"busy","retry_after_ms":1}}"#;

#[tokio::test]
async fn an_unavailable_server_is_asked_again_with_the_same_idempotency_key() {
    let answers = vec![answer("503 Service Unavailable", LATER), String::new(), answer("200 OK", "{}")];
    let server = Scripted::start(answers);
    let done: Result<Done, _> = server.client.send(Call::post("/v1/x", &Done {})).await;
    assert_eq!(done, Ok(Done {}));
    let keys = server.keys();
    assert_eq!(keys.len(), 3);
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn every_attempt_is_the_same_request_in_the_logs_and_the_error_names_it() {
    let busy = r#"{"error":{"kind":"unavailable","message":"busy","retry_after_ms":1}}"#;
    let scripted = Scripted::start(vec![answer("503 Service Unavailable", busy); 4]);
    let failure = scripted.client.send_raw(Call::get("/v1/actors")).await.expect_err("busy");
    let asked = scripted.asked.lock().expect("lock").clone();
    let ids: std::collections::BTreeSet<_> =
        asked.iter().filter_map(|request| request.split_once("traceparent: 00-")?.1.get(..32)).collect();
    assert_eq!((asked.len(), ids.len()), (4, 1), "{asked:?}");
    let id = ids.first().expect("one");
    assert!(failure.to_string().ends_with(&format!("(request {id})")), "{failure}");
    assert!(failure.to_json().contains(&format!("\"request\": \"{id}\"")), "{}", failure.to_json());
}

#[test]
fn a_pause_is_never_shorter_than_the_server_said_and_grows_and_differs() {
    for (told_ms, attempt) in [(0, 1), (1, 3), (100, 1), (PAUSE_MS_MAX, 1)] {
        let (least, most) = (pause_ms(told_ms, attempt, 0), pause_ms(told_ms, attempt, u8::MAX));
        assert!(least >= told_ms && most > least && most <= least * 3 / 2, "{told_ms}: {least} to {most}");
    }
    assert!(pause_ms(1, 2, 0) > pause_ms(1, 1, u8::MAX));
}

#[tokio::test]
async fn it_is_not_asked_for_ever() {
    let server = Scripted::start(vec![answer("503 Service Unavailable", LATER); 10]);
    let failure = server.client.send::<Done>(Call::get("/v1/x")).await.expect_err("unavailable");
    assert_eq!((failure.refusal.message.as_str(), server.keys().len()), ("busy", 4));
    assert_eq!(server.keys(), vec![None; 4], "reading needs no idempotency key");
}

#[tokio::test]
async fn a_refusal_is_passed_on_as_it_is_and_not_tried_again() {
    let body = r#"{"error":{"kind":"conflict","message":"it runs already","field":"actor","hint":"Suspend it"}}"#;
    let server = Scripted::start(vec![answer("409 Conflict", body), answer("200 OK", "{}")]);
    let failure = server.client.send::<Done>(Call::delete("/v1/x")).await.expect_err("refused");
    assert_eq!(failure.to_string(), "actor: it runs already. Suspend it");
    assert_eq!(server.keys().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_an_error_and_no_panic() {
    for (text, kind) in [
        (answer("200 OK", "<html>"), Kind::Bug),
        (answer("404 Not Found", "nothing"), Kind::Malformed),
        (answer("502 Bad Gateway", ""), Kind::Unavailable),
    ] {
        let server = Scripted::start(vec![text]);
        let failure = server.client.send::<Vec<u8>>(Call::get("/v1/x")).await.expect_err("not ours");
        assert_eq!(failure.refusal.kind, kind, "{failure}");
    }
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let pages = vec![answer("200 OK", r#"{"items":[1,2],"next":"a/b"}"#), answer("200 OK", r#"{"items":[3]}"#)];
    let server = Scripted::start(pages);
    let items: Vec<u32> = server.client.list("/v1/x?namespace=n").await.expect("a list");
    assert_eq!(items, [1, 2, 3]);
    let asked = server.asked.lock().expect("lock");
    assert!(asked[0].starts_with("GET /v1/x?namespace=n&limit=1000 "), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /v1/x?namespace=n&limit=1000&after=a%2Fb "), "{}", asked[1]);
}
