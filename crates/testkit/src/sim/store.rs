//! What the simulated server records in: the real file journal on a simulated disk, or a journal in memory.

use super::Fault;
use super::disk::{Disk, Lie};
use super::random::Random;
use super::witness::{Seen, Witness};
use credence_journal::{
    Fault as AppendFault, FileJournal, FileOptions, Journal, JournalError, MemoryDisk, MemoryJournal, Verify,
};
use std::path::Path;
use std::sync::Arc;

const DIRECTORY: &str = "/journal";

#[derive(Debug)]
pub(super) enum Store {
    /// Its lock keeps others out.
    File { disk: Disk, options: FileOptions },
    /// Another server may take it over, as it may a database.
    Memory(MemoryDisk),
}

impl Store {
    pub(super) fn new(random: &mut Random, fault: Option<Fault>) -> Self {
        let lie = match fault {
            Some(Fault::AcknowledgesBeforeSync) => Some(Lie::SyncsNothing),
            Some(Fault::ForgetsLock) => Some(Lie::LocksNothing),
            Some(Fault::IgnoresFailedSync) => Some(Lie::HidesFailures),
            Some(Fault::CutsNothing) => Some(Lie::CutsNothing),
            _ => None,
        };
        if random.one_in(3) {
            return Self::Memory(MemoryDisk::new());
        }
        let verify = if random.one_in(3) { Verify::SinceSnapshot } else { Verify::Everything };
        let segment_bytes_max =
            [4 << 10, 32 << 10, 64 << 20].into_iter().nth(random.below(3) as usize).unwrap_or(4 << 10);
        let disk = Disk::new(Random::new(random.next()), lie);
        Self::File { disk, options: FileOptions { segment_bytes_max, verify } }
    }

    pub(super) fn open(&self, seen: &Seen, fault: Option<Fault>) -> Result<Box<dyn Journal>, JournalError> {
        let inner: Box<dyn Journal> = match self {
            Self::Memory(disk) => Box::new(MemoryJournal::open(disk)),
            Self::File { disk, options } => {
                Box::new(FileJournal::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), *options)?)
            }
        };
        Ok(Box::new(Witness { inner, seen: seen.clone(), fault }))
    }

    /// The next append fails, if it comes to that.
    pub(super) fn fail_append(&self, random: &mut Random) {
        match self {
            Self::File { disk, .. } => disk.fail_sync(),
            Self::Memory(disk) if random.one_in(2) => disk.inject(AppendFault::LoseAnswer),
            Self::Memory(disk) => disk.inject(AppendFault::RefuseAppend),
        }
    }

    /// The process dies in one of the next steps of the disk.
    pub(super) fn stop_after(&self, operations: u32, in_part: bool) {
        match self {
            Self::File { disk, .. } => disk.stop_after(operations, in_part),
            Self::Memory(disk) if operations == 0 => disk.inject(AppendFault::RefuseAppend),
            Self::Memory(disk) => disk.inject(AppendFault::LoseAnswer),
        }
    }

    /// Whether the process died in such a step; if not, it will not any more.
    pub(super) fn has_stopped(&self) -> bool {
        match self {
            Self::File { disk, .. } => disk.has_stopped(),
            Self::Memory(_) => false,
        }
    }

    pub(super) fn disk(&self) -> Option<&Disk> {
        match self {
            Self::File { disk, .. } => Some(disk),
            Self::Memory(_) => None,
        }
    }
}
