//! What programs of this machine say at the node's own socket, to a node that is connected to a server in this process.

use super::http::{PATIENCE, PAUSE};
use super::node_stream::messages;
use house::House;
use law::{Asked, Wish, is_granted, reason};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Status, Streaming};

mod frames;
mod house;
mod law;

/// The low bits of the first byte: the rest is a connection, or what follows the beginning of a call in frames, or the
/// body of that call, or, with the other, messages of it, each with two bytes of length before it.
const CONNECTION: u8 = 0;
const FRAMES: u8 = 1;
const BODY: u8 = 2;
/// The program waits for an answer: to all it said, or to its first message before it says the next one.
const WAITS: u8 = 4;
/// It goes away without hearing any more.
const CUT: u8 = 8;

/// Longest answer to a connection, in bytes, and for each byte that was said: a whole refusal for the shortest request.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const ANSWER_BYTES_PER_BYTE: usize = 64;
/// How long a program that asked for something waits to hear of it. The laws hold whether it comes in time or not.
const ANSWER_TIME: Duration = Duration::from_millis(200);
/// Whoever does not take an answer for so long may hear only that the connection ended.
const FLUSH_TIME: Duration = Duration::from_millis(250);

static HOUSE: Mutex<Option<House>> = Mutex::new(None);

/// Whatever a program says, the node answers with no more than it must and with a reason; it makes of it the actor that
/// was asked for and no other; and it answers the next one.
pub fn local_socket(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    // A run that fails leaves none.
    let mut kept = HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut house = kept.take().unwrap_or_else(House::open);
    if house.is_worn() {
        house.close();
        house = House::open();
    }
    let handle = house.runtime.handle().clone();
    handle.block_on(async {
        let said = match mode % 4 {
            CONNECTION => connect(house.socket(), rest, *mode).await,
            FRAMES => connect(house.socket(), &[&frames::call(), rest].concat(), *mode).await,
            BODY => connect(house.socket(), &[frames::call(), frames::data(rest)].concat(), *mode).await,
            _ => call(&house, messages(rest), *mode).await,
        };
        house.next().await;
        house.look(Wish::of(&said)).await;
    });
    *kept = Some(house);
}

/// Says `bytes` on a connection of their own. Gives the messages that were said in each of its calls.
async fn connect(socket: &Path, bytes: &[u8], mode: u8) -> Vec<Vec<Vec<u8>>> {
    let said = frames::said(bytes);
    let asks = said.values().any(|said| Asked::by(said).is_some());
    let patience = match mode & WAITS {
        0 => Duration::ZERO,
        _ if asks => ANSWER_TIME,
        _ => PAUSE,
    };
    let answer = timeout(PATIENCE, exchange(socket, bytes, patience, mode & CUT != 0));
    for (stream, heard) in frames::heard(&answer.await.expect("the connection ends")) {
        let asked = said.get(&stream).and_then(|said| Asked::by(said));
        is_granted(asked.as_ref(), &heard);
    }
    said.into_values().collect()
}

/// Says `bytes`, waits so long for an answer, says that no more will come, and hears the rest unless it is cut.
async fn exchange(socket: &Path, bytes: &[u8], patience: Duration, is_cut: bool) -> Vec<u8> {
    let mut connection = UnixStream::connect(socket).await.expect("the node's socket");
    let (mut answer, until) = (Vec::new(), Instant::now() + patience);
    // The node may close before it has read all; what it answered until then counts.
    let _ = connection.write_all(bytes).await;
    while !patience.is_zero() && !frames::is_answered(&answer) {
        match timeout_at(until, connection.read_buf(&mut answer)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => break,
        }
    }
    if !is_cut {
        let bytes_max = ANSWER_BYTES_MAX + ANSWER_BYTES_PER_BYTE * bytes.len();
        let _ = connection.shutdown().await;
        let _ = connection.take(bytes_max as u64 + 1).read_to_end(&mut answer).await;
        assert!(answer.len() <= bytes_max, "an answer of {} bytes", answer.len());
    }
    answer
}

/// Says `messages` in a call of their own. Gives them back as those of the only call there was.
async fn call(house: &House, messages: Vec<&[u8]>, mode: u8) -> Vec<Vec<Vec<u8>>> {
    let said: Vec<Vec<u8>> = messages.into_iter().map(<[u8]>::to_vec).collect();
    let (to, called) = house.run().await;
    let began = Instant::now();
    let (begun, begins) = oneshot::channel();
    let say = async {
        say(to, &said, (mode & WAITS != 0).then_some(begins)).await;
        std::future::pending().await
    };
    let exchange = async {
        tokio::select! {
            heard = say => heard,
            heard = hear(called, begun) => heard,
        }
    };
    let is_cut = mode & CUT != 0;
    let heard = timeout(if is_cut { PAUSE } else { PATIENCE }, exchange).await;
    assert!(is_cut || heard.is_ok(), "the call does not end");
    if let Ok((heard, refused)) = heard {
        is_granted(Asked::by(&said).as_ref(), &heard);
        assert!(refused.is_some() || !heard.is_empty(), "the call ends without a word");
        let is_without_reason = refused.as_ref().is_some_and(|status| reason(status).is_none());
        // Who speaks on when the call is over writes to a socket that is closed, and may not have read what it was told.
        let has_listened = said.len() <= 1 && began.elapsed() <= FLUSH_TIME;
        assert!(!is_without_reason || !has_listened, "refused without a reason: {refused:?}");
    }
    vec![said]
}

/// Says all of it, the second message only when the call has begun if that is waited for, and that no more will come.
async fn say(to: mpsc::Sender<Vec<u8>>, said: &[Vec<u8>], mut begins: Option<oneshot::Receiver<()>>) {
    for (number, message) in said.iter().enumerate() {
        if let Some(begins) = begins.take_if(|_| number == 1) {
            // A call that is over before cannot begin.
            let _ = begins.await;
        }
        if to.send(message.clone()).await.is_err() {
            return;
        }
    }
}

/// Everything that is heard, and the refusal at its end if there is one.
async fn hear(
    called: impl Future<Output = Result<Streaming<Vec<u8>>, Status>>,
    begun: oneshot::Sender<()>,
) -> (Vec<Vec<u8>>, Option<Status>) {
    let (mut heard, mut begun) = (Vec::new(), Some(begun));
    let mut events = match called.await {
        Ok(events) => events,
        Err(status) => return (heard, Some(status)),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => heard.push(event),
            Ok(None) => return (heard, None),
            Err(status) => return (heard, Some(status)),
        }
        // Who does not wait for it is not told.
        let _ = begun.take().map(|begun| begun.send(()));
    }
}
