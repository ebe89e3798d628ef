//! One request, asked over and over by a thread that never sleeps.
//!
//! Whoever sleeps until it is answered has to be woken, by the other end, whose processor time is what is measured: a quick answer
//! finds the asker awake and a slow one does not, so the slow one would pay for more than it is. This one looks at its connections
//! in turn until there is something to read. It says just as much HTTP as that takes, so that it does not become the slower end.
//!
//! SPEC: RFC 9112 §4 (status line), §6 (message body)

use crate::failure::Failure;
use credence_model::refusal::Kind;
use std::fmt::Display;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the other end may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// The beginning of every answer.
const GOOD: &[u8] = b"HTTP/1.1 200 ";
/// The end of a head, and the field in it that says how long the body is. Names are in small letters here (hyper writes them so).
const HEAD_END: &[u8] = b"\r\n\r\n";
const LENGTH: &str = "\r\ncontent-length: ";
/// Room for what is read at once.
const PIECE_BYTES: usize = 16_384;

/// Connections on each of which one request is under way at a time.
pub(super) struct Busy {
    lanes: Vec<Lane>,
    request: Vec<u8>,
}

struct Lane {
    stream: UnixStream,
    /// What was read of the answer.
    answer: Vec<u8>,
    /// How long it is with its head, once that is known.
    length: Option<usize>,
}

/// The bytes of a request with a JSON body.
pub(super) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: credence\r\ncontent-type: application/json");
    format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

impl Busy {
    /// So many connections.
    pub(super) fn connect(socket: &Path, lanes: usize, request: Vec<u8>) -> Result<Self, Failure> {
        let lanes = (0..lanes).map(|_| Lane::connect(socket)).collect::<Result<_, _>>()?;
        Ok(Self { lanes, request })
    }

    /// Asks for so long, and waits for what is under way then. Gives how many were answered.
    pub(super) fn ask(&mut self, for_so_long: Duration) -> Result<u64, Failure> {
        let (request, begin) = (self.request.as_slice(), Instant::now());
        self.lanes.iter_mut().try_for_each(|lane| lane.ask(request))?;
        let (mut open, mut count) = (self.lanes.len(), 0);
        while open > 0 {
            let passed = begin.elapsed();
            if passed > for_so_long + SILENCE {
                return Err(broken(&"the other end says nothing"));
            }
            for lane in &mut self.lanes {
                if !lane.is_answered()? {
                    continue;
                }
                count += 1;
                match passed < for_so_long {
                    true => lane.ask(request)?,
                    false => open -= 1,
                }
            }
        }
        Ok(count)
    }
}

impl Lane {
    fn connect(socket: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).map_err(|error| broken(&error))?;
        stream.set_nonblocking(true).map_err(|error| broken(&error))?;
        Ok(Self { stream, answer: Vec::new(), length: None })
    }

    /// A request finds room: nothing else is under way on its connection.
    fn ask(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(request).map_err(|error| broken(&error))
    }

    /// Reads what is there; whether that was the rest of an answer.
    fn is_answered(&mut self) -> Result<bool, Failure> {
        let mut piece = [0; PIECE_BYTES];
        let count = match self.stream.read(&mut piece) {
            Ok(0) => return Err(broken(&"the other end closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(broken(&error)),
        };
        self.answer.extend(piece.iter().take(count));
        if self.length.is_none() {
            self.length = length(&self.answer)?;
        }
        if self.length.is_none_or(|length| self.answer.len() < length) {
            return Ok(false);
        }
        self.length = None;
        self.answer.clear();
        Ok(true)
    }
}

/// How long an answer is, once its head is there. Only a good answer counts.
fn length(answer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = answer.windows(HEAD_END.len()).position(|window| window == HEAD_END) else { return Ok(None) };
    let head = str::from_utf8(answer.get(..end).unwrap_or_default()).map_err(|error| broken(&error))?;
    let length = head.split_once(LENGTH).and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok());
    match length {
        Some(length) if answer.starts_with(GOOD) => Ok(Some(end + HEAD_END.len() + length)),
        _ => Err(broken(&String::from_utf8_lossy(answer))),
    }
}

fn broken(error: &impl Display) -> Failure {
    Failure::new(Kind::Unavailable, format!("a request was not answered: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{Busy, request};
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    /// Asks somebody who answers with these pieces; gives how many answers counted, and how many requests came.
    fn ask(pieces: &'static [&'static str]) -> (Result<u64, String>, u64) {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let answering = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            let (mut reader, mut stream, mut came) = (BufReader::new(&stream), &stream, 0);
            loop {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|count| count > 0) {}
                if head.is_empty() {
                    return came;
                }
                assert!(
                    head.starts_with("POST /here HTTP/1.1\r\n") && head.contains("content-length: 2\r\n"),
                    "{head}"
                );
                reader.read_exact(&mut [0; 2]).expect("a body");
                came += 1;
                for piece in pieces {
                    // Who asks may be gone after the first that is no good.
                    let _ = stream.write_all(piece.as_bytes());
                }
            }
        });
        let mut busy = Busy::connect(&socket, 1, request("POST", "/here", "{}")).expect("a connection");
        let asked = busy.ask(Duration::from_millis(5)).map_err(|failure| failure.to_string());
        drop(busy);
        (asked, answering.join().expect("no panic"))
    }

    #[test]
    fn an_answer_counts_when_all_of_it_is_there() {
        let whole = &["HTTP/1.1 200 OK\r\ncontent-type: a\r\ncontent-length: 4\r\n\r\n{  }"];
        let pieces = &["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 4\r\n\r", "\n{ ", " }"];
        for pieces in [whole.as_slice(), pieces] {
            let (counted, came) = ask(pieces);
            assert_eq!(counted, Ok(came));
            assert!(came > 0);
        }
    }

    #[test]
    fn what_is_no_good_answer_ends_it() {
        for pieces in [&["HTTP/1.1 503 Late\r\ncontent-length: 0\r\n\r\n"], &["HTTP/1.1 200 OK\r\n\r\n"]] {
            let (counted, came) = ask(pieces);
            assert!(counted.is_err_and(|error| error.contains(pieces[0].trim_end())));
            assert_eq!(came, 1);
        }
    }
}
