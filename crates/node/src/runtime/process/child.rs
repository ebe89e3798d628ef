//! The supervisor as a child of this process: started by it, or by the program that this process was before.

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// A child that can be waited for and killed.
pub(super) enum Supervised {
    Started(Child),
    Adopted { pid: Pid, pidfd: AsyncFd<OwnedFd> },
}

impl Supervised {
    /// A child that an earlier program of this process started. It stayed a child, because the process stayed the same.
    pub(super) fn adopt(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        #[expect(
            deprecated,
            reason = "unsound for types whose descriptor changes or closes; this one owns it for good"
        )]
        let pidfd = AsyncFd::new(pidfd_open(pid, PidfdFlags::empty())?)?;
        Ok(Self::Adopted { pid, pidfd })
    }

    /// Waits for its end, and reaps it.
    pub(super) async fn wait(&mut self) {
        match self {
            // It was reaped by somebody else, or is now.
            Self::Started(child) => drop(child.wait().await),
            Self::Adopted { pid, pidfd } => {
                // A pidfd becomes readable when its process ends (pidfd_open(2)).
                let _ = pidfd.readable().await.map(drop);
                let _ = waitpid(Some(*pid), WaitOptions::NOHANG);
            }
        }
    }

    /// SIGKILL.
    pub(super) fn start_kill(&mut self) {
        // It may have ended already, which is what is wanted.
        match self {
            Self::Started(child) => drop(child.start_kill()),
            Self::Adopted { pidfd, .. } => drop(pidfd_send_signal(pidfd.get_ref(), Signal::KILL)),
        }
    }
}
