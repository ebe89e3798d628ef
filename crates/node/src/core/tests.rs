mod laws;
mod limits;

use super::*;
use credence_model::class::Runtime;
use credence_model::id::ID_ENTROPY_BYTES;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;

const LEASE_MS: u64 = 10_000;
const HEARTBEAT_MS: u64 = 2_000;

fn worker(number: u8) -> WorkerRef {
    format!("demo/pool/w{number}").parse().expect("a worker")
}

fn id(number: u8) -> BindingId {
    BindingId::generate(Timestamp(1), [number; ID_ENTROPY_BYTES])
}

fn notice(number: u8, on: u8) -> Box<BindNotice> {
    Box::new(BindNotice {
        actor: format!("demo/a{number}").parse().expect("an actor"),
        class: "demo/class".parse().expect("a class"),
        spiffe_id: SpiffeId::parse("spiffe://td/a").expect("a SPIFFE ID"),
        binding: id(number),
        epoch: Epoch(u64::from(number)),
        worker: worker(on),
        kind: WorkerKind::Slot,
        revision: 1,
        runtime: Runtime::default(),
        archive: None,
        chain: Vec::new(),
    })
}

fn held(number: u8) -> Held {
    Held { binding: id(number), epoch: Epoch(u64::from(number)) }
}

fn welcome(stream: u64) -> Input {
    Input::Welcome { stream, session: stream, lease_ms: LEASE_MS, heartbeat_ms: HEARTBEAT_MS, unbind: Vec::new() }
}

fn bind(stream: u64, number: u8, on: u8) -> Input {
    Input::Bind { stream, bind: notice(number, on) }
}

fn unbind(stream: u64, number: u8, mode: UnbindMode) -> Input {
    Input::Unbind { stream, unbind: Unbind { binding: id(number), mode } }
}

fn started(number: u8) -> Input {
    Input::Started { binding: id(number) }
}

fn stopped(number: u8, archive: Option<Digest>) -> Input {
    Input::Stopped { binding: id(number), archive, trouble: None }
}

fn start(number: u8, on: u8) -> Effect {
    Effect::Start(notice(number, on))
}

fn stop(number: u8, mode: UnbindMode) -> Effect {
    Effect::Stop { binding: id(number), mode }
}

fn send(stream: u64, message: FromNodeMessage) -> Effect {
    Effect::Send { stream, message }
}

fn running(stream: u64, number: u8) -> Effect {
    send(stream, FromNodeMessage::Running(held(number)))
}

fn ended(stream: u64, number: u8, outcome: Outcome, archive: Option<Digest>) -> Effect {
    send(stream, FromNodeMessage::Ended { held: held(number), outcome, archive })
}

fn hello(stream: u64, list: &[u8]) -> Effect {
    let held = list.iter().map(|number| held(*number)).collect();
    send(stream, FromNodeMessage::Hello { workers: vec![worker(1), worker(2)], held })
}

fn beat(stream: u64, number: u64) -> Effect {
    send(stream, FromNodeMessage::Heartbeat { number })
}

/// A node with workers 1 and 2 that was welcomed on stream 1 at time 0.
fn connected() -> Core {
    let mut core = Core::new(vec![worker(1), worker(2)]);
    assert_eq!(core.step(MonoMs(0), Input::Opened { stream: 1 }), [hello(1, &[])]);
    assert_eq!(core.step(MonoMs(0), welcome(1)), []);
    core
}

/// The same with binding 1 running on worker 1.
fn holding() -> Core {
    let mut core = connected();
    check(&mut core, &[(0, bind(1, 1, 1), &[start(1, 1)]), (0, started(1), &[running(1, 1)])]);
    core
}

fn check(core: &mut Core, steps: &[(u64, Input, &[Effect])]) {
    for (at, input, expected) in steps {
        assert_eq!(core.step(MonoMs(*at), input.clone()), *expected, "at {at}: {input:?}");
    }
}

fn live(core: &Core, at: u64) -> Vec<BindingId> {
    core.held(MonoMs(at)).into_iter().map(|binding| binding.binding).collect()
}

