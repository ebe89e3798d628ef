//! What the facts mean: one check each, and what to do about those that do not hold.

use super::local::{Certificate, Data, Disk, Unread};
use super::remote::Server;
use super::{Facts, shown};
use crate::output::duration::{fine, moment, rough, since};
use credence_model::time::Timestamp;
use credence_server::api::status::{Life, StatusView};
use credence_server::backup::Checked;
use serde::Serialize;

const MIB: u64 = 1024 * 1024;
/// Less free space than this stops the journal soon.
const FREE_BYTES_FAIL: u64 = 64 * MIB;
/// Less than this is worth a look.
const FREE_BYTES_WARN: u64 = 1024 * MIB;
/// An actor that waits longer finds no worker by itself, in milliseconds.
const WAITING_WARN_MS: u64 = 10_000;
/// After this long the pools are wrong for what they are asked, in milliseconds.
const WAITING_FAIL_MS: u64 = 60_000;
/// Clocks further apart make certificates of the one invalid for the other, in milliseconds.
const CLOCK_FAIL_MS: u64 = 5_000;
/// A certificate with less than one in so many parts of its life left should have been renewed.
const LIFE_PARTS: u64 = 10;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It does.
    Ok,
    /// It does, and should be looked at.
    Warn,
    /// It does not.
    Fail,
    /// It was not looked at, or cannot be seen from here.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what_to_do: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, says: impl Into<String>) -> Self {
        Self { name, state, says: says.into(), what_to_do: None }
    }

    fn todo(mut self, what: impl Into<String>) -> Self {
        self.what_to_do = Some(what.into());
        self
    }
}

/// Everything, in the order in which it depends on one another.
pub(super) fn judge(facts: &Facts, now: Timestamp) -> Vec<Check> {
    let local = &facts.local;
    let mut checks = vec![
        config(local.config.as_ref()),
        data(local.data.as_ref()),
        disk(local.disk.as_ref()),
        journal(local.journal.as_ref(), now),
        authority(local.authority.as_ref(), now),
        server(facts.server.as_ref()),
    ];
    let status = facts.server.as_ref().and_then(|server| server.as_ref().ok());
    checks.extend([
        server_svid(status.map(|server| &server.status)),
        clock(status),
        held(status.map(|server| &server.status)),
        nodes(status.map(|server| &server.status)),
        waiting(status.map(|server| &server.status)),
    ]);
    checks.push(match &local.node_svid {
        None => {
            Check::new("node svid", State::Unknown, "no node's data directory is known; name it with --node-data-dir")
        }
        Some(Err(why)) => {
            Check::new("node svid", State::Fail, why).todo("let the node attest again with a new join token")
        }
        Some(Ok(found)) => lives(
            "node svid",
            std::slice::from_ref(found),
            now,
            "look at the node's log; if it is gone for long, \
            it must attest again (credence token create)",
        ),
    });
    checks.push(match &local.node_socket {
        None => Check::new("node socket", State::Unknown, "no node is known on this machine"),
        Some((path, Ok(()))) => Check::new("node socket", State::Ok, format!("{} answers", shown(path))),
        Some((path, Err(why))) => Check::new("node socket", State::Fail, format!("{}: {why}", shown(path)))
            .todo("start the node (credence node), or name its socket with CREDENCE_NODE_SOCKET"),
    });
    checks
}

fn config(found: Option<&Result<(), String>>) -> Check {
    match found {
        None => Check::new("config", State::Unknown, "not looked at; name the file with --config"),
        Some(Ok(())) => Check::new("config", State::Ok, "it can be read, and every value is legal"),
        Some(Err(why)) => {
            Check::new("config", State::Fail, why).todo("correct the file; the server would not start with it")
        }
    }
}

