//! A tool server that is shown a credential and asks the server about it again and again.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time between two questions about each credential, in milliseconds.
const ASK_EVERY_MS: u64 = 50;
/// How long a credential may be asked about, in seconds: far longer than any lease.
const ASK_SECS_MAX: u64 = 60;
/// How long an answer may take, in seconds: longer than a server is stopped.
const ANSWER_SECS_MAX: u64 = 20;

/// Who holds an identity, as the tool server was shown it.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) actor: String,
    pub(super) binding: String,
    /// In PEM.
    pub(super) certificates: String,
}

/// What was answered when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) asked_ms: u64,
    pub(super) answered_ms: u64,
    pub(super) is_live: bool,
}

/// Everything that was answered about one holder.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) actor: String,
    pub(super) binding: String,
    pub(super) answers: Vec<Answer>,
}

/// Asks until every credential was refused once, and until it is told that this is enough.
pub(super) struct Watch {
    enough: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Watched>>,
}

impl Watch {
    pub(super) fn over(socket: &Path, holders: Vec<Holder>) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (socket, is_enough) = (socket.to_owned(), Arc::clone(&enough));
        Self { enough, asking: std::thread::spawn(move || watch(&socket, &holders, &is_enough)) }
    }

    pub(super) fn end(self) -> Vec<Watched> {
        self.enough.store(true, Ordering::Relaxed);
        self.asking.join().expect("it asks until it is answered")
    }
}

fn watch(socket: &Path, holders: &[Holder], enough: &AtomicBool) -> Vec<Watched> {
    let begun = Instant::now();
    let unseen = |holder: &Holder| {
        let (actor, binding) = (holder.actor.clone(), holder.binding.clone());
        Watched { actor, binding, answers: Vec::new() }
    };
    let mut all: Vec<_> = holders.iter().map(unseen).collect();
    let is_refused = |watched: &Watched| watched.answers.last().is_some_and(|answer| !answer.is_live);
    while !(enough.load(Ordering::Relaxed) && all.iter().all(is_refused)) && begun.elapsed().as_secs() < ASK_SECS_MAX {
        for (holder, watched) in holders.iter().zip(&mut all) {
            let (asked_ms, body) = (now_ms(), json!({ "x509_svid_pem": holder.certificates }).to_string());
            // A server that does not answer says nothing about anybody.
            if let Some((200, verdict)) = ask(socket, "POST", "/v1/verify", &body)
                && let Some(is_live) = verdict["live"].as_bool()
            {
                watched.answers.push(Answer { asked_ms, answered_ms: now_ms(), is_live });
            }
        }
        super::pass(Duration::from_millis(ASK_EVERY_MS));
    }
    all
}

/// One request on a connection of its own: status and body, or nothing if there was no answer.
pub(super) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_SECS_MAX))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// Where a command line finds the server.
pub(super) fn socket(cli: &crate::harness::Cli) -> PathBuf {
    let server = cli.server.as_deref().and_then(|server| server.strip_prefix("unix:"));
    server.expect("the server of a house is found by its socket").into()
}

/// The time of day, which the server and the programs read, too.
#[expect(clippy::disallowed_methods, reason = "times of several processes of this machine are compared")]
pub(super) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since_epoch.as_millis()).expect("a time")
}
