//! The last mark of the control plane: how far it was when it said something.
//!
//! It is shown whenever a stream opens, so that a control plane that went back finds out. It is opaque here and no secret.
//! It lies in the data directory, because a node that restarts has still seen what it saw; a write that a loss of
//! power undoes costs nothing but some certainty.

use credence_wire::node::Mark;
use prost::Message as _;
use std::fs;
use std::io;
use std::path::PathBuf;

const FILE: &str = "mark";
/// Largest file that is read, in bytes.
const BYTES_MAX: u64 = 1024;

/// The last mark, in memory and on disk.
#[derive(Debug)]
pub struct Marks {
    path: PathBuf,
    last: Option<Mark>,
}

impl Marks {
    /// Reads what an earlier run left; a file that is no mark is as good as none.
    pub fn open(data_dir: &std::path::Path) -> Self {
        let path = data_dir.join(FILE);
        let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= BYTES_MAX);
        let bytes = if is_small { fs::read(&path).ok() } else { None };
        Self { path, last: bytes.and_then(|bytes| Mark::decode(bytes.as_slice()).ok()) }
    }

    /// The last mark, if there was one.
    pub fn last(&self) -> Option<&Mark> {
        self.last.as_ref()
    }

    /// Keeps what came with a binding; the next heartbeat is soon and writes it down.
    pub(crate) fn take(&mut self, mark: Option<Mark>) {
        self.last = mark.or(self.last.take());
    }

    /// Keeps it on disk, too.
    pub fn keep(&mut self, mark: Option<Mark>) {
        let Some(mark) = mark else { return };
        let aside = self.path.with_extension("new");
        let written = fs::write(&aside, mark.encode_to_vec()).and_then(|()| fs::rename(&aside, &self.path));
        if let Err(error) = written.map_err(|error: io::Error| error.kind()) {
            tracing::debug!(%error, "what the control plane said last is not written down");
        }
        self.last = Some(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, Marks};
    use credence_wire::node::Mark;

    #[test]
    fn the_last_mark_outlives_the_process_and_rubbish_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let mark = |index| Mark { index, ..Mark::default() };
        let mut marks = Marks::open(dir.path());
        assert_eq!(marks.last(), None);
        marks.keep(Some(mark(4)));
        marks.keep(None);
        marks.take(Some(mark(3)));
        assert_eq!(marks.last(), Some(&mark(3)), "the newest word counts, not the highest");
        assert_eq!(Marks::open(dir.path()).last(), Some(&mark(4)));
        for rubbish in [vec![0xFF; 20], vec![0; 4096]] {
            std::fs::write(dir.path().join(FILE), rubbish).expect("written");
            assert_eq!(Marks::open(dir.path()).last(), None);
        }
    }
}
