//! A file of the simulated disk: what can be read, what is durable, and the writes between the two.

use super::super::random::Random;
use super::{Contents, Disk, EIO, Lie, Whole};
use credence_journal::OpenFile;
use std::fs::TryLockError;
use std::io;

/// What a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;
/// Writes that are not synced, at most: then the system writes the oldest back.
const PENDING_MAX: usize = 12;

#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    pub(super) locked: bool,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => write(bytes, *offset, written),
            Self::Cut(length) => bytes.resize(*length, 0),
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(written);
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.pending.push(change);
        if self.pending.len() > PENDING_MAX {
            self.pending.remove(0).apply(&mut self.durable);
        }
    }

    pub(super) fn cut(&mut self, length: usize) {
        self.change(Change::Cut(length));
    }

    fn sync(&mut self) {
        self.pending.drain(..).for_each(|change| change.apply(&mut self.durable));
    }

    /// The system gives up some of the writes. That a file was cut is not given up: the file system keeps such things in
    /// a journal of its own.
    fn fail_sync(&mut self, random: &mut Random) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write(offset, bytes) => persist_some(&mut self.durable, offset, &bytes, random),
                Change::Cut(_) => change.apply(&mut self.durable),
            }
        }
    }

    /// What was lost, in a word each.
    pub(super) fn lose_power(&mut self, random: &mut Random) -> Vec<&'static str> {
        let mut losses = Vec::new();
        let mode = random.below(3);
        let durable_length = self.durable.len();
        let unsynced = !self.pending.is_empty();
        for change in self.pending.drain(..) {
            match (mode, &change) {
                (0, _) => change.apply(&mut self.durable),
                (1, _) => {}
                (_, Change::Cut(_)) if random.one_in(2) => change.apply(&mut self.durable),
                (_, Change::Cut(_)) => {}
                (_, Change::Write(offset, bytes)) => persist_some(&mut self.durable, *offset, bytes, random),
            }
        }
        if mode == 2 && self.durable.len() > durable_length && random.one_in(2) {
            let length = random.between(durable_length as u64, self.durable.len() as u64);
            self.durable.truncate(usize::try_from(length).unwrap_or(durable_length));
        }
        if unsynced && self.durable != self.bytes {
            losses.push(if mode == 2 { "torn write" } else { "write lost that was not synced" });
        }
        if !unsynced && self.durable != self.bytes {
            losses.push("write lost that a failed sync left behind");
        }
        self.bytes.clone_from(&self.durable);
        losses
    }
}

/// Brings some sectors of a write to the disk. The order of writes to the same sector is kept.
fn persist_some(durable: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut Random) {
    let mut from = 0;
    while from < bytes.len() {
        let sector = (offset + from) / SECTOR_BYTES;
        let to = ((sector + 1) * SECTOR_BYTES - offset).min(bytes.len());
        if random.one_in(2)
            && let Some(part) = bytes.get(from..to)
        {
            write(durable, offset + from, part);
        }
        from = to;
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Open {
    disk: Disk,
    inode: u64,
    holds_lock: std::sync::atomic::AtomicBool,
}

impl Open {
    pub(super) fn new(disk: Disk, inode: u64) -> Self {
        Self { disk, inode, holds_lock: false.into() }
    }

    fn operation<T>(&self, act: impl FnOnce(&mut Contents, &mut Inode, Whole) -> io::Result<T>) -> io::Result<T> {
        self.disk.operation(|contents, whole| {
            // A removed file lives on as long as it is open.
            let mut inode = contents.inodes.remove(&self.inode).unwrap_or_default();
            let done = act(contents, &mut inode, whole);
            contents.inodes.insert(self.inode, inode);
            done
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operation(|contents, inode, whole| {
            if contents.is_slow {
                contents.spent_ms += contents.random.between(10, 3_000);
                contents.see("slow sync");
            }
            if contents.lie == Some(Lie::SyncsNothing) {
                return Ok(());
            }
            if whole == Whole::InPart {
                return Ok(());
            }
            if !std::mem::take(&mut contents.sync_fails) {
                inode.sync();
                return Ok(());
            }
            contents.see("sync failed");
            inode.fail_sync(&mut contents.random);
            if contents.lie == Some(Lie::HidesFailures) { Ok(()) } else { Err(io::Error::from_raw_os_error(EIO)) }
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if *self.holds_lock.get_mut()
            && let Some(inode) = self.disk.lock().inodes.get_mut(&self.inode)
        {
            inode.locked = false;
        }
    }
}

impl OpenFile for Open {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().inodes.get(&self.inode).map_or(0, |inode| inode.bytes.len() as u64))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut contents = self.disk.lock();
        contents.fail_read("read of a part failed")?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = contents.inodes.get(&self.inode).and_then(|inode| inode.bytes.get(from..)).unwrap_or_default();
        let read = rest.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.operation(|contents, inode, whole| {
            let offset = usize::try_from(offset).map_err(io::Error::other)?;
            let no_room = contents.is_full && offset + bytes.len() > inode.bytes.len();
            if whole == Whole::Yes && !no_room {
                inode.change(Change::Write(offset, bytes.to_vec()));
                return Ok(());
            }
            let length = usize::try_from(contents.random.below(bytes.len() as u64 + 1)).unwrap_or_default();
            inode.change(Change::Write(offset, bytes.get(..length).unwrap_or_default().to_vec()));
            contents.see(if no_room { "disk full" } else { "write cut short by a crash" });
            Err(io::ErrorKind::StorageFull.into())
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.operation(|contents, inode, _| {
            if std::mem::take(&mut contents.cut_fails) {
                contents.see("change of a length failed");
                return Err(io::Error::from_raw_os_error(EIO));
            }
            if contents.lie != Some(Lie::CutsNothing) {
                inode.cut(usize::try_from(length).map_err(io::Error::other)?);
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        let mut contents = self.disk.lock();
        let lies = contents.lie == Some(Lie::LocksNothing);
        match contents.inodes.get_mut(&self.inode) {
            Some(inode) if inode.locked && !lies => Err(TryLockError::WouldBlock),
            Some(inode) => {
                inode.locked = true;
                self.holds_lock.store(true, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
            None => Err(TryLockError::Error(io::ErrorKind::NotFound.into())),
        }
    }
}