fn data(found: Option<&Result<Data, String>>) -> Check {
    match found {
        None => Check::new("data", State::Unknown, "no data directory is known; name it with --data-dir"),
        Some(Err(why)) => Check::new("data", State::Fail, why)
            .todo("name the right one with --data-dir, or run this as the server's user"),
        Some(Ok(data)) => match data.exposed.first() {
            None => Check::new("data", State::Ok, format!("{}, which nobody else can read", data.dir)),
            Some((path, mode)) => {
                let wanted = if path.ends_with(".pem") || path.ends_with("seed") || path.ends_with("-key") {
                    "600"
                } else {
                    "700"
                };
                let more = data.exposed.len() - 1;
                let more = if more == 0 { String::new() } else { format!(", and {more} more") };
                Check::new("data", State::Fail, format!("others can reach {path} (mode {mode:04o}){more}"))
                    .todo(format!("chmod {wanted} {path}; if somebody may have read a key, make a new authority"))
            }
        },
    }
}

fn disk(found: Option<&Result<Disk, String>>) -> Check {
    let disk = match found {
        None => return Check::new("disk", State::Unknown, "no data directory to look at"),
        Some(Err(why)) => return Check::new("disk", State::Unknown, why),
        Some(Ok(disk)) => disk,
    };
    let says = format!("{} free of {}", size(disk.free_bytes), size(disk.all_bytes));
    let state = match disk.free_bytes {
        0..FREE_BYTES_FAIL => State::Fail,
        FREE_BYTES_FAIL..FREE_BYTES_WARN => State::Warn,
        _ => return Check::new("disk", State::Ok, says),
    };
    Check::new("disk", state, says).todo("make room: a journal that cannot be written stops the server")
}

fn size(bytes: u64) -> String {
    match bytes / MIB {
        mib @ 0..10_240 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib / 1024),
    }
}

fn journal(found: Option<&Result<Checked, Unread>>, now: Timestamp) -> Check {
    match found {
        None => Check::new("journal", State::Unknown, "no data directory to look at"),
        Some(Err(Unread::Damaged(why))) => Check::new("journal", State::Fail, why)
            .todo("keep the directory as it is, and restore the newest backup into another one (credence restore)"),
        Some(Err(Unread::Unchecked(why))) => Check::new("journal", State::Warn, format!("it was not verified: {why}"))
            .todo("run this as the server's user, with room on the disk for a copy of the newest segment"),
        Some(Ok(Checked { last_index, last_at, verified })) => {
            let age = since(*last_at, now);
            let says =
                format!("{last_index} entries, the last {age} ago; {verified} verified, which no snapshot covers");
            Check::new("journal", State::Ok, says)
        }
    }
}

fn authority(found: Option<&Result<Vec<Certificate>, String>>, now: Timestamp) -> Check {
    match found {
        None => Check::new("authority", State::Unknown, "no data directory to look at"),
        Some(Err(why)) => Check::new("authority", State::Fail, why).todo("restore it from a backup (credence restore)"),
        Some(Ok(certificates)) => lives(
            "authority",
            certificates,
            now,
            "an intermediate is made anew at a start; a root must be replaced while everybody still trusts it",
        ),
    }
}

/// Certificates, the one that ends first in words.
fn lives(name: &'static str, certificates: &[Certificate], now: Timestamp, todo: &str) -> Check {
    let Some(first) = certificates.iter().min_by_key(|certificate| certificate.not_after) else {
        return Check::new(name, State::Unknown, "there is none");
    };
    let Certificate { name: which, not_before, not_after } = first;
    let which = which.trim_end_matches(".pem");
    if *not_after <= now {
        return Check::new(name, State::Fail, format!("{which} ended {} ago", since(*not_after, now))).todo(todo);
    }
    if *not_before > now {
        let says = format!("{which} begins only {}", moment(*not_before));
        return Check::new(name, State::Fail, says).todo("set this machine's clock");
    }
    let says = format!("{which} ends {}, in {}", moment(*not_after), rough(not_after.ms_since(now)));
    let is_late = not_after.ms_since(now) < not_after.ms_since(*not_before) / LIFE_PARTS;
    if is_late { Check::new(name, State::Warn, says).todo(todo) } else { Check::new(name, State::Ok, says) }
}

