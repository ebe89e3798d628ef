//! All delegations, and by whom and to whom they are.

use crate::cautious;
use crate::delegation::{Delegation, Grantee, Grantor};
use crate::id::DelegationId;
use crate::time::Timestamp;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::ops::Bound;

/// All delegations that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    #[serde(deserialize_with = "cautious::map")]
    all: OrdMap<DelegationId, Delegation>,
    #[serde(deserialize_with = "cautious::set")]
    by: OrdSet<(Grantor, DelegationId)>,
    #[serde(deserialize_with = "cautious::set")]
    to: OrdSet<(Grantee, DelegationId)>,
    /// When each is over, at the latest.
    #[serde(deserialize_with = "cautious::set")]
    ends: OrdSet<(Timestamp, DelegationId)>,
}

impl Delegations {
    /// The delegation of this id.
    pub fn get(&self, id: &DelegationId) -> Option<&Delegation> {
        self.all.get(id)
    }

    /// All of them, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Delegation> {
        self.all.values()
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
    pub fn granted_by<'a>(&'a self, grantor: &'a Grantor) -> impl Iterator<Item = &'a Delegation> {
        let from = (grantor.clone(), DelegationId::LEAST);
        self.by.range(from..).take_while(move |(by, _)| by == grantor).filter_map(|(_, id)| self.all.get(id))
    }

    /// Those that are to somebody, oldest first.
    pub fn granted_to<'a>(&'a self, grantee: &'a Grantee) -> impl Iterator<Item = &'a Delegation> {
        let from = (grantee.clone(), DelegationId::LEAST);
        self.to.range(from..).take_while(move |(to, _)| to == grantee).filter_map(|(_, id)| self.all.get(id))
    }

    /// All of them from this one on, oldest first.
    pub fn from(&self, begin: Bound<DelegationId>) -> impl Iterator<Item = &Delegation> {
        self.all.range((begin, Bound::Unbounded)).map(|(_, delegation)| delegation)
    }

    /// Those that were over by then, the longest first.
    pub fn over_by(&self, at: Timestamp) -> impl Iterator<Item = DelegationId> {
        self.ends.iter().take_while(move |(end, _)| *end <= at).map(|(_, id)| *id)
    }

    pub(crate) fn insert(&mut self, delegation: Delegation) {
        self.ends.insert((delegation.ends_at(), delegation.id));
        self.by.insert((delegation.by.clone(), delegation.id));
        self.to.insert((delegation.to.clone(), delegation.id));
        self.all.insert(delegation.id, delegation);
    }

    pub(crate) fn change(&mut self, id: &DelegationId, change: impl FnOnce(&mut Delegation)) {
        if let Some(delegation) = self.all.get_mut(id) {
            self.ends.remove(&(delegation.ends_at(), *id));
            change(delegation);
            self.ends.insert((delegation.ends_at(), *id));
        }
    }

    pub(crate) fn remove(&mut self, id: &DelegationId) {
        if let Some(delegation) = self.all.remove(id) {
            self.ends.remove(&(delegation.ends_at(), *id));
            self.by.remove(&(delegation.by, *id));
            self.to.remove(&(delegation.to, *id));
        }
    }
}