#[test]
fn a_binding_is_started_reported_running_ended_with_its_archive_and_reported() {
    let mut core = holding();
    assert_eq!(live(&core, 0), [id(1)]);
    let archive = Some(Digest([7; 32]));
    check(
        &mut core,
        &[
            (1, unbind(1, 1, UnbindMode::Suspend), &[stop(1, UnbindMode::Suspend)]),
            (2, stopped(1, archive), &[ended(1, 1, Outcome::Stopped, archive)]),
            (3, stopped(1, archive), &[]),
        ],
    );
    assert!(!core.is_settled());
    core.step(MonoMs(2000), Input::Tick);
    core.step(MonoMs(2001), Input::HeartbeatAck { stream: 1, number: 1 });
    assert!(core.is_settled());
}

#[test]
fn the_lease_is_counted_from_when_the_acknowledged_message_was_sent() {
    let mut core = Core::new(vec![worker(1), worker(2)]);
    core.step(MonoMs(100), Input::Opened { stream: 1 });
    assert_eq!(core.lease_until(), None);
    core.step(MonoMs(700), welcome(1));
    assert_eq!(core.lease_until(), Some(MonoMs(100 + LEASE_MS)));
    assert_eq!(core.next_deadline(), Some(MonoMs(700 + HEARTBEAT_MS)));
    check(&mut core, &[(2700, Input::Tick, &[beat(1, 1)]), (4700, Input::Tick, &[beat(1, 2)])]);
    for (number, until) in [(3, 10_100), (1, 12_700), (2, 14_700), (1, 14_700), (2, 14_700)] {
        core.step(MonoMs(5000), Input::HeartbeatAck { stream: 1, number });
        assert_eq!(core.lease_until(), Some(MonoMs(until)), "heartbeat {number}");
    }
}

#[test]
fn when_the_lease_is_over_everything_is_dropped_though_nobody_can_be_told() {
    let mut core = holding();
    core.step(MonoMs(1), bind(1, 2, 2));
    core.step(MonoMs(2), Input::Closed { stream: 1 });
    assert_eq!(core.next_deadline(), Some(MonoMs(LEASE_MS)));
    assert_eq!(live(&core, LEASE_MS - 1), [id(1), id(2)]);
    assert_eq!(live(&core, LEASE_MS), [], "even before the tick");
    let drops = [stop(1, UnbindMode::Drop), stop(2, UnbindMode::Drop)];
    check(
        &mut core,
        &[
            (LEASE_MS - 1, Input::Tick, &[]),
            (LEASE_MS, Input::Tick, &drops),
            (LEASE_MS + 1, Input::Tick, &[]),
            (LEASE_MS + 2, stopped(1, None), &[]),
            (LEASE_MS + 3, Input::Opened { stream: 2 }, &[hello(2, &[2])]),
            (LEASE_MS + 4, welcome(2), &[ended(2, 1, Outcome::Dropped, None)]),
            (LEASE_MS + 5, stopped(2, None), &[ended(2, 2, Outcome::Dropped, None)]),
        ],
    );
    assert_eq!(core.lease_until(), Some(MonoMs(2 * LEASE_MS + 3)));
}

#[test]
fn a_stream_that_is_silent_for_a_lease_is_closed_and_not_listened_to() {
    let mut core = holding();
    let late = LEASE_MS + 500;
    check(
        &mut core,
        &[
            (2000, Input::Tick, &[beat(1, 1)]),
            (late, bind(1, 2, 2), &[stop(1, UnbindMode::Drop), Effect::Disconnect { stream: 1 }]),
            (late, Input::HeartbeatAck { stream: 1, number: 1 }, &[]),
            (late, bind(1, 3, 2), &[]),
        ],
    );
    assert_eq!((core.lease_until(), core.next_deadline(), core.connected()), (None, None, None));
}

#[test]
fn a_welcome_that_comes_after_its_own_lease_is_over_gives_nothing() {
    let mut core = Core::new(vec![worker(1), worker(2)]);
    core.step(MonoMs(0), Input::Opened { stream: 1 });
    check(&mut core, &[(LEASE_MS, welcome(1), &[Effect::Disconnect { stream: 1 }]), (LEASE_MS, bind(1, 1, 1), &[])]);
}

#[test]
fn a_broken_stream_ends_no_binding_and_the_next_one_goes_on_with_it() {
    let mut core = holding();
    check(
        &mut core,
        &[
            (10, Input::Closed { stream: 1 }, &[]),
            (20, Input::Opened { stream: 2 }, &[hello(2, &[1])]),
            (30, welcome(2), &[running(2, 1)]),
            (40, unbind(1, 1, UnbindMode::Drop), &[]),
            (40, bind(1, 2, 2), &[]),
            (50, Input::Closed { stream: 1 }, &[]),
            (60, bind(2, 2, 2), &[start(2, 2)]),
        ],
    );
    assert_eq!(live(&core, 60), [id(1), id(2)]);
}

