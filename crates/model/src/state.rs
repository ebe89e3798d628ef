//! The registry: everything that the journal says, in memory. Derived from the entries and rebuildable from them.

mod authority;

use crate::actor::Actor;
use crate::actors::Actors;
use crate::authority::Authorities;
use crate::budget::Budgets;
use crate::cautious;
use crate::class::Class;
use crate::command::Answer;
use crate::delegations::Delegations;
use crate::guards::Guards;
use crate::hold::{Hold, LostTime};
use crate::id::{ActorRef, BindingId, ClassRef, Digest, Epoch, NodeName, PoolRef, WorkerRef};
use crate::idle::Idle;
use crate::lineages::Lineages;
use crate::node::{JoinToken, Node};
use crate::pool::Pool;
use crate::settings::Settings;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::time::Timestamp;
use crate::waiting::Waiting;
use crate::worker::Worker;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Format of [`State::encode`]; another one means: replay the journal instead.
const SNAPSHOT_FORMAT: u32 = 12;

/// The registry. What grows with the number of actors is in maps that share their nodes, so a clone costs what is bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Settings of the trust domain.
    pub settings: Settings,
    /// Index of the last entry that was applied; 0 if none was.
    pub last_index: u64,
    /// Time of that entry.
    pub last_at: Timestamp,
    /// What is signed with.
    pub authorities: Authorities,
    /// The catalogue.
    pub classes: BTreeMap<ClassRef, Class>,
    /// All pools.
    pub pools: BTreeMap<PoolRef, Pool>,
    /// All nodes.
    pub nodes: BTreeMap<NodeName, Node>,
    /// All workers that are not gone.
    pub workers: BTreeMap<WorkerRef, Worker>,
    /// All actors that were not deleted.
    pub actors: Actors,
    /// Which actor holds a binding.
    pub bindings: BTreeMap<BindingId, ActorRef>,
    /// The queue for workers.
    pub waiting: Waiting,
    /// Idle workers.
    pub idle: Idle,
    /// Join tokens, used and unused, until some time after their end.
    pub join_tokens: BTreeMap<Digest, JoinToken>,
    /// The first half of the SHA-256 of every deleted actor's name: an id is never used twice.
    #[serde(deserialize_with = "cautious::set")]
    pub tombstones: OrdSet<[u8; 16]>,
    /// How many actors each class has.
    pub actors_per_class: BTreeMap<ClassRef, u64>,
    /// Where actors come from, of those that come from somewhere.
    pub lineages: Lineages,
    /// How many children of an actor have not ended.
    #[serde(deserialize_with = "cautious::map")]
    pub children: OrdMap<ActorRef, u32>,
    /// What users and actors delegated.
    pub delegations: Delegations,
    /// What owners of resources say that agents may do to them.
    pub guards: Guards,
    /// What was used up.
    pub budgets: Budgets,
    /// The control plane is held, and why.
    pub hold: Option<Hold>,
    /// The highest epoch of any actor.
    pub epoch_max: Epoch,
    /// Every epoch that is given out is above this one.
    pub epoch_floor: Epoch,
    /// Every sequence of the bundle that is given out is above this one.
    pub bundle_floor: u64,
    /// The time of which nothing is known, after a release.
    pub lost_time: Option<LostTime>,
    /// Time of the last entry before the present start.
    pub(crate) stopped_at: Timestamp,
    pub(crate) next_ticket: u64,
    #[serde(deserialize_with = "cautious::map")]
    pub(crate) answers: OrdMap<Digest, Remembered>,
    pub(crate) answers_by_age: VecDeque<Digest>,
}

/// The first answer to a command with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) command: Digest,
    pub(crate) answer: Answer,
}

/// Why a snapshot cannot be used; the journal can be replayed instead.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another version wrote it.
    #[error("the snapshot has another format")]
    Format,
    /// The bytes are not a snapshot.
    #[error("the snapshot cannot be read")]
    Malformed(#[source] postcard::Error),
}

