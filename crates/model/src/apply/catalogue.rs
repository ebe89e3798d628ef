//! How classes and pools change.

use crate::class::consent::{Consent, ConsentState};
use crate::class::{Class, ClassSpec, Revision};
use crate::event::{Entry, Event};
use crate::id::ClassRef;
use crate::pool::Pool;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn apply(state: &mut State, entry: &Entry) {
    match &entry.event {
        Event::ClassRevised { class, labels, revision, spec } => {
            revise(state, entry, class, *revision, spec);
            with_class(state, entry, class, |class| class.labels = labels.clone());
        }
        Event::ClassLabelled { class, labels } => {
            with_class(state, entry, class, |class| class.labels = labels.clone())
        }
        Event::ClassEnabled { class, enabled } => with_class(state, entry, class, |class| class.enabled = *enabled),
        Event::RevisionAllowed { class, revision, allowed } => with_class(state, entry, class, |class| {
            if let Some(revision) = class.revisions.get_mut(revision) {
                revision.allowed = *allowed;
            }
        }),
        Event::ClassDeleted { class } => {
            state.classes.remove(class);
        }
        Event::PoolApplied { pool, labels, spec } => {
            let created_at = state.pools.get(pool).map_or(entry.at, |pool| pool.created_at);
            let (labels, spec) = (labels.clone(), spec.clone());
            state
                .pools
                .insert(pool.clone(), Pool { pool: pool.clone(), labels, spec, version: entry.index, created_at });
        }
        Event::PoolDeleted { pool } => {
            state.pools.remove(pool);
        }
        _ => {}
    }
}

fn revise(state: &mut State, entry: &Entry, class: &ClassRef, number: u32, spec: &ClassSpec) {
    let new = || Class {
        class: class.clone(),
        labels: BTreeMap::new(),
        version: entry.index,
        enabled: true,
        revisions: BTreeMap::new(),
        created_at: entry.at,
    };
    let class = state.classes.entry(class.clone()).or_insert_with(new);
    let only = class.consented().map(|(_, revision)| revision.consent.only.clone()).unwrap_or_default();
    let revision = Revision {
        spec: Arc::new(spec.clone()),
        digest: spec.digest(),
        allowed: true,
        consent: Consent { state: ConsentState::NotNeeded, only, by: entry.caller.clone(), at: entry.at },
        created_at: entry.at,
        created_by: entry.caller.clone(),
    };
    class.revisions.insert(number, revision);
}

pub(super) fn with_class(state: &mut State, entry: &Entry, class: &ClassRef, change: impl FnOnce(&mut Class)) {
    if let Some(class) = state.classes.get_mut(class) {
        change(class);
        class.version = entry.index;
    }
}
