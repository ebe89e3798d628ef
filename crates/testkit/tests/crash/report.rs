//! What a campaign tells at its end.

use super::fencing::Leases;
use super::load::Record;
use super::misfortune::Kind;
use super::verdict::Evidence;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub(super) struct Report<'e> {
    pub(super) seed: usize,
    pub(super) took: Duration,
    pub(super) counts: &'e BTreeMap<Kind, usize>,
    pub(super) kills: usize,
    pub(super) records: &'e [Record],
    pub(super) evidence: &'e Evidence,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, took, counts, kills, records, evidence } = self;
        let leases = Leases::read(&evidence.entries);
        let acknowledged = records.iter().filter(|record| record.acknowledged.is_some()).count();
        let answers = evidence.sightings.iter().map(|sighting| sighting.answers).sum::<usize>();
        writeln!(f, "crash campaign, seed {seed}, {} s", took.as_secs())?;
        for (kind, times) in *counts {
            writeln!(f, "  {:<40} {times:>8}", format!("{kind:?}"))?;
        }
        let rows = [
            ("misfortunes", counts.values().sum()),
            ("kills", *kills),
            ("commands", records.len()),
            ("commands acknowledged", acknowledged),
            ("journal entries", evidence.entries.len()),
            ("bindings seen by their programs", evidence.sightings.len()),
            ("answers to programs", answers),
            ("actors bound again after a loss", leases.rebinds),
            ("old holders watched until refused", evidence.watched.len()),
        ];
        for (what, number) in rows {
            writeln!(f, "  {what:<40} {number:>8}")?;
        }
        let times = [
            ("longest until an old holder is refused", leases.refused_within_ms(&evidence.watched)),
            ("soonest that another one follows it", leases.followed_after_ms().unwrap_or_default()),
            ("longest without an acknowledgement", silence_ms(records)),
        ];
        for (what, ms) in times {
            writeln!(f, "  {what:<40} {ms:>8} ms")?;
        }
        Ok(())
    }
}

/// The longest time in which no command was acknowledged, in milliseconds.
fn silence_ms(records: &[Record]) -> u64 {
    let acknowledged = records.iter().filter(|record| record.acknowledged.is_some());
    let mut times: Vec<_> = acknowledged.map(|record| record.answered_ms).collect();
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
