//! Keeps what the control plane tells of permissions, in the order in which it is told. Policies are compiled on the way, which
//! the hub must not wait for.

use super::known::{Complete, Known};
use credence_model::guards::Guards;
use credence_model::id::{BindingId, Digest};
use credence_policy::brief::Brief;
use credence_policy::cedar::compile;
use credence_policy::policies::Policies;
use credence_telemetry::limit::Limit;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Most of what was told that waits to be kept.
const TOLD_MAX: usize = 16 * 1024;
/// The control plane tells more of permissions than is kept.
pub(crate) static TOLD: Limit = Limit::new(
    "permissions_told",
    TOLD_MAX as u64,
    "changes of permissions",
    "the stream is cut, and all is told anew",
);
/// Most revisions whose policies are kept compiled.
const COMPILED_MAX: usize = 1_024;

/// What the control plane told.
pub(crate) enum Told {
    /// A new stream begins.
    Anew,
    /// What an actor may do; nothing if it is too large to be told.
    Brief(BindingId, Option<Box<Brief>>),
    /// What owners of resources say.
    Guards(Guards),
    /// That it has told everything until then.
    Complete(Complete),
}

/// Both ends of a keeper: where it is told, and its work.
pub(crate) fn keeper(known: Arc<Known>) -> (mpsc::Sender<Told>, impl Future<Output = ()> + Send) {
    let (tell, told) = mpsc::channel(TOLD_MAX);
    (tell, keep(known, told))
}

async fn keep(known: Arc<Known>, mut told: mpsc::Receiver<Told>) {
    let mut compiled = HashMap::new();
    while let Some(told) = told.recv().await {
        match told {
            Told::Brief(binding, Some(brief)) => {
                known.tell(binding, Some(Arc::new(equipped(*brief, &mut compiled).await)))
            }
            Told::Brief(binding, None) => known.tell(binding, None),
            Told::Anew => known.begin_anew(),
            Told::Guards(guards) => known.guard(guards),
            Told::Complete(complete) => known.complete(complete),
        }
    }
}

/// The brief with its policies. Those that cannot be compiled stay away, and deny.
async fn equipped(mut brief: Brief, compiled: &mut HashMap<Digest, Arc<Policies>>) -> Brief {
    let mut needed = HashMap::new();
    for (digest, spec) in brief.uncompiled() {
        if let Some(policies) = compiled.get(&digest) {
            needed.insert(digest, Arc::clone(policies));
            continue;
        }
        let compiling = move || compile(&spec.permissions.cedar, &spec.permissions.attributes);
        match tokio::task::spawn_blocking(compiling).await {
            Ok(Ok(policies)) => drop(needed.insert(digest, Arc::new(policies))),
            Ok(Err(error)) => tracing::error!(actor = %brief.actor, %error, "policies cannot be compiled here"),
            Err(error) => tracing::error!(actor = %brief.actor, %error, "compiling policies broke off"),
        }
    }
    brief.equip(&|digest| needed.get(digest).cloned());
    if compiled.len() + needed.len() > COMPILED_MAX {
        compiled.clear();
    }
    compiled.extend(needed);
    brief
}
