//! Commands that run beside the program, in its tree, for whoever looks into an actor.

use crate::runtime::control::{ExecOutcome, Notice};
use crate::runtime::{EXEC_OUTPUT_BYTES_MAX, EXECS_MAX, ExecOutput};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Most bytes that are taken from one pipe in one turn, so that a chatty command does not starve the others.
const TURN_BYTES_MAX: usize = 1024 * 1024;

/// The commands that run now.
#[derive(Default)]
pub(super) struct Execs(Vec<Exec>);

struct Exec {
    id: u64,
    pid: i32,
    code: Option<i32>,
    stdout: Output,
    stderr: Output,
    kill_at: Instant,
}

/// One stream of a command: what it said, and the pipe while it is open.
struct Output {
    pipe: Option<Box<dyn Pipe>>,
    kept: Vec<u8>,
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

impl Execs {
    /// Starts a command that is killed at `kill_at`, or says why not.
    pub(super) fn start(&mut self, id: u64, mut command: Command, kill_at: Instant) -> Result<(), ExecOutcome> {
        if self.0.len() >= EXECS_MAX {
            return Err(ExecOutcome::Busy);
        }
        let failed = |error: std::io::Error| ExecOutcome::Failed { reason: error.to_string() };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let stdout = Output::of(child.stdout.take()).map_err(failed)?;
        let stderr = Output::of(child.stderr.take()).map_err(failed)?;
        // The handle is let go: the supervisor reaps all its children itself.
        let pid = i32::try_from(child.id()).unwrap_or_default();
        self.0.push(Exec { id, pid, code: None, stdout, stderr, kill_at });
        Ok(())
    }

    /// Notes that a process has ended, if it is one of these.
    pub(super) fn ended(&mut self, pid: i32, code: i32) {
        if let Some(exec) = self.0.iter_mut().find(|exec| exec.pid == pid && exec.code.is_none()) {
            exec.code = Some(code);
        }
    }

    /// Reads what there is, kills what is late, and says what is over.
    pub(super) fn turn(&mut self, now: Instant) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.0.retain_mut(|exec| {
            exec.stdout.read();
            exec.stderr.read();
            let Some(outcome) = exec.outcome(now) else { return true };
            notices.push(Notice::Executed { id: exec.id, outcome });
            false
        });
        notices
    }

    /// The pipes to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0
            .iter()
            .flat_map(|exec| [&exec.stdout, &exec.stderr])
            .filter_map(|output| output.pipe.as_ref().map(|pipe| pipe.as_fd()))
    }

    /// When the next command has had its time.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().map(|exec| exec.kill_at).min()
    }
}

impl Exec {
    fn outcome(&mut self, now: Instant) -> Option<ExecOutcome> {
        if let Some(exit_code) = self.code {
            // A process that it left behind may hold the pipes; what was said until now is what there is.
            let (stdout, stderr) = (std::mem::take(&mut self.stdout.kept), std::mem::take(&mut self.stderr.kept));
            return Some(ExecOutcome::Done(ExecOutput { exit_code, stdout, stderr }));
        }
        if self.kill_at > now {
            return None;
        }
        // Not reaped yet, so the pid is still its own.
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        Some(ExecOutcome::TimedOut)
    }
}

impl Output {
    fn of(pipe: Option<impl Pipe + 'static>) -> std::io::Result<Self> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { pipe: pipe.map(|pipe| Box::new(pipe) as Box<dyn Pipe>), kept: Vec::new() })
    }

    fn read(&mut self) {
        let mut bytes = vec![0; 16 * 1024];
        let mut taken = 0;
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut bytes) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let room = EXEC_OUTPUT_BYTES_MAX.saturating_sub(self.kept.len());
                    self.kept.extend(bytes.iter().take(count.min(room)));
                    taken += count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
            if taken > TURN_BYTES_MAX {
                return;
            }
        }
    }
}
