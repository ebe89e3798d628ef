//! The simulator itself: it repeats exactly, it finds nothing in the product, and it finds every fault that is planted.

use credence_model::invariant::Invariant;
use credence_testkit::sim::{Broken, Coverage, Fault, Options, Unrest, run};
use std::collections::BTreeSet;

#[test]
fn a_seed_decides_everything() {
    for seed in [7, 8] {
        let options = Options { seed, steps: 1_500, permissions: true, fault: None };
        assert_eq!(run(options).unwrap(), run(options).unwrap());
    }
}

#[test]
fn the_invariants_hold_in_the_first_seeds_and_everything_happens_there() {
    let mut seen = Coverage::default();
    for seed in 1..=40 {
        let coverage = run(Options { seed, steps: 2_000, permissions: true, fault: None })
            .unwrap_or_else(|failure| panic!("{failure}"));
        seen.add(coverage);
    }
    // What is rare needs a campaign.
    let missing = seen.missing();
    assert!(missing.len() < 12, "{missing:?}");
    for what in ["server took the journal over", "rival server at the lock", "node crashed within a step", "hold"] {
        assert!(seen.happened.contains_key(what), "{what} never happened: {missing:?}");
    }
    assert!(seen.events.contains_key("ActorBound") && seen.transitions.contains_key(&("actor", "lost", "running")));
    assert!(seen.to_string().contains("actor lost → running"));
}

/// Seeds that found something, each of them mended since.
const FOUND: [(u64, &str); 4] = [
    (8_478, "who lost its node while the cell was held waited for the whole of that time again"),
    (3_714, "what was recorded before a failing append in the first turns was not looked at"),
    (651, "a program was bound on a node whose lease was over and which was heard at that moment"),
    (50_146, "a shorter lease was counted for a node that never heard of it"),
];

#[test]
fn what_was_found_once_is_mended() {
    for (seed, what) in FOUND {
        run(Options { seed, steps: 3_000, permissions: false, fault: None })
            .unwrap_or_else(|failure| panic!("{what}: {failure}"));
    }
}

/// What broke, in a word.
fn kind(broken: &Broken) -> &'static str {
    match broken {
        Broken::TwoHolders(_) => "two holders",
        Broken::SharedWorker(_) => "shared worker",
        Broken::OutsideBinding(_) => "outside binding",
        Broken::Unordered(_) => "unordered",
        Broken::Lost(_) => "lost",
        Broken::Torn(_) => "torn",
        Broken::Refused(_) => "refused",
        Broken::Journal(Invariant::OneToOne, _) => "journal: one to one",
        Broken::Journal(Invariant::Registry, _) => "journal: registry",
        Broken::Journal(Invariant::Continuity, _) => "journal: continuity",
        Broken::Replay => "replay",
        Broken::Starved(Unrest::Node, _) => "unrest: node",
        Broken::Starved(Unrest::Actor, _) => "unrest: actor",
        Broken::Starved(Unrest::Beside, _) => "unrest: beside",
        Broken::Starved(Unrest::Waits, _) => "unrest: waits",
        Broken::Retried(_) => "retried",
        Broken::Exceeded(_) => "exceeded",
        Broken::Overspent(_) => "overspent",
        Broken::Undecided(_) => "undecided",
        Broken::Replaced => "replaced",
        Broken::Stuck(_) => "stuck",
    }
}

/// A kind for each arm of [`kind`] but the last, which is the simulator's own.
const KINDS: usize = 20;

/// As what each fault is caught, under which seed and in how many steps: found by search.
const CAUGHT: [(Fault, &str, u64, u64); Fault::ALL.len()] = [
    (Fault::LeaseTooLong, "outside binding", 140, 212),
    (Fault::LeaseIgnored, "outside binding", 140, 212),
    (Fault::ClockStands, "outside binding", 31, 483),
    (Fault::ClockStepped, "outside binding", 179, 131),
    (Fault::OldWordsBelieved, "outside binding", 163, 994),
    (Fault::GoesOnReplaced, "outside binding", 271, 2294),
    (Fault::ToldTwice, "two holders", 13, 68),
    (Fault::WorkerShared, "shared worker", 3, 85),
    (Fault::AnswersUnrecorded, "lost", 6, 148),
    (Fault::AcknowledgesBeforeSync, "lost", 17, 90),
    (Fault::IgnoresFailedSync, "lost", 470, 656),
    (Fault::BelievesTornTail, "torn", 24, 31),
    (Fault::CutsNothing, "refused", 92, 278),
    (Fault::WorkerBoundTwice, "journal: one to one", 2, 149),
    (Fault::OrderedOutside, "journal: registry", 72, 366),
    (Fault::EpochRepeated, "journal: continuity", 11, 78),
    (Fault::IdentityReused, "journal: continuity", 20, 110),
    (Fault::KeyReused, "journal: continuity", 2, 133),
    (Fault::RecordsOther, "replay", 1, 129),
    (Fault::SignsRefused, "unordered", 2, 355),
    (Fault::NewStreamsRefused, "unrest: node", 3, 250),
    (Fault::KeysLost, "unrest: beside", 9, 400),
    (Fault::NeverEnds, "unrest: actor", 3, 250),
    (Fault::NeverExpires, "unrest: waits", 195, 800),
    (Fault::RetriedAnew, "retried", 1, 108),
    (Fault::ForgetsLock, "replaced", 19, 48),
    (Fault::ForgetsFence, "replaced", 29, 154),
    (Fault::GuardsIgnored, "exceeded", 5, 414),
    (Fault::JudgesByItsOwnClock, "exceeded", 5, 919),
    (Fault::UsesUncounted, "overspent", 1, 392),
    (Fault::AnswersUndecided, "undecided", 6, 103),
];

#[test]
fn every_planted_fault_is_caught_as_exactly_what_it_breaks_and_every_check_catches_one() {
    for (fault, what, seed, steps) in CAUGHT {
        let permissions = fault.is_of_permissions();
        let planted = Options { seed, steps, permissions, fault: Some(fault) };
        let Err(failure) = run(planted) else { panic!("{fault:?} was not caught") };
        assert_eq!(kind(&failure.broken), what, "{fault:?}: {failure}");
        assert!(failure.to_string().contains("cargo xtask sim --seed"));
        assert!(run(Options { fault: None, ..planted }).is_ok(), "seed {seed} fails without {fault:?}, too");
    }
    assert!(Fault::ALL.iter().all(|fault| CAUGHT.iter().any(|(caught, ..)| caught == fault)));
    let kinds: BTreeSet<_> = CAUGHT.iter().map(|(_, what, ..)| what).collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
}
