//! `get --watch`: the log says when something happened, and the list then says what changed in it.

use crate::args::Format;
use crate::client::{Call, Client};
use crate::clock;
use crate::failure::Failure;
use crate::output::style::Tone;
use crate::output::table::{Cell, Table};
use crate::session::Session;
use crate::verb::get::{Selection, fetch};
use crate::verb::log;
use crate::view::{View, table};
use credence_model::refusal::Kind;
use credence_server::api::log::{LOG_WAIT_MS_MAX, LogPage};
use std::collections::BTreeMap;

/// Most entries in one answer; how many there are does not matter, only that there are some.
const ENTRIES_MAX: usize = 1000;

/// The number that the next entry will have.
pub(super) async fn end(client: &Client) -> Result<u64, Failure> {
    log::end(client).await
}

/// Prints what changes from entry `from` on, until it is interrupted.
pub(super) async fn watch<V: View>(
    client: &Client,
    session: &Session,
    selection: &Selection,
    items: Vec<V>,
    mut from: u64,
) -> Result<(), Failure> {
    let mut known: BTreeMap<String, V> = items.into_iter().map(|item| (item.key(), item)).collect();
    loop {
        let path = format!("/v1/log?from={from}&limit={ENTRIES_MAX}&wait_ms={LOG_WAIT_MS_MAX}");
        let page: LogPage = client.send(Call::get(path).wait_ms(LOG_WAIT_MS_MAX)).await?;
        if page.items.is_empty() {
            continue;
        }
        from = page.next;
        let items: Vec<V> = match fetch(client, selection).await {
            Err(failure) if failure.refusal.kind == Kind::NotFound => Vec::new(),
            other => other?,
        };
        let current: BTreeMap<String, V> = items.into_iter().map(|item| (item.key(), item)).collect();
        print_changes(session, &known, &current)?;
        known = current;
    }
}

fn print_changes<V: View>(
    session: &Session,
    old: &BTreeMap<String, V>,
    new: &BTreeMap<String, V>,
) -> Result<(), Failure> {
    let (now, wide) = (clock::now(), session.out.format == Format::Wide);
    let changed = new.iter().filter(|(key, item)| old.get(*key) != Some(*item)).map(|(_, item)| item);
    if session.out.is_object() {
        return changed.into_iter().try_for_each(|item| session.out.stream_object(item));
    }
    let mut rows = Table::new(V::headings(wide));
    changed.for_each(|item| rows.push(item.row(now, wide)));
    for (_, item) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let mut row = item.row(now, wide);
        row.truncate(V::headings(wide).len());
        row.push(Cell::toned("gone", Tone::Faint));
        rows.push(row);
    }
    // Aligned with all rows that are there now, so that the columns stay where they were.
    let mut like = table::<V>(&[], now, wide);
    new.values().chain(old.values()).for_each(|item| like.push(item.row(now, wide)));
    rows.render_rows(&like, session.out.style).into_iter().try_for_each(|row| session.out.line(row))
}
