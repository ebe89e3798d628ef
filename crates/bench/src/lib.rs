//! Measures Credence beside the physical limit of the same work, in the same run.
//!
//! The limit is work without which ours cannot be done: the signature in a credential, the durable append of the bytes of
//! a batch. Only ratios count; what a machine reaches is its own affair. `SPECIFICATION.md` says what is promised.
//!
//! What needs servers and nodes as processes is measured by the verb `credence bench`, which also prints it.

mod credential;
mod decision;
mod measure;
mod registry;
mod world;

pub use credential::signatures_per_second;
pub use measure::{Limit, Measured, Promise, median, quantile, resident_bytes};
use std::path::Path;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or process failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] credence_journal::JournalError),
    /// The registry failed.
    #[error(transparent)]
    Cell(#[from] credence_control::CellError),
    /// A request was refused.
    #[error(transparent)]
    Refused(#[from] credence_model::refusal::Refusal),
    /// A fixed name is not one.
    #[error(transparent)]
    Text(#[from] credence_model::text::InvalidText),
    /// A key failed.
    #[error(transparent)]
    Key(#[from] credence_credential::key::KeyError),
    /// The authority failed.
    #[error(transparent)]
    Authority(#[from] credence_issuer::AuthorityError),
    /// Minting failed.
    #[error(transparent)]
    Issue(#[from] credence_issuer::IssueError),
    /// What is measured did something else.
    #[error("{0}")]
    Unexpected(&'static str),
}

/// Binding transitions, memory and restart of a registry with so many suspended actors; `dir` is empty, and on the disk
/// that is to be measured.
pub fn registry(dir: &Path, actors: u64) -> Result<Vec<Measured>, BenchError> {
    registry::measure(dir, actors)
}

/// Decisions about what actors may do, by one core, and the memory of classes and delegations.
pub fn decisions(dir: &Path) -> Result<Vec<Measured>, BenchError> {
    decision::measure(dir)
}

/// Minting from orders, by one core.
pub fn minting(dir: &Path) -> Result<Vec<Measured>, BenchError> {
    credential::minting(dir)
}
