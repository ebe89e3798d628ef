//! How a daemon makes way for a newer program: the process becomes that program (`execve`) and keeps its number, its open
//! sockets and what it must remember.
//!
//! What is kept travels as open files over a socket that is the new program's standard input for a moment; the first is a
//! file in memory with what is to be remembered, the second the real standard input. Nothing of it is on a disk, in an
//! argument or in the environment.

use crate::failure::Failure;
use credence_model::refusal::Kind;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::stdio::dup2_stdin;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use zeroize::Zeroizing;

/// Says that this process was another program a moment ago.
const FLAG: &str = "--take-over";
/// Says that nothing is to be started.
const CHECK: &str = "--check";
/// How long the new program may take to say that it can run, in seconds.
const CHECK_SECS_MAX: u64 = 10;
/// Open files in one message; the kernel takes at most 253.
const FILES_PER_MESSAGE: usize = 250;
/// Most open files that are taken over.
const FILES_MAX: usize = 65_536;
/// Most bytes that are remembered.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// The program that lies where this one lay when it started, and how it was called.
#[derive(Debug, Clone)]
pub(crate) struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// What an earlier program left.
#[derive(Debug)]
pub(crate) struct Estate {
    /// What it remembered.
    pub(crate) memory: Zeroizing<Vec<u8>>,
    /// Its open files, in the order in which it gave them.
    pub(crate) files: Vec<OwnedFd>,
}

impl Successor {
    /// To be asked at the start, while the program is still where it was.
    pub(crate) fn of_this_process() -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Kind::Unavailable, format!("this program cannot find itself: {error}")))?;
        let arguments = std::env::args_os().skip(1).filter(|argument| argument != FLAG).collect();
        Ok(Self { program, arguments })
    }

    /// Whether it can run at all and understands its arguments and configuration. Until it said so nothing is stopped.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let mut command = tokio::process::Command::new(&self.program);
        // Before the words after `--`, if there are any.
        command.args(self.arguments.iter().take(1)).arg(CHECK).args(self.arguments.iter().skip(1));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let unfit = |why: String| {
            let what = format!("{} cannot take over: {why}", self.program.display());
            Failure::new(Kind::Conflict, what)
        };
        let ran = tokio::time::timeout(Duration::from_secs(CHECK_SECS_MAX), command.output()).await;
        let ran = ran.map_err(|_| unfit(format!("it did not answer within {CHECK_SECS_MAX} s")))?;
        let ran = ran.map_err(|error| unfit(error.to_string()))?;
        if ran.status.success() {
            return Ok(());
        }
        Err(unfit(String::from_utf8_lossy(&ran.stderr).trim().replace('\n', "; ")))
    }

    /// Becomes that program. It returns only if that failed; then everything else of this process has ended already.
    pub(crate) fn become_it(&self, memory: &[u8], files: Vec<OwnedFd>) -> Failure {
        let error = match self.replace(memory, files) {
            Ok(never) => never,
            Err(error) => error,
        };
        let what = format!("{} could not take over: {error}", self.program.display());
        Failure::new(Kind::Unavailable, what).hint("Start it again")
    }

    fn replace(&self, memory: &[u8], files: Vec<OwnedFd>) -> io::Result<io::Error> {
        let stdin = rustix::stdio::stdin().try_clone_to_owned()?;
        let mut estate = vec![remember(memory)?, stdin];
        estate.extend(files);
        let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        for files in estate.chunks(FILES_PER_MESSAGE) {
            send(&here, files)?;
        }
        drop(here);
        dup2_stdin(&there)?;
        let (verb, rest) = self.arguments.split_at(self.arguments.len().min(1));
        Ok(std::process::Command::new(&self.program).args(verb).arg(FLAG).args(rest).exec())
    }
}

impl Estate {
    /// Takes over what the earlier program left, and gives this process its standard input back.
    pub(crate) fn take() -> Result<Self, Failure> {
        receive().map_err(|error| {
            let what = format!("there is nothing to take over: {error}");
            Failure::used_wrongly(what).hint("Only a program that makes way for another one says --take-over")
        })
    }
}

/// A file in memory.
pub(crate) fn remember(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("credence", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// What was written to such a file.
pub(crate) fn recall(file: OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::from(file);
    let bytes = file.metadata()?.len();
    if bytes > MEMORY_BYTES_MAX {
        return Err(io::Error::other("what is to be remembered is too long"));
    }
    let mut memory = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes).unwrap_or_default()));
    file.take(MEMORY_BYTES_MAX).read_to_end(&mut memory)?;
    Ok(memory)
}

fn send(socket: &OwnedFd, files: &[OwnedFd]) -> Result<(), Errno> {
    let files: Vec<BorrowedFd<'_>> = files.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(Errno::NOBUFS);
    }
    retry_on_intr(|| sendmsg(socket, &[IoSlice::new(b"f")], &mut control, SendFlags::empty())).map(drop)
}

fn receive() -> io::Result<Estate> {
    let socket = rustix::stdio::stdin().try_clone_to_owned()?;
    let mut files = Vec::new();
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = retry_on_intr(|| {
            recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
        if received.bytes == 0 {
            break;
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} open files")));
        }
    }
    let mut files = files.into_iter();
    let (Some(memory), Some(stdin)) = (files.next(), files.next()) else {
        return Err(io::Error::other("standard input is not what an earlier program left"));
    };
    dup2_stdin(&stdin)?;
    Ok(Estate { memory: recall(memory)?, files: files.collect() })
}

/// Where a program lies, for messages.
pub(crate) fn name(successor: &Successor) -> &Path {
    &successor.program
}