#[test]
fn only_the_newest_stream_is_listened_to_and_only_once_it_was_welcomed() {
    let mut core = connected();
    check(
        &mut core,
        &[
            (1, Input::Opened { stream: 3 }, &[hello(3, &[])]),
            (1, Input::Opened { stream: 2 }, &[]),
            (1, bind(3, 1, 1), &[]),
            (1, welcome(1), &[]),
            (1, bind(1, 1, 1), &[]),
            (1, welcome(3), &[]),
            (1, welcome(3), &[]),
            (1, bind(3, 1, 1), &[start(1, 1)]),
        ],
    );
}

#[test]
fn what_was_reported_is_reported_again_until_a_later_heartbeat_was_acknowledged() {
    let mut core = holding();
    let archive = Some(Digest([7; 32]));
    check(
        &mut core,
        &[
            (2000, Input::Tick, &[beat(1, 1)]),
            (2001, unbind(1, 1, UnbindMode::Suspend), &[stop(1, UnbindMode::Suspend)]),
            (2002, stopped(1, archive), &[ended(1, 1, Outcome::Stopped, archive)]),
            // Sent before the report: proves nothing about it.
            (2003, Input::HeartbeatAck { stream: 1, number: 1 }, &[]),
            (2004, Input::Closed { stream: 1 }, &[]),
            // Its archive would be lost if the server took it for dropped, so it is still named.
            (2005, Input::Opened { stream: 2 }, &[hello(2, &[1])]),
            (2006, welcome(2), &[ended(2, 1, Outcome::Stopped, archive)]),
            (4006, Input::Tick, &[beat(2, 1)]),
            (4007, Input::HeartbeatAck { stream: 1, number: 1 }, &[]),
            (4008, Input::HeartbeatAck { stream: 2, number: 1 }, &[]),
            (4009, Input::Opened { stream: 3 }, &[hello(3, &[])]),
            (4010, welcome(3), &[]),
        ],
    );
}

#[test]
fn a_program_that_exits_is_stopped_and_its_exit_code_is_its_outcome() {
    let mut core = holding();
    let exited = Input::Exited { binding: id(1), code: 3 };
    let archive = Some(Digest([7; 32]));
    check(
        &mut core,
        &[
            (1, exited.clone(), &[stop(1, UnbindMode::Suspend)]),
            (2, exited, &[]),
            (3, unbind(1, 1, UnbindMode::Suspend), &[]),
            (4, stopped(1, archive), &[ended(1, 1, Outcome::Exited { code: 3 }, archive)]),
        ],
    );
}

#[test]
fn an_exit_while_it_is_being_stopped_does_not_change_the_outcome() {
    let mut core = holding();
    check(
        &mut core,
        &[
            (1, unbind(1, 1, UnbindMode::Suspend), &[stop(1, UnbindMode::Suspend)]),
            (2, Input::Exited { binding: id(1), code: 143 }, &[]),
            (3, stopped(1, None), &[ended(1, 1, Outcome::Stopped, None)]),
        ],
    );
}

#[test]
fn a_harsher_order_is_passed_on_and_a_milder_one_is_not() {
    use UnbindMode::{Drop, Quarantine, Suspend, Terminate};
    for (first, second, passed, outcome) in [
        (Suspend, Suspend, false, Outcome::Stopped),
        (Suspend, Quarantine, true, Outcome::Stopped),
        (Quarantine, Suspend, false, Outcome::Stopped),
        (Terminate, Suspend, false, Outcome::Stopped),
        (Suspend, Drop, true, Outcome::Dropped),
        (Drop, Quarantine, false, Outcome::Dropped),
    ] {
        let mut core = holding();
        let expected = if passed { vec![stop(1, second)] } else { Vec::new() };
        check(&mut core, &[(1, unbind(1, 1, first), &[stop(1, first)]), (2, unbind(1, 1, second), &expected)]);
        check(&mut core, &[(3, stopped(1, None), &[ended(1, 1, outcome, None)])]);
    }
}

