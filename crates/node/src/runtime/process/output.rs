//! From the pipes of a program into its log.

use crate::runtime::log::{LINE_BYTES_MAX, LogWriter, Stream};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::task::JoinHandle;

/// The tasks that copy; they end when nobody of the tree can write any more.
pub(super) struct Pumps(Vec<JoinHandle<()>>);

impl Pumps {
    pub(super) fn start(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, log: Arc<Mutex<LogWriter>>) -> Self {
        let out = stdout.map(|pipe| tokio::spawn(pump(pipe, Stream::Out, Arc::clone(&log))));
        let err = stderr.map(|pipe| tokio::spawn(pump(pipe, Stream::Err, log)));
        Self(out.into_iter().chain(err).collect())
    }

    /// Waits until everything that was said is in the log.
    pub(super) async fn finish(self) {
        for task in self.0 {
            // A task that was cancelled belongs to a daemon that is going down.
            let _ = task.await;
        }
    }
}

async fn pump(pipe: impl AsyncRead + Unpin, stream: Stream, log: Arc<Mutex<LogWriter>>) {
    let mut pipe = BufReader::with_capacity(LINE_BYTES_MAX, pipe);
    let mut line = Vec::new();
    while let Ok(bytes) = pipe.fill_buf().await {
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
}

/// A line that cannot be written is lost, and the program goes on: an actor does not stop because a disk is full.
fn write(log: &Mutex<LogWriter>, stream: Stream, line: &[u8]) {
    let written = log.lock().unwrap_or_else(PoisonError::into_inner).line(stream, line);
    if let Err(error) = written {
        tracing::warn!(%error, "cannot write an actor's log");
    }
}
