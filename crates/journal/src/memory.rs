//! A journal in memory, for simulation and tests.
//!
//! The disk is a value of its own, so that a simulator can drop the journal (a crash), open the disk again (a restart), or
//! open it twice (an owner who was replaced without noticing). Faults are queued on the disk and happen once each.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::JournalError;
use crate::journal::{Journal, Recovered, Snapshot, StoreSnapshot};
use crate::limits::{Page, check_batch, check_fence, check_snapshot, check_snapshot_bytes};
use crate::position::{Fence, Index};

/// What survives a crash. Clones share the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    fence: Fence,
    entries: Vec<Vec<u8>>,
    snapshot: Option<Snapshot>,
    faults: VecDeque<Fault>,
}

/// A failure that happens to the next append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is stored, and the append fails.
    RefuseAppend,
    /// The batch is stored, and yet the append fails: the crash came after the write and before the answer.
    LoseAnswer,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a fault; each non-empty append that passes its checks takes one.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// The last entry stored.
    #[must_use]
    pub fn last(&self) -> Index {
        self.lock().last()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Every change below is made whole before anything can panic, so a poisoned lock still guards whole contents.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn last(&self) -> Index {
        Index(self.entries.len() as u64)
    }

    fn covered(&self) -> Index {
        self.snapshot.as_ref().map_or(Index::NONE, |snapshot| snapshot.upto)
    }

    fn after(&self, index: Index) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.iter().skip(usize::try_from(index.0).unwrap_or(usize::MAX))
    }
}

/// A journal on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: MemoryDisk,
    condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Unopened,
    Ready,
    Poisoned,
}

impl MemoryJournal {
    /// Opens the disk; nothing is read before `recover`.
    #[must_use]
    pub fn open(disk: &MemoryDisk) -> Self {
        Self { disk: disk.clone(), condition: Condition::Unopened }
    }

    fn ready(&self) -> Result<MutexGuard<'_, Contents>, JournalError> {
        match self.condition {
            Condition::Unopened => Err(JournalError::NotRecovered),
            Condition::Poisoned => Err(JournalError::Poisoned),
            Condition::Ready => Ok(self.disk.lock()),
        }
    }
}

impl Journal for MemoryJournal {
    fn recover(&mut self) -> Result<Recovered, JournalError> {
        let mut contents = self.disk.lock();
        contents.fence = contents.fence.next();
        let recovered = Recovered {
            fence: contents.fence,
            snapshot: contents.snapshot.clone(),
            entries: contents.after(contents.covered()).cloned().collect(),
            last: contents.last(),
            report: Vec::new(),
        };
        drop(contents);
        self.condition = Condition::Ready;
        Ok(recovered)
    }

    fn append(&mut self, fence: Fence, batch: &[Vec<u8>]) -> Result<Index, JournalError> {
        let mut contents = self.ready()?;
        check_fence(fence, contents.fence)?;
        check_batch(batch)?;
        if batch.is_empty() {
            return Ok(contents.last());
        }
        let fault = contents.faults.pop_front();
        if fault != Some(Fault::RefuseAppend) {
            contents.entries.extend_from_slice(batch);
        }
        let last = contents.last();
        drop(contents);
        if fault.is_some() {
            self.condition = Condition::Poisoned;
            return Err(JournalError::io("append to", Path::new("memory"), io::Error::other("injected fault")));
        }
        Ok(last)
    }

    fn begin_snapshot(&mut self, fence: Fence, upto: Index) -> Result<StoreSnapshot, JournalError> {
        let contents = self.ready()?;
        check_fence(fence, contents.fence)?;
        check_snapshot(upto, contents.covered(), contents.last())?;
        let disk = self.disk.clone();
        Ok(Box::new(move |bytes| {
            check_snapshot_bytes(&bytes)?;
            disk.lock().snapshot = Some(Snapshot { upto, bytes });
            Ok(())
        }))
    }

    fn read(&mut self, from: Index, limit: usize) -> Result<Vec<(Index, Vec<u8>)>, JournalError> {
        let contents = self.ready()?;
        let mut page = Page::new(from, limit);
        let mut index = page.from();
        for entry in contents.after(Index(index.0.saturating_sub(1))) {
            if !page.offer(index, entry) {
                break;
            }
            index = index.next();
        }
        Ok(page.into_entries())
    }
}
