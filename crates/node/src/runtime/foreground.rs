//! Runs a program in the caller's own terminal as the one thing below this process: what `credence run` needs.
//!
//! The calling process becomes the root of the tree. The program inherits stdin, stdout, stderr, the process group and the
//! terminal, so Ctrl-C reaches it from the terminal itself; the caller only has to survive it. When the program has ended,
//! whatever it left behind is killed, so that nothing goes on under an identity that is about to end.

use crate::runtime::RuntimeError;
use crate::runtime::tree::{self, Signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long a program may take to end once its binding is over, in seconds.
pub const STOP_GRACE_SECS: u64 = 10;

/// Program, arguments and what to add to the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreground {
    /// Program and arguments; looked up in `PATH` if it has no `/`.
    pub command: Vec<OsString>,
    /// Variables to set; everything else is inherited from the caller.
    pub env: Vec<(String, String)>,
}

/// Runs the program to its end and returns its exit code, 128 + signal if a signal ended it. SIGINT and SIGQUIT are left to
/// the program, SIGTERM and SIGHUP of this process are passed on to it. `stop` resolves the other way round: when something
/// is written to it or its other end closes, the program gets SIGTERM, and SIGKILL [`STOP_GRACE_SECS`] later (use it when the
/// binding is over).
///
/// It blocks: call it from a thread of its own. The process must have no other children, because all are reaped here.
pub fn run(foreground: &Foreground, stop: &std::os::unix::net::UnixStream) -> Result<i32, RuntimeError> {
    let supervisor = |error: std::io::Error| RuntimeError::Supervisor(format!("could not be set up: {error}"));
    let (name, arguments) = foreground.command.split_first().ok_or(RuntimeError::NoCommand)?;
    tree::become_root().map_err(supervisor)?;
    let signals = Signals::catch().map_err(supervisor)?;
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        // A handler and not "ignore": the program starts with the default action again, as `execve(2)` says.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).map_err(supervisor)?;
    }
    let mut command = Command::new(name);
    command.args(arguments).envs(foreground.env.iter().cloned());
    let child = command.spawn().map_err(|error| RuntimeError::Program {
        program: name.to_string_lossy().into_owned(),
        reason: error.to_string(),
    })?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let code = attend(pid, &signals, stop);
    tree::end_all(&signals, |_, _| {});
    Ok(code)
}

fn attend(pid: i32, signals: &Signals, stop: &std::os::unix::net::UnixStream) -> i32 {
    let mut code = None;
    let mut asked: Option<Instant> = None;
    loop {
        tree::reap(|ended, with| {
            if ended == pid {
                code = Some(with);
            }
        });
        if let Some(code) = code {
            return code;
        }
        let wake = signals.fd();
        let mut fds = vec![PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        if asked.is_none() {
            fds.push(PollFd::new(stop, PollFlags::IN));
        }
        // An interruption is a signal, and that is looked at below.
        let left = asked.map(|at| Duration::from_secs(STOP_GRACE_SECS).saturating_sub(at.elapsed()));
        let _ = poll(&mut fds, left.and_then(tree::timespec).as_ref());
        let stop_now = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        signals.drain();
        let mut passed = signals.take();
        if stop_now {
            asked = Some(Instant::now());
            passed.push(Signal::TERM);
        } else if left.is_some_and(|left| left.is_zero()) {
            passed.push(Signal::KILL);
        }
        for signal in passed {
            if let Some(pid) = Pid::from_raw(pid) {
                // It is not reaped yet, so the pid is its own.
                let _ = kill_process(pid, signal);
            }
        }
    }
}
