//! The law of the cell: whatever is asked and however the disk fails, memory is what the journal says, and what was
//! acknowledged is there.

use crate::fixture::{
    START, apply_class, apply_pool, create, entropy, recorded, registry, replayed, resume, retried, settings, spec,
    suspend,
};
use credence_control::Registry;
use credence_journal::{Fault, MemoryDisk, MemoryJournal};
use credence_model::command::{Answer, Command};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    /// Commands of one turn, by number, each under a key of its own.
    Turn(Vec<u8>),
    /// The next append fails in this way.
    Fail(Fault),
    /// A snapshot.
    Snapshot,
    /// A crash: memory is gone.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 1..5).prop_map(Step::Turn),
        1 => Just(Step::Fail(Fault::RefuseAppend)),
        1 => Just(Step::Fail(Fault::LoseAnswer)),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Crash),
    ]
}

fn command(number: u8) -> Command {
    let id = format!("a-{}", number % 8);
    match number / 8 {
        0..10 => create(&id),
        10..16 => resume(&id),
        16..22 => suspend(&id),
        22..26 => Command::DeleteActor { actor: format!("finance/{id}").parse().unwrap() },
        26..28 => apply_pool(),
        _ => apply_class(spec()),
    }
}

/// A start can fail as well; then there is another.
fn reopened(disk: &MemoryDisk) -> Registry {
    loop {
        let journal = Box::new(MemoryJournal::open(disk));
        if let Ok((registry, _)) = Registry::open(journal, settings(), START, &entropy()) {
            return registry;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_is_what_the_journal_says_and_what_was_acknowledged_is_there(steps in prop::collection::vec(step(), 1..40)) {
        let disk = MemoryDisk::new();
        let (mut cell, _) = registry(&disk);
        let mut acknowledged: BTreeMap<String, (Command, Answer)> = BTreeMap::new();
        for (nth, step) in steps.into_iter().enumerate() {
            match step {
                Step::Turn(numbers) => {
                    let keyed = |(at, number): (usize, &u8)| retried(&format!("{nth}-{at}"), command(*number));
                    let requests: Vec<_> = numbers.iter().enumerate().map(keyed).collect();
                    match cell.turn(START, &mut entropy, &requests) {
                        Ok(turn) => {
                            prop_assert_eq!(turn.answers.len(), requests.len());
                            for (request, answer) in requests.into_iter().zip(turn.answers).filter_map(|(r, a)| Some((r, a.ok()?))) {
                                let key = request.idempotency_key.unwrap_or_default();
                                acknowledged.insert(key, (request.command, answer.answer));
                            }
                        }
                        Err(_) => { cell.recover().unwrap(); }
                    }
                }
                Step::Fail(fault) => disk.inject(fault),
                Step::Snapshot => { cell.snapshot_after(1).unwrap(); }
                Step::Crash => {
                    cell = reopened(&disk);
                }
            }
            let entries = recorded(&mut cell);
            prop_assert_eq!(cell.state(), &replayed(&entries));
        }
        for (key, (command, first)) in acknowledged {
            let before = disk.last();
            let retry = cell.turn(START, &mut entropy, &[retried(&key, command)]).unwrap();
            prop_assert_eq!(&retry.answers[0].as_ref().unwrap().answer, &first);
            prop_assert_eq!(disk.last(), before);
        }
    }
}
