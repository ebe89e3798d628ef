//! The registry without its thread: one turn, one append, all or nothing.

use crate::fixture::{
    START, alpha, apply_class, apply_pool, attest, by_admin, create, entropy, join_token, keys, large_class, recorded,
    registry, replayed, report, resume, retried, settings, spec, worker,
};
use credence_control::{CellError, Registry, Turn};
use credence_journal::{Fault, Index, Journal, MemoryDisk, MemoryJournal, Snapshot};
use credence_model::command::{Answer, Command, Request};
use credence_model::directive::Directive;
use credence_model::event::Event;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;

fn turn(registry: &mut Registry, requests: &[Request]) -> Result<Turn, CellError> {
    registry.turn(START, &mut entropy, requests)
}

fn furnish(registry: &mut Registry) {
    let requests = [apply_pool(), apply_class(spec()), create("a-1")].map(by_admin);
    let turn = turn(registry, &requests).unwrap();
    assert!(turn.answers.iter().all(Result::is_ok), "{turn:?}");
}

#[test]
fn a_turn_answers_every_request_in_order_and_records_what_was_granted() {
    let disk = MemoryDisk::new();
    let (mut registry, report) = registry(&disk);
    assert!(report.created && report.last == 0);
    let requests =
        [apply_pool(), create("a-1"), apply_class(spec()), create("a-1"), create("a-1"), create("a-2")].map(by_admin);
    let turn = turn(&mut registry, &requests).unwrap();
    let kinds: Vec<_> =
        turn.answers.iter().map(|answer| answer.as_ref().map(|_| ()).map_err(|refusal| refusal.kind)).collect();
    let (ok, missing, twice) = (Ok(()), Err(Kind::NotFound), Err(Kind::Conflict));
    assert_eq!(kinds, [ok, missing, ok, ok, twice, ok]);
    assert_eq!(turn.entries.len(), 4);
    assert_eq!(disk.last().0, registry.state().last_index);
    assert_eq!(recorded(&mut registry)[2..], turn.entries);
    let indexes: Vec<_> = turn.answers.iter().flatten().map(|answered| answered.index).collect();
    assert_eq!(indexes, [3, 4, 5, 6], "each knows what was recorded by then");
}

#[test]
fn an_append_that_fails_leaves_nothing_behind_once_the_journal_was_read_again() {
    let disk = MemoryDisk::new();
    let (mut registry, _) = registry(&disk);
    furnish(&mut registry);
    let before = registry.state().clone();
    disk.inject(Fault::RefuseAppend);
    turn(&mut registry, &[by_admin(create("a-2"))]).expect_err("the disk refused");
    assert_eq!(disk.last().0, before.last_index);
    // Until then nothing can be recorded at all.
    turn(&mut registry, &[by_admin(create("a-3"))]).expect_err("it was not recovered");
    registry.recover().unwrap();
    assert_eq!(*registry.state(), before);
    turn(&mut registry, &[by_admin(create("a-2"))]).unwrap().answers[0].as_ref().unwrap();
}

#[test]
fn a_command_that_was_recorded_although_the_append_failed_answers_its_retry_as_the_first_time() {
    let disk = MemoryDisk::new();
    let (mut registry, _) = registry(&disk);
    furnish(&mut registry);
    disk.inject(Fault::LoseAnswer);
    let request = [retried("k", create("a-2"))];
    turn(&mut registry, &request).expect_err("the answer was lost");
    registry.recover().unwrap();
    let recorded = disk.last();
    let retry = turn(&mut registry, &request).unwrap();
    assert!(
        matches!(&retry.answers[0].as_ref().unwrap().answer, Answer::Actor { actor, .. } if actor.actor.as_str() == "a-2")
    );
    assert_eq!((retry.entries.len(), disk.last()), (0, recorded));
}

#[test]
fn an_owner_who_was_replaced_records_nothing_more() {
    let disk = MemoryDisk::new();
    let (mut old, _) = registry(&disk);
    furnish(&mut old);
    let (new, _) = registry(&disk);
    let last = disk.last();
    turn(&mut old, &[by_admin(create("a-2"))]).expect_err("another owner took over");
    assert_eq!((disk.last(), new.state().actors.len()), (last, 1));
}

