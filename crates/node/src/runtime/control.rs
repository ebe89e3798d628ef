//! What a node and the supervisor of one of its actors say to each other, over a socket pair that is the supervisor's
//! stdin: frames of a four-byte little-endian length and a postcard message.
//!
//! The socket is also the sign of life: it closes when the node ends, however it ends.

use crate::runtime::ExecOutput;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use thiserror::Error;

/// Longest message, in bytes: a command, its environment, or what a command put out.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 4;

/// From the node to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start the program.
    Go(Program),
    /// SIGTERM, and SIGKILL after so many milliseconds.
    Stop {
        /// How long the program may take.
        grace_ms: u64,
    },
    /// SIGKILL.
    Kill,
    /// Run a command beside the program.
    Exec {
        /// Names it in the answer.
        id: u64,
        /// Program and arguments.
        command: Vec<String>,
        /// It is killed after so many milliseconds.
        timeout_ms: u64,
    },
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
}

/// From the supervisor to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// It is the root of a tree and waits for [`Order::Go`].
    Ready,
    /// The program runs.
    Started,
    /// It could not be started; the supervisor ends.
    Failed {
        /// Why.
        reason: String,
    },
    /// A command has ended or never began.
    Executed {
        /// Which.
        id: u64,
        /// What became of it.
        outcome: ExecOutcome,
    },
    /// The whole tree is gone; the supervisor ends.
    Exited {
        /// The program's exit code; 128 + signal if a signal ended it.
        code: i32,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecOutcome {
    /// It ended.
    Done(ExecOutput),
    /// It could not be started.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was killed after its time.
    TimedOut,
    /// There are too many already.
    Busy,
}

/// Why a frame is none.
#[derive(Debug, Error)]
pub enum FrameError {
    /// It is longer than [`FRAME_BYTES_MAX`].
    #[error("control frame: {0} bytes are more than {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// Its bytes are no message of this kind.
    #[error("control frame: not a message of this version")]
    Malformed(#[from] postcard::Error),
}

/// A message as a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = postcard::to_stdvec(message)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if body.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(body.len()));
    }
    let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Takes the first whole message out of what was read so far, if there is one.
pub fn take<T: DeserializeOwned>(inbox: &mut Vec<u8>) -> Result<Option<T>, FrameError> {
    let Some(length) = inbox.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = inbox.get(LENGTH_BYTES..LENGTH_BYTES + length) else { return Ok(None) };
    let message = postcard::from_bytes(body)?;
    inbox.drain(..LENGTH_BYTES + length);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_the_bytes_arrive() {
        let sent =
            [Order::Kill, Order::Stop { grace_ms: 7 }, Order::Exec { id: 1, command: vec!["a".into()], timeout_ms: 2 }];
        let bytes: Vec<u8> = sent.iter().flat_map(|order| encode(order).expect("a small message")).collect();
        let (mut inbox, mut received) = (Vec::new(), Vec::new());
        for byte in bytes {
            inbox.push(byte);
            while let Some(order) = take::<Order>(&mut inbox).expect("well formed") {
                received.push(order);
            }
        }
        assert_eq!(received, sent);
        assert!(inbox.is_empty());
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        let mut inbox = u32::MAX.to_le_bytes().to_vec();
        assert!(matches!(take::<Order>(&mut inbox), Err(FrameError::TooLong(_))));
    }
}
