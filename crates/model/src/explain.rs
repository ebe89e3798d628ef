//! Why an actor has its identity, or why it has none: the chain from admission to its socket, link by link.
//!
//! It asks the same functions that decide, so that it cannot tell another story than what would happen. Links after the
//! one that fails are `unknown`: they were not reached. It changes nothing and promises nothing: the next entry may
//! change any of it.

mod bound;
mod unbound;

use crate::actor::{Actor, ActorState};
use crate::decide::resume::admit;
use crate::hold::HOLD_HINT;
use crate::id::{ActorRef, ClassRef};
use crate::state::{State, class_ref};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The links of the chain, in order.
pub const LINKS: [&str; 6] = ["admission", "queue", "worker", "lease", "node", "socket"];
/// Most pools that are told about one by one.
pub const POOLS_TOLD_MAX: usize = 8;

/// What one link of the chain is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It holds.
    Ok,
    /// It is under way and can come to hold by itself.
    Waiting,
    /// It does not hold: this is why.
    Failed,
    /// It was not reached.
    Unknown,
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its name, one of `admission`, `queue`, `worker`, `lease`, `node`, `socket`.
    pub name: String,
    /// Whether it holds.
    pub state: LinkState,
    /// What is known of it, in words.
    pub says: String,
}

/// Why an actor has its identity, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The actor, as `NAMESPACE/ID`.
    pub actor: String,
    /// Its class, as `NAMESPACE/CLASS`.
    pub class: String,
    /// Where it is in its life.
    pub state: ActorState,
    /// Whether it can show its identity now.
    pub has_identity: bool,
    /// Why, or why not, in one sentence without a final period.
    pub because: String,
    /// The chain, in order.
    pub links: Vec<Link>,
    /// What to do about it; empty if nothing is to be done.
    pub what_to_do: Vec<String>,
    /// The registry that was looked at: index of its last journal entry.
    pub entry_index: u64,
}

/// Explains an actor as it stands in `state` at `now`.
pub fn explain(state: &State, actor: &Actor, now: Timestamp) -> Explanation {
    let mut chain = Chain::default();
    let class = class_ref(actor);
    if let Some(hold) = &state.hold {
        let because = format!("the server is held: {}", hold.reason());
        chain.failed(&because, "nobody is admitted while the server is held");
        chain.advise(HOLD_HINT);
        return chain.finish(state, actor, class);
    }
    match admit(state, actor) {
        Err(refusal) => {
            chain.failed(&format!("it is not admitted: {}", refusal.message), &refusal.message);
            chain.advise(ended(actor).unwrap_or_else(|| refused(&class, state)));
        }
        Ok((number, revision)) => {
            chain.ok(&format!("class {class} revision {number}, enabled"));
            match &actor.binding {
                Some(binding) => bound::follow(&mut chain, state, actor, binding, now),
                None => unbound::follow(&mut chain, state, actor, revision, now),
            }
        }
    }
    chain.finish(state, actor, class)
}

/// What can still be done about an actor that was revoked or ended.
fn ended(actor: &Actor) -> Option<String> {
    let id = &actor.actor;
    match actor.state {
        ActorState::Terminated => Some("A terminated actor never returns; create a new one".to_owned()),
        ActorState::Quarantined => Some(format!(
            "A quarantined actor cannot be bound again; look at the evidence (credence actor logs {id}), then create a new one"
        )),
        _ => None,
    }
}

fn refused(class: &ClassRef, state: &State) -> String {
    match state.classes.get(class) {
        None => format!("Apply class {class} again: credence apply -f FILE"),
        Some(found) if !found.enabled => format!("Enable the class: credence class enable {class}"),
        Some(_) => format!("Allow a revision (credence class enable {class} --revision N), or apply a new one"),
    }
}

/// The chain as it is followed.
#[derive(Default)]
struct Chain {
    links: Vec<Link>,
    because: Option<String>,
    what_to_do: Vec<String>,
}

impl Chain {
    fn add(&mut self, state: LinkState, says: &str) {
        let name = LINKS.get(self.links.len()).copied().unwrap_or_default().to_owned();
        self.links.push(Link { name, state, says: says.to_owned() });
    }

    fn ok(&mut self, says: &str) {
        self.add(LinkState::Ok, says);
    }

    /// A link that does not hold; the first one is the reason.
    fn failed(&mut self, because: &str, says: &str) {
        self.add(LinkState::Failed, says);
        self.because.get_or_insert_with(|| because.to_owned());
    }

    fn waiting(&mut self, says: &str) {
        self.add(LinkState::Waiting, says);
    }

    fn advise(&mut self, what: impl Into<String>) {
        self.what_to_do.push(what.into());
    }

    fn finish(mut self, state: &State, actor: &Actor, class: ClassRef) -> Explanation {
        while self.links.len() < LINKS.len() {
            self.add(LinkState::Unknown, "not reached");
        }
        let has_identity = self.links.iter().all(|link| link.state == LinkState::Ok);
        let because = self.because.unwrap_or_else(|| {
            let waits = self.links.iter().find(|link| link.state == LinkState::Waiting);
            waits.map_or_else(|| "every link of the chain holds".to_owned(), |link| link.says.clone())
        });
        Explanation {
            actor: actor.actor.to_string(),
            class: class.to_string(),
            state: actor.state,
            has_identity,
            because,
            links: self.links,
            what_to_do: self.what_to_do,
            entry_index: state.last_index,
        }
    }
}

/// The command that wakes an actor.
fn resume_it(actor: &ActorRef) -> String {
    format!("Resume it: credence actor resume {actor}")
}

/// How long, where tenths of a second matter.
fn secs(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}