#[test]
fn an_owner_who_was_replaced_does_not_take_the_journal_back_without_a_start() {
    let disk = MemoryDisk::new();
    let (mut old, _) = registry(&disk);
    furnish(&mut old);
    let (mut new, _) = registry(&disk);
    turn(&mut old, &[by_admin(create("a-2"))]).expect_err("another owner took over");
    assert!(matches!(old.recover(), Err(CellError::Replaced)));
    // Its own unfinished entries are no other owner's.
    let (mut newest, _) = registry(&disk);
    disk.inject(Fault::LoseAnswer);
    turn(&mut newest, &[by_admin(create("a-3"))]).expect_err("the answer was lost");
    newest.recover().unwrap();
    // Nor is a start that a snapshot covers overlooked.
    let (mut last, _) = registry(&disk);
    assert!(last.snapshot_after(1).unwrap());
    for replaced in [&mut new, &mut newest] {
        turn(replaced, &[by_admin(create("a-4"))]).expect_err("another owner took over");
        assert!(matches!(replaced.recover(), Err(CellError::Replaced)));
    }
}

#[test]
fn a_restart_reads_the_same_state_from_entries_from_a_snapshot_and_without_a_readable_one() {
    let disk = MemoryDisk::new();
    let (mut first, _) = registry(&disk);
    furnish(&mut first);
    assert_eq!(registry(&disk).1.replayed, 5);
    let (mut second, _) = registry(&disk);
    assert!(second.snapshot_after(1).unwrap());
    assert!(!second.snapshot_after(1).unwrap(), "nothing was recorded since");
    turn(&mut second, &[by_admin(create("a-2"))]).unwrap();
    let (mut third, report) = registry(&disk);
    assert_eq!((report.replayed, report.created), (1, false), "{report:?}");
    let entries = recorded(&mut third);
    assert_eq!(*third.state(), replayed(&entries));
    // A snapshot of another version is passed over: the entries have everything.
    let mut journal = MemoryJournal::open(&disk);
    let recovered = journal.recover().unwrap();
    let foreign = Snapshot { upto: recovered.last, bytes: b"of another version".to_vec() };
    journal.write_snapshot(recovered.fence, &foreign).unwrap();
    let (mut fourth, report) = registry(&disk);
    assert_eq!(report.replayed, recovered.last.0);
    let entries = recorded(&mut fourth);
    assert_eq!(*fourth.state(), replayed(&entries));
}

#[test]
fn a_journal_that_is_not_ours_stops_the_start_at_the_entry() {
    for (nth, bytes, wrong) in [(0, None, "says that it is entry 1"), (1, Some(b"x".to_vec()), "cannot be read")] {
        let disk = MemoryDisk::new();
        registry(&disk);
        let mut journal = MemoryJournal::open(&disk);
        let recovered = journal.recover().unwrap();
        let repeated = journal.read(Index(1), 1).unwrap().remove(0).1;
        journal.append(recovered.fence, &[bytes.unwrap_or(repeated)]).unwrap();
        let error = Registry::open(Box::new(MemoryJournal::open(&disk)), settings(), START, &entropy()).unwrap_err();
        assert!(error.to_string().contains(wrong) && error.to_string().contains("entry 3"), "{nth}: {error}");
        assert_eq!(disk.last(), recovered.last.next(), "nothing was changed");
    }
}

#[test]
fn a_journal_of_another_trust_domain_is_refused_and_not_written_to() {
    let disk = MemoryDisk::new();
    registry(&disk);
    let last = disk.last();
    let mut other = settings();
    other.trust_domain = TrustDomain::parse("other.internal").unwrap();
    let error = Registry::open(Box::new(MemoryJournal::open(&disk)), other, START, &entropy()).unwrap_err();
    assert!(error.to_string().contains("belongs to trust domain demo.internal"), "{error}");
    assert_eq!(disk.last(), last);
}

#[test]
fn time_goes_on_although_the_clock_was_set_back_while_nobody_ran() {
    let disk = MemoryDisk::new();
    let (mut first, _) = registry(&disk);
    furnish(&mut first);
    let earlier = Timestamp(START.as_ms() - 3_600_000);
    let journal = Box::new(MemoryJournal::open(&disk));
    let (second, _) = Registry::open(journal, settings(), earlier, &entropy()).unwrap();
    assert_eq!(second.state().last_at, START);
    assert_eq!(second.journal_time(earlier.plus_ms(500)), START.plus_ms(500));
}

