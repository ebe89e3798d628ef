//! The process tree of an actor, seen from its root: who is in it, and how it ends as a whole.
//!
//! The root is a child subreaper (`prctl(2)`), so a process whose parent ended becomes the root's own child: forking twice
//! or starting a session does not lead out of the tree, and once the root has no child left, nobody is left.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, wait,
};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Deepest tree that is walked; a deeper process is found one round later, when its ancestors are gone.
const DEPTH_MAX: usize = 4096;
/// How long one round of killing waits for the dead, in milliseconds, before it looks again for newborn processes.
const KILL_ROUND_MS: u64 = 20;

/// Wakes a poll when a signal arrives, and remembers which.
pub(crate) struct Signals {
    wake: UnixStream,
    terminate: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGCHLD, SIGTERM and SIGHUP of this process.
    pub(crate) fn catch() -> std::io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGTERM};
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signals =
            Self { wake, terminate: Arc::new(AtomicBool::new(false)), hang_up: Arc::new(AtomicBool::new(false)) };
        signal_hook::flag::register(SIGTERM, Arc::clone(&signals.terminate))?;
        signal_hook::flag::register(SIGHUP, Arc::clone(&signals.hang_up))?;
        for signal in [SIGCHLD, SIGTERM, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(signals)
    }

    /// Readable after a signal.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`Self::fd`] wait for the next signal. Call it before looking at what the signals mean, never after.
    pub(crate) fn drain(&self) {
        let mut sink = [0; 64];
        while matches!((&self.wake).read(&mut sink), Ok(count) if count > 0) {}
    }

    /// Which of SIGTERM and SIGHUP arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Signal> {
        let taken = |flag: &AtomicBool| flag.swap(false, Ordering::SeqCst);
        let mut arrived = Vec::new();
        if taken(&self.terminate) {
            arrived.push(Signal::TERM);
        }
        if taken(&self.hang_up) {
            arrived.push(Signal::HUP);
        }
        arrived
    }

    /// Waits for a signal, but no longer than this.
    fn pause(&self, longest: Duration) {
        let mut fds = [PollFd::new(&self.wake, PollFlags::IN)];
        // An interruption is as good as a timeout: the caller looks again either way.
        let _ = poll(&mut fds, timespec(longest).as_ref());
        self.drain();
    }
}

/// A duration as `poll(2)` wants it.
pub(crate) fn timespec(duration: Duration) -> Option<Timespec> {
    Timespec::try_from(duration).ok()
}

/// Makes this process the root of a tree: orphans below it become its children.
pub(crate) fn become_root() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Exit code of a status, as a shell gives it: 128 + signal if a signal ended the process.
fn exit_code(status: WaitStatus) -> Option<i32> {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Children {
    /// Some are alive.
    Left,
    /// There are none.
    None,
}

/// Collects every child that has ended, without waiting, and tells `ended` its pid and exit code.
pub(crate) fn reap(mut ended: impl FnMut(i32, i32)) -> Children {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if let Some(code) = exit_code(status) {
                    ended(pid.as_raw_nonzero().get(), code);
                }
            }
            Ok(None) => return Children::Left,
            Err(Errno::INTR) => {}
            Err(_) => return Children::None,
        }
    }
}

/// Kills and reaps until this process has no child left.
///
/// INVARIANT: as this process is the subreaper of its tree, "no child left" means that nobody of the tree is left.
pub(crate) fn end_all(signals: &Signals, mut ended: impl FnMut(i32, i32)) {
    let own = getpid().as_raw_nonzero().get();
    loop {
        for process in descendants(own) {
            process.signal(Signal::KILL);
        }
        if reap(&mut ended) == Children::None {
            return;
        }
        signals.pause(Duration::from_millis(KILL_ROUND_MS));
    }
}

/// A process, as `/proc/<pid>/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) session: i32,
    parent: i32,
    started: u64,
    dead: bool,
}

impl Process {
    fn of(pid: i32) -> Option<Self> {
        let text = std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        Self::parse(pid, &String::from_utf8_lossy(&text))
    }

    /// The name in parentheses may hold anything, spaces and parentheses too; what follows the last `)` is plain.
    fn parse(pid: i32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // SPEC: proc_pid_stat(5): field 3 is the state, 4 the parent, 6 the session, 22 the start time.
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            pid,
            dead: matches!(*field(3)?, "Z" | "X"),
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
        })
    }

    /// Whether it has ended and only waits to be collected by its parent.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Sends a signal to this process and no other: the pid is pinned first and then compared by start time.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(pinned) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if Self::of(self.pid).is_some_and(|now| now.started == self.started) {
            // It may have ended meanwhile, which is what was wanted.
            let _ = pidfd_send_signal(&pinned, signal);
        }
    }
}

/// Every process that can be seen.
pub(crate) fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// Every process below `root`, parents before their children.
pub(crate) fn descendants(root: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in processes() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut generation = vec![root];
    for _ in 0..DEPTH_MAX {
        let next: Vec<Process> = generation.iter().filter_map(|pid| children.remove(pid)).flatten().collect();
        if next.is_empty() {
            break;
        }
        generation = next.iter().map(|process| process.pid).collect();
        found.extend(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) R 1 (b) S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99887 1 1";
        assert_eq!(
            Process::parse(7, stat),
            Some(Process { pid: 7, parent: 41, session: 7, started: 99887, dead: false })
        );
    }

    #[test]
    fn a_stat_line_that_is_cut_off_is_no_process() {
        for stat in ["", "7", "7 (x", "7 (x) S 41 7 7", "7 (x) S a b c d e f g h i j k l m n o p q r s t"] {
            assert_eq!(Process::parse(7, stat), None, "{stat:?}");
        }
    }

    #[test]
    fn a_process_sees_itself_below_its_parent() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let parent = Process::of(own).expect("own stat").parent;
        assert!(descendants(parent).iter().any(|process| process.pid == own));
    }
}
