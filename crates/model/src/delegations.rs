//! All delegations, and by whom and to whom they are.

use crate::cautious;
use crate::delegation::{Delegation, Grantee, Grantor};
use crate::id::DelegationId;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

/// All delegations that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    #[serde(deserialize_with = "cautious::map")]
    all: OrdMap<DelegationId, Delegation>,
    #[serde(deserialize_with = "cautious::set")]
    by: OrdSet<(Grantor, DelegationId)>,
    #[serde(deserialize_with = "cautious::set")]
    to: OrdSet<(Grantee, DelegationId)>,
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

    pub(crate) fn insert(&mut self, delegation: Delegation) {
        self.by.insert((delegation.by.clone(), delegation.id));
        self.to.insert((delegation.to.clone(), delegation.id));
        self.all.insert(delegation.id, delegation);
    }

    pub(crate) fn change(&mut self, id: &DelegationId, change: impl FnOnce(&mut Delegation)) {
        if let Some(delegation) = self.all.get_mut(id) {
            change(delegation);
        }
    }

    pub(crate) fn remove(&mut self, id: &DelegationId) {
        if let Some(Delegation { by, to, .. }) = self.all.remove(id) {
            self.by.remove(&(by, *id));
            self.to.remove(&(to, *id));
        }
    }
}