#[test]
fn orders_come_with_the_answer_and_everything_else_goes_to_the_streams() {
    let disk = MemoryDisk::new();
    let (mut registry, _) = registry(&disk);
    furnish(&mut registry);
    let requests = [join_token(60), attest()].map(by_admin);
    let attested = turn(&mut registry, &requests).unwrap();
    let answered = attested.answers[1].as_ref().unwrap();
    assert!(matches!(answered.orders[..], [Directive::NodeSvid { .. }]), "{answered:?}");
    let workers = vec![worker("w1")];
    let attach = by_admin(Command::AttachNode { node: alpha(), workers, held: Vec::new() });
    let attached = turn(&mut registry, &[attach, report(1, keys(0, 4))]).unwrap();
    assert!(attached.answers.iter().all(Result::is_ok), "{attached:?}");
    let bound = turn(&mut registry, &[by_admin(resume("a-1"))]).unwrap();
    assert_eq!(bound.answers[0].as_ref().unwrap().orders, []);
    assert!(matches!(&bound.directives[..], [Directive::Bind(bind)] if bind.session == 1), "{bound:?}");
}

#[test]
fn whoever_waits_is_bound_in_the_turn_in_which_a_worker_becomes_free() {
    let disk = MemoryDisk::new();
    let (mut registry, _) = registry(&disk);
    furnish(&mut registry);
    turn(&mut registry, &[join_token(60), attest(), create("a-2"), resume("a-2"), resume("a-1")].map(by_admin))
        .unwrap();
    assert_eq!(registry.state().waiting.len(), 2);
    let attach = by_admin(Command::AttachNode { node: alpha(), workers: vec![worker("w1")], held: Vec::new() });
    let turn = turn(&mut registry, &[attach, report(1, keys(0, 4))]).unwrap();
    let bound = turn.entries.iter().find_map(|entry| match &entry.event {
        Event::ActorBound { actor, .. } => Some(actor.actor.to_string()),
        _ => None,
    });
    assert_eq!(bound.as_deref(), Some("a-2"), "first come, first served");
    assert_eq!(registry.state().waiting.len(), 1);
}

/// What the journal would refuse is refused before it: otherwise one request would fail the whole turn, and with it every
/// stream.
#[test]
fn what_is_too_large_to_record_is_refused_alone() {
    let disk = MemoryDisk::new();
    let (mut registry, _) = registry(&disk);
    furnish(&mut registry);
    let before = registry.state().clone();
    let large = turn(&mut registry, &[by_admin(large_class(1 << 20))]).unwrap();
    let refusal = large.answers[0].as_ref().unwrap_err();
    assert_eq!(refusal.kind, Kind::Limited);
    assert!(refusal.message.contains("at most 1048576"), "{refusal}");
    assert_eq!(*registry.state(), before);
    // So many that they do not fit into one batch: the first are recorded, the others are to come again.
    let many: Vec<_> = (0..20).map(|nth| by_admin(large_class(900_000 + nth))).collect();
    let turn = turn(&mut registry, &many).unwrap();
    let granted = turn.answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((15..20).contains(&granted), "{granted}");
    for answer in &turn.answers[granted..] {
        let refusal = answer.as_ref().unwrap_err();
        assert_eq!(refusal.kind, Kind::Unavailable);
        assert!(refusal.retry_after_ms.is_some());
    }
    assert_eq!(disk.last().0, before.last_index + granted as u64);
    let entries = recorded(&mut registry);
    assert_eq!(*registry.state(), replayed(&entries));
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_begun_whatever_is_recorded_until_it_is_stored() {
    let disk = MemoryDisk::new();
    let (mut first, _) = registry(&disk);
    furnish(&mut first);
    let begun = first.begin_snapshot_after(1).unwrap().expect("something was recorded");
    assert!(first.begin_snapshot_after(1).unwrap().is_none(), "nothing was recorded since");
    turn(&mut first, &[by_admin(create("a-2"))]).unwrap();
    turn(&mut first, &[by_admin(create("a-3"))]).unwrap();
    begun.store().unwrap();
    let expected = first.state().clone();
    let (second, report) = registry(&disk);
    assert_eq!(report.replayed, 2, "what was recorded after the beginning is replayed");
    assert_eq!(second.state().actors, expected.actors);
}
