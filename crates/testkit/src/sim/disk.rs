//! A disk that does what disks do, below the real file journal.
//!
//! What is written can be read at once and is durable after a sync, and before it when the system pleases: older writes are
//! written back in the background. When the power goes, each sector that was not synced has any of the contents it was given
//! since, a file has any length between the durable one and the last, and of the names made, moved or removed since the
//! last sync of the directory some are as before. When only the process dies, what it wrote stays. A sync that fails
//! leaves some of the writes behind for ever, although they can be read as long as the power lasts, and the next sync
//! does not speak of them.
//!
//! Not simulated: bytes that decay on the disk, which the damage suite of the journal does.

mod file;

use self::file::{Inode, Open};
use super::random::Random;
use credence_journal::{Files, OpenFile, OpenMode};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Linux `EIO`.
const EIO: i32 = 5;

/// What survives its server. Clones share the same disk.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<Contents>>);

/// A planted fault below the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// A sync returns at once.
    SyncsNothing,
    /// A sync that failed says that it did not.
    HidesFailures,
    /// A lock is given to everybody.
    LocksNothing,
    /// A file that is cut keeps its length.
    CutsNothing,
}

#[derive(Debug)]
struct Contents {
    random: Random,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the last sync of the directory, each whole.
    renamed: Vec<Vec<(PathBuf, Option<u64>)>>,
    next: u64,
    /// After so many more operations the process is no more; the last one is done in part.
    stop: Option<(u32, bool)>,
    stopped: bool,
    sync_fails: bool,
    read_fails: bool,
    cut_fails: bool,
    /// Who checks the journal reads what is there.
    is_checked: bool,
    is_full: bool,
    is_slow: bool,
    spent_ms: u64,
    lie: Option<Lie>,
    seen: BTreeMap<&'static str, u64>,
}

impl Disk {
    pub(super) fn new(random: Random, lie: Option<Lie>) -> Self {
        Self(Arc::new(Mutex::new(Contents {
            random,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: Vec::new(),
            next: 1,
            stop: None,
            stopped: false,
            sync_fails: false,
            read_fails: false,
            cut_fails: false,
            is_checked: false,
            is_full: false,
            is_slow: false,
            spent_ms: 0,
            lie,
            seen: BTreeMap::new(),
        })))
    }

    /// The process dies at the operation after `operations` others, which is done in part or not at all.
    pub(super) fn stop_after(&self, operations: u32, in_part: bool) {
        self.lock().stop = Some((operations, in_part));
    }

    /// Whether the process died; if not, it will not any more.
    pub(super) fn has_stopped(&self) -> bool {
        let mut contents = self.lock();
        contents.stop = None;
        contents.stopped
    }

    /// Another process begins: everything is as the last one left it.
    pub(super) fn revive(&self) {
        let mut contents = self.lock();
        (contents.stop, contents.stopped) = (None, false);
        contents.inodes.values_mut().for_each(|inode| inode.locked = false);
    }

    /// The power goes and comes back.
    pub(super) fn lose_power(&self) {
        self.revive();
        self.lock().lose_power();
    }

    /// Something that goes wrong with disks, or the end of it.
    pub(super) fn misfortune(&self) {
        let mut contents = self.lock();
        match contents.random.below(8) {
            0 | 1 => contents.sync_fails = true,
            2 | 3 => contents.read_fails = true,
            4 => contents.cut_fails = true,
            5 if contents.is_full => contents.is_full = false,
            5 if contents.random.one_in(2) => contents.is_full = true,
            _ => contents.is_slow = !contents.is_slow,
        }
    }

    /// Somebody may have made room.
    pub(super) fn make_room(&self) {
        let mut contents = self.lock();
        contents.is_full = contents.is_full && !contents.random.one_in(3);
    }

    /// The next sync fails.
    pub(super) fn fail_sync(&self) {
        self.lock().sync_fails = true;
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&self) {
        let mut contents = self.lock();
        (contents.sync_fails, contents.read_fails, contents.cut_fails) = (false, false, false);
        (contents.is_full, contents.is_slow, contents.stop) = (false, false, None);
    }

    /// Reads nothing wrong while somebody checks what is there.
    pub(super) fn checked<T>(&self, look: impl FnOnce() -> T) -> T {
        self.lock().is_checked = true;
        let seen = look();
        self.lock().is_checked = false;
        seen
    }

