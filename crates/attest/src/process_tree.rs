//! Process trees on Linux: evidence that the process at the other end of a Unix socket belongs to an actor.
//!
//! A tree is named by its root: a process id and the moment that process started, because ids are used again. A peer
//! belongs to it if the root is among its ancestors, or, where the root leads a session of its own, if it is in that session
//! (a process can leave a session but never enter one, so an orphan that was adopted by a reaper still counts).
//!
//! Why the answer can be trusted although `/proc` is read without any lock:
//! - the peer's pidfd names the process that connected; it must still be alive after the walk, so its id was not reused;
//! - the chain of parents is read twice and must be the same: a parent that still is one at the second reading was alive
//!   at the first, so the entry read in between was its own;
//! - the root is compared by id and start time, and must still be there.
//!
//! Every doubt is an error or a no, never a yes. What it does not prove: that the peer still holds the connection; a process
//! may pass its socket to another, and then speaks for it.

use credence_model::refusal::Kind;
use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{PeerCredentials, PeerPidfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use thiserror::Error;

/// Most generations between a peer and its root.
pub const GENERATIONS_MAX: usize = 64;
/// How often a chain that changes while it is read is read again.
const ATTEMPTS_MAX: usize = 3;

/// Why nothing can be said about a process.
#[derive(Debug, Error)]
pub enum ProcessTreeError {
    /// The socket does not tell who is at its other end.
    #[error("process tree: the socket does not tell who its peer is")]
    NoPeer(#[source] io::Error),
    /// The peer is in a pid namespace that cannot be seen from here.
    #[error("process tree: the peer is outside of this pid namespace")]
    OutsideNamespace,
    /// There is no such process.
    #[error("process tree: there is no process {0}")]
    NoProcess(u32),
    /// `/proc` cannot be read.
    #[error("process tree: /proc/{pid}/stat cannot be read")]
    Unreadable {
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// `/proc/<pid>/stat` does not look as it should.
    #[error("process tree: /proc/{0}/stat does not look like proc(5) says")]
    Unexpected(u32),
    /// More than [`GENERATIONS_MAX`] generations.
    #[error("process tree: process {0} has more than {GENERATIONS_MAX} ancestors")]
    TooDeep(u32),
    /// The chain changed each time it was read.
    #[error("process tree: the ancestors of process {0} changed while they were read; try again")]
    Unstable(u32),
    /// The peer's pidfd cannot be asked.
    #[error("process tree: the peer's pidfd cannot be polled")]
    Poll(#[source] io::Error),
}

impl ProcessTreeError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoProcess(_) => Kind::NotFound,
            Self::Unstable(_) => Kind::Unavailable,
            Self::TooDeep(_) => Kind::Limited,
            Self::NoPeer(_) | Self::OutsideNamespace => Kind::Unauthenticated,
            Self::Unreadable { .. } | Self::Unexpected(_) | Self::Poll(_) => Kind::Bug,
        }
    }
}

/// The process at the other end of a Unix socket, as it was when it connected.
#[derive(Debug)]
pub struct Peer {
    /// Its process id.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    pidfd: OwnedFd,
}

impl Peer {
    /// Whether the process has not ended.
    pub fn is_alive(&self) -> Result<bool, ProcessTreeError> {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        // A pidfd becomes readable when its process ends (pidfd_open(2)).
        let ready = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        ready.map(|ready| ready == 0).map_err(|error| ProcessTreeError::Poll(error.into()))
    }
}

/// Who is at the other end of a connected Unix stream. Ask right after accepting.
///
/// The pidfd comes from the kernel with the socket (`SO_PEERPIDFD`, Linux 6.5); on an older kernel it is opened by id,
/// which leaves the moment since the connection in which a peer could end and its id be used again.
pub fn peer_of<Fd: AsFd>(stream: &Fd) -> Result<Peer, ProcessTreeError> {
    let credentials = getsockopt(stream, PeerCredentials).map_err(|error| ProcessTreeError::NoPeer(error.into()))?;
    // A peer that has no id in this namespace is reported as process 0.
    let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
    let pid = pid.ok_or(ProcessTreeError::OutsideNamespace)?;
    let pidfd = match getsockopt(stream, PeerPidfd) {
        Ok(pidfd) => pidfd,
        Err(Errno::ENOPROTOOPT | Errno::EINVAL) => open_pidfd(pid)?,
        Err(Errno::ESRCH) => return Err(ProcessTreeError::NoProcess(pid)),
        Err(error) => return Err(ProcessTreeError::NoPeer(error.into())),
    };
    Ok(Peer { pid, uid: credentials.uid(), gid: credentials.gid(), pidfd })
}

fn open_pidfd(pid: u32) -> Result<OwnedFd, ProcessTreeError> {
    let gone = ProcessTreeError::NoProcess(pid);
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Err(gone) };
    pidfd_open(number, PidfdFlags::empty()).map_err(|_| gone)
}

