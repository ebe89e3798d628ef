//! A process whose lines a test waits for, and that never outlives the test.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How long a line or an end may be waited for, in seconds: far more than anything here takes.
const WAIT_SECS_MAX: u64 = 60;
/// Most lines that wait to be read.
const LINES_MAX: usize = 10_000;

/// A running process.
pub(crate) struct Process {
    name: String,
    child: Child,
    pidfd: OwnedFd,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: PathBuf,
}

impl Process {
    /// Starts it with pipes for standard input and output; what it complains about goes to a file in `dir`.
    pub(crate) fn start(name: &str, mut command: Command, dir: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let complaints = dir.join(format!("stderr.{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let stderr = File::create(&complaints).expect("a file for standard error");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child that was not waited for has a pidfd");
        let (sender, lines) = sync_channel(LINES_MAX);
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            // Ends with the pipe, or with the test.
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, pidfd, stdin, lines, complaints }
    }

    /// Its next line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.next().unwrap_or_else(|| panic!("{} ended without another line: {}", self.name, self.complaints()))
    }

    /// Its next line, or `None` once its standard output is closed.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(Duration::from_secs(WAIT_SECS_MAX)) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing: {}", self.name, self.complaints()),
        }
    }

    /// Its next line, an object.
    #[track_caller]
    pub(crate) fn object(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name))
    }

    /// The first of its next objects that is such a one.
    #[track_caller]
    pub(crate) fn find(&mut self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let begin = Instant::now();
        while begin.elapsed().as_secs() < WAIT_SECS_MAX {
            let object = self.object();
            if is(&object) {
                return object;
            }
        }
        panic!("{} never said {what}: {}", self.name, self.complaints())
    }

    /// Writes to its standard input.
    pub(crate) fn feed(&mut self, text: &str) {
        self.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    }

    /// Closes its standard input.
    pub(crate) fn close(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for its end; the exit code, 128 + signal if a signal ended it.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> i32 {
        assert!(self.ends(), "{} does not end: {}", self.name, self.complaints());
        code(&mut self.child)
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        // It may have ended already, which is what is wanted.
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&self) -> bool {
        ends_within(&self.pidfd, Duration::ZERO)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.pidfd, signal).expect("it runs");
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        code(&mut self.child);
    }

    /// What it wrote to standard error.
    pub(crate) fn complaints(&self) -> String {
        std::fs::read_to_string(&self.complaints).unwrap_or_default()
    }

    fn ends(&self) -> bool {
        ends_within(&self.pidfd, Duration::from_secs(WAIT_SECS_MAX))
    }
}

/// Waits for the end of a process, for so long at most.
pub(crate) fn ends_within(process: &OwnedFd, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).expect("a short time");
        // A pidfd becomes readable when its process ends (pidfd_open(2)).
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            // A signal, which is somebody else's.
            Err(Errno::INTR) => {}
            ready => return ready == Ok(1),
        }
    }
}

fn code(child: &mut Child) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    let status = child.wait().expect("a child can be waited for");
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.terminate();
        if !self.ends() {
            eprintln!("{} had to be killed: {}", self.name, self.complaints());
        }
        self.kill();
    }
}
