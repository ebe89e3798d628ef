//! All actors: those that are bound or wait as they are, and those at rest packed into few bytes.
//!
//! Most actors of a large trust domain are suspended, so what one costs at rest decides how many fit on a machine. An
//! actor at rest is its id and the `postcard` bytes of [`AtRest`]; whoever looks at it gets an unpacked copy.
//!
//! INVARIANT: an actor is in exactly one of the two maps, and at rest it has neither a binding nor a place in the queue
//! ([`AtRest`] cannot say so).
//!
//! Cloning is cheap however many rest: the maps share their nodes until one of them changes.

use crate::actor::{Actor, ActorState, Outcome};
use crate::caller::Caller;
use crate::cautious;
use crate::id::{ActorId, ActorRef, ClassName, Digest, Epoch, Namespace, NodeName, WorkerRef};
use crate::label::Labels;
use crate::time::Timestamp;
use imbl::OrdMap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// All actors that were not deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actors {
    active: BTreeMap<ActorRef, Actor>,
    #[serde(deserialize_with = "cautious::maps")]
    resting: BTreeMap<Namespace, OrdMap<RestingId, Packed>>,
}

impl Actors {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.active.len() + self.resting.values().map(OrdMap::len).sum::<usize>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.resting.values().all(OrdMap::is_empty)
    }

    /// Whether there is an actor of this name.
    pub fn contains(&self, name: &ActorRef) -> bool {
        self.active.contains_key(name) || self.packed(name).is_some()
    }

    /// The actor of this name.
    pub fn get(&self, name: &ActorRef) -> Option<Cow<'_, Actor>> {
        match self.active.get(name) {
            Some(actor) => Some(Cow::Borrowed(actor)),
            None => self.packed(name)?.unpack(name).map(Cow::Owned),
        }
    }

    /// The actor of this name, if it is bound or waits.
    pub fn active(&self, name: &ActorRef) -> Option<&Actor> {
        self.active.get(name)
    }

    /// All actors that are bound or wait.
    pub fn all_active(&self) -> impl Iterator<Item = &Actor> {
        self.active.values()
    }

    /// The names of all actors, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = ActorRef> {
        let resting = self.resting.iter().flat_map(|(namespace, ids)| {
            ids.keys().map(|id| ActorRef { namespace: namespace.clone(), actor: id.actor_id() })
        });
        self.active.keys().cloned().chain(resting)
    }

    /// All actors from `begin` on, by namespace and id.
    pub fn from(&self, begin: Bound<ActorRef>) -> impl Iterator<Item = Cow<'_, Actor>> {
        let namespace = match &begin {
            Bound::Included(name) | Bound::Excluded(name) => Some(name.namespace.clone()),
            Bound::Unbounded => None,
        };
        let from_namespace = namespace.clone().map_or(Bound::Unbounded, Bound::Included);
        let begin_id = begin.as_ref().map(|name| RestingId::of(&name.actor));
        let resting = self.resting.range((from_namespace, Bound::Unbounded)).flat_map(move |(name, ids)| {
            let from_id = if Some(name) == namespace.as_ref() { begin_id.clone() } else { Bound::Unbounded };
            ids.range((from_id, Bound::Unbounded)).filter_map(|(id, packed)| {
                packed.unpack(&ActorRef { namespace: name.clone(), actor: id.actor_id() }).map(Cow::Owned)
            })
        });
        let active = self.active.range((begin, Bound::Unbounded)).map(|(_, actor)| Cow::Borrowed(actor));
        merge(active, resting)
    }

    /// Adds an actor. Whatever had its name is gone.
    pub(crate) fn insert(&mut self, actor: Actor) {
        let name = actor.actor.clone();
        self.remove(&name);
        self.put(name, actor);
    }

    /// Changes the actor of this name, if there is one.
    pub(crate) fn change(&mut self, name: &ActorRef, change: impl FnOnce(&mut Actor)) {
        if let Some(actor) = self.active.get_mut(name) {
            change(actor);
            if is_at_rest(actor)
                && let Some(actor) = self.active.remove(name)
            {
                self.put(name.clone(), actor);
            }
        } else if let Some(mut actor) = self.remove_packed(name) {
            change(&mut actor);
            self.put(name.clone(), actor);
        }
    }

    /// Removes the actor of this name.
    pub(crate) fn remove(&mut self, name: &ActorRef) -> Option<Actor> {
        self.active.remove(name).or_else(|| self.remove_packed(name))
    }

    fn put(&mut self, name: ActorRef, actor: Actor) {
        if is_at_rest(&actor)
            && let Some(packed) = Packed::pack(&actor)
        {
            let ids = self.resting.entry(name.namespace).or_default();
            ids.insert(RestingId::of(&name.actor), packed);
        } else {
            self.active.insert(name, actor);
        }
    }

    fn packed(&self, name: &ActorRef) -> Option<&Packed> {
        self.resting.get(&name.namespace)?.get(&RestingId::of(&name.actor))
    }

    fn remove_packed(&mut self, name: &ActorRef) -> Option<Actor> {
        let ids = self.resting.get_mut(&name.namespace)?;
        let packed = ids.remove(&RestingId::of(&name.actor))?;
        if ids.is_empty() {
            self.resting.remove(&name.namespace);
        }
        packed.unpack(name)
    }
}

