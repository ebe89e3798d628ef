//! What the control plane, or whoever got its place, says to a node.

use super::refused_alike;
use credence_model::id::{BindingId, WorkerRef};
use credence_model::refusal::Refusal;
use credence_node::core::message::FromNodeMessage;
use credence_node::core::{BINDINGS_MAX, Core, ENDS_MAX, Effect, Input, MonoMs};
use credence_node::protocol;
use credence_wire::node::{FromNode, ToNode, to_node};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// A node with two workers, and what its programs do.
struct Node {
    core: Core,
    now: MonoMs,
    stream: u64,
    is_open: bool,
    /// What was started and is not gone, with its worker.
    started: BTreeMap<BindingId, WorkerRef>,
    hellos: BTreeSet<u64>,
}

/// Whatever is said on its streams, a node refuses it or acts on it: nothing is held beyond a lease, no worker by two, and
/// nothing is said on a stream that is not the newest.
///
/// The bytes are steps: a byte of what happens, and what it needs. 0 and 1 are a message, two bytes of length before
/// it; 2 is time that passes, in two bytes; the others are what programs and streams do.
pub fn to_node(bytes: &[u8]) {
    let workers = ["finance/standard/w1", "finance/standard/w2"];
    let workers = workers.iter().map(|name| name.parse().expect("a worker")).collect();
    let (started, hellos) = (BTreeMap::new(), BTreeSet::new());
    let mut node = Node { core: Core::new(workers), now: MonoMs(0), stream: 0, is_open: false, started, hellos };
    node.open();
    let mut rest = bytes;
    while let Some((step, behind)) = rest.split_first() {
        rest = behind;
        match step % 8 {
            0 | 1 => node.hear(take_message(&mut rest)),
            2 => node.wait(u64::from(take_u16(&mut rest))),
            3 => node.ran(|binding| Input::Started { binding }),
            4 => node.ended(|binding| Input::Stopped { binding, archive: None, trouble: None }),
            5 => node.ended(|binding| Input::StartFailed { binding, reason: "no such program".to_owned() }),
            6 => node.open(),
            _ => node.step(Input::Shutdown),
        }
    }
}

fn take_u16(rest: &mut &[u8]) -> u16 {
    let Some((number, behind)) = rest.split_first_chunk::<2>() else {
        *rest = &[];
        return 0;
    };
    *rest = behind;
    u16::from_be_bytes(*number)
}

fn take_message<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let length = usize::from(take_u16(rest)).min(rest.len());
    let (message, behind) = rest.split_at(length);
    *rest = behind;
    message
}

impl Node {
    fn open(&mut self) {
        self.stream += 1;
        self.is_open = true;
        self.step(Input::Opened { stream: self.stream });
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.step(Input::Tick);
    }

    /// What is said on the stream that is open; one that cannot be understood is cut, as the node does it.
    fn hear(&mut self, message: &[u8]) {
        if !self.is_open {
            return;
        }
        let heard = ToNode::decode(message).ok().and_then(|message| message.message);
        match heard.map(|heard| (input(self.stream, heard.clone()), input(self.stream, heard))) {
            Some((Ok(one), Ok(two))) => {
                assert_eq!(one, two, "understood in two ways");
                one.into_iter().for_each(|input| self.step(input));
            }
            Some((Err(one), Err(two))) => {
                refused_alike(one, two);
                self.cut();
            }
            Some((one, two)) => panic!("understood in two ways: {one:?} and {two:?}"),
            None => self.cut(),
        }
    }

    fn cut(&mut self) {
        self.is_open = false;
        self.step(Input::Closed { stream: self.stream });
    }

    /// The oldest binding of what was started.
    fn ran(&mut self, input: impl Fn(BindingId) -> Input) {
        let first = self.started.keys().next().copied();
        first.into_iter().for_each(|binding| self.step(input(binding)));
    }

    fn ended(&mut self, input: impl Fn(BindingId) -> Input) {
        let first = self.started.pop_first();
        first.into_iter().for_each(|(binding, _)| self.step(input(binding)));
    }

    fn step(&mut self, input: Input) {
        for effect in self.core.step(self.now, input) {
            match effect {
                Effect::Send { stream, message } => self.said(stream, message),
                Effect::Start(notice) => {
                    assert!(!self.started.values().any(|worker| *worker == notice.worker), "a worker with two actors");
                    assert_eq!(self.started.insert(notice.binding, notice.worker), None, "started twice");
                }
                Effect::Stop { binding, .. } => assert!(self.started.contains_key(&binding), "stops what never began"),
                Effect::Disconnect { stream } => {
                    assert_eq!(stream, self.stream, "cuts a stream that is gone");
                    self.is_open = false;
                }
            }
        }
        let held = self.core.held(self.now);
        assert!(held.is_empty() || self.core.lease_until().is_some_and(|until| self.now < until), "beyond its lease");
        let workers: BTreeSet<_> = held.iter().map(|live| &live.worker).collect();
        assert_eq!(workers.len(), held.len(), "a worker that two bindings hold");
        assert!(self.core.len() <= BINDINGS_MAX && self.core.ends().len() <= ENDS_MAX);
    }

    fn said(&mut self, stream: u64, message: FromNodeMessage) {
        assert_eq!(stream, self.stream, "said on a stream that is not the newest");
        let is_hello = matches!(message, FromNodeMessage::Hello { .. });
        assert_eq!(self.hellos.insert(stream), is_hello, "Hello is said once, first");
        let message = FromNode { message: Some(protocol::from_node(message, None)), ..FromNode::default() };
        assert_eq!(FromNode::decode(message.encode_to_vec().as_slice()), Ok(message));
    }
}

/// What a message is to the state machine.
fn input(stream: u64, message: to_node::Message) -> Result<Option<Input>, Refusal> {
    match message {
        to_node::Message::Welcome(welcome) => protocol::welcome(stream, &welcome).map(Some),
        to_node::Message::HeartbeatAck(ack) => Ok(Some(Input::HeartbeatAck { stream, number: ack.number })),
        to_node::Message::Bind(bind) => Ok(Some(Input::Bind { stream, bind: Box::new(protocol::bind(bind)?) })),
        to_node::Message::Unbind(unbind) => Ok(Some(Input::Unbind { stream, unbind: protocol::unbind(&unbind)? })),
        to_node::Message::Refused(refused) => {
            let refusal = protocol::refusal(refused);
            assert_eq!(protocol::refusal(protocol::refused(&refusal)), refusal, "passed on it is another");
            Ok(None)
        }
        _ => Ok(None),
    }
}
