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
use std::fmt::Display;
use std::io::{BufReader, Read as _, Write as _};
use std::num::NonZeroU64;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
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
/// Most questions of a connection that are under way: what servers allow at least (RFC 9113 §6.5.2), and less than ours.
const OPEN_MAX: i64 = 60;
/// How long to wait for either.
const PAUSE: Duration = Duration::from_micros(20);
/// How long the other end may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// When questions are due, and over how many connections they go in turn.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) per_second: u64,
    pub(super) count: u64,
    pub(super) connections: u64,
}

/// What is under way on a connection.
struct UnderWay {
    open: AtomicI64,
    /// How many more bytes may be sent.
    room: AtomicI64,
    is_broken: AtomicBool,
}

/// The end of a connection that asks.
struct Asking {
    stream: UnixStream,
    under_way: Arc<UnderWay>,
    reading: JoinHandle<Result<Vec<f64>, Failure>>,
}

/// Asks over and over. Gives how long each took from when it was due, in milliseconds, and the rate that was reached. Waits.
pub(super) fn steadily(socket: &str, question: &CheckRequest, pace: Pace) -> Result<(Vec<f64>, f64), Failure> {
    // Otherwise the system lets a sleep be 50 µs late, which is nothing that the other end did.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).map_err(|error| broken(&error))?;
    let mut frames = frames(question)?;
    let streams = (0..pace.connections).map(|_| connect(socket)).collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    let begin_reading = |(of, stream)| Asking::new(stream, of, pace, begin);
    let mut connections = (0..).zip(streams).map(begin_reading).collect::<Result<Vec<_>, _>>()?;
    for nth in 0..pace.count {
        thread::sleep(pace.due(begin, nth).saturating_duration_since(Instant::now()));
        let of = usize::try_from(nth % pace.connections).unwrap_or_default();
        let is_asked = connections.get_mut(of).map(|asking| asking.ask(&mut frames, nth / pace.connections));
        // What broke is told by who read it.
        if !is_asked.transpose()?.unwrap_or_default() {
            break;
        }
    }
    let mut took = Vec::new();
    for Asking { reading, .. } in connections {
        took.extend(reading.join().map_err(|_| broken(&"the reader panicked"))??);
    }
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    Ok((took, per_second))
}

impl Pace {
    fn due(&self, begin: Instant, nth: u64) -> Instant {
        begin + Duration::from_micros(nth * 1_000_000 / self.per_second)
    }
}

/// A connection that is ready to be asked over: both ends have said their settings.
fn connect(socket: &str) -> Result<UnixStream, Failure> {
    let mut stream = UnixStream::connect(socket).map_err(|error| broken(&error))?;
    stream.set_read_timeout(Some(SILENCE)).map_err(|error| broken(&error))?;
    let initial_window = [&[0, 4], WIDE.to_be_bytes().as_slice()].concat();
    let hello = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &initial_window)?,
        &frame(WINDOW, 0, 0, &WIDE.to_be_bytes())?,
        &frame(SETTINGS, ACK, 0, &[])?,
    ];
    stream.write_all(&hello.concat()).map_err(|error| broken(&error))?;
    Ok(stream)
}

impl Asking {
    fn new(stream: UnixStream, of: u64, pace: Pace, begin: Instant) -> Result<Self, Failure> {
        let (open, room) = (AtomicI64::new(0), AtomicI64::new(WINDOW_BYTES));
        let under_way = Arc::new(UnderWay { open, room, is_broken: AtomicBool::new(false) });
        let (reader, shared) = (stream.try_clone().map_err(|error| broken(&error))?, Arc::clone(&under_way));
        let reading = thread::spawn(move || {
            let answers = pace.count / pace.connections + u64::from(of < pace.count % pace.connections);
            let due = |nth| pace.due(begin, nth * pace.connections + of);
            let read = read(&mut BufReader::new(reader), answers, due, &shared);
            shared.is_broken.store(read.is_err(), Ordering::Relaxed);
            read
        });
        Ok(Self { stream, under_way, reading })
    }

    /// Asks, as soon as the other end lets it. Says whether it could.
    fn ask(&mut self, frames: &mut Frames, nth: u64) -> Result<bool, Failure> {
        let UnderWay { open, room, is_broken } = self.under_way.as_ref();
        let is_full = || open.load(Ordering::Relaxed) >= OPEN_MAX || room.load(Ordering::Relaxed) < frames.window;
        while is_full() {
            if is_broken.load(Ordering::Relaxed) {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
        open.fetch_add(1, Ordering::Relaxed);
        room.fetch_sub(frames.window, Ordering::Relaxed);
        self.stream.write_all(frames.of(nth)?).map_err(|error| broken(&error))?;
        Ok(true)
    }
}

/// Reads answers until there are so many. Gives how long each took.
fn read(
    from: &mut BufReader<UnixStream>,
    answers: u64,
    due: impl Fn(u64) -> Instant,
    under_way: &UnderWay,
) -> Result<Vec<f64>, Failure> {
    let (mut took, mut said, mut length) = (Vec::new(), 0, None);
    let mut payload = Vec::new();
    while (took.len() as u64) < answers {
        let mut head = [0; 9];
        from.read_exact(&mut head).map_err(|error| broken(&error))?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let stream = u32::from_be_bytes(stream);
        payload.resize(u32::from_be_bytes([0, a, b, c]) as usize, 0);
        from.read_exact(&mut payload).map_err(|error| broken(&error))?;
        match kind {
            DATA => {
                said += 1;
                // A denial, or another answer, would be longer or shorter.
                if *length.get_or_insert(payload.len()) != payload.len() {
                    return Err(broken(&"the same question was answered otherwise"));
                }
            }
            HEADERS if flags & END_STREAM != 0 => {
                took.push(due(u64::from(stream / 2)).elapsed().as_secs_f64() * 1000.0);
                under_way.open.fetch_sub(1, Ordering::Relaxed);
            }
            WINDOW if stream == 0 => {
                let more = payload.as_slice().try_into().map(u32::from_be_bytes).map_err(|error| broken(&error))?;
                under_way.room.fetch_add(i64::from(more), Ordering::Relaxed);
            }
            RESET | GO_AWAY => return Err(broken(&format!("frame {kind}: {payload:?}"))),
            _ => {}
        }
    }
    if said != answers {
        return Err(broken(&format!("of {answers} answers {said} said something")));
    }
    Ok(took)
}

/// The frames of a question, but for the stream's number.
struct Frames {
    bytes: Vec<u8>,
    /// Where the second begins.
    second_at: usize,
    /// What it takes of the window.
    window: i64,
}

fn frames(question: &CheckRequest) -> Result<Frames, Failure> {
    let message = question.encode_to_vec();
    let length = u32::try_from(message.len()).map_err(|error| broken(&error))?;
    let message = [&[0], length.to_be_bytes().as_slice(), &message].concat();
    let mut bytes = frame(HEADERS, END_HEADERS, 0, &headers())?;
    let second_at = bytes.len();
    bytes.extend(frame(DATA, END_STREAM, 0, &message)?);
    Ok(Frames { bytes, second_at, window: i64::from(length) + 5 })
}

impl Frames {
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