#[test]
fn an_identity_is_served_through_a_graceful_stop_and_not_after_a_harsh_one() {
    use UnbindMode::{Drop, Quarantine, Suspend, Terminate};
    for (mode, served) in [(Suspend, true), (Terminate, true), (Quarantine, false), (Drop, false)] {
        let mut core = holding();
        core.step(MonoMs(1), unbind(1, 1, mode));
        assert_eq!(live(&core, 1).len(), usize::from(served), "{mode:?}");
    }
}

#[test]
fn a_start_that_fails_is_reported_with_its_reason() {
    let mut core = connected();
    let failed = Outcome::Failed { reason: "no such program".into() };
    let input = Input::StartFailed { binding: id(1), reason: "no such program".into() };
    check(&mut core, &[(1, bind(1, 1, 1), &[start(1, 1)]), (2, input, &[ended(1, 1, failed, None)])]);
}

#[test]
fn a_state_that_could_not_be_kept_is_a_failure_and_not_a_stop() {
    let mut core = holding();
    core.step(MonoMs(1), unbind(1, 1, UnbindMode::Suspend));
    let input = Input::Stopped { binding: id(1), archive: None, trouble: Some("disk full".into()) };
    check(&mut core, &[(2, input, &[ended(1, 1, Outcome::Failed { reason: "disk full".into() }, None)])]);
}

#[test]
fn a_second_binding_of_a_worker_waits_for_the_end_of_the_first_and_is_refused_while_that_lives() {
    let mut core = holding();
    let reason = format!("worker demo/pool/w1 still holds binding {}", id(1));
    check(
        &mut core,
        &[
            (1, bind(1, 2, 1), &[ended(1, 2, Outcome::Failed { reason }, None)]),
            (2, bind(1, 1, 1), &[]),
            (3, unbind(1, 1, UnbindMode::Drop), &[stop(1, UnbindMode::Drop)]),
            (4, bind(1, 3, 1), &[]),
            (5, stopped(1, None), &[ended(1, 1, Outcome::Dropped, None), start(3, 1)]),
        ],
    );
    assert_eq!(live(&core, 5), [id(3)]);
}

#[test]
fn a_waiting_binding_that_is_unbound_never_starts() {
    let mut core = holding();
    check(
        &mut core,
        &[
            (3, unbind(1, 1, UnbindMode::Drop), &[stop(1, UnbindMode::Drop)]),
            (4, bind(1, 3, 1), &[]),
            (5, unbind(1, 3, UnbindMode::Suspend), &[ended(1, 3, Outcome::Stopped, None)]),
            (6, stopped(1, None), &[ended(1, 1, Outcome::Dropped, None)]),
        ],
    );
}

#[test]
fn a_bind_for_a_slot_of_another_node_is_refused_and_a_process_needs_no_slot() {
    let mut core = connected();
    let reason = "worker demo/pool/w9 does not belong to this node".to_owned();
    let mut process = notice(2, 9);
    process.kind = WorkerKind::Process;
    check(
        &mut core,
        &[
            (1, bind(1, 1, 9), &[ended(1, 1, Outcome::Failed { reason }, None)]),
            (2, Input::Bind { stream: 1, bind: process.clone() }, &[Effect::Start(process)]),
        ],
    );
}

#[test]
fn a_welcome_ends_what_the_registry_does_not_know() {
    let mut core = holding();
    core.step(MonoMs(1), Input::Opened { stream: 2 });
    let unbind =
        vec![Unbind { binding: id(1), mode: UnbindMode::Drop }, Unbind { binding: id(5), mode: UnbindMode::Drop }];
    let welcome = Input::Welcome { stream: 2, session: 2, lease_ms: LEASE_MS, heartbeat_ms: HEARTBEAT_MS, unbind };
    check(&mut core, &[(2, welcome, &[stop(1, UnbindMode::Drop)])]);
}

#[test]
fn a_node_that_ends_suspends_everything_takes_nothing_on_and_hears_soon_that_it_was_heard() {
    let mut core = holding();
    check(
        &mut core,
        &[
            (1, Input::Shutdown, &[send(1, FromNodeMessage::Leaving), stop(1, UnbindMode::Suspend)]),
            (2, bind(1, 2, 2), &[ended(1, 2, Outcome::Dropped, None)]),
            (3, stopped(1, None), &[ended(1, 1, Outcome::Stopped, None), beat(1, 1)]),
            (4, Input::HeartbeatAck { stream: 1, number: 1 }, &[]),
        ],
    );
    assert!(core.is_settled());
}
