//! Where all actors come from, and who acts for which user.
//!
//! A snapshot holds the lineages alone: the index follows from them. It holds digests of users, and what it finds is
//! compared with the user itself.

use crate::cautious;
use crate::id::{ActorRef, Digest};
use crate::lineage::Lineage;
use crate::user::User;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Bound;

/// Where actors come from, of those that come from somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineages {
    all: OrdMap<ActorRef, Lineage>,
    /// Actors by the first half of the SHA-256 of the user whom they act for; nobody comes before everybody.
    of: OrdSet<(Half, Option<ActorRef>)>,
}

type Half = [u8; 16];

impl Lineages {
    /// Where this actor comes from.
    pub fn get(&self, actor: &ActorRef) -> Option<&Lineage> {
        self.all.get(actor)
    }

    /// The actors that act for this user, in order of their names from `begin` on.
    pub fn of_user<'a>(
        &'a self,
        user: &'a User,
        begin: Bound<ActorRef>,
    ) -> impl Iterator<Item = (&'a ActorRef, &'a Lineage)> + 'a {
        let of = half(user);
        let begin = match begin {
            Bound::Unbounded => Bound::Included((of, None)),
            Bound::Included(actor) => Bound::Included((of, Some(actor))),
            Bound::Excluded(actor) => Bound::Excluded((of, Some(actor))),
        };
        let found = self.of.range((begin, Bound::Unbounded)).take_while(move |(half, _)| *half == of);
        let found = found.filter_map(|(_, actor)| self.all.get_key_value(actor.as_ref()?));
        found.filter(move |(_, lineage)| lineage.user.as_ref() == Some(user))
    }

    pub(crate) fn insert(&mut self, actor: ActorRef, lineage: Lineage) {
        self.remove(&actor);
        if let Some(user) = &lineage.user {
            self.of.insert((half(user), Some(actor.clone())));
        }
        self.all.insert(actor, lineage);
    }

    pub(crate) fn remove(&mut self, actor: &ActorRef) {
        if let Some(user) = self.all.remove(actor).and_then(|lineage| lineage.user) {
            self.of.remove(&(half(&user), Some(actor.clone())));
        }
    }
}

/// What stands for a user in the index.
fn half(user: &User) -> Half {
    // Two texts can always be written, and their lengths keep them apart.
    Digest::of(&postcard::to_stdvec(user).unwrap_or_default()).half()
}

impl Serialize for Lineages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lineages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all: OrdMap<ActorRef, Lineage> = cautious::map(deserializer)?;
        let of = all.iter().filter_map(|(actor, lineage)| Some((half(lineage.user.as_ref()?), Some(actor.clone()))));
        Ok(Self { of: of.collect(), all })
    }
}
