//! The simulator itself: it repeats exactly, it finds nothing in the product, and it finds every fault that is planted.

use credence_testkit::sim::{Broken, Fault, Options, run};

#[test]
fn a_seed_decides_everything() {
    let options = Options { seed: 7, steps: 1_500, fault: None };
    assert_eq!(run(options).unwrap(), run(options).unwrap());
}

#[test]
fn the_invariants_hold_in_the_first_seeds_and_everything_happens_there() {
    let mut seen = credence_testkit::sim::Coverage::default();
    for seed in 1..=20 {
        let coverage = run(Options { seed, steps: 2_000, fault: None }).unwrap_or_else(|failure| panic!("{failure}"));
        seen.add(coverage);
    }
    for what in [
        "create",
        "resume",
        "suspend",
        "terminate",
        "quarantine",
        "delete",
        "drain",
        "enable",
        "renewal",
        "server killed",
        "server lost power",
        "rival server",
        "rival server at the lock",
        "sync failed",
        "disk full",
        "torn batch cut",
        "node suspended",
        "snapshot",
        "command retried",
        "came to rest",
        "one-way partition begins",
        "node crashed",
        "stream cut",
        "partition begins",
        "deadline",
    ] {
        assert!(seen.happened.contains_key(what), "{what} never happened: {seen:?}");
    }
    assert!(seen.events.contains_key("ActorBound") && seen.transitions.contains_key(&("actor", "lost", "running")));
    assert!(!seen.missing().contains(&"crash: in the append") && seen.to_string().contains("actor lost → running"));
}

#[test]
fn every_planted_fault_is_caught_by_the_check_that_is_there_for_it() {
    for fault in Fault::ALL {
        let failure = (1..=60)
            .find_map(|seed| run(Options { seed, steps: 3_000, fault: Some(fault) }).err())
            .unwrap_or_else(|| panic!("{fault:?} was not caught"));
        let caught = match fault {
            Fault::LeaseTooLong => matches!(failure.broken, Broken::TwoHolders(_) | Broken::OutsideBinding(_)),
            Fault::LeaseIgnored => matches!(failure.broken, Broken::TwoHolders(_) | Broken::OutsideBinding(_)),
            Fault::AnswersUnrecorded => matches!(failure.broken, Broken::Lost(_)),
            Fault::WorkerShared => matches!(failure.broken, Broken::SharedWorker(_)),
            Fault::KeysLost | Fault::NeverEnds => matches!(failure.broken, Broken::Starved(_)),
            Fault::RetriedAnew => matches!(failure.broken, Broken::Retried(_)),
            Fault::AcknowledgesBeforeSync | Fault::IgnoresFailedSync => {
                matches!(failure.broken, Broken::Lost(_) | Broken::Refused(_))
            }
            Fault::BelievesTornTail => matches!(failure.broken, Broken::Torn(_)),
            Fault::ForgetsLock => matches!(failure.broken, Broken::Replaced),
            Fault::ClockStands | Fault::OldWordsBelieved => {
                matches!(failure.broken, Broken::TwoHolders(_) | Broken::OutsideBinding(_))
            }
            Fault::EpochRepeated | Fault::IdentityReused => matches!(failure.broken, Broken::Journal(_)),
        };
        assert!(caught, "{fault:?} was caught as something else: {failure}");
        assert!(failure.to_string().contains("cargo xtask sim --seed"));
    }
}
