//! What an endpoint takes from its clients at most: each limit is reached by somebody who misbehaves.

use crate::door::{Door, Other, closed, mint, request};
use crate::frames::{ask_identity, hello, there_until_its_end};
use credence_model::refusal::Refusal;
use credence_node::endpoint::MintJwt;
use credence_wire::workload::{JwtsvidRequest, JwtsvidResponse};
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Response, Status};

/// Most tokens of an actor that are minted at once.
const TOKENS_MAX: usize = 32;
/// Much longer than a connection that never asked may stay, and much shorter than one that did.
const SOON: Duration = Duration::from_secs(60);
const ASK: &[u8] = b"GET /identity HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n";

/// How often a limit was reached. Tests run beside each other, so it may rise for others' reasons, too.
pub(crate) fn hits(limit: &str) -> u64 {
    credence_node::observe::limits().iter().find(|found| found.name == limit).expect("such a limit").hits()
}

#[tokio::test(start_paused = true)]
async fn whoever_connects_and_never_asks_is_cut_soon_whatever_it_says() {
    let (door, before) = (Door::own().await, hits("actor_first_time"));
    // Nothing; the beginning of what may become HTTP/1.1 or HTTP/2; all of HTTP/2 but a request.
    for (said, count) in [(b"".as_slice(), 1), (b"PRI * HT", 2), (&hello(), 3)] {
        let begun = Instant::now();
        let mut stream = door.connect().await;
        stream.write_all(said).await.expect("it listens");
        ends(stream).await;
        assert!(begun.elapsed() < SOON, "{said:?}: {:?}", begun.elapsed());
        assert!(hits("actor_first_time") >= before + count, "{said:?}");
    }
}

/// Resolves when the other end closes, whatever it says before.
pub(crate) async fn ends(mut stream: tokio::net::UnixStream) {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_once_and_then_nothing_more_is_closed_later() {
    let (door, before, begun) = (Door::own().await, hits("actor_idle_time"), Instant::now());
    let mut stream = door.connect().await;
    stream.write_all(&[hello(), ask_identity(1)].concat()).await.expect("it listens");
    there_until_its_end(stream).await;
    assert!(begun.elapsed() > SOON, "{:?}", begun.elapsed());
    assert!(hits("actor_idle_time") > before);
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_a_request_and_does_not_end_it_is_cut() {
    let (door, before) = (Door::own().await, hits("actor_head_time"));
    let mut stream = door.connect().await;
    stream.write_all(&ASK[..ASK.len() - 2]).await.expect("it listens");
    closed(stream).await;
    assert!(hits("actor_head_time") > before);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_on_and_on_and_never_reads_is_cut() {
    let (door, before, begun) = (Door::own().await, hits("actor_write_time"), Instant::now());
    let mut stream = door.connect().await;
    // It ends because the endpoint closes the connection.
    while stream.write_all(ASK).await.is_ok() {}
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(hits("actor_write_time") > before);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_stays_is_cut() {
    let (other, before) = (Other::start(), hits("stranger_time"));
    let door = Door::of(other.pid(), mint(|_| Ok("a token".into()))).await;
    closed(door.connect().await).await;
    assert!(hits("stranger_time") > before);
}

async fn token(door: &Door) -> Result<Response<JwtsvidResponse>, Status> {
    let asked = JwtsvidRequest { audience: vec!["a".into()], spiffe_id: String::new() };
    door.client().await.fetch_jwtsvid(request(asked)).await
}

#[tokio::test]
async fn of_too_many_tokens_at_once_the_further_ones_wait() {
    let (turns, before) = (Arc::new(Semaphore::new(0)), hits("actor_tokens"));
    let slow: MintJwt = Arc::new({
        let turns = Arc::clone(&turns);
        move |_, _| {
            let turns = Arc::clone(&turns);
            async move {
                let turn = turns.acquire_owned().await;
                drop(turn);
                Ok::<_, Refusal>("a token".to_owned())
            }
            .boxed()
        }
    });
    let door = Door::minting(slow).await;
    let further = async {
        while hits("actor_tokens") == before {
            tokio::task::yield_now().await;
        }
        turns.add_permits(1);
    };
    let (tokens, ()) = tokio::join!(futures_util::future::join_all((0..=TOKENS_MAX).map(|_| token(&door))), further);
    assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_come_is_not_waited_for_without_end() {
    let (door, before) =
        (Door::minting(Arc::new(|_, _| std::future::pending().boxed())).await, hits("actor_token_time"));
    let refused = token(&door).await.expect_err("it does not come");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(hits("actor_token_time") > before);
}
