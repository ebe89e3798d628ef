//! All guards, and where to look for those that cover a resource.

use crate::cautious;
use crate::guard::Guard;
use crate::id::GuardRef;
use crate::permission::resources::Resources;
use crate::permission::target::Resource;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use std::ops::Bound;
use std::sync::Arc;

/// All guards. A clone costs nothing: it shares everything until one of the two changes.
///
/// To find those that cover a resource costs one look for each segment of its name, whatever number there are: each guard is
/// kept at the place that its pattern says before the first `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    all: OrdMap<GuardRef, Arc<Guard>>,
    /// Follows from `all`, and so is not written.
    places: OrdMap<SmolStr, OrdSet<GuardRef>>,
}

impl Guards {
    /// The guard of this name.
    pub fn get(&self, guard: &GuardRef) -> Option<&Guard> {
        self.all.get(guard).map(AsRef::as_ref)
    }

    /// All of them, by their names.
    pub fn all(&self) -> impl Iterator<Item = &Guard> {
        self.all.values().map(AsRef::as_ref)
    }

    /// All of them from this one on, by their names.
    pub fn from(&self, begin: Bound<GuardRef>) -> impl Iterator<Item = &Guard> {
        self.all.range((begin, Bound::Unbounded)).map(|(_, guard)| guard.as_ref())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that cover a resource, the wider patterns first.
    pub fn covering<'a>(&'a self, resource: &Resource) -> impl Iterator<Item = &'a Guard> {
        let places = (!self.is_empty()).then(|| resource.places()).into_iter().flatten();
        let here = move |place: SmolStr| self.places.get(&place);
        let named = places.filter_map(here).flatten().filter_map(|guard| self.get(guard));
        named.filter(move |guard| guard.spec.resource.cover(resource))
    }

    /// Those that say something about resources that are among these, too.
    pub fn overlapping<'a>(&'a self, resources: &Resources) -> impl Iterator<Item = &'a Guard> {
        self.all().filter(move |guard| guard.spec.resource.overlap(resources))
    }

    pub(crate) fn insert(&mut self, guard: Guard) {
        self.remove(&guard.guard);
        self.places.entry(guard.spec.resource.place()).or_default().insert(guard.guard.clone());
        self.all.insert(guard.guard.clone(), Arc::new(guard));
    }

    pub(crate) fn remove(&mut self, guard: &GuardRef) {
        let Some(old) = self.all.remove(guard) else { return };
        let place = old.spec.resource.place();
        let Some(here) = self.places.get_mut(&place) else { return };
        here.remove(guard);
        if here.is_empty() {
            self.places.remove(&place);
        }
    }
}

impl FromIterator<Guard> for Guards {
    fn from_iter<I: IntoIterator<Item = Guard>>(all: I) -> Self {
        let mut guards = Self::default();
        all.into_iter().for_each(|guard| guards.insert(guard));
        guards
    }
}

impl Serialize for Guards {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.all())
    }
}

impl<'de> Deserialize<'de> for Guards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = cautious::list(deserializer)?;
        Ok(all.into_iter().collect())
    }
}
