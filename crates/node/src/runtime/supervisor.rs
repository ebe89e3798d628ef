//! The supervisor: the root of an actor's process tree (`credence actor-init`).
//!
//! It leads a session of its own, adopts every orphan below it, waits for the node's word before it starts the program, and
//! ends only after everything below it has ended. When the node's socket closes, because the node stopped or was killed, it
//! kills the whole tree: no program outlives the node that vouches for it.
//!
//! It has one thread and no secrets. Its stdin is the control socket, its stdout and stderr are the program's. It holds no
//! state that matters; the node decides everything.

use crate::runtime::control::{self, ExecOutcome, FRAME_BYTES_MAX, Notice, Order, Program};
use crate::runtime::supervisor::exec::Execs;
use crate::runtime::tree::{self, Signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit, setsid};
use rustix::thread::disable_transparent_huge_pages;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

mod exec;

/// Exit code when the supervisor itself could not do its work.
const BROKEN: u8 = 125;
/// Bytes that are read from the control socket at once.
const READ_BYTES: usize = 64 * 1024;
/// How many files a program may open unless it allows itself more.
const PROGRAM_DESCRIPTORS: u64 = 1024;

/// Runs the supervisor; the whole of a process. Call it before anything else starts a thread. The exit code is the
/// program's, 128 + signal if a signal ended it, 125 if there is no node to work for.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(BROKEN)),
        Err(_) => ExitCode::from(BROKEN),
    }
}

fn run() -> std::io::Result<i32> {
    close_on_exec()?;
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    setsid()?;
    tree::become_root()?;
    // The node goes without huge pages; what a program makes of its memory is its own affair. Older kernels refuse.
    let _ = disable_transparent_huge_pages(false);
    allow_few_descriptors()?;
    let signals = Signals::catch()?;
    let mut supervisor =
        Supervisor { control, inbox: Vec::new(), signals, program: None, execs: Execs::default(), kill_at: None };
    supervisor.tell(&Notice::Ready)?;
    let code = supervisor.tend();
    // Nobody listens any more if the node is gone, and then there is nothing to say.
    let _ = supervisor.tell(&Notice::Exited { code });
    Ok(code)
}

/// The node allows itself many open files. A program begins with as many as is usual, for some keep a table of all that
/// they may open or cannot wait for more; it may allow itself more.
fn allow_few_descriptors() -> std::io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = Some(current.map_or(PROGRAM_DESCRIPTORS, |current| current.min(PROGRAM_DESCRIPTORS)));
    Ok(setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
}

/// Keeps every descriptor that this process was started with, but for 0 to 2, from the program. The node opens all its
/// own with `O_CLOEXEC`; this is for those that the node itself was started with.
fn close_on_exec() -> std::io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        #[expect(
            unsafe_code,
            reason = "names a descriptor that this process did not open; it is only marked, never closed"
        )]
        // SAFETY: the number was listed a moment ago and this process has one thread, so at worst it is the listing's own,
        // which is closed by now and answers EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        match fcntl_setfd(fd, FdFlags::CLOEXEC) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A started program.
struct Started {
    pid: i32,
    program: Program,
    code: Option<i32>,
}

struct Supervisor {
    control: UnixStream,
    inbox: Vec<u8>,
    signals: Signals,
    program: Option<Started>,
    execs: Execs,
    kill_at: Option<Instant>,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    End,
}

impl Supervisor {
    /// Works until the program has ended or shall end now; then ends the tree. The exit code.
    fn tend(&mut self) -> i32 {
        while self.turn().is_ok_and(|next| next == Next::Go) {}
        let mut code = self.program.as_ref().and_then(|started| started.code);
        let pid = self.program.as_ref().map(|started| started.pid);
        tree::end_all(&self.signals, |ended, with| {
            if Some(ended) == pid {
                code = Some(with);
            }
        });
        code.unwrap_or(0)
    }

    fn turn(&mut self) -> std::io::Result<Next> {
        self.wait_for_something()?;
        self.signals.drain();
        for signal in self.signals.take() {
            self.pass_on(signal);
        }
        self.reap();
        let notices = self.execs.turn(Instant::now());
        for notice in notices {
            self.tell(&notice)?;
        }
        if self.read_orders()? == Next::End || self.program.as_ref().is_some_and(|started| started.code.is_some()) {
            return Ok(Next::End);
        }
        let over = self.kill_at.is_some_and(|at| at <= Instant::now());
        Ok(if over { Next::End } else { Next::Go })
    }

