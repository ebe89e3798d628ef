//! `credence log tail`: the log, one readable line per entry.

mod words;

use crate::args::{Format, LogVerb, TailArgs};
use crate::client::{Call, Client};
use crate::clock;
use crate::failure::Failure;
use crate::output::duration::clock as clock_text;
use crate::output::style::{Style, Tone};
use crate::output::table::printable;
use crate::session::Session;
use credence_model::event::Entry;
use credence_model::time::Timestamp;
use credence_server::api::log::{LOG_WAIT_MS_MAX, LogPage};

/// How many entries `log tail` begins with.
const TAIL_ENTRIES: usize = 20;
/// Most entries in one page.
const PAGE_ENTRIES_MAX: usize = 1000;

pub(super) async fn run(verb: LogVerb, session: &Session) -> Result<(), Failure> {
    let LogVerb::Tail(TailArgs { from, follow }) = verb;
    let client = session.client()?;
    let tell = |entry: &Entry| session.out.format != Format::Table || !words::is_routine(&entry.event);
    // The last few that are told are among the last page, unless nothing but routine happened for long.
    let (mut from, mut first_max) = match from {
        Some(from) => (from.max(1), usize::MAX),
        None => (end(&client).await?.saturating_sub(PAGE_ENTRIES_MAX as u64).max(1), TAIL_ENTRIES),
    };
    let mut wait_ms = 0;
    loop {
        let page = read(&client, from, PAGE_ENTRIES_MAX, wait_ms).await?;
        let now = clock::now();
        let told: Vec<_> = page.items.iter().filter(|entry| tell(entry)).collect();
        for entry in told.iter().skip(told.len().saturating_sub(first_max)) {
            if session.out.is_object() {
                session.out.stream_object(entry)?;
            } else {
                session.out.line(line(entry, now, session.out.style))?;
            }
        }
        first_max = usize::MAX;
        if page.items.is_empty() {
            if !follow {
                return Ok(());
            }
            wait_ms = LOG_WAIT_MS_MAX;
        } else {
            from = page.next.max(from);
        }
    }
}

/// The number that the next entry will have: found by asking for single entries, since the log only answers with them.
pub(super) async fn end(client: &Client) -> Result<u64, Failure> {
    let exists = async |index| Ok::<_, Failure>(!read(client, index, 1, 0).await?.items.is_empty());
    let (mut there, mut beyond) = (0_u64, 1_u64);
    while exists(beyond).await? {
        there = beyond;
        beyond = beyond.saturating_mul(2);
    }
    while there + 1 < beyond {
        let middle = there + (beyond - there) / 2;
        if exists(middle).await? { there = middle } else { beyond = middle }
    }
    Ok(beyond)
}

async fn read(client: &Client, from: u64, limit: usize, wait_ms: u64) -> Result<LogPage, Failure> {
    client.send(Call::get(format!("/v1/log?from={from}&limit={limit}&wait_ms={wait_ms}")).wait_ms(wait_ms)).await
}

/// Number, time, what happened, by whom.
fn line(entry: &Entry, now: Timestamp, style: Style) -> String {
    let number = style.paint(Tone::Faint, &format!("{:>6}", entry.index));
    let by = style.paint(Tone::Faint, &format!("by {}", entry.caller));
    format!("{number}  {}  {}  {by}", clock_text(entry.at, now), printable(&words::sentence(&entry.event)))
}

#[cfg(test)]
mod tests;
