//! A proxy's questions at a steady rate, written once and sent over and over.
//!
//! Whoever measures on the machine that is measured takes its processors away from it, and a complete client takes as much as the
//! whole answer does. So this one says just as much HTTP/2 as one question needs, over and over, and reads just as much of it as
//! tells that it was answered.
//!
//! SPEC: RFC 9113 §4.1 (frames), §6; RFC 7541 §6 (fields of a header); gRPC over HTTP/2

use crate::failure::Failure;
use credence_model::refusal::Kind;
use credence_wire::envoy::service::auth::v3::CheckRequest;
use prost::Message as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU64;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const PATH: &str = "/envoy.service.auth.v3.Authorization/Check";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames, and flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What may be under way before the other end has said more, in bytes.
const WINDOW_BYTES: i64 = 65_535;
/// A window that is never used up here, for each answer and for all of them.
const WIDE: u32 = 1 << 30;
/// Most questions of a connection that are under way: fewer than an actor's endpoint takes.
const OPEN_MAX: usize = 60;
/// How long the other end may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// When questions are due, and over how many connections they go in turn.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) per_second: u64,
    pub(super) count: u64,
    pub(super) connections: u64,
}

/// A connection that is asked over.
struct Connection {
    stream: UnixStream,
    /// What was read, and is no whole frame yet.
    unread: Vec<u8>,
    /// How many questions are under way.
    open: usize,
    /// How many more bytes may be sent.
    room: i64,
    /// How many answers said something, and how long the first of them was.
    said: u64,
    said_bytes: Option<usize>,
}

/// Asks over and over. Gives how long each took from when it was due, in milliseconds, and the rate that was reached. Waits.
pub(super) fn steadily(socket: &str, question: &CheckRequest, pace: Pace) -> Result<(Vec<f64>, f64), Failure> {
    // Otherwise the system lets a sleep be 50 µs late, which is nothing that the other end did.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).map_err(|error| broken(&error))?;
    let mut frames = Frames::new(question)?;
    let connect = |_| Connection::new(socket);
    let mut connections = (0..pace.connections).map(connect).collect::<Result<Vec<_>, _>>()?;
    let (mut took, mut asked, begin) = (Vec::new(), 0, Instant::now());
    while (took.len() as u64) < pace.count {
        let wait = loop {
            if asked == pace.count {
                break SILENCE;
            }
            let early = pace.due(begin, asked).saturating_duration_since(Instant::now());
            if !early.is_zero() {
                break early;
            }
            let (nth, of) = (asked / pace.connections, asked % pace.connections);
            match connections.get_mut(usize::try_from(of).unwrap_or_default()) {
                Some(connection) if connection.has_room(&frames) => connection.ask(&mut frames, nth)?,
                _ => break SILENCE,
            }
            asked += 1;
        };
        for of in readable(&connections, wait)? {
            let due = |nth| pace.due(begin, nth * pace.connections + of as u64);
            connections.get_mut(of).map(|connection| connection.read(due, &mut took)).transpose()?;
        }
    }
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    let said: u64 = connections.iter().map(|connection| connection.said).sum();
    if said != pace.count {
        return Err(broken(&format!("of {} answers {said} said something", pace.count)));
    }
    Ok((took, per_second))
}

impl Pace {
    fn due(&self, begin: Instant, nth: u64) -> Instant {
        begin + Duration::from_micros(nth * 1_000_000 / self.per_second)
    }
}

/// Which of the connections have something to read, after so long at most.
fn readable(connections: &[Connection], wait: Duration) -> Result<Vec<usize>, Failure> {
    let mut sources: Vec<_> = connections.iter().map(|of| PollFd::new(&of.stream, PollFlags::IN)).collect();
    let longest = Timespec::try_from(wait).map_err(|error| broken(&error))?;
    if poll(&mut sources, Some(&longest)).map_err(|error| broken(&error))? == 0 && wait == SILENCE {
        return Err(broken(&"the other end says nothing"));
    }
    let has_more = |(of, source): (usize, &PollFd)| (!source.revents().is_empty()).then_some(of);
    Ok(sources.iter().enumerate().filter_map(has_more).collect())
}

impl Connection {
    /// One that is ready. What the other end wants is less than what is done anyway, so its settings need not be read.
    fn new(socket: &str) -> Result<Self, Failure> {
        let mut stream = UnixStream::connect(socket).map_err(|error| broken(&error))?;
        let initial_window = [&[0, 4], WIDE.to_be_bytes().as_slice()].concat();
        let hello = [
            PREFACE,
            &frame(SETTINGS, 0, 0, &initial_window)?,
            &frame(WINDOW, 0, 0, &WIDE.to_be_bytes())?,
            &frame(SETTINGS, ACK, 0, &[])?,
        ];
        stream.write_all(&hello.concat()).map_err(|error| broken(&error))?;
        Ok(Self { stream, unread: Vec::new(), open: 0, room: WINDOW_BYTES, said: 0, said_bytes: None })
    }

