//! Any sequence of steps reads back what a plain list would.

use credence_journal::{FileOptions, Index, Journal, MemoryDisk, Recovered, Snapshot, Verify};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use super::disk::{Disk, FileDisk};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Vec<u8>>),
    /// Covers this share of what is not covered yet.
    Snapshot(u8),
    Reopen,
    RecoverAgain,
    Read(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let entry = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        6 => prop::collection::vec(entry, 0..5).prop_map(Step::Append),
        2 => any::<u8>().prop_map(Step::Snapshot),
        2 => Just(Step::Reopen),
        1 => Just(Step::RecoverAgain),
        3 => any::<(u8, u8)>().prop_map(|(from, limit)| Step::Read(from, limit)),
    ]
}

struct Model<'a> {
    disk: &'a dyn Disk,
    journal: Option<Box<dyn Journal>>,
    found: Recovered,
    entries: Vec<Vec<u8>>,
    snapshot: Option<Snapshot>,
}

impl<'a> Model<'a> {
    fn new(disk: &'a dyn Disk) -> Self {
        let mut journal = disk.open();
        let found = journal.recover().unwrap();
        Self { disk, journal: Some(journal), found, entries: Vec::new(), snapshot: None }
    }

    fn journal(&mut self) -> &mut dyn Journal {
        self.journal.as_deref_mut().unwrap()
    }

    fn take(&mut self, step: Step) {
        let fence = self.found.fence;
        let last = Index(self.entries.len() as u64);
        match step {
            Step::Append(batch) => {
                let appended = self.journal().append(fence, &batch).unwrap();
                self.entries.extend(batch);
                assert_eq!(appended.0, self.entries.len() as u64);
            }
            Step::Snapshot(share) => {
                let covered = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.upto.0);
                let upto = Index(covered + (last.0 - covered) * u64::from(share) / 255);
                let snapshot = Snapshot { upto, bytes: vec![share; usize::from(share)] };
                self.journal().write_snapshot(fence, &snapshot).unwrap();
                self.snapshot = Some(snapshot);
            }
            Step::Reopen => {
                self.journal = None;
                self.journal = Some(self.disk.open());
                self.recover();
            }
            Step::RecoverAgain => self.recover(),
            Step::Read(from, limit) => {
                let (from, limit) = (u64::from(from) % (last.0 + 3), usize::from(limit));
                let read = self.journal().read(Index(from), limit).unwrap();
                let numbered = (1..).map(Index).zip(self.entries.iter().cloned());
                let wanted: Vec<_> = numbered.filter(|(index, _)| index.0 >= from).take(limit).collect();
                assert_eq!(read, wanted);
            }
        }
    }

    fn recover(&mut self) {
        let found = self.journal().recover().unwrap();
        assert!(found.fence > self.found.fence);
        let covered = self.snapshot.as_ref().map_or(0, |snapshot| usize::try_from(snapshot.upto.0).unwrap());
        assert_eq!(found.snapshot, self.snapshot);
        assert_eq!(found.entries, self.entries[covered..]);
        assert_eq!((found.last.0, found.report.len()), (self.entries.len() as u64, 0));
        self.found = found;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sequence_of_steps_reads_back_equal(
        steps in prop::collection::vec(step(), 1..25),
        segment_bytes_max in 0..1_000_u64,
        is_quick: bool,
    ) {
        let verify = if is_quick { Verify::SinceSnapshot } else { Verify::Everything };
        let file = FileDisk::new(FileOptions { segment_bytes_max, verify });
        for disk in [&MemoryDisk::new() as &dyn Disk, &file] {
            let mut model = Model::new(disk);
            for step in steps.iter().cloned().chain([Step::Reopen]) {
                model.take(step);
            }
        }
    }
}
