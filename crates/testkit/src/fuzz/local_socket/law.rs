//! What a program may be told, and which actors may come of what it said.

use credence_model::refusal::Kind;
use credence_wire::local::{Begin, Bound, RunEvent, RunRequest, run_event, run_request};
use credence_wire::node::Refused;
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};

const CLASS: &str = "finance/expense-agent";
const SPIFFE_ID: &str = "spiffe://td.test/ns/finance/agent/expense-agent/actor/";
/// What is said to have ended a program whose caller went away without a word.
const HANGUP: i64 = 129;
/// Longest text of a refusal, in bytes: a piece of what was wrong, and what is allowed.
const REFUSAL_BYTES_MAX: usize = 1024;

/// What one call asks for: a new binding of an actor of the class that there is.
pub(super) struct Asked {
    /// Empty if any will do.
    actor: String,
}

impl Asked {
    /// Only the first message can ask for something.
    pub(super) fn by(said: &[Vec<u8>]) -> Option<Self> {
        match request(said.first()?)? {
            run_request::Message::Begin(Begin { class, actor, binding }) if class == CLASS && binding.is_empty() => {
                Some(Self { actor })
            }
            _ => None,
        }
    }

    fn is_for(&self, id: &str) -> bool {
        self.actor.is_empty() || self.actor == id
    }
}

fn request(message: &[u8]) -> Option<run_request::Message> {
    RunRequest::decode(message).ok()?.message
}

fn exited(message: &[u8]) -> Option<i32> {
    match request(message)? {
        run_request::Message::Exited(code) => Some(code),
        run_request::Message::Begin(_) => None,
    }
}

/// What one connection asks for: at most one of it is granted.
pub(super) struct Wish {
    asked: Vec<Asked>,
    /// How the program said that it ended.
    codes: Vec<i32>,
}

impl Wish {
    /// From the messages of its calls.
    pub(super) fn of(said: &[Vec<Vec<u8>>]) -> Self {
        let asked = said.iter().filter_map(|said| Asked::by(said)).collect();
        Self { asked, codes: said.iter().flatten().filter_map(|message| exited(message)).collect() }
    }

    /// Whether this actor, as the server shows it, can have come of it.
    pub(super) fn leads_to(&self, actor: &Value) -> bool {
        let id = actor["id"].as_str().expect("an id");
        let is_said = |code| code == HANGUP || self.codes.iter().any(|said| i64::from(*said) == code);
        actor["class"] == "expense-agent"
            && self.asked.iter().any(|asked| asked.is_for(id))
            && actor["outcome"]["exited"]["code"].as_i64().is_none_or(is_said)
    }
}

/// What is heard in a call is that it was granted as asked, and then that it is over, if anything.
pub(super) fn is_granted(asked: Option<&Asked>, heard: &[Vec<u8>]) {
    let event = |message: &Vec<u8>| RunEvent::decode(message.as_slice()).expect("an event").event.expect("of a kind");
    let events: Vec<_> = heard.iter().map(event).collect();
    match events.as_slice() {
        [] => {}
        [run_event::Event::Bound(bound)] | [run_event::Event::Bound(bound), run_event::Event::Ended(_)] => {
            let Bound { actor, spiffe_id, .. } = bound;
            assert!(asked.is_some_and(|asked| asked.is_for(actor)), "nobody asked for {bound:?}");
            assert_eq!(spiffe_id.strip_prefix(SPIFFE_ID), Some(actor.as_str()));
        }
        others => panic!("told in a wrong order: {others:?}"),
    }
}

/// The kind of a refusal, which is short; one without details comes from the layers below, which refuse what is no call.
pub(super) fn reason(status: &Status) -> Option<Kind> {
    assert!(status.code() != Code::Ok && status.message().len() <= 2 * REFUSAL_BYTES_MAX, "{status:?}");
    if status.details().is_empty() {
        return None;
    }
    let Refused { kind, message, field, hint, .. } = Refused::decode(status.details()).expect("a refusal");
    let texts = [&message, &field, &hint];
    assert!(!message.is_empty() && texts.iter().all(|text| text.len() <= REFUSAL_BYTES_MAX), "{texts:?}");
    let known = serde_json::from_value(kind.into()).expect("a kind that is known");
    assert!(known != Kind::Bug, "an internal error: {message}");
    Some(known)
}
