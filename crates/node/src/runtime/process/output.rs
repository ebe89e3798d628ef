//! From the pipes of a program into its log.

use crate::runtime::log::{LINE_BYTES_MAX, LogWriter, Stream};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The tasks that copy; they end when nobody of the tree can write any more.
pub(super) struct Pumps {
    leaving: watch::Sender<bool>,
    tasks: [JoinHandle<Receiver>; 2],
}

impl Pumps {
    /// Copies from the program's standard output and standard error.
    pub(super) fn start([out, err]: [OwnedFd; 2], log: LogWriter) -> io::Result<Self> {
        let log = Arc::new(Mutex::new(log));
        let (leaving, told) = watch::channel(false);
        let (out, err) = (Receiver::from_owned_fd(out)?, Receiver::from_owned_fd(err)?);
        let out = tokio::spawn(pump(out, Stream::Out, Arc::clone(&log), told.clone()));
        Ok(Self { leaving, tasks: [out, tokio::spawn(pump(err, Stream::Err, log, told))] })
    }

    /// Waits until everything that was said is in the log.
    pub(super) async fn finish(self) {
        for task in self.tasks {
            // A task that was cancelled belongs to a daemon that is going down.
            let _ = task.await;
        }
    }

    /// Stops copying; what was read is in the log. The pipes are as they were given.
    pub(super) async fn leave(self) -> io::Result<[OwnedFd; 2]> {
        self.leaving.send_replace(true);
        let [out, err] = self.tasks;
        let (out, err) = (out.await.map_err(io::Error::other)?, err.await.map_err(io::Error::other)?);
        Ok([out.into_nonblocking_fd()?, err.into_nonblocking_fd()?])
    }
}

async fn pump(
    pipe: Receiver,
    stream: Stream,
    log: Arc<Mutex<LogWriter>>,
    mut leaving: watch::Receiver<bool>,
) -> Receiver {
    let mut pipe = BufReader::with_capacity(LINE_BYTES_MAX, pipe);
    let mut line = Vec::new();
    loop {
        let bytes = tokio::select! {
            biased;
            // Only between two reads: what was read is written.
            _ = leaving.wait_for(|leaving| *leaving), if pipe.buffer().is_empty() => break,
            read = pipe.fill_buf() => read.unwrap_or_default(),
        };
        if bytes.is_empty() {
            break;
        }
        let room = LINE_BYTES_MAX - line.len();
        let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
        let taken = end.unwrap_or_else(|| bytes.len().min(room));
        line.extend(bytes.iter().take(taken));
        pipe.consume(taken + usize::from(end.is_some()));
        if end.is_some() || line.len() >= LINE_BYTES_MAX {
            write(&log, stream, &line);
            line.clear();
        }
    }
    if !line.is_empty() {
        write(&log, stream, &line);
    }
    pipe.into_inner()
}

/// A line that cannot be written is lost, and the program goes on: an actor does not stop because a disk is full.
fn write(log: &Mutex<LogWriter>, stream: Stream, line: &[u8]) {
    let written = log.lock().unwrap_or_else(PoisonError::into_inner).line(stream, line);
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write an actor's log");
    }
}
