use super::call::CALLS_MAX;
use super::{ASKED_MAX, Hub};
use crate::event::{EVENTS, Event, Events, LocalRun, RunNotice, StreamEvent};
use crate::fixture::{TOLD_ROOM, TRUST_DOMAIN, held, hits, parts};
use crate::judge::recorder::recorder;
use crate::judge::{Judge, Known};
use credence_attest::process_tree::{TreeRoot, peer_of};
use credence_model::decided::Decided;
use credence_model::id::{DecisionId, Digest, ID_ENTROPY_BYTES};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_telemetry::span::{Span, Trace, Tracer};
use credence_wire::node as wire;
use credence_wire::node::{FromNode, call, from_node, reply, to_node};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// A hub that was welcomed on a stream with so much room, and what it says there.
struct Welcomed {
    hub: Hub,
    said: mpsc::Receiver<FromNode>,
    is_cut: oneshot::Receiver<()>,
    _dir: TempDir,
}

impl Welcomed {
    fn with_room(room: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut hub = Hub::new(parts(dir.path()).0);
        let (out, said) = mpsc::channel(room);
        let (cut, is_cut) = oneshot::channel();
        hub.take(Event::Stream { stream: 1, event: StreamEvent::Opened { out, cut } });
        let mut welcomed = Self { hub, said, is_cut, _dir: dir };
        welcomed.hear(to_node::Message::Welcome(wire::Welcome {
            session: 1,
            trust_domain: TRUST_DOMAIN.to_owned(),
            lease_ms: 60_000,
            heartbeat_ms: 60_000,
            ..wire::Welcome::default()
        }));
        welcomed
    }

    fn hear(&mut self, message: to_node::Message) {
        self.hub
            .take(Event::Stream { stream: 1, event: StreamEvent::Heard { message: Box::new(message), said: None } });
    }

    /// What it said that is such a message, and was not looked at yet.
    fn said<T>(&mut self, is: impl Fn(from_node::Message) -> Option<T>) -> Vec<T> {
        std::iter::from_fn(|| self.said.try_recv().ok()).filter_map(|said| said.message.and_then(&is)).collect()
    }
}

fn is_for_later(refusal: &Refusal) -> bool {
    refusal.kind == Kind::Unavailable && refusal.retry_after_ms.is_some()
}

#[tokio::test]
async fn a_node_answers_so_many_questions_at_once_and_asks_for_patience_beyond_that() {
    let mut node = Welcomed::with_room(2 * CALLS_MAX);
    let before = hits("server_questions");
    let read = wire::ReadLog { namespace: "demo".into(), actor: "a1".into(), offset: 0, bytes_max: 1 };
    // None of them is answered before the test waits for something.
    for id in 0..=CALLS_MAX as u64 {
        node.hear(to_node::Message::Call(wire::Call { id, call: Some(call::Call::ReadLog(read.clone())) }));
    }
    let replies = node.said(|said| if let from_node::Message::Reply(reply) = said { Some(reply) } else { None });
    let [wire::Reply { id, reply: Some(reply::Reply::Refused(refused)) }] = replies.as_slice() else {
        panic!("one is refused: {replies:?}")
    };
    assert_eq!(*id, CALLS_MAX as u64);
    assert!(is_for_later(&crate::protocol::refusal(refused.clone())), "{refused:?}");
    assert!(hits("server_questions") > before);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut() {
    let mut node = Welcomed::with_room(8);
    let before = hits("server_messages");
    for sequence in 0..9 {
        node.hub.take(Event::BundleKept { sequence, reissued: true });
    }
    assert!(node.is_cut.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed), "it goes on");
    assert!(hits("server_messages") > before);
}

#[tokio::test]
async fn so_many_tokens_are_asked_of_the_server_at_once_and_whoever_comes_then_is_to_come_again() {
    let mut node = Welcomed::with_room(2 * ASKED_MAX);
    let before = hits("server_tokens");
    let mut answers = Vec::new();
    for _ in 0..=ASKED_MAX {
        let (answer, answered) = oneshot::channel();
        node.hub.take(Event::Mint { held: held(1), audience: vec!["a".into()], trace: Trace::default(), answer });
        answers.push(answered);
    }
    let last = answers.pop().expect("one").await.expect("it was answered");
    assert!(last.as_ref().is_err_and(is_for_later), "{last:?}");
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()), "the others wait");
    assert!(hits("server_tokens") > before);
}

#[tokio::test]
async fn so_many_decisions_are_asked_of_the_server_at_once_and_whoever_comes_then_is_to_come_again() {
    let mut node = Welcomed::with_room(2 * ASKED_MAX);
    let before = hits("server_decisions");
    let (mut answers, turns) = (Vec::new(), Arc::new(Semaphore::new(ASKED_MAX + 1)));
    for _ in 0..=ASKED_MAX {
        let (answer, answered) = oneshot::channel();
        let turn = Arc::clone(&turns).try_acquire_owned().expect("a turn");
        node.hub.take(Event::Decide { asker: held(1), inquiries: Vec::new(), trace: Trace::default(), answer, turn });
        answers.push(answered);
    }
    let last = answers.pop().expect("one").await.expect("it was answered");
    assert!(last.as_ref().is_err_and(is_for_later), "{last:?}");
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()), "the others wait");
    assert!(hits("server_decisions") > before);
}

