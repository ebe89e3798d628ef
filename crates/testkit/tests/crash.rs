//! Real crashes: real processes under load are killed, stopped, cut off and starved of disk, in an order that a seed
//! makes. Afterwards the clients' own records, the programs' own observations, the registry and the journal are held
//! against each other.
//!
//! A short campaign is an ordinary test; `cargo xtask crash` makes it as long as wanted.

mod load;
mod misfortune;
mod town;
mod verdict;

use crate::harness::ends_within;
use load::Load;
use misfortune::{Kind, Seed};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use town::Town;

/// Misfortunes of the short campaign.
const SHORT: usize = 10;
/// Commands that must be acknowledged between two misfortunes, and how long that may take, in seconds.
const ACKNOWLEDGED_BETWEEN: usize = 4;
const PROGRESS_SECS_MAX: u64 = 60;

#[test]
fn whatever_is_killed_stopped_or_cut_off_nothing_acknowledged_is_lost_and_nobody_has_two_holders() {
    let setting = |name: &str| std::env::var_os(name).and_then(|value| value.to_str()?.parse::<usize>().ok());
    let misfortunes = setting("CREDENCE_CRASH_COUNT").unwrap_or(SHORT);
    let seed = setting("CREDENCE_CRASH_SEED").unwrap_or(1);
    let with_mounts = setting("CREDENCE_CRASH_MOUNTS").unwrap_or(0) == 1;
    let begun = Instant::now();
    let mut town = Town::build(with_mounts);
    let mut load = Load::start(&town, seed as u64);
    let (mut chance, mut counts) = (Seed(seed as u64), BTreeMap::<Kind, usize>::new());
    let mut longest = Duration::ZERO;
    for _ in 0..misfortunes {
        let kind = Kind::choose(&mut chance, with_mounts);
        let struck = Instant::now();
        town.strike(kind, &mut chance);
        load.progress(ACKNOWLEDGED_BETWEEN, Duration::from_secs(PROGRESS_SECS_MAX), kind);
        longest = longest.max(struck.elapsed());
        *counts.entry(kind).or_default() += 1;
    }
    let records = load.stop();
    town.calm();
    let evidence = town.evidence(&records);
    let acknowledged = records.iter().filter(|record| record.acknowledged.is_some()).count();
    let found = verdict::judge(&records, &evidence);
    println!(
        "crash campaign, seed {seed}: {misfortunes} misfortunes {counts:?} in {:.0} s; {acknowledged} of {} commands \
         acknowledged; {} journal entries, {} bindings seen by their programs, {} answers; longest way back {:.1} s",
        begun.elapsed().as_secs_f64(),
        records.len(),
        evidence.entries.len(),
        evidence.sightings.len(),
        evidence.sightings.iter().map(|sighting| sighting.answers).sum::<usize>(),
        longest.as_secs_f64(),
    );
    assert!(found.is_empty(), "seed {seed}: {} violations:\n{}", found.len(), found.join("\n"));
}

/// Lets real time pass, for misfortunes that last.
fn pass(duration: Duration) {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process runs");
    assert!(!ends_within(&own, duration), "this process runs");
}