fn is_at_rest(actor: &Actor) -> bool {
    actor.binding.is_none() && actor.wait.is_none()
}

/// Two sequences in order become one.
fn merge<'a>(
    one: impl Iterator<Item = Cow<'a, Actor>>,
    other: impl Iterator<Item = Cow<'a, Actor>>,
) -> impl Iterator<Item = Cow<'a, Actor>> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if second.actor < first.actor => other.next(),
        (None, _) => other.next(),
        _ => one.next(),
    })
}

/// The id of an actor at rest; ordered as its text is. A generated id takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum RestingId {
    /// The number that a canonical ULID stands for, big-endian.
    Ulid([u8; 16]),
    /// Any other id.
    Text(Box<str>),
}

impl RestingId {
    fn of(id: &ActorId) -> Self {
        match id.as_ulid() {
            Some(number) => Self::Ulid(number.to_be_bytes()),
            None => Self::Text(id.as_str().into()),
        }
    }

    fn actor_id(&self) -> ActorId {
        match self {
            Self::Ulid(bytes) => ActorId::from_ulid(u128::from_be_bytes(*bytes)),
            Self::Text(text) => ActorId::trusted(text),
        }
    }
}

impl Ord for RestingId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // The digits of a ULID ascend as ASCII does.
            (Self::Ulid(one), Self::Ulid(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Ulid(_), Self::Text(other)) => self.actor_id().as_str().cmp(other),
            (Self::Text(one), Self::Ulid(_)) => (**one).cmp(other.actor_id().as_str()),
        }
    }
}

impl PartialOrd for RestingId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is kept of an actor at rest, beside its name.
#[derive(Serialize, Deserialize)]
struct AtRest<'a> {
    class: Cow<'a, ClassName>,
    labels: Cow<'a, Labels>,
    state: ActorState,
    wanted: bool,
    epoch: Epoch,
    last: Option<Cow<'a, (WorkerRef, NodeName)>>,
    archive: Option<Digest>,
    outcome: Option<Cow<'a, Outcome>>,
    created_at: Timestamp,
    changed_at: Timestamp,
    changed_by: Cow<'a, Caller>,
    reason: Option<Cow<'a, str>>,
}

/// The bytes of [`AtRest`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Packed(Arc<[u8]>);

impl Packed {
    /// `None` only if a field should ever refuse to be written; the actor then stays as it is.
    fn pack(actor: &Actor) -> Option<Self> {
        let at_rest = AtRest {
            class: Cow::Borrowed(&actor.class),
            labels: Cow::Borrowed(&actor.labels),
            state: actor.state,
            wanted: actor.wanted,
            epoch: actor.epoch,
            last: actor.last.as_ref().map(Cow::Borrowed),
            archive: actor.archive,
            outcome: actor.outcome.as_ref().map(Cow::Borrowed),
            created_at: actor.created_at,
            changed_at: actor.changed_at,
            changed_by: Cow::Borrowed(&actor.changed_by),
            reason: actor.reason.as_deref().map(Cow::Borrowed),
        };
        postcard::to_stdvec(&at_rest).ok().map(|bytes| Self(bytes.into()))
    }

