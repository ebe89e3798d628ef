//! Real crashes: real processes under load are killed, stopped, cut off and starved of disk, in an order that a seed
//! makes. Afterwards the clients' own records, the programs' own observations, what a tool server was answered, the
//! registry and the journal are held against each other.
//!
//! A short campaign, with every kind of misfortune that the machine allows, is an ordinary test; `cargo xtask crash` makes
//! it as long as wanted.

mod disk;
mod fencing;
mod load;
mod means;
mod misfortune;
mod network;
mod report;
mod tool;
mod town;
mod verdict;

use crate::harness::ends_within;
use load::Load;
use misfortune::{Fate, Kind, Means, Seed};
use report::Report;
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};
use town::Town;

/// Commands that must be acknowledged between two misfortunes, and how long that may take, in seconds.
const ACKNOWLEDGED_BETWEEN: usize = 4;
const PROGRESS_SECS_MAX: u64 = 180;
/// After how many misfortunes a campaign says how far it is.
const SAY_EVERY: usize = 100;

/// How long a campaign goes on.
#[derive(Debug, Clone, Copy)]
enum End {
    Misfortunes(usize),
    Kills(usize),
}

#[test]
fn whatever_is_killed_stopped_or_cut_off_nothing_acknowledged_is_lost_and_nobody_has_two_holders() {
    let setting = |name: &str| std::env::var_os(name).and_then(|value| value.to_str()?.parse::<usize>().ok());
    let wanted = |name| setting(name).map(|value| value == 1);
    let means = Means::find(wanted("CREDENCE_CRASH_MOUNTS"), wanted("CREDENCE_CRASH_NETNS"));
    let seed = setting("CREDENCE_CRASH_SEED").unwrap_or(1);
    let mut chance = Seed(seed as u64);
    let mut fate = Fate::new(means, &mut chance);
    let count = End::Misfortunes(setting("CREDENCE_CRASH_COUNT").unwrap_or(fate.ahead().len()));
    let end = setting("CREDENCE_CRASH_KILLS").map_or(count, End::Kills);

    let begun = Instant::now();
    let mut town = Town::build(means);
    let mut load = Load::start(&town, seed as u64);
    let mut counts = BTreeMap::<Kind, usize>::new();
    let mut misfortunes = 0;
    while match end {
        End::Misfortunes(count) => misfortunes < count,
        End::Kills(kills) => town.kills < kills,
    } {
        let kind = fate.next(&mut chance);
        town.strike(kind, &mut chance);
        load.progress(ACKNOWLEDGED_BETWEEN, Duration::from_secs(PROGRESS_SECS_MAX), kind);
        *counts.entry(kind).or_default() += 1;
        misfortunes += 1;
        if misfortunes % SAY_EVERY == 0 {
            let (kills, took) = (town.kills, begun.elapsed().as_secs());
            let _ = writeln!(std::io::stderr(), "crash: {misfortunes} misfortunes, {kills} kills in {took} s");
        }
    }
    let records = load.stop();
    town.calm();
    let (kills, evidence) = (town.kills, town.evidence(&records));
    let report = Report { seed, took: begun.elapsed(), counts: &counts, kills, records: &records, evidence: &evidence };
    println!("{report}");
    let found = verdict::judge(&records, &evidence);
    assert!(found.is_empty(), "seed {seed}: {} violations:\n{}", found.len(), found.join("\n"));
    let few = matches!(end, End::Misfortunes(count) if count < counts.len() + fate.ahead().len());
    assert!(few || fate.ahead().is_empty(), "never happened: {:?}", fate.ahead());
}

/// Lets real time pass, for misfortunes that last.
fn pass(duration: Duration) {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process runs");
    assert!(!ends_within(&own, duration), "this process runs");
}