    fn has_room(&self, frames: &Frames) -> bool {
        self.open < OPEN_MAX && self.room >= frames.window
    }

    fn ask(&mut self, frames: &mut Frames, nth: u64) -> Result<(), Failure> {
        self.open += 1;
        self.room -= frames.window;
        self.stream.write_all(frames.of(nth)?).map_err(|error| broken(&error))
    }

    /// Reads what is there, and notes how long each question took that it answers.
    fn read(&mut self, due: impl Fn(u64) -> Instant, took: &mut Vec<f64>) -> Result<(), Failure> {
        let mut piece = [0; 16_384];
        let count = self.stream.read(&mut piece).map_err(|error| broken(&error))?;
        if count == 0 {
            return Err(broken(&"the other end closed the connection"));
        }
        self.unread.extend(piece.iter().take(count));
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        while let Some((head, behind)) = rest.split_first_chunk::<9>() {
            let [a, b, c, kind, flags, stream @ ..] = *head;
            let Some((payload, behind)) = behind.split_at_checked(u32::from_be_bytes([0, a, b, c]) as usize) else {
                break;
            };
            rest = behind;
            let stream = u64::from(u32::from_be_bytes(stream));
            if self.is_answered(kind, flags, stream, payload)? {
                took.push(due(stream / 2).elapsed().as_secs_f64() * 1000.0);
            }
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    /// What a frame says; whether it is the end of an answer.
    fn is_answered(&mut self, kind: u8, flags: u8, stream: u64, payload: &[u8]) -> Result<bool, Failure> {
        match kind {
            DATA => {
                self.said += 1;
                // A denial, or another answer, would be longer or shorter.
                if *self.said_bytes.get_or_insert(payload.len()) != payload.len() {
                    return Err(broken(&"the same question was answered otherwise"));
                }
            }
            HEADERS if flags & END_STREAM != 0 => {
                self.open = self.open.saturating_sub(1);
                return Ok(true);
            }
            WINDOW if stream == 0 => {
                let more = payload.try_into().map(u32::from_be_bytes).map_err(|error| broken(&error))?;
                self.room += i64::from(more);
            }
            RESET | GO_AWAY => return Err(broken(&format!("frame {kind}: {payload:?}"))),
            _ => {}
        }
        Ok(false)
    }
}

/// The frames of a question, but for the stream's number.
struct Frames {
    bytes: Vec<u8>,
    /// Where the second begins.
    second_at: usize,
    /// What it takes of the window.
    window: i64,
}

impl Frames {
    fn new(question: &CheckRequest) -> Result<Self, Failure> {
        let message = question.encode_to_vec();
        let length = u32::try_from(message.len()).map_err(|error| broken(&error))?;
        let message = [&[0], length.to_be_bytes().as_slice(), &message].concat();
        let mut bytes = frame(HEADERS, END_HEADERS, 0, &headers())?;
        let second_at = bytes.len();
        bytes.extend(frame(DATA, END_STREAM, 0, &message)?);
        Ok(Self { bytes, second_at, window: i64::from(length) + 5 })
    }

    fn of(&mut self, nth: u64) -> Result<&[u8], Failure> {
        let stream = u32::try_from(2 * nth + 1).map_err(|error| broken(&error))?.to_be_bytes();
        for at in [0, self.second_at] {
            if let Some(number) = self.bytes.get_mut(at + 5..at + 9) {
                number.copy_from_slice(&stream);
            }
        }
        Ok(&self.bytes)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Vec<u8>, Failure> {
    // The most that every end takes (RFC 9113 §4.2).
    let length = u16::try_from(payload.len()).ok().filter(|length| *length <= 16_384);
    let [a, b] = length.ok_or_else(|| broken(&"a question is too long for one frame"))?.to_be_bytes();
    Ok([&[0, a, b, kind, flags], stream.to_be_bytes().as_slice(), payload].concat())
}

/// Fields that no end has to remember: the names by their numbers in the table of RFC 7541 Appendix A.
fn headers() -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let (post, http) = (vec![0x83], vec![0x86]);
    let fields = [
        [post, http].concat(),
        [vec![0x04], text(PATH)].concat(),
        [vec![0x01], text("workload")].concat(),
        [vec![0x0f, 31 - 15], text("application/grpc")].concat(),
        [vec![0x00], text("te"), text("trailers")].concat(),
    ];
    fields.concat()
}

fn broken(error: &impl Display) -> Failure {
    Failure::new(Kind::Unavailable, format!("a question was not answered: {error}"))
}
