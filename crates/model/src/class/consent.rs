//! Consent: an administrator's word that a revision may be in force. It is asked for when a revision is wider than the one
//! that was consented to last, which stays in force until then.

use crate::caller::Caller;
use crate::permission::Permission;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most permissions that a consent is limited to.
pub const ONLY_MAX: usize = 256;

/// The consent to a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Whether there is one.
    pub state: ConsentState,
    /// It is to these only, of what the revision allows; to all of it if empty.
    pub only: Vec<Permission>,
    /// Who gave or withdrew it, or made the revision that needs it or none.
    pub by: Caller,
    /// Since when it is so.
    pub at: Timestamp,
}

/// Whether a revision has its consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// It is no wider than the revision before, whose consent it shares.
    NotNeeded,
    /// It waits for it.
    Wanted,
    /// It was given.
    Given,
    /// It was given, and taken back.
    Withdrawn,
}

impl Consent {
    /// Whether the revision may be in force.
    pub fn holds(&self) -> bool {
        matches!(self.state, ConsentState::NotNeeded | ConsentState::Given)
    }
}
