//! Shared maps and sets read from bytes whose lengths are not believed: what a length claims is reserved only so far, and
//! the rest as it comes. The library's own readers reserve all of it at once, which a damaged snapshot could turn against us.

use imbl::{OrdMap, OrdSet};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Most items that are made room for before they are there.
const RESERVED_MAX: usize = 4096;

/// Reads a map.
pub(crate) fn map<'de, D, K, V>(from: D) -> Result<OrdMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    from.deserialize_map(Entries(PhantomData)).map(OrdMap::from)
}

/// Reads a map of maps.
pub(crate) fn maps<'de, D, N, K, V>(from: D) -> Result<BTreeMap<N, OrdMap<K, V>>, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + Ord,
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    let maps: BTreeMap<N, Inner<K, V>> = BTreeMap::deserialize(from)?;
    Ok(maps.into_iter().map(|(name, Inner(map))| (name, map)).collect())
}

/// Reads a set.
pub(crate) fn set<'de, D, A>(from: D) -> Result<OrdSet<A>, D::Error>
where
    D: Deserializer<'de>,
    A: Deserialize<'de> + Ord + Clone,
{
    from.deserialize_seq(Items(PhantomData)).map(OrdSet::from)
}

/// Reads a list.
pub(crate) fn list<'de, D, A>(from: D) -> Result<Vec<A>, D::Error>
where
    D: Deserializer<'de>,
    A: Deserialize<'de>,
{
    from.deserialize_seq(Items(PhantomData))
}

struct Inner<K, V>(OrdMap<K, V>);

impl<'de, K: Deserialize<'de> + Ord + Clone, V: Deserialize<'de> + Clone> Deserialize<'de> for Inner<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        map(from).map(Self)
    }
}

struct Entries<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = Vec<(K, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(from.size_hint().unwrap_or_default().min(RESERVED_MAX));
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

struct Items<A>(PhantomData<A>);

impl<'de, A: Deserialize<'de>> Visitor<'de> for Items<A> {
    type Value = Vec<A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut from: S) -> Result<Self::Value, S::Error> {
        let mut items = Vec::with_capacity(from.size_hint().unwrap_or_default().min(RESERVED_MAX));
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}