    /// How long its operations took since this was asked last, in milliseconds.
    pub(super) fn take_spent_ms(&self) -> u64 {
        std::mem::take(&mut self.lock().spent_ms)
    }

    /// What went wrong since this was asked last.
    pub(super) fn take_seen(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.lock().seen)
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation; `None` in place of the contents when the process dies in the middle of it.
    fn operation<T>(&self, act: impl FnOnce(&mut Contents, Whole) -> io::Result<T>) -> io::Result<T> {
        let mut contents = self.lock();
        if contents.stopped {
            return Err(io::Error::other("the process is no more"));
        }
        match contents.stop {
            None => return act(&mut contents, Whole::Yes),
            Some((0, in_part)) => {
                contents.stopped = true;
                if in_part {
                    let _ = act(&mut contents, Whole::InPart);
                }
            }
            Some((left, in_part)) => {
                contents.stop = Some((left - 1, in_part));
                return act(&mut contents, Whole::Yes);
            }
        }
        Err(io::Error::other("the process died"))
    }
}

/// Whether an operation is done as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    InPart,
}

impl Contents {
    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn fail_read(&mut self, what: &'static str) -> io::Result<()> {
        if self.is_checked || !std::mem::take(&mut self.read_fails) {
            return Ok(());
        }
        self.see(what);
        Err(io::Error::from_raw_os_error(EIO))
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<u64> {
        match (self.find(path), mode) {
            (Ok(inode), OpenMode::Replace) => {
                self.inodes.entry(inode).and_modify(|inode| inode.cut(0));
                Ok(inode)
            }
            (Err(_), OpenMode::Replace | OpenMode::WriteOrCreate) if self.is_full => {
                self.see("disk full");
                Err(io::ErrorKind::StorageFull.into())
            }
            (Err(_), OpenMode::Replace | OpenMode::WriteOrCreate) => {
                let inode = self.next;
                self.next += 1;
                self.inodes.insert(inode, Inode::default());
                self.change(vec![(path.to_owned(), Some(inode))]);
                Ok(inode)
            }
            (found, _) => found,
        }
    }

    /// Changes names in one step.
    fn change(&mut self, names: Vec<(PathBuf, Option<u64>)>) {
        apply(&mut self.names, &names);
        self.renamed.push(names);
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        if self.lie == Some(Lie::SyncsNothing) {
            return Ok(());
        }
        if std::mem::take(&mut self.sync_fails) {
            self.see("sync of a directory failed");
            return if self.lie == Some(Lie::HidesFailures) { Ok(()) } else { Err(io::Error::from_raw_os_error(EIO)) };
        }
        let renamed = std::mem::take(&mut self.renamed);
        renamed.iter().for_each(|names| apply(&mut self.durable_names, names));
        Ok(())
    }

    fn lose_power(&mut self) {
        for names in std::mem::take(&mut self.renamed) {
            if self.random.one_in(2) {
                apply(&mut self.durable_names, &names);
            } else {
                self.see("name lost that was not synced");
            }
        }
        self.names = self.durable_names.clone();
        let named: Vec<u64> = self.names.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
        let mut losses = Vec::new();
        for inode in self.inodes.values_mut() {
            losses.extend(inode.lose_power(&mut self.random));
        }
        losses.into_iter().for_each(|loss| self.see(loss));
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &[(PathBuf, Option<u64>)]) {
    for (path, inode) in change {
        match inode {
            Some(inode) => names.insert(path.clone(), *inode),
            None => names.remove(path),
        };
    }
}

impl Files for Disk {
    fn is_dir(&self, _: &Path) -> bool {
        true
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.operation(|contents, _| contents.sync_dir())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let contents = self.lock();
        let inside = contents.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn OpenFile>> {
        let inode = self.operation(|contents, _| contents.open(path, mode))?;
        Ok(Box::new(Open::new(self.clone(), inode)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut contents = self.lock();
        contents.fail_read("read of a file failed")?;
        let inode = contents.find(path)?;
        contents.inodes.get(&inode).map(|inode| inode.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation(|contents, _| {
            let inode = contents.find(from)?;
            contents.change(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operation(|contents, _| {
            contents.find(path)?;
            contents.change(vec![(path.to_owned(), None)]);
            Ok(())
        })
    }
}
