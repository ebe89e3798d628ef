//! The registry and its journal: transitions, memory, restart.

use crate::BenchError;
use crate::measure::{Measured, Promise, median, resident_bytes};
use crate::world::World;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;

/// Cycles before the measurement begins.
const WARM_UP_CYCLES: u64 = 8;
/// Measurements of transitions, each beside one of the limit, and the cycles of each.
const SLICES: usize = 7;
const CYCLES: u64 = 20;
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
    for _ in 0..WARM_UP_CYCLES {
        world.cycle()?;
    }
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..SLICES {
        world.sizes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let begin = Instant::now();
        let mut transitions = 0;
        for _ in 0..CYCLES {
            transitions += world.cycle()?;
        }
        ours.push(transitions as f64 / begin.elapsed().as_secs_f64());
        let sizes = std::mem::take(&mut *world.sizes.lock().unwrap_or_else(PoisonError::into_inner));
        raw.push(transitions as f64 / raw_append(dir, &sizes)?);
    }
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
    Ok(vec![
        Measured::new("transitions", of("durable binding transitions"), median(&mut ours), "1/s", at_least(150_000.0))
            .beside("append of the same bytes", median(&mut raw), at_least(0.5)),
        Measured::new("memory", of("memory for each actor"), memory, "B", large(256.0)),
        Measured::new(
            "restart",
            of("start to serving"),
            median(&mut restarts),
            "s",
            (actors <= LARGE).then_some(Promise::AtMost(3.0)),
        ),
    ])
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
