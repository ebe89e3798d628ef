//! Stands in for `credence_attest::process_tree::TreeRoot` and `credence_credential::bundle::Bundle` until they are there.

/// The root of a process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeRoot {
    pid: i32,
}

impl TreeRoot {
    /// The tree of a process that runs now.
    pub fn of(pid: i32) -> std::io::Result<Self> {
        Ok(Self { pid })
    }

    /// The root's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

/// The trust domain's bundle.
#[derive(Debug, Clone)]
pub struct Bundle;
