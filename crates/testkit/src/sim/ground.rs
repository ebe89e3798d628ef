//! What all servers of a run stand on: one journal, one configuration, and what was seen of the journal whoever wrote it.

use super::Fault;
use super::random::Random;
use super::signature::Signed;
use super::store::Store;
use super::witness::Seen;
use credence_model::event::Entry;
use credence_model::settings::Settings;
use credence_model::spiffe_id::TrustDomain;

/// The lease in the configuration that servers begin with.
const LEASE_MS: u64 = 10_000;

pub(super) struct Ground {
    pub(super) store: Store,
    /// What was seen of the journal.
    pub(super) seen: Seen,
    /// The server that took the journal over last, if it is up.
    pub(super) owner: Option<usize>,
    /// The configuration, which every server reads when it starts and when it is told to.
    pub(super) settings: Settings,
    /// Whether appends fail and processes die now and then.
    pub(super) is_unlucky: bool,
    /// What was recorded since the last look, for when nobody is up by then.
    pub(super) recorded: Vec<Entry>,
    /// What was signed since the last look.
    pub(super) signed: Vec<Signed>,
    /// Entries that were acknowledged to somebody: they must be on the disk for ever.
    pub(super) acknowledged: u64,
    /// What went wrong since the last look.
    pub(super) noted: Vec<&'static str>,
}

impl Ground {
    pub(super) fn new(random: &mut Random, fault: Option<Fault>) -> Self {
        let mut settings = Settings::new(TrustDomain::parse("sim.internal").unwrap_or_else(|_| unreachable!()));
        settings.lease_ms = LEASE_MS;
        Self {
            store: Store::new(random, fault),
            seen: Seen::default(),
            owner: None,
            settings,
            is_unlucky: true,
            recorded: Vec::new(),
            signed: Vec::new(),
            acknowledged: 0,
            noted: Vec::new(),
        }
    }

    /// What a server found beyond the acknowledged; that itself is as it was recorded, and may not have been looked at.
    pub(super) fn found(&mut self, recorded: Vec<Entry>) {
        let acknowledged = self.acknowledged;
        self.recorded.retain(|entry| entry.index <= acknowledged);
        self.recorded.extend(recorded);
    }
}
