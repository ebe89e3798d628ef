//! The registry and its journal: transitions, memory, restart.

use crate::BenchError;
use crate::measure::{Measured, Promise, median, resident_bytes};
use crate::world::{COHORT_MAX, World};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Transitions that share one append: as many as there are callers at a time.
const SOME: usize = 64;
const MANY: usize = COHORT_MAX;
/// Transitions before a measurement begins.
const WARM_UP: usize = 32 * COHORT_MAX;
/// Measurements of transitions, each beside one of the limit, and the transitions of each.
const SLICES: usize = 7;
const SLICE: usize = 80 * COHORT_MAX;
/// Restarts that are measured.
const RESTARTS: usize = 3;

/// From so many actors on, memory is theirs; up to so many, a restart takes as long as is promised.
const LARGE: u64 = 1_000_000;

pub(crate) fn measure(dir: &Path, actors: u64) -> Result<Vec<Measured>, BenchError> {
    let journal = dir.join("journal");
    let before = resident_bytes("self")?;
    let mut world = World::open(&journal)?;
    world.fill(actors)?;
    let memory = resident_bytes("self")?.saturating_sub(before) as f64 / actors as f64;
    world.registry.snapshot_after(1)?;
    world.attach()?;
    let transitions = [(SOME, "transitions"), (MANY, "transitions-large")]
        .map(|(batch, row)| transitions(&mut world, dir, batch).map(|rates| (batch, row, rates)));
    drop(world);
    let mut restarts = Vec::new();
    for _ in 0..RESTARTS {
        let begin = Instant::now();
        World::open(&journal)?;
        restarts.push(begin.elapsed().as_secs_f64());
    }
    // The figures of a small registry are those of an empty one.
    let large = |most| (actors >= LARGE).then_some(Promise::AtMost(most));
    let of = |what: &str| format!("{what}, {actors} suspended actors");
    let mut rows = Vec::new();
    for measured in transitions {
        let (batch, row, Rates { mut ours, mut raw }) = measured?;
        let what = of(&format!("durable binding transitions, {batch} at a time"));
        let row = Measured::new(row, what, median(&mut ours), "1/s", at_least(150_000.0));
        // What an append costs is what the disk makes of it, until there is so much in one that only bytes count.
        let ratio = if batch == SOME { at_least(0.5) } else { None };
        rows.push(row.beside("append of the same bytes", median(&mut raw), ratio));
    }
    rows.push(Measured::new("memory", of("memory for each actor"), memory, "B", large(256.0)));
    let soon = (actors <= LARGE).then_some(Promise::AtMost(3.0));
    rows.push(Measured::new("restart", of("start to serving"), median(&mut restarts), "s", soon));
    Ok(rows)
}

/// Transitions a second, and how many there would be if only their bytes were appended.
struct Rates {
    ours: Vec<f64>,
    raw: Vec<f64>,
}

/// So many callers at a time, each of whom waits until its transition is durable.
fn transitions(world: &mut World, dir: &Path, batch: usize) -> Result<Rates, BenchError> {
    world.transitions(WARM_UP, batch)?;
    let mut rates = Rates { ours: Vec::new(), raw: Vec::new() };
    for _ in 0..SLICES {
        world.sizes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        world.busy = Duration::ZERO;
        let count = world.transitions(SLICE, batch)?;
        rates.ours.push(count as f64 / world.busy.as_secs_f64());
        let sizes = std::mem::take(&mut *world.sizes.lock().unwrap_or_else(PoisonError::into_inner));
        rates.raw.push(count as f64 / raw_append(dir, &sizes)?);
    }
    Ok(rates)
}

fn at_least(value: f64) -> Option<Promise> {
    Some(Promise::AtLeast(value))
}

/// Seconds that it takes to append as many bytes in as many batches, each made durable.
fn raw_append(dir: &Path, sizes: &[usize]) -> Result<f64, BenchError> {
    let file = File::create(dir.join("raw"))?;
    let bytes = vec![0x5A; sizes.iter().copied().max().unwrap_or(0)];
    let begin = Instant::now();
    let mut end = 0;
    for size in sizes {
        let batch = bytes.get(..*size).unwrap_or_default();
        file.write_all_at(batch, end)?;
        file.sync_data()?;
        end += *size as u64;
    }
    Ok(begin.elapsed().as_secs_f64())
}
