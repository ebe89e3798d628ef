//! State archives on disk: what an actor's working directory held when it was suspended.
//!
//! An archive is named by its SHA-256 and stands in a directory of its actor, so one actor can never be given another's
//! state by naming its digest. It is written aside, synced and renamed; a reader sees the whole archive or none.
//!
//! It deliberately knows nothing of what is inside: the node packs and unpacks.

use crate::limits::ARCHIVE_BYTES;
use credence_model::id::{ActorRef, Digest};
use credence_model::refusal::{Kind, Refusal};
use sha2::Digest as _;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;

/// Begins the name of a file that is still being written.
const ASIDE_PREFIX: &str = ".incoming-";

/// The archives of all actors.
#[derive(Debug)]
pub(crate) struct Archives {
    dir: PathBuf,
    next_aside: AtomicU64,
    bytes_max: u64,
}

/// An archive that is being written. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: File,
    aside: Aside,
    to: PathBuf,
    digest: sha2::Sha256,
    bytes: u64,
    bytes_max: u64,
}

/// Why an archive could not be stored or read.
#[derive(Debug, Error)]
pub(crate) enum ArchiveError {
    /// It is larger than so many bytes.
    #[error("the state archive is larger than {0} bytes; keep less in the actor's working directory")]
    TooLarge(u64),
    /// There is none of this digest for this actor.
    #[error("there is no such state archive of this actor")]
    Missing,
    /// The disk refused.
    #[error("the state archive could not be {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        let kind = match &error {
            ArchiveError::TooLarge(_) => Kind::Limited,
            ArchiveError::Missing => Kind::NotFound,
            ArchiveError::Disk { doing, source } => {
                tracing::error!(%source, "a state archive could not be {doing}");
                Kind::Unavailable
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl Archives {
    /// Opens the directory, makes it if it is missing, and removes what a crash left half written. An archive has at most
    /// `bytes_max`.
    pub(crate) fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // What actors wrote is nobody else's, whatever the directory above allows.
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(ASIDE_PREFIX) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { dir: dir.to_owned(), next_aside: AtomicU64::new(0), bytes_max })
    }

    /// Begins to write an archive of this actor.
    pub(crate) async fn begin(&self, actor: &ActorRef) -> Result<Incoming, ArchiveError> {
        let to = self.dir_of(actor);
        fs::create_dir_all(&to).await.map_err(|source| disk("written", source))?;
        let number = self.next_aside.fetch_add(1, Ordering::Relaxed);
        let aside = Aside(self.dir.join(format!("{ASIDE_PREFIX}{number}")));
        let file = File::create(&aside.0).await.map_err(|source| disk("written", source))?;
        Ok(Incoming { file, aside, to, digest: sha2::Sha256::new(), bytes: 0, bytes_max: self.bytes_max })
    }

    /// Whether this actor has this archive.
    pub(crate) async fn has(&self, actor: &ActorRef, digest: Digest) -> bool {
        fs::try_exists(self.path(actor, digest)).await.unwrap_or(false)
    }

    /// Opens an archive of this actor.
    pub(crate) async fn read(&self, actor: &ActorRef, digest: Digest) -> Result<File, ArchiveError> {
        File::open(self.path(actor, digest)).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ArchiveError::Missing,
            _ => disk("read", source),
        })
    }

    /// Removes every archive of this actor but one.
    pub(crate) async fn keep_only(&self, actor: &ActorRef, digest: Digest) -> Result<(), ArchiveError> {
        let remove = |source| disk("removed", source);
        let keep = self.path(actor, digest);
        let mut entries = fs::read_dir(self.dir_of(actor)).await.map_err(remove)?;
        while let Some(entry) = entries.next_entry().await.map_err(remove)? {
            if entry.path() != keep {
                fs::remove_file(entry.path()).await.map_err(remove)?;
            }
        }
        Ok(())
    }

    /// Removes every archive of this actor.
    pub(crate) async fn forget(&self, actor: &ActorRef) -> Result<(), ArchiveError> {
        match fs::remove_dir_all(self.dir_of(actor)).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(disk("removed", source)),
            _ => Ok(()),
        }
    }

    /// Names are DNS labels, so they stay inside the directory.
    fn dir_of(&self, actor: &ActorRef) -> PathBuf {
        self.dir.join(actor.namespace.as_str()).join(actor.actor.as_str())
    }

    fn path(&self, actor: &ActorRef, digest: Digest) -> PathBuf {
        self.dir_of(actor).join(digest.hex())
    }
}

impl Incoming {
    /// Writes the next part.
    pub(crate) async fn write(&mut self, part: &[u8]) -> Result<(), ArchiveError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if self.bytes > self.bytes_max {
            ARCHIVE_BYTES.hit();
            return Err(ArchiveError::TooLarge(self.bytes_max));
        }
        self.digest.update(part);
        self.file.write_all(part).await.map_err(|source| disk("written", source))
    }

    /// Makes it durable and gives it its name. When this returns, the archive survives a crash.
    pub(crate) async fn finish(mut self) -> Result<Digest, ArchiveError> {
        let write = |source| disk("written", source);
        self.file.flush().await.map_err(write)?;
        self.file.sync_all().await.map_err(write)?;
        let digest = Digest(self.digest.finalize().into());
        fs::rename(&self.aside.0, self.to.join(digest.hex())).await.map_err(write)?;
        // A new directory is durable only once the one that holds it is synced, too.
        for dir in self.to.ancestors().take(3) {
            File::open(dir).await.map_err(write)?.sync_all().await.map_err(write)?;
        }
        Ok(digest)
    }
}

fn disk(doing: &'static str, source: io::Error) -> ArchiveError {
    ArchiveError::Disk { doing, source }
}

/// A file that is gone when it is dropped, unless it was renamed before.
#[derive(Debug)]
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // It is not there any more if it was renamed; anything else is swept up at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{ArchiveError, Archives};
    use credence_model::id::{ActorRef, Digest};
    use tokio::io::AsyncReadExt as _;

    fn actor(text: &str) -> ActorRef {
        text.parse().expect("an actor")
    }

    #[tokio::test]
    async fn an_archive_is_read_back_by_its_own_actor_and_by_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let archives = Archives::open(dir.path(), 1024).expect("opened");
        let mut incoming = archives.begin(&actor("a/one")).await.expect("begun");
        for part in [&b"hel"[..], b"lo"] {
            incoming.write(part).await.expect("written");
        }
        let digest = incoming.finish().await.expect("finished");
        assert_eq!(digest, Digest::of(b"hello"));
        let mut read = Vec::new();
        archives.read(&actor("a/one"), digest).await.expect("there").read_to_end(&mut read).await.expect("read");
        assert_eq!(read, b"hello");
        assert!(matches!(archives.read(&actor("a/two"), digest).await, Err(ArchiveError::Missing)));
        archives.keep_only(&actor("a/one"), Digest::of(b"newer")).await.expect("removed");
        assert!(!archives.has(&actor("a/one"), digest).await);
    }

    #[tokio::test]
    async fn an_archive_that_was_not_finished_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let archives = Archives::open(dir.path(), 1024).expect("opened");
        let mut incoming = archives.begin(&actor("a/one")).await.expect("begun");
        incoming.write(b"half").await.expect("written");
        drop(incoming);
        std::fs::write(dir.path().join(".incoming-7"), "left by a crash").expect("written");
        Archives::open(dir.path(), 1024).expect("opened again");
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["a"], "only the actor's own, empty directory is left");
    }
}