/// The root of a process tree: one process, told apart from every other that ever had or will have its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TreeRoot {
    pid: u32,
    /// Clock ticks since boot.
    start_ticks: u64,
    /// Whether it led a session of its own when it was captured.
    leads_session: bool,
}

impl TreeRoot {
    /// Captures the process that has this id now. The caller must know that it has not ended: its own child that was not
    /// waited for, or a peer that is alive afterwards.
    pub fn of(pid: u32) -> Result<Self, ProcessTreeError> {
        let stat = Stat::read(pid)?;
        Ok(Self { pid, start_ticks: stat.start_ticks, leads_session: stat.session == pid })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether `peer` belongs to the tree, now.
    pub fn contains(&self, peer: &Peer) -> Result<bool, ProcessTreeError> {
        let belongs = self.holds(peer.pid)?;
        // Last, because only now is it certain that all that was read about the id was about this peer.
        Ok(belongs && peer.is_alive()?)
    }

    fn holds(&self, pid: u32) -> Result<bool, ProcessTreeError> {
        match Stat::read(self.pid) {
            Ok(root) if root.start_ticks == self.start_ticks => {}
            Ok(_) | Err(ProcessTreeError::NoProcess(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        for _ in 0..ATTEMPTS_MAX {
            let first = match self.chain(pid) {
                Err(ProcessTreeError::NoProcess(gone)) if gone == pid => return Ok(false),
                Err(ProcessTreeError::NoProcess(_)) => continue,
                other => other?,
            };
            if matches!(self.chain(pid), Ok(second) if second == first) {
                return Ok(self.ends(&first));
            }
        }
        Err(ProcessTreeError::Unstable(pid))
    }

    /// The peer and its ancestors, up to the root of the tree or of the system.
    fn chain(&self, pid: u32) -> Result<Vec<Stat>, ProcessTreeError> {
        let mut chain = vec![Stat::read(pid)?];
        while let Some(last) = chain.last().filter(|last| last.pid != self.pid && last.parent != 0) {
            if chain.len() > GENERATIONS_MAX {
                return Err(ProcessTreeError::TooDeep(pid));
            }
            let parent = Stat::read(last.parent)?;
            chain.push(parent);
        }
        Ok(chain)
    }

    fn ends(&self, chain: &[Stat]) -> bool {
        let is_root = |stat: &Stat| stat.pid == self.pid && stat.start_ticks == self.start_ticks;
        let in_session = |stat: &Stat| self.leads_session && stat.session == self.pid;
        chain.last().is_some_and(is_root) || chain.first().is_some_and(in_session)
    }
}

/// The fields of `/proc/<pid>/stat` (proc(5)) that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: u32,
    /// Its parent; 0 for the first process.
    pub parent: u32,
    /// Its session.
    pub session: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Result<Self, ProcessTreeError> {
        let text = fs::read(format!("/proc/{pid}/stat")).map_err(|source| {
            let gone = source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(ESRCH);
            if gone { ProcessTreeError::NoProcess(pid) } else { ProcessTreeError::Unreadable { pid, source } }
        })?;
        Self::parse(pid, &text).ok_or(ProcessTreeError::Unexpected(pid))
    }

    /// Reads the text of a process's file; `None` if it does not look as proc(5) says.
    ///
    /// The second field is the command in parentheses and may itself hold spaces, parentheses and any bytes, so counting
    /// starts behind the last parenthesis, with field 3.
    pub fn parse(pid: u32, text: &[u8]) -> Option<Self> {
        let behind = text.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<_> = std::str::from_utf8(text.get(behind..)?).ok()?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            pid,
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            start_ticks: field(22)?.parse().ok()?,
        })
    }
}

/// "No such process": what reading a `/proc` file says when its process ends meanwhile.
const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();

#[cfg(test)]
mod tests;
