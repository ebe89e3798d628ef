//! Which permission is narrower than another, and what two have in common.

use super::Permission;
use super::condition::Condition;
use super::obligation::Obligation;

impl Permission {
    /// Whether everything that `other` permits is permitted by this one, with no more duties than `other` has. A condition or a
    /// duty that only this one has makes it the narrower one.
    pub fn contains(&self, other: &Self) -> bool {
        let condition = |own: &Condition| {
            let same = other.when.iter().find(|condition| condition.attribute == own.attribute);
            same.is_some_and(|same| own.is.contains(&same.is))
        };
        let obligation = |own: &Obligation| other.with.iter().any(|other| own.contains(other));
        self.target.contains(&other.target) && self.when.iter().all(condition) && self.with.iter().all(obligation)
    }

    /// What both permit, with the duties of both; `None` if nothing is left.
    pub fn both(&self, other: &Self) -> Option<Self> {
        let target = self.target.both(&other.target)?;
        let when = conjunction(self.when.iter().chain(&other.when).cloned())?;
        let mut with: Vec<Obligation> = Vec::new();
        for duty in self.with.iter().chain(&other.with) {
            if with.iter().any(|present| duty.contains(present)) {
                continue;
            }
            with.retain(|present| !present.contains(duty));
            with.push(duty.clone());
        }
        with.sort();
        Some(Self { target, when, with })
    }

    /// Whether one of these permissions alone contains it.
    pub fn is_within<'a>(&self, permissions: impl IntoIterator<Item = &'a Self>) -> bool {
        permissions.into_iter().any(|permission| permission.contains(self))
    }
}

/// One condition for each attribute, in order; `None` if they cannot all hold.
pub(super) fn conjunction(conditions: impl Iterator<Item = Condition>) -> Option<Vec<Condition>> {
    let mut all: Vec<Condition> = Vec::new();
    for condition in conditions {
        match all.iter_mut().find(|present| present.attribute == condition.attribute) {
            Some(present) => present.is = present.is.both(&condition.is)?,
            None => all.push(condition),
        }
    }
    all.sort();
    Some(all)
}
