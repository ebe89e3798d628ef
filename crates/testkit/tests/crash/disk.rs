//! The server's disk, which can be full and read-only: a small tmpfs.

use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

const SIZE: &str = "size=48m";
const BALLAST: &str = "ballast";

/// Mounted for as long as it lives.
pub(super) struct Disk {
    at: PathBuf,
    /// Its root, whatever is mounted over it.
    root: OwnedFd,
}

/// A read-only mount over the disk, for as long as it lives: files that are open stay as they are, whatever is opened by
/// its path finds a read-only file system.
pub(super) struct Cover<'d> {
    disk: &'d Disk,
}

impl Disk {
    pub(super) fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).expect("a directory");
        mount(&["-t", "tmpfs", "-o", SIZE, "tmpfs"], at);
        let root = File::open(at).expect("a directory").into();
        Self { at: at.to_owned(), root }
    }

    /// Nobody may have a file open for writing.
    pub(super) fn set_read_only(&self, is_read_only: bool) {
        mount(&["-o", if is_read_only { "remount,ro" } else { "remount,rw" }], &self.at);
    }

    /// Takes all room. Cutting the file gives it back.
    pub(super) fn fill(&self) -> File {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut ballast = File::from(openat(&self.root, BALLAST, flags, Mode::RUSR).expect("a file"));
        for bytes in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![0; bytes]).is_ok() {}
        }
        ballast
    }

    /// A remount is refused while files are open for writing, so another, read-only mount is put over it.
    pub(super) fn cover(&self) -> Cover<'_> {
        mount(&["--bind", &self.at.to_string_lossy()], &self.at);
        let cover = Cover { disk: self };
        mount(&["-o", "remount,bind,ro"], &self.at);
        cover
    }

    /// Copies what is on it to where it stays.
    pub(super) fn keep(&self) {
        let kept = self.at.with_extension("kept");
        let _ = Command::new("cp").arg("-a").args([&self.at, &kept]).status();
    }
}

impl Drop for Cover<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.disk.at).status();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node may still look at it.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn mount(options: &[&str], on: &Path) {
    let status = Command::new("mount").args(options).arg(on).status().expect("mount runs");
    assert!(status.success(), "mount {options:?} {} failed; leave mounts out, or be root", on.display());
}
