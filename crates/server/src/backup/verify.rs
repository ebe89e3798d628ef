//! Reads a restored journal from its first entry to its last and holds the registry against the invariants.

use super::{BackupError, Restored};
use credence_journal::{FileJournal, FileOptions, Index, Journal as _, READ_ENTRIES_MAX};
use credence_model::apply::apply;
use credence_model::event::Entry;
use credence_model::invariant::Auditor;
use credence_model::state::State;
use credence_model::time::Timestamp;
use std::path::Path;

/// Verifies the journal in `dir`; a tail that a crash would have cut is cut.
pub(super) fn journal(dir: &Path, made_at: Timestamp) -> Result<Restored, BackupError> {
    let mut journal = FileJournal::open(dir, FileOptions::default())?;
    journal.recover()?;
    let mut state = State::default();
    let mut auditor = Auditor::default();
    loop {
        let page = journal.read(Index(state.last_index + 1), READ_ENTRIES_MAX)?;
        if page.is_empty() {
            break;
        }
        for (index, bytes) in page {
            let wrong = |why: String| BackupError::Wrong { index: index.0, why };
            let entry = Entry::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
            if entry.index != state.last_index + 1 {
                return Err(wrong(format!("it says that it is entry {}", entry.index)));
            }
            apply(&mut state, &entry);
            auditor.read(&entry);
        }
    }
    auditor.compare(&state);
    if let Some(found) = auditor.violations.into_iter().next() {
        return Err(BackupError::Wrong { index: found.index, why: found.message });
    }
    let trust_domain = state.settings.trust_domain.to_string();
    Ok(Restored { trust_domain, made_at, last_index: state.last_index, last_at: state.last_at })
}
