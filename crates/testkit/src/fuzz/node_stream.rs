//! What a node says once it was let in: messages on its stream and in its archives, to a server that runs in this process.

use super::http::{NEXT, PATIENCE, ask};
use credence_wire::node::{
    ArchiveChunk, FromNode, Heartbeat, Held, ReadArchiveRequest, Refused, ToNode, bind_process_result, from_node,
    to_node,
};
use house::{House, Line};
use prost::Message as _;
use std::sync::{Mutex, PoisonError};
use tonic::Status;

mod house;

/// The low bits of the first byte: an archive is put, or read; with the others messages are said on the stream.
const PUT: u8 = 2;
const READ: u8 = 3;
/// Before that the node says a Hello that is good.
const WELCOMED: u8 = 4;
/// And an actor is bound to it.
const BOUND: u8 = 8;

/// In a message this stands for the binding that the node holds, with any epoch.
const BINDING: &str = "00000000000000000000000000";
/// The number of a heartbeat that is said last: whatever was said before is answered when it is.
const LAST: u64 = u64::MAX;
/// Longest of all answers together, in bytes; more is a fault.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// After so many runs a new server is started: what nodes say is recorded, and files grow.
const RUNS_MAX: u32 = 1000;

static HOUSE: Mutex<Option<House>> = Mutex::new(None);

/// Whatever a node says, it is answered or refused, never with an internal error or without end; and the server goes on.
///
/// After the first byte come messages, each with two bytes of length before it.
pub fn node_stream(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    // A run that fails leaves none.
    let mut kept = HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut house = match kept.take() {
        Some(house) if house.runs < RUNS_MAX => house,
        old => {
            old.into_iter().for_each(House::close);
            House::open()
        }
    };
    house.runs += 1;
    let handle = house.runtime.handle().clone();
    handle.block_on(async {
        if run(&mut house, *mode, &messages(rest)).await.is_none() {
            // It renewed its own identity: the one that this node has is over.
            house.runs = RUNS_MAX;
        }
        let next = ask(&house.socket, NEXT, PATIENCE).await;
        assert!(next.starts_with(b"HTTP/1.1 200"), "the next request is not answered");
    });
    *kept = Some(house);
}

/// Each has two bytes of length before it.
pub(super) fn messages(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (message, behind) = behind.split_at(length);
        found.push(message);
        rest = behind;
    }
    found
}

/// `None` if the server does not let this node in any more.
async fn run(house: &mut House, mode: u8, messages: &[&[u8]]) -> Option<()> {
    let mut line = house.connect().await.map_err(|status| ended(&status)).ok()?;
    let mut held = Held { binding: BINDING.to_owned(), epoch: 0 };
    if mode & (WELCOMED | BOUND) != 0 {
        line.settle(house).await;
    }
    if mode & BOUND != 0 {
        held = line.bind(house).await;
    }
    match mode % 4 {
        PUT => {
            let chunks = messages.iter().map(|message| of_archive(message, &held)).collect();
            let answer = tokio::time::timeout(PATIENCE, house.put_archive(chunks)).await.expect("an answer");
            answer.err().iter().for_each(ended);
        }
        READ => {
            let request = messages.first().map(|message| of_request(message, &held)).unwrap_or_default();
            let read = house.read_archive(request, ANSWER_BYTES_MAX);
            let answer = tokio::time::timeout(PATIENCE, read).await.expect("an answer");
            answer.err().iter().for_each(ended);
        }
        _ => {
            let last = from_node::Message::Heartbeat(Heartbeat { number: LAST });
            let last = FromNode { message: Some(last), ..FromNode::default() }.encode_to_vec();
            let said = messages.iter().map(|message| of_stream(message, &held)).chain([last]).collect();
            tokio::time::timeout(PATIENCE, talk(line, said)).await.expect("an end");
        }
    }
    Some(())
}

/// Says everything and hears everything, until the last heartbeat is answered or the server ends the stream with a reason.
async fn talk(mut line: Line, said: Vec<Vec<u8>>) {
    let to = line.to.clone();
    let say = async {
        for message in said {
            if to.send(message).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await
    };
    let hear = async {
        let mut heard = 0;
        loop {
            let message = match line.from.message().await {
                Ok(message) => message.expect("the stream ends with a reason"),
                Err(status) => return ended(&status),
            };
            heard += message.len();
            assert!(heard <= ANSWER_BYTES_MAX, "an answer without end");
            if is_last(ToNode::decode(message.as_slice()).expect("a message of the protocol")) {
                return;
            }
        }
    };
    tokio::select! {
        () = say => {}
        () = hear => {}
    }
}

fn is_last(message: ToNode) -> bool {
    match message.message.expect("a message of a kind") {
        to_node::Message::HeartbeatAck(ack) => return ack.number == LAST,
        to_node::Message::Refused(refused) => is_no_bug(&refused),
        to_node::Message::JwtSvid(svid) => svid.refused.iter().for_each(is_no_bug),
        to_node::Message::X509Svid(svid) => svid.refused.iter().for_each(is_no_bug),
        to_node::Message::NodeSvid(svid) => svid.refused.iter().for_each(is_no_bug),
        to_node::Message::BindProcessResult(result) => match result.result.expect("a result") {
            bind_process_result::Result::Refused(refused) => is_no_bug(&refused),
            bind_process_result::Result::Binding(_) => {}
        },
        _ => {}
    }
    false
}

fn is_no_bug(refused: &Refused) {
    assert!(refused.kind != "bug" && !refused.kind.is_empty(), "an internal error: {refused:?}");
    assert!(refused.message.len() <= super::MESSAGE_BYTES_MAX);
}

/// A status of the server is a refusal; without details it comes from the layers below, which refuse what is no message.
fn ended(status: &Status) {
    match status.details() {
        [] => {}
        details => is_no_bug(&Refused::decode(details).expect("a refusal")),
    }
}

/// The message with the binding that is held in place of the one that stands for it.
fn of_stream(message: &[u8], held: &Held) -> Vec<u8> {
    let Ok(mut decoded) = FromNode::decode(message) else { return message.to_vec() };
    let named: Vec<&mut Held> = match &mut decoded.message {
        Some(from_node::Message::Hello(hello)) => hello.held.iter_mut().collect(),
        Some(from_node::Message::Running(running)) => running.held.iter_mut().collect(),
        Some(from_node::Message::Ended(ended)) => ended.held.iter_mut().collect(),
        Some(from_node::Message::RenewX509(renew)) => renew.held.iter_mut().collect(),
        Some(from_node::Message::MintJwt(mint)) => mint.held.iter_mut().collect(),
        _ => Vec::new(),
    };
    let stands: Vec<_> = named.into_iter().filter(|named| named.binding == BINDING).collect();
    if stands.is_empty() {
        return message.to_vec();
    }
    stands.into_iter().for_each(|named| *named = held.clone());
    decoded.encode_to_vec()
}

fn of_archive(message: &[u8], held: &Held) -> Vec<u8> {
    match ArchiveChunk::decode(message) {
        Ok(chunk) if chunk.binding == BINDING => {
            let Held { binding, epoch } = held.clone();
            ArchiveChunk { binding, epoch, ..chunk }.encode_to_vec()
        }
        _ => message.to_vec(),
    }
}

fn of_request(message: &[u8], held: &Held) -> Vec<u8> {
    match ReadArchiveRequest::decode(message) {
        Ok(request) if request.binding == BINDING => {
            let Held { binding, epoch } = held.clone();
            ReadArchiveRequest { binding, epoch, ..request }.encode_to_vec()
        }
        _ => message.to_vec(),
    }
}