    fn wait_for_something(&self) -> std::io::Result<()> {
        let control = self.control.as_fd();
        let signals = self.signals.fd();
        let mut fds =
            vec![PollFd::from_borrowed_fd(control, PollFlags::IN), PollFd::from_borrowed_fd(signals, PollFlags::IN)];
        fds.extend(self.execs.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let deadline = self.kill_at.into_iter().chain(self.execs.next_deadline()).min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match poll(&mut fds, timeout.and_then(tree::timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn reap(&mut self) {
        let (program, execs) = (&mut self.program, &mut self.execs);
        tree::reap(|pid, code| match program {
            Some(started) if started.pid == pid => started.code = Some(code),
            _ => execs.ended(pid, code),
        });
    }

    /// Reads what the node sent; `End` when the node is gone or wants everything to be.
    fn read_orders(&mut self) -> std::io::Result<Next> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match recv(&self.control, bytes.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Ok(Next::End),
                Ok((count, _)) => self.inbox.extend(bytes.iter().take(count)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if self.inbox.len() > FRAME_BYTES_MAX {
                break;
            }
        }
        while let Some(order) = control::take(&mut self.inbox).map_err(std::io::Error::other)? {
            if self.obey(order)? == Next::End {
                return Ok(Next::End);
            }
        }
        Ok(Next::Go)
    }

    fn obey(&mut self, order: Order) -> std::io::Result<Next> {
        match order {
            Order::Go(program) if self.program.is_none() => return self.start(program),
            Order::Go(_) => {}
            Order::Kill => return Ok(Next::End),
            Order::Stop { grace_ms } => {
                self.pass_on(Signal::TERM);
                let at = Instant::now() + Duration::from_millis(grace_ms);
                self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
                if self.program.is_none() {
                    return Ok(Next::End);
                }
            }
            Order::Exec { id, command, timeout_ms } => {
                let at = Instant::now() + Duration::from_millis(timeout_ms);
                let refused = match &self.program {
                    Some(started) => self.execs.start(id, command_of(&command, &started.program), at).err(),
                    None => Some(ExecOutcome::Failed { reason: "the program has not been started".to_owned() }),
                };
                if let Some(outcome) = refused {
                    self.tell(&Notice::Executed { id, outcome })?;
                }
            }
        }
        Ok(Next::Go)
    }

    fn start(&mut self, program: Program) -> std::io::Result<Next> {
        // Stdout and stderr are the supervisor's own: the pipes to the node.
        match command_of(&program.command, &program).spawn() {
            Ok(child) => {
                let pid = i32::try_from(child.id()).unwrap_or_default();
                self.program = Some(Started { pid, program, code: None });
                self.tell(&Notice::Started)?;
                Ok(Next::Go)
            }
            Err(error) => {
                self.tell(&Notice::Failed { reason: why_not(&error, &program) })?;
                Ok(Next::End)
            }
        }
    }

    /// Sends a signal to the program's process group.
    fn pass_on(&self, signal: Signal) {
        let pid = self
            .program
            .as_ref()
            .filter(|started| started.code.is_none())
            .and_then(|started| Pid::from_raw(started.pid));
        if let Some(pid) = pid {
            // It may have ended meanwhile; the reaping will tell.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn tell(&mut self, notice: &Notice) -> std::io::Result<()> {
        let frame = control::encode(notice).map_err(std::io::Error::other)?;
        self.control.write_all(&frame)
    }
}

/// A command in the program's directory and environment, leader of its own process group, with nothing to read.
fn command_of(words: &[String], program: &Program) -> Command {
    let (name, arguments) = words.split_first().map_or(("", [].as_slice()), |(name, rest)| (name.as_str(), rest));
    let mut command = Command::new(name);
    command.args(arguments).env_clear().envs(program.env.iter().cloned()).current_dir(&program.dir);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// A sentence on why a program did not start.
fn why_not(error: &std::io::Error, program: &Program) -> String {
    let path = program.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("it was not found (PATH is {path})"),
        std::io::ErrorKind::PermissionDenied => "it is not an executable file of this machine's users".to_owned(),
        _ => error.to_string(),
    }
}