impl Default for State {
    fn default() -> Self {
        Self {
            // A state before its first entry has no trust domain; until `Start` nothing else is decided.
            settings: Settings::new(TrustDomain::unset()),
            last_index: 0,
            last_at: Timestamp::default(),
            authorities: Authorities::default(),
            classes: BTreeMap::new(),
            pools: BTreeMap::new(),
            nodes: BTreeMap::new(),
            workers: BTreeMap::new(),
            actors: Actors::default(),
            bindings: BTreeMap::new(),
            waiting: Waiting::default(),
            idle: Idle::default(),
            join_tokens: BTreeMap::new(),
            tombstones: OrdSet::new(),
            actors_per_class: BTreeMap::new(),
            lineages: Lineages::default(),
            children: OrdMap::new(),
            delegations: Delegations::default(),
            guards: Guards::default(),
            budgets: Budgets::default(),
            hold: None,
            epoch_max: Epoch::default(),
            epoch_floor: Epoch::default(),
            bundle_floor: 0,
            lost_time: None,
            stopped_at: Timestamp::default(),
            next_ticket: 0,
            answers: OrdMap::new(),
            answers_by_age: VecDeque::new(),
        }
    }
}

impl State {
    /// The bytes of a snapshot: the same for equal states.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        postcard::to_stdvec(&(SNAPSHOT_FORMAT, self)).map_err(SnapshotError::Malformed)
    }

    /// Reads a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (format, rest): (u32, _) = postcard::take_from_bytes(bytes).map_err(SnapshotError::Malformed)?;
        if format != SNAPSHOT_FORMAT {
            return Err(SnapshotError::Format);
        }
        postcard::from_bytes(rest).map_err(SnapshotError::Malformed)
    }

    /// The epoch after this one of an actor: above every epoch that was given out before the last release.
    pub fn epoch_after(&self, epoch: Epoch) -> Epoch {
        epoch.max(self.epoch_floor).next()
    }

    /// Whether an epoch is one that this registry has lost, and fenced when it was released.
    pub fn is_lost_epoch(&self, known: Epoch, epoch: Epoch) -> bool {
        epoch > known && epoch <= self.epoch_floor
    }

    /// Whether something that was given out in this second may have been forgotten with the time that is lost.
    pub fn is_in_lost_time(&self, at: Timestamp) -> bool {
        self.lost_time.is_some_and(|lost| (lost.from.as_secs()..=lost.until.as_secs()).contains(&at.as_secs()))
    }

    /// The SPIFFE ID of an actor.
    pub fn spiffe_id(&self, actor: &Actor) -> SpiffeId {
        self.settings.templates.actor_id(&self.settings.trust_domain, &actor.class, &actor.actor)
    }

    /// The class of an actor, if it was not deleted meanwhile.
    pub fn class_of(&self, actor: &Actor) -> Option<&Class> {
        self.classes.get(&class_ref(actor))
    }

    /// When the lease of a node's bindings is over, as the server counts it: margin included.
    pub fn lease_ends_at(&self, node: &Node) -> Timestamp {
        node.believes_until().plus_ms(self.settings.clock_margin_ms)
    }

    /// Place of a waiting actor in the queue, counted from 1.
    pub fn place_in_queue(&self, actor: &Actor) -> Option<usize> {
        let ticket = actor.wait.as_ref()?.ticket;
        Some(self.waiting.place(ticket))
    }

    /// Whether this actor's id was used by an actor that was deleted.
    pub fn is_tombstone(&self, actor: &ActorRef) -> bool {
        self.tombstones.contains(&tombstone(actor))
    }

    /// Changes a worker and keeps the index of idle workers true.
    pub(crate) fn with_worker(&mut self, worker: &WorkerRef, change: impl FnOnce(&mut Worker)) {
        let Some(found) = self.workers.get_mut(worker) else { return };
        let was_idle = found.is_idle().then_some(found.idle_since);
        change(found);
        let is_idle = found.is_idle().then_some(found.idle_since);
        if was_idle != is_idle {
            was_idle.inspect(|since| self.idle.remove(found, *since));
            is_idle.inspect(|_| self.idle.insert(found));
        }
    }
}

/// The class that an actor is an instance of.
pub fn class_ref(actor: &Actor) -> ClassRef {
    ClassRef { namespace: actor.actor.namespace.clone(), class: actor.class.clone() }
}

pub(crate) fn tombstone(actor: &ActorRef) -> [u8; 16] {
    Digest::of(actor.to_string().as_bytes()).half()
}