    fn unpack(&self, name: &ActorRef) -> Option<Actor> {
        let at_rest: AtRest<'_> = postcard::from_bytes(&self.0).ok()?;
        Some(Actor {
            actor: name.clone(),
            class: at_rest.class.into_owned(),
            labels: at_rest.labels.into_owned(),
            state: at_rest.state,
            wanted: at_rest.wanted,
            epoch: at_rest.epoch,
            binding: None,
            wait: None,
            last: at_rest.last.map(Cow::into_owned),
            archive: at_rest.archive,
            outcome: at_rest.outcome.map(Cow::into_owned),
            created_at: at_rest.created_at,
            changed_at: at_rest.changed_at,
            changed_by: at_rest.changed_by.into_owned(),
            reason: at_rest.reason.map(Cow::into_owned),
        })
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        // A snapshot that cannot be read is found at the start, not when somebody looks at the actor.
        postcard::from_bytes::<AtRest<'_>>(bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspended(name: &str) -> Actor {
        let at = Timestamp(5);
        Actor {
            actor: name.parse().unwrap(),
            class: ClassName::parse("assistant").unwrap(),
            labels: Labels::from([("team".into(), "red".into())]),
            state: ActorState::Suspended,
            wanted: false,
            epoch: Epoch(3),
            binding: None,
            wait: None,
            last: Some(("ns/pool/w-1".parse().unwrap(), NodeName::parse("alpha").unwrap())),
            archive: Some(Digest([7; 32])),
            outcome: Some(Outcome::Exited { code: 2 }),
            created_at: at,
            changed_at: at,
            changed_by: Caller::Local { uid: 7 },
            reason: Some("because".into()),
        }
    }

    fn waiting(name: &str) -> Actor {
        let wait = crate::actor::Wait { ticket: 1, since: Timestamp(1), until: Timestamp(2) };
        Actor { wait: Some(wait), ..suspended(name) }
    }

    const NAMES: [&str; 7] = [
        "a/zz",
        "b/00000000000000000000000001",
        "b/01hzzzzzzzzzzzzzzzzzzzzzzz",
        "b/01j0000000000000000000000a",
        "b/01i0000000000000000000000a",
        "b/worker",
        "c/a",
    ];

    #[test]
    fn an_actor_at_rest_comes_back_as_it_was() {
        let mut actors = Actors::default();
        for name in NAMES {
            actors.insert(suspended(name));
            assert_eq!(*actors.get(&name.parse().unwrap()).unwrap(), suspended(name));
            assert!(actors.active(&name.parse().unwrap()).is_none());
        }
        assert_eq!(actors.len(), NAMES.len());
    }

    #[test]
    fn actors_are_read_in_the_order_of_their_names_whether_at_rest_or_not() {
        let mut actors = Actors::default();
        for (nth, name) in NAMES.into_iter().enumerate() {
            actors.insert(if nth % 2 == 0 { suspended(name) } else { waiting(name) });
        }
        let mut sorted = NAMES.map(|name| name.parse::<ActorRef>().unwrap());
        sorted.sort();
        let read = |begin| actors.from(begin).map(|actor| actor.actor.clone()).collect::<Vec<_>>();
        assert_eq!(read(Bound::Unbounded), sorted);
        for (nth, name) in sorted.iter().enumerate() {
            assert_eq!(read(Bound::Excluded(name.clone())), sorted[nth + 1..]);
            assert_eq!(read(Bound::Included(name.clone())), sorted[nth..]);
        }
    }

    #[test]
    fn a_change_moves_an_actor_between_rest_and_activity_and_no_copy_stays_behind() {
        let mut actors = Actors::default();
        let name: ActorRef = NAMES[1].parse().unwrap();
        actors.insert(suspended(NAMES[1]));
        actors.change(&name, |actor| actor.wait = waiting(NAMES[1]).wait);
        assert_eq!((actors.len(), actors.all_active().count()), (1, 1));
        actors.change(&name, |actor| actor.wait = None);
        assert_eq!((actors.len(), actors.all_active().count()), (1, 0));
        assert_eq!(actors.remove(&name), Some(suspended(NAMES[1])));
        assert!(actors.is_empty() && !actors.contains(&name));
    }

    #[test]
    fn a_snapshot_with_an_actor_that_cannot_be_read_is_refused() {
        let mut actors = Actors::default();
        actors.insert(suspended(NAMES[0]));
        let bytes = postcard::to_stdvec(&actors).unwrap();
        assert_eq!(postcard::from_bytes::<Actors>(&bytes).unwrap(), actors);
        let class = bytes.windows(9).position(|text| text == b"assistant").unwrap();
        let mut bad = bytes;
        bad[class] = b'/';
        postcard::from_bytes::<Actors>(&bad).unwrap_err();
    }
}
