//! What a node knows of what its actors may do: told when a binding begins, and anew whenever something of it changes.
//!
//! INVARIANT: before a heartbeat is acknowledged, the node was told everything that was recorded until that heartbeat.

use super::Session;
use credence_control::Changes;
use credence_model::directive::Touched;
use credence_model::id::{ActorRef, BindingId, Digest, NodeName};
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_policy::brief::{Ancestor, Brief};
use credence_wire::node as wire;
use credence_wire::node::to_node;
use std::collections::{BTreeMap, HashSet};

/// Largest brief that a node is told, in bytes; about an actor with a larger one it asks.
const BRIEF_BYTES_MAX: usize = 1024 * 1024;
/// Most guards that are told at once: each has at most some tens of kilobytes.
const GUARDS_TOLD_MAX: usize = 32;
/// Most actors that are looked at in one look at the registry: it decides nothing meanwhile.
const LOOK_MAX: usize = 64;

/// What the node was told, and what it has to be told anew.
#[derive(Default)]
pub(super) struct Briefs {
    told: BTreeMap<BindingId, Told>,
    stale: BTreeMap<BindingId, ActorRef>,
    /// Whether it was told what the owners of resources say.
    guards: bool,
}

struct Told {
    actor: ActorRef,
    digest: Digest,
    /// What of a change concerns it.
    of: HashSet<Touched>,
}

impl Briefs {
    /// A binding begins.
    pub(super) fn begin(&mut self, binding: BindingId, actor: ActorRef) {
        self.stale.insert(binding, actor);
    }

    /// A binding is over.
    pub(super) fn end(&mut self, binding: BindingId) {
        self.told.remove(&binding);
        self.stale.remove(&binding);
    }

    fn touch(&mut self, changes: &Changes) {
        let is_touched = |told: &&Told| match changes {
            Changes::All => true,
            Changes::Some(some) => !some.is_disjoint(&told.of),
        };
        self.guards &= match changes {
            Changes::All => false,
            Changes::Some(some) => !some.contains(&Touched::Guards),
        };
        let stale = self.told.iter().filter(|(_, told)| is_touched(told));
        self.stale.extend(stale.map(|(binding, told)| (*binding, told.actor.clone())));
    }
}

impl Session {
    /// Of every binding that the node holds already.
    pub(super) async fn begin_briefs(&mut self) -> Result<(), Refusal> {
        let node = self.node.clone();
        let held = self.app.cell.read(move |state| held_by(state, &node)).await?;
        held.into_iter().for_each(|(binding, actor)| self.briefs.begin(binding, actor));
        self.tell_briefs().await
    }

    /// Tells the node what it does not know yet.
    pub(super) async fn tell_briefs(&mut self) -> Result<(), Refusal> {
        let changes = self.reconsidered.take();
        self.briefs.touch(&changes);
        if !std::mem::replace(&mut self.briefs.guards, true) {
            self.tell_guards().await?;
        }
        while !self.briefs.stale.is_empty() {
            let mut some = std::mem::take(&mut self.briefs.stale);
            if let Some(rest) = some.keys().nth(LOOK_MAX).copied() {
                self.briefs.stale = some.split_off(&rest);
            }
            let node = self.node.clone();
            for (binding, brief) in self.app.cell.read(move |state| look(state, &node, some)).await? {
                match brief {
                    Some(brief) => self.tell_brief(binding, &brief).await?,
                    None => self.take_brief_back(binding).await?,
                }
            }
        }
        Ok(())
    }

    /// A binding is over, or about to be: what was told of it counts no more, even if the node takes its time to end it.
    async fn take_brief_back(&mut self, binding: BindingId) -> Result<(), Refusal> {
        let was_told = self.briefs.told.contains_key(&binding);
        self.briefs.end(binding);
        if !was_told {
            return Ok(());
        }
        self.send(to_node::Message::Brief(wire::Brief { binding: binding.to_string(), brief: Vec::new() })).await
    }

    async fn tell_guards(&mut self) -> Result<(), Refusal> {
        let guards = self.app.cell.read(|state| state.guards.clone()).await?;
        let unwritable = |error| Refusal::new(Kind::Bug, format!("what owners say cannot be written: {error}"));
        let all = guards.all().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>().map_err(unwritable)?;
        let parts: Vec<_> = all.chunks(GUARDS_TOLD_MAX).collect();
        let last = parts.len().saturating_sub(1);
        for (nth, part) in parts.iter().enumerate() {
            let part = wire::Guards { guards: part.to_vec(), first: nth == 0, last: nth == last };
            self.send(to_node::Message::Guards(part)).await?;
        }
        match parts.is_empty() {
            true => {
                let none = wire::Guards { guards: Vec::new(), first: true, last: true };
                self.send(to_node::Message::Guards(none)).await
            }
            false => Ok(()),
        }
    }

    async fn tell_brief(&mut self, binding: BindingId, brief: &Brief) -> Result<(), Refusal> {
        let bytes = serde_json::to_vec(brief)
            .map_err(|error| Refusal::new(Kind::Bug, format!("what an actor may do cannot be written: {error}")))?;
        let digest = Digest::of(&bytes);
        let told = Told { actor: brief.actor.clone(), digest, of: concerned(brief) };
        if self.briefs.told.insert(binding, told).is_some_and(|before| before.digest == digest) {
            return Ok(());
        }
        let brief = Some(bytes).filter(|bytes| bytes.len() <= BRIEF_BYTES_MAX).unwrap_or_default();
        self.send(to_node::Message::Brief(wire::Brief { binding: binding.to_string(), brief })).await
    }
}

fn held_by(state: &State, node: &NodeName) -> Vec<(BindingId, ActorRef)> {
    let workers = state.nodes.get(node).into_iter().flat_map(|node| &node.workers);
    let holds = workers.filter_map(|worker| state.workers.get(worker)?.holds.as_ref());
    let actors = holds.filter_map(|(actor, _)| state.actors.active(actor));
    actors.filter_map(|actor| Some((actor.live_binding()?.id, actor.actor.clone()))).collect()
}

/// What is known of these actors, of those that the node still holds in these bindings.
fn look(state: &State, node: &NodeName, some: BTreeMap<BindingId, ActorRef>) -> Vec<(BindingId, Option<Brief>)> {
    let brief = |binding: BindingId, actor: &ActorRef| {
        let found = state.actors.active(actor)?;
        found.live_binding().filter(|held| held.id == binding && held.node == *node)?;
        // Whoever is told compiles policies for itself.
        Brief::of(state, actor, &|_| None)
    };
    some.into_iter().map(|(binding, actor)| (binding, brief(binding, &actor))).collect()
}

/// The actor and its class, and those of all ancestors.
fn concerned(brief: &Brief) -> HashSet<Touched> {
    let (mut of, mut next) = (HashSet::new(), Some(brief));
    while let Some(brief) = next {
        of.insert(Touched::Actor(brief.actor.clone()));
        of.insert(Touched::Class(brief.class.clone()));
        next = match &brief.parent {
            Some(Ancestor::Known(parent)) => Some(parent),
            Some(Ancestor::Deleted(_)) | None => None,
        };
    }
    of
}
