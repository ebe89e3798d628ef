//! All delegations, and by whom and to whom they are.
//!
//! There can be many more of them than are ever looked at, so each is kept as its `postcard` bytes, and whoever looks at one gets
//! an unpacked copy. The indexes hold digests of names; what they find is compared with the name itself.

use crate::cautious;
use crate::delegation::{Delegation, Grantee, Grantor};
use crate::id::{DelegationId, Digest};
use crate::time::Timestamp;
use imbl::{OrdMap, OrdSet};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Bound;
use std::sync::Arc;

/// All delegations that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    #[serde(deserialize_with = "cautious::map")]
    all: OrdMap<DelegationId, Packed>,
    /// By whom, and from when on it counts no more: who grants another one is not kept waiting for all of them to be unpacked.
    #[serde(deserialize_with = "cautious::map")]
    by: OrdMap<(Half, DelegationId), Timestamp>,
    /// By whom and to whom: however many delegate to a class, what one of them did is found at once.
    #[serde(deserialize_with = "cautious::set")]
    between: OrdSet<(Half, DelegationId)>,
    /// When each is over, at the latest.
    #[serde(deserialize_with = "cautious::set")]
    ends: OrdSet<(Timestamp, DelegationId)>,
}

/// The first half of the SHA-256 of a grantor, or of a grantor and a grantee.
type Half = [u8; 16];

/// The bytes of a delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Packed(Arc<[u8]>);

impl Delegations {
    /// The delegation of this id.
    pub fn get(&self, id: &DelegationId) -> Option<Delegation> {
        self.all.get(id)?.unpack()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> impl Iterator<Item = Delegation> {
        self.from(Bound::Unbounded)
    }

    /// All of them from this one on, oldest first.
    pub fn from(&self, begin: Bound<DelegationId>) -> impl Iterator<Item = Delegation> {
        self.all.range((begin, Bound::Unbounded)).filter_map(|(_, packed)| packed.unpack())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that somebody granted, oldest first.
    pub fn granted_by<'a>(&'a self, grantor: &'a Grantor) -> impl Iterator<Item = Delegation> + 'a {
        self.of_grantor(grantor).filter_map(|(id, _)| self.get(&id)).filter(move |found| found.by == *grantor)
    }

    /// How many somebody granted, and how many of these are not over.
    pub(crate) fn count_of(&self, grantor: &Grantor, now: Timestamp) -> (usize, usize) {
        self.of_grantor(grantor)
            .fold((0, 0), |(all, living), (_, over_at)| (all + 1, living + usize::from(over_at > now)))
    }

    fn of_grantor(&self, grantor: &Grantor) -> impl Iterator<Item = (DelegationId, Timestamp)> {
        let of = half(grantor);
        let all = self.by.range((of, DelegationId::LEAST)..).take_while(move |((half, _), _)| *half == of);
        all.map(|((_, id), over_at)| (*id, *over_at))
    }

    /// Those that somebody granted to somebody, oldest first.
    pub fn between<'a>(&'a self, grantor: &'a Grantor, grantee: &'a Grantee) -> impl Iterator<Item = Delegation> + 'a {
        let of = half(&(grantor, grantee));
        let ids = self.between.range((of, DelegationId::LEAST)..).take_while(move |(half, _)| *half == of);
        let all = ids.filter_map(|(_, id)| self.get(id));
        all.filter(move |found| found.by == *grantor && found.to == *grantee)
    }

    /// Those that were over by then, the longest first.
    pub fn over_by(&self, at: Timestamp) -> impl Iterator<Item = DelegationId> {
        self.ends.iter().take_while(move |(end, _)| *end <= at).map(|(_, id)| *id)
    }

    pub(crate) fn insert(&mut self, delegation: &Delegation) {
        let Some(packed) = Packed::pack(delegation) else { return };
        let id = delegation.id;
        self.ends.insert((delegation.ends_at(), id));
        self.by.insert((half(&delegation.by), id), delegation.over_at());
        self.between.insert((half(&(&delegation.by, &delegation.to)), id));
        self.all.insert(id, packed);
    }

    pub(crate) fn change(&mut self, id: &DelegationId, change: impl FnOnce(&mut Delegation)) {
        if let Some(mut delegation) = self.remove(id) {
            change(&mut delegation);
            self.insert(&delegation);
        }
    }

    pub(crate) fn remove(&mut self, id: &DelegationId) -> Option<Delegation> {
        let delegation = self.all.remove(id)?.unpack()?;
        self.ends.remove(&(delegation.ends_at(), *id));
        self.by.remove(&(half(&delegation.by), *id));
        self.between.remove(&(half(&(&delegation.by, &delegation.to)), *id));
        Some(delegation)
    }
}

/// What stands for them in an index.
fn half(of: &impl Serialize) -> Half {
    // What these types say can always be written.
    Digest::of(&postcard::to_stdvec(of).unwrap_or_default()).half()
}

impl Packed {
    /// `None` only if a field should ever refuse to be written.
    fn pack(delegation: &Delegation) -> Option<Self> {
        postcard::to_stdvec(delegation).ok().map(|bytes| Self(bytes.into()))
    }

    fn unpack(&self) -> Option<Delegation> {
        postcard::from_bytes(&self.0).ok()
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
        // A snapshot that cannot be read is found at the start, not when somebody looks.
        let delegation: Delegation = postcard::from_bytes(bytes).map_err(D::Error::custom)?;
        Self::pack(&delegation).ok_or_else(|| D::Error::custom("a delegation cannot be written"))
    }
}
