//! Compiled Cedar policies, by the digest of their revision. They follow from the registry, and are made when they are first asked
//! for: outside the cell, which waits for nobody.

use credence_model::class::ClassSpec;
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_policy::cedar::compile;
use credence_policy::policies::Policies;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most revisions whose policies are kept; beyond that another one is forgotten, and compiled again when it is asked for.
const KEPT_MAX: usize = 20_000;

/// The policies that are compiled. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompiledPolicies(Arc<Mutex<HashMap<Digest, Arc<Policies>>>>);

impl CompiledPolicies {
    pub(crate) fn of(&self, digest: &Digest) -> Option<Arc<Policies>> {
        self.kept().get(digest).cloned()
    }

    /// Compiles what a class says, and keeps it. What cannot be evaluated is refused, with its place.
    pub(crate) async fn compile(&self, digest: Digest, spec: Arc<ClassSpec>) -> Result<(), Refusal> {
        if spec.permissions.cedar.is_empty() || self.of(&digest).is_some() {
            return Ok(());
        }
        let compiling = move || compile(&spec.permissions.cedar, &spec.permissions.attributes);
        let compiled = tokio::task::spawn_blocking(compiling).await;
        let compiled = compiled.map_err(|_| Refusal::new(Kind::Bug, "compiling policies broke off"))?;
        let policies = compiled
            .map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field("spec.permissions.cedar"))?;
        let mut kept = self.kept();
        let another = kept.keys().next().copied().filter(|_| kept.len() >= KEPT_MAX);
        another.and_then(|another| kept.remove(&another));
        kept.insert(digest, Arc::new(policies));
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Policies>>> {
        // The map is whole even if somebody panicked while holding it: every change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
