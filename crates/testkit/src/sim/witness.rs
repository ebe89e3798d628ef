//! Watches a journal from outside, by its bytes alone: what was acknowledged is there after every recovery, and the batch
//! that was under way is wholly there or wholly absent.

use super::Fault;
use super::check::Broken;
use super::tamper::Tamper;
use credence_journal::{Fence, Index, Journal, JournalError, Note, Recovered, Snapshot, StoreSnapshot};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was seen of a journal. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    /// The last entry that was acknowledged or recovered.
    last: u64,
    /// The batch whose append failed, until a recovery decided on it.
    under_way: Vec<Vec<u8>>,
    broken: Option<Broken>,
    /// Batches decided by a recovery: there, and absent.
    decided: (u64, u64),
    torn: u64,
    /// Of the owner that took the journal over last.
    fence: Fence,
    tamper: Tamper,
}

impl Seen {
    /// What broke, once.
    pub(super) fn take_broken(&self) -> Option<Broken> {
        self.lock().broken.take()
    }

    /// How often a batch under way was found there, was found absent, and had left something to cut.
    pub(super) fn take_counts(&self) -> (u64, u64, u64) {
        let mut record = self.lock();
        let (there, absent) = std::mem::take(&mut record.decided);
        (there, absent, std::mem::take(&mut record.torn))
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A journal that is watched.
pub(super) struct Witness {
    pub(super) inner: Box<dyn Journal>,
    pub(super) seen: Seen,
    /// A planted fault.
    pub(super) fault: Option<Fault>,
}

impl Record {
    fn recovered(&mut self, recovered: &Recovered) {
        let under_way = std::mem::take(&mut self.under_way);
        self.torn += recovered.report.iter().filter(|note| matches!(note, Note::TornTail { .. })).count() as u64;
        let more = recovered.last.0.saturating_sub(self.last);
        if recovered.last.0 < self.last {
            let (last, found) = (self.last, recovered.last);
            self.broken = Some(Broken::Lost(format!("entry {last} was durable, the record ends at {found}")));
        } else if more != 0 && more != under_way.len() as u64 {
            let whole = under_way.len();
            self.broken = Some(Broken::Torn(format!("{more} entries of a batch of {whole} are there")));
        } else if more != 0 && !recovered.entries.ends_with(&under_way) {
            self.broken = Some(Broken::Torn("the batch that was under way is there with other bytes".into()));
        } else if !under_way.is_empty() {
            let (there, absent) = &mut self.decided;
            *(if more == 0 { absent } else { there }) += 1;
        }
        self.last = recovered.last.0;
    }
}

impl Journal for Witness {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let mut recovered = self.inner.recover()?;
        let mut record = self.seen.lock();
        let torn = recovered.report.iter().any(|note| matches!(note, Note::TornTail { .. }));
        record.fence = recovered.fence;
        if self.fault == Some(Fault::BelievesTornTail)
            && torn
            && record.under_way.len() > 1
            && recovered.last.0 == record.last
        {
            recovered.entries.extend(record.under_way.first().cloned());
            recovered.last = recovered.last.next();
        }
        record.recovered(&recovered);
        drop(record);
        Ok(recovered)
    }

    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        let mut record = self.seen.lock();
        let spoilt = self.fault.and_then(|fault| record.tamper.change(fault, batch));
        let batch = spoilt.as_deref().unwrap_or(batch);
        let newest = record.fence;
        let given = if self.fault == Some(Fault::ForgetsFence) { newest } else { fence };
        let appended = self.inner.append(given, batch);
        match &appended {
            Ok(_) if fence != newest && !batch.is_empty() => record.broken = Some(Broken::Replaced),
            Ok(last) => record.last = last.0,
            Err(JournalError::Io { .. }) => record.under_way = batch.to_vec(),
            Err(_) => {}
        }
        drop(record);
        appended
    }

    fn write_snapshot(&mut self, fence: Fence, snapshot: &Snapshot) -> Result<(), JournalError> {
        self.inner.write_snapshot(fence, snapshot)
    }

    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        self.inner.begin_snapshot(fence, upto)
    }

    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        self.inner.read(from, limit)
    }
}
