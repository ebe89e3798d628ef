//! Clients that work all the time and remember what they were told.

use super::misfortune::{Kind, Seed};
use super::tool::now_ms;
use super::town::Town;
use crate::harness::Cli;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients, and actors of each: nobody else touches those.
const CLIENTS: usize = 2;
const ACTORS_EACH: usize = 4;

/// Acknowledged commands that nobody has counted.
const UNREAD_MAX: usize = 64;

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Create,
    Resume,
    Suspend,
}

/// One command, in the order of its client.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) actor: String,
    pub(super) deed: Deed,
    /// What the server answered; without it the command may have happened or not.
    pub(super) acknowledged: Option<Value>,
    /// Whether the server said that it did not happen.
    pub(super) refused: bool,
    /// When it was asked for and when the answer was there, by the time of day.
    pub(super) asked_ms: u64,
    pub(super) answered_ms: u64,
}

/// The clients at work.
pub(super) struct Load {
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Record>>>,
    acknowledged: Receiver<()>,
}

impl Load {
    pub(super) fn start(town: &Town, seed: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (told, acknowledged) = sync_channel(UNREAD_MAX);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (cli, enough, told) = (town.cli(), Arc::clone(&enough), told.clone());
                let chance = Seed(seed ^ ((client as u64 + 1) << 32));
                std::thread::spawn(move || work(&cli, client, chance, &enough, &told))
            })
            .collect();
        Self { enough, clients, acknowledged }
    }

    /// Waits until so many more commands are acknowledged: whatever happened, the town goes on.
    pub(super) fn progress(&mut self, commands: usize, within: Duration, after: Kind) {
        while self.acknowledged.try_recv().is_ok() {}
        let until = Instant::now() + within;
        for _ in 0..commands {
            let left = until.saturating_duration_since(Instant::now());
            assert!(self.acknowledged.recv_timeout(left).is_ok(), "nothing is acknowledged any more after {after:?}");
        }
    }

    /// Everything that was asked for.
    pub(super) fn stop(self) -> Vec<Record> {
        self.enough.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().expect("a client does not fail")).collect()
    }
}

fn work(cli: &Cli, client: usize, mut chance: Seed, enough: &AtomicBool, told: &SyncSender<()>) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let actor = format!("actor-{client}-{}", chance.below(ACTORS_EACH));
        let is_there = records.iter().any(|record| record.actor == actor && record.acknowledged.is_some());
        let deed = match chance.below(5) {
            _ if !is_there => Deed::Create,
            0 | 1 => Deed::Suspend,
            _ => Deed::Resume,
        };
        let record = ask(cli, actor, deed);
        if record.acknowledged.is_some() {
            // One that finds no room is not counted.
            let _ = told.try_send(());
        }
        records.push(record);
    }
    records
}

fn ask(cli: &Cli, actor: String, deed: Deed) -> Record {
    let arguments: &[&str] = match deed {
        Deed::Create => &["actor", "create", &actor, "--class", "beacon"],
        Deed::Resume => &["actor", "resume", &actor],
        Deed::Suspend => &["actor", "suspend", &actor],
    };
    let asked_ms = now_ms();
    let ran = cli.run(&[arguments, &["-o", "json"]].concat());
    let answered = serde_json::from_str(&ran.stdout).ok().filter(|_| ran.code == 0);
    // Unavailable says nothing about what happened; every other code is the server's word that nothing did.
    let (refused, answered_ms) = (ran.code == 1, now_ms());
    Record { actor, deed, acknowledged: answered, refused, asked_ms, answered_ms }
}
