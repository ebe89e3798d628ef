//! What a node leaves to the program that comes after it in the same process: its lease, its bindings with their
//! identities, and the open files of their sockets and process trees.
//!
//! INVARIANT: what is left is no more than what was held. The lease goes on and is not renewed by this; an identity is
//! verified again; a process tree is known by its root, as ever.
//!
//! The state is JSON, because another version reads it. It holds private keys and is only ever in memory.

use crate::core::message::BindNotice;
use crate::core::{Ended, MonoMs};
use crate::runtime::{KeptTree, TreeState};
use credence_attest::process_tree::TreeRoot;
use credence_model::id::BindingId;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::OwnedFd;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// How long a node may take until all its bindings are at rest, and then until all are left, in milliseconds.
pub(crate) const STEADY_MS_MAX: u64 = 5_000;
pub(crate) const LEAVE_MS_MAX: u64 = 2_000;

/// A node for the program that comes after this one.
pub struct Handover {
    /// What it remembers. Secret.
    pub state: Zeroizing<Vec<u8>>,
    /// Its open files.
    pub files: Vec<OwnedFd>,
    /// Lines to callers that would come back at once if they were cut, and find nobody who listens yet.
    _lines: Vec<Line>,
}

/// What keeps the connection of a caller open.
pub(crate) type Line = Box<dyn Any + Send + Sync>;

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Handover {
    /// What an earlier program of this process left.
    pub fn new(state: Zeroizing<Vec<u8>>, files: Vec<OwnedFd>) -> Self {
        Self { state, files, _lines: Vec::new() }
    }
}

/// What was left cannot be taken over.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// It is another version's, or damaged.
    #[error("what the earlier program left cannot be read: {0}")]
    State(#[from] serde_json::Error),
    /// The open files are not those that it names.
    #[error("what the earlier program left names {named} open files, and {given} came")]
    Files {
        /// How many there should be.
        named: usize,
        /// How many there are.
        given: usize,
    },
}

/// What a node remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Estate {
    /// The node's clock, and at the same moment the machine's monotonic one, in nanoseconds.
    pub(crate) clock: MonoMs,
    pub(crate) at_ns: u64,
    /// Length of the lease in milliseconds, and when the newest heartbeat was sent that counts.
    pub(crate) lease: Option<(u64, MonoMs)>,
    /// Ends that may not have been heard.
    pub(crate) ends: Vec<Ended>,
    pub(crate) bindings: Vec<BindingState>,
}

/// A binding that is served.
#[derive(Serialize, Deserialize)]
pub(crate) struct BindingState {
    pub(crate) notice: Box<BindNotice>,
    /// The present X.509-SVID, leaf first, and its key.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key_pkcs8: Vec<u8>,
    pub(crate) root: TreeRoot,
    /// The program, if the node started it.
    pub(crate) tree: Option<TreeState>,
}

impl Drop for BindingState {
    fn drop(&mut self) {
        self.key_pkcs8.zeroize();
    }
}

/// A binding with its open files: its socket, and those of its tree.
pub(crate) struct LeftBinding {
    pub(crate) state: BindingState,
    pub(crate) socket: OwnedFd,
    pub(crate) tree: Option<KeptTree>,
    pub(crate) line: Option<Line>,
}

/// What is left, in its parts.
pub struct Inherited {
    pub(crate) estate: Estate,
    /// The socket for local programs.
    pub(crate) local: OwnedFd,
    pub(crate) bindings: Vec<LeftBinding>,
}

/// Open files of one binding.
const TREE_FILES: usize = 3;

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inherited").field("bindings", &self.in_use()).finish_non_exhaustive()
    }
}

impl Inherited {
    /// Puts together what is left.
    pub fn leave(self) -> Result<Handover, HandoverError> {
        let Self { mut estate, local, bindings } = self;
        let (mut files, mut lines) = (vec![local], Vec::new());
        for LeftBinding { state, socket, tree, line } in bindings {
            estate.bindings.push(state);
            lines.extend(line);
            files.push(socket);
            files.extend(tree.into_iter().flat_map(|tree| tree.files));
        }
        Ok(Handover { state: Zeroizing::new(serde_json::to_vec(&estate)?), files, _lines: lines })
    }

    /// Takes apart what was left.
    pub fn take(handover: Handover) -> Result<Self, HandoverError> {
        let mut estate: Estate = serde_json::from_slice(&handover.state)?;
        let states = std::mem::take(&mut estate.bindings);
        let of_tree = |state: &BindingState| if state.tree.is_some() { TREE_FILES } else { 0 };
        let named = 1 + states.iter().map(|state| 1 + of_tree(state)).sum::<usize>();
        let wrong = HandoverError::Files { named, given: handover.files.len() };
        let mut files = handover.files.into_iter();
        let (Some(local), true) = (files.next(), files.len() + 1 == named) else { return Err(wrong) };
        let mut bindings = Vec::new();
        for state in states {
            let Some(socket) = files.next() else { return Err(wrong) };
            let tree = match (&state.tree, files.as_slice().len() >= of_tree(&state)) {
                (Some(tree), true) => {
                    Some(KeptTree { state: tree.clone(), files: files.by_ref().take(TREE_FILES).collect() })
                }
                (None, _) => None,
                (Some(_), false) => return Err(wrong),
            };
            bindings.push(LeftBinding { state, socket, tree, line: None });
        }
        Ok(Self { estate, local, bindings })
    }

    /// The bindings whose files are still in use.
    pub fn in_use(&self) -> BTreeSet<BindingId> {
        self.bindings.iter().map(|left| left.state.notice.binding).collect()
    }
}