fn server(found: Option<&Result<Server, String>>) -> Check {
    match found {
        None => Check::new("server", State::Unknown, "no server is known; name one with --server"),
        Some(Err(why)) => Check::new("server", State::Fail, format!("it does not answer: {why}"))
            .todo("start it (credence server, or credence dev), or name another with --server"),
        Some(Ok(Server { status, took_ms, .. })) => match (&status.not_ready, &status.held) {
            (Some(why), None) => Check::new("server", State::Fail, format!("it answers and is not ready: {why}"))
                .todo("look at its log; restart it if the disk is well again"),
            _ => {
                let StatusView { trust_domain, version, .. } = status;
                Check::new("server", State::Ok, format!("{trust_domain}, version {version}, answers in {took_ms} ms"))
            }
        },
    }
}

fn server_svid(found: Option<&StatusView>) -> Check {
    match found.map(|status| (status.svid, status.now)) {
        None => Check::new("server svid", State::Unknown, "only the server knows"),
        Some((None, _)) => Check::new("server svid", State::Fail, "it has none, so nobody can reach it over TLS")
            .todo("look at its log; restart it"),
        Some((Some(Life { not_before, not_after }), now)) => {
            let svid = Certificate { name: "its own".into(), not_before, not_after };
            lives("server svid", &[svid], now, "look at its log: it renews itself at a third of its life")
        }
    }
}

fn clock(found: Option<&Server>) -> Check {
    let Some(Server { status, heard_at, took_ms }) = found else {
        return Check::new("clock", State::Unknown, "there is no server's clock to compare with");
    };
    let apart_ms = status.now.ms_since(*heard_at).max(heard_at.ms_since(status.now)).saturating_sub(*took_ms);
    let says = format!("{} apart from the server's", fine(apart_ms));
    let state = match apart_ms {
        ms if ms >= CLOCK_FAIL_MS => State::Fail,
        ms if ms >= status.clock_margin_ms => State::Warn,
        _ => return Check::new("clock", State::Ok, says),
    };
    Check::new("clock", state, says).todo("set both clocks by the same source (NTP)")
}

fn held(found: Option<&StatusView>) -> Check {
    match found.map(|status| &status.held) {
        None => Check::new("held", State::Unknown, "only the server knows"),
        Some(None) => Check::new("held", State::Ok, "no"),
        Some(Some(why)) => Check::new("held", State::Fail, format!("it changes and issues nothing: {why}")).todo(
            "make sure that no other server of this trust domain runs, then `credence release` (docs/recovery.md)",
        ),
    }
}

fn nodes(found: Option<&StatusView>) -> Check {
    let Some(status) = found else { return Check::new("nodes", State::Unknown, "only the server knows") };
    if status.held.is_some() {
        return Check::new("nodes", State::Unknown, "none is let in while the server is held");
    }
    let connected = status.nodes_connected;
    let Some(lost) = status.lost.first() else {
        return match connected {
            0 => Check::new("nodes", State::Warn, "there is none, so no actor can run")
                .todo("make a join token and start one (credence token create, credence node)"),
            _ => Check::new("nodes", State::Ok, format!("{connected} connected")),
        };
    };
    let silent = format!("{}, not heard for {}", lost.name, since(lost.heard_at, status.now));
    let says = format!("{connected} connected, {} not: {silent}", status.nodes_lost);
    let state = if connected == 0 { State::Fail } else { State::Warn };
    Check::new("nodes", state, says)
        .todo(format!("look at node {}; if it is gone for good: credence delete node/{}", lost.name, lost.name))
}

fn waiting(found: Option<&StatusView>) -> Check {
    let Some(status) = found else { return Check::new("waiting", State::Unknown, "only the server knows") };
    let Some(longest) = &status.waits_longest else {
        return Check::new("waiting", State::Ok, "nobody waits for a worker");
    };
    let waits_ms = status.now.ms_since(longest.since);
    let says = format!("{} for a worker; {} longest, for {}", status.waiting, longest.actor, fine(waits_ms));
    if waits_ms < WAITING_WARN_MS {
        return Check::new("waiting", State::Ok, says);
    }
    let state = if waits_ms < WAITING_FAIL_MS { State::Warn } else { State::Fail };
    Check::new("waiting", state, says)
        .todo(format!("credence explain actor/{} says why; add workers, or suspend somebody", longest.actor))
}

#[cfg(test)]
mod tests;