#[tokio::test]
async fn whoever_asks_and_goes_away_has_its_turn_until_the_server_has_answered() {
    let (mut node, turns) = (Welcomed::with_room(8), Arc::new(Semaphore::new(2)));
    for _ in 0..2 {
        let (answer, turn) = (oneshot::channel().0, Arc::clone(&turns).try_acquire_owned().expect("a turn"));
        node.hub.take(Event::Decide { asker: held(1), inquiries: Vec::new(), trace: Trace::default(), answer, turn });
    }
    assert_eq!(turns.available_permits(), 0);
    let is_decide = |said| if let from_node::Message::Decide(decide) = said { Some(decide.request) } else { None };
    let [first, _] = node.said(is_decide).try_into().expect("two questions");
    node.hear(to_node::Message::Decisions(wire::Decisions { request: first, ..wire::Decisions::default() }));
    assert_eq!(turns.available_permits(), 1, "it was answered");
    node.hub.take(Event::Stream { stream: 1, event: StreamEvent::Closed });
    assert_eq!(turns.available_permits(), 2, "it will never be");
}

fn denied() -> Decided {
    Decided {
        id: DecisionId::generate(Timestamp(1), [1; ID_ENTROPY_BYTES]),
        actor: "finance/a1".parse().expect("an actor"),
        class: "finance/expense".parse().expect("a class"),
        revision: 1,
        action: "call".into(),
        resource: "tool/a/b".into(),
        context: Digest([0; 32]),
        allowed: false,
        verdicts: Vec::new(),
        obligations: Vec::new(),
    }
}

#[tokio::test]
async fn a_node_makes_way_once_all_is_recorded_that_was_decided_however_many_are_denied_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut parts = parts(dir.path()).0;
    let (events, mut told) = Events::new(&EVENTS);
    let connected = watch::Sender::new(true);
    let (records, recording) = recorder(events.clone(), connected.subscribe());
    let judge = Judge::new(Arc::new(Known::new(parts.clock)), records.clone(), events, Tracer::default());
    Arc::get_mut(&mut parts.workshop).expect("nobody else has it").judge = judge;
    records.put(vec![denied()]).expect("there is room");
    let mut hub = Hub::new(parts);
    let (answer, mut left) = oneshot::channel();
    hub.take(Event::HandOver(answer));
    assert!(!hub.has_made_way(), "a denial is not recorded");
    let refused = records.put(vec![denied()]).expect_err("what would have to be recorded is refused");
    assert!(is_for_later(&refused), "{refused}");
    let recording = tokio::spawn(recording);
    let Some(Event::Record { batch, answer }) = told.recv().await else { panic!("a batch") };
    assert_eq!(batch.len(), 1);
    let drained = records.drained();
    answer.send(Ok(())).expect("it is waited for");
    drained.await;
    assert!(hub.has_made_way(), "nothing is left");
    assert!(left.try_recv().is_ok_and(|left| left.is_some()));
    recording.abort();
}

#[tokio::test]
async fn a_stream_that_tells_more_of_permissions_than_is_kept_is_cut() {
    let mut node = Welcomed::with_room(8);
    let before = hits("permissions_told");
    let brief = wire::Brief { binding: held(1).binding.to_string(), brief: Vec::new() };
    for _ in 0..=TOLD_ROOM {
        node.hear(to_node::Message::Brief(brief.clone()));
    }
    assert!(node.is_cut.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed), "it goes on");
    assert!(hits("permissions_told") > before);
}

#[tokio::test]
async fn nothing_is_heard_behind_what_cut_the_stream() {
    let mut node = Welcomed::with_room(8);
    let guards = |first, last| to_node::Message::Guards(wire::Guards { guards: vec![b"{}".to_vec()], first, last });
    node.hear(guards(true, false));
    assert!(node.is_cut.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed), "it goes on");
    assert!(node.hub.guards.is_none(), "a part of what could not be read");
    node.hear(to_node::Message::Bundle(wire::Bundle::default()));
    node.hear(guards(false, true));
    assert!(node.hub.stream.is_none());
}

#[tokio::test]
async fn so_many_programs_wait_for_their_binding_at_once_and_whoever_comes_then_is_to_come_again() {
    // Each caller is held by a descriptor.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("as many as are allowed");
    let mut node = Welcomed::with_room(2 * ASKED_MAX);
    let before = hits("server_programs");
    let (stream, _other) = UnixStream::pair().expect("a pair");
    let root = TreeRoot::of(std::process::id()).expect("this process runs");
    let mut callers = Vec::new();
    for _ in 0..=ASKED_MAX {
        let (notices, noticed) = mpsc::channel(1);
        let (exited, exits) = oneshot::channel();
        let peer = peer_of(&stream).expect("this process");
        let (class, actor) = ("demo/class".to_owned(), String::new());
        let run = LocalRun { class, actor, binding: None, peer, root, notices, exited: exits, part: Span::default() };
        node.hub.take(Event::Run(Box::new(run)));
        callers.push((noticed, exited));
    }
    let (mut last, _) = callers.pop().expect("one");
    let Ok(RunNotice::Refused(refusal)) = last.try_recv() else { panic!("the last is refused") };
    assert!(is_for_later(&refusal), "{refusal}");
    assert!(callers.iter_mut().all(|(noticed, _)| noticed.try_recv().is_err()), "the others wait");
    assert!(hits("server_programs") > before);
}

#[tokio::test]
async fn whoever_has_an_event_for_a_hub_that_does_not_keep_up_waits() {
    let (parts, mut happening) = parts(Path::new("/nowhere"));
    let (events, before) = (parts.workshop.events.clone(), hits("hub_events"));
    let room = crate::event::EVENTS.value;
    for _ in 0..room {
        events.send(Event::Shutdown).await.unwrap_or_else(|_| panic!("there is room"));
    }
    let heard = async {
        for _ in 0..=room {
            assert!(happening.recv().await.is_some());
        }
    };
    let (further, ()) = tokio::join!(biased; events.send(Event::Shutdown), heard);
    assert!(further.is_ok());
    assert!(hits("hub_events") > before);
}
