//! Authorities: who signs, who is believed, and what is refused on the way.

use crate::world::{World, apply_class, apply_pool, held, name, spec};
use credence_model::authority::{AUTHORITIES_MAX, AuthorityKeys, AuthorityState, Der, REISSUE_SECS_MAX};
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Report, Request};
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{collection, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeMap;

fn keys(nth: u8) -> AuthorityKeys {
    AuthorityKeys {
        root: Der(vec![nth]),
        jwt_key: Der(vec![nth]),
        jwt_key_id: format!("kid-{nth}"),
        not_after: crate::world::START.plus_secs(86_400 * 3650),
    }
}

fn id(nth: u8) -> Digest {
    keys(nth).id()
}

/// A furnished world whose first authority is number 0.
fn world() -> World {
    let mut world = World::new();
    world.ok(Command::AdoptAuthority { keys: keys(0) });
    world.ok(apply_pool());
    world.ok(apply_class(spec()));
    world.attest("alpha", 2);
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
    hold(&mut world, true);
    world
}

fn hold(world: &mut World, reissued: bool) {
    let sequence = world.state.authorities.sequence;
    world.report("alpha", Report::BundleHeld { sequence, reissued }).unwrap();
}

fn prepare(world: &mut World, nth: u8) -> Answer {
    world.ok(Command::PrepareAuthority { keys: keys(nth) })
}

fn activate(world: &mut World, nth: u8, force: bool) -> Result<Answer, Refusal> {
    world.run(Command::ActivateAuthority { authority: id(nth), force })
}

fn taint(world: &mut World, nth: u8) -> Result<Answer, Refusal> {
    world.run(Command::TaintAuthority { authority: id(nth), reason: None })
}

fn retire(world: &mut World, nth: u8, force: bool) -> Result<Answer, Refusal> {
    world.run(Command::RetireAuthority { authority: id(nth), force })
}

fn state_of(world: &World, nth: u8) -> Option<AuthorityState> {
    world.state.authorities.find(&id(nth)).map(|authority| authority.state)
}

fn in_bundle(state: &State) -> Vec<Digest> {
    state.authorities.in_bundle().map(|authority| authority.id).collect()
}

#[test]
fn a_rotation_overlaps_and_orders_name_who_signs() {
    let mut world = world();
    world.create("a");
    let before = world.running("a");
    assert_eq!(before.order.authority(), Some(id(0)));
    prepare(&mut world, 1);
    assert_eq!(in_bundle(&world.state), [id(0), id(1)]);
    let refusal = activate(&mut world, 1, false).unwrap_err();
    assert_eq!(refusal.kind, Kind::Conflict);
    assert!(refusal.message.contains("node alpha has not been given"), "{}", refusal.message);
    hold(&mut world, true);
    activate(&mut world, 1, false).unwrap();
    assert_eq!((state_of(&world, 0), state_of(&world, 1)), (Some(AuthorityState::Old), Some(AuthorityState::Active)));
    assert_eq!(in_bundle(&world.state), [id(1), id(0)]);
    world.create("b");
    assert_eq!(world.running("b").order.authority(), Some(id(1)));
    // What the old one signed is valid: the node's SVID outlives that of the actor.
    let refusal = retire(&mut world, 0, false).unwrap_err();
    assert!(refusal.message.contains("are valid for"), "{}", refusal.message);
    let until = world.state.authorities.find(&id(0)).unwrap().signed_until;
    assert!(until >= before.order.not_after());
    world.now = until;
    retire(&mut world, 0, false).unwrap();
    assert_eq!(in_bundle(&world.state), [id(1)]);
    assert_eq!(retire(&mut world, 0, false).unwrap(), answer(0, AuthorityState::Retired, false));
}

fn answer(nth: u8, state: AuthorityState, changed: bool) -> Answer {
    Answer::Authority { authority: id(nth), state, changed }
}

#[test]
fn what_was_asked_already_changes_nothing_and_says_so() {
    let mut world = world();
    assert_eq!(world.ok(Command::AdoptAuthority { keys: keys(7) }), answer(0, AuthorityState::Active, false));
    assert_eq!(prepare(&mut world, 1), answer(1, AuthorityState::Prepared, true));
    assert_eq!(prepare(&mut world, 2), answer(1, AuthorityState::Prepared, false));
    activate(&mut world, 1, true).unwrap();
    assert_eq!(activate(&mut world, 1, false).unwrap(), answer(1, AuthorityState::Active, false));
    taint(&mut world, 0).unwrap();
    assert_eq!(taint(&mut world, 0).unwrap(), answer(0, AuthorityState::Tainted, false));
}

#[test]
fn a_retried_preparation_finds_its_first_answer_though_its_keys_are_others() {
    let mut world = world();
    let mut ask = |nth| {
        let command = Command::PrepareAuthority { keys: keys(nth) };
        let (caller, idempotency_key) = (Caller::Local { uid: 0 }, Some("once".to_owned()));
        world.request(&Request { caller, idempotency_key, command }).unwrap()
    };
    assert_eq!(ask(1), answer(1, AuthorityState::Prepared, true));
    assert_eq!(ask(2), answer(1, AuthorityState::Prepared, true));
}

#[test]
fn what_an_authority_is_not_ready_for_is_refused_with_what_to_do() {
    let mut world = world();
    prepare(&mut world, 1);
    let refused = |refusal: Result<Answer, Refusal>, words: &str| {
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.kind, Kind::Conflict, "{words}");
        assert!(refusal.to_string().contains(words), "{refusal}");
        assert!(refusal.hint.is_some());
    };
    refused(retire(&mut world, 0, true), "is active");
    refused(taint(&mut world, 0), "only an old one");
    refused(taint(&mut world, 1), "only an old one");
    activate(&mut world, 1, true).unwrap();
    refused(activate(&mut world, 0, true), "only a prepared one");
    taint(&mut world, 0).unwrap();
    refused(retire(&mut world, 0, false), "still being replaced");
    assert_eq!(activate(&mut world, 9, true).unwrap_err().kind, Kind::NotFound);
    for nth in 2..=AUTHORITIES_MAX as u8 - 1 {
        prepare(&mut world, nth);
        activate(&mut world, nth, true).unwrap();
    }
    let full = world.run(Command::PrepareAuthority { keys: keys(100) }).unwrap_err();
    assert_eq!(full.kind, Kind::Limited);
}

#[test]
fn a_tainted_authority_leaves_the_bundle_when_everybody_has_replaced_what_it_signed() {
    for replaced in [true, false] {
        let mut world = world();
        world.create("a");
        let bind = world.running("a");
        prepare(&mut world, 1);
        hold(&mut world, true);
        activate(&mut world, 1, false).unwrap();
        taint(&mut world, 0).unwrap();
        hold(&mut world, false);
        world.pass_ms(100);
        assert_eq!(state_of(&world, 0), Some(AuthorityState::Tainted));
        assert!(in_bundle(&world.state).contains(&id(0)), "it is believed until then");
        if replaced {
            let key = world.key();
            world.report("alpha", Report::RenewX509 { held: held(&bind), key }).unwrap();
            hold(&mut world, true);
            world.pass_ms(100);
        } else {
            // Heard from all the time, so that it stays connected.
            for _ in 0..REISSUE_SECS_MAX {
                world.report("alpha", Report::Heartbeat).unwrap();
                world.pass_ms(1000);
            }
        }
        assert_eq!(state_of(&world, 0), Some(AuthorityState::Withdrawn), "replaced: {replaced}");
        assert_eq!(in_bundle(&world.state), [id(1)]);
        retire(&mut world, 0, false).unwrap();
    }
}

#[test]
fn a_new_stream_says_anew_what_it_holds_and_nobody_holds_what_was_never_given_out() {
    let mut world = world();
    prepare(&mut world, 1);
    hold(&mut world, true);
    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
    assert_eq!(world.state.nodes[&name("alpha")].bundle_held, 0);
    assert!(activate(&mut world, 1, false).is_err());
    let sequence = world.state.authorities.sequence + 1;
    let refusal = world.report("alpha", Report::BundleHeld { sequence, reissued: true }).unwrap_err();
    assert!(refusal.message.contains("never given out"), "{}", refusal.message);
}

#[derive(Debug, Clone)]
enum Step {
    Prepare,
    Activate(usize, bool),
    Taint(usize),
    Retire(usize, bool),
    Hold(bool),
    Reattach,
    Sign,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Prepare),
        (0..9usize, any::<bool>()).prop_map(|(nth, force)| Step::Activate(nth, force)),
        (0..9usize).prop_map(Step::Taint),
        (0..9usize, any::<bool>()).prop_map(|(nth, force)| Step::Retire(nth, force)),
        any::<bool>().prop_map(Step::Hold),
        Just(Step::Reattach),
        Just(Step::Sign),
        (1..2_000_000u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// One signs, always; what was signed is believed for as long as it is valid, unless somebody decided otherwise; the
    /// sequence rises exactly when something changed; a node is never left behind without force.
    #[test]
    fn whatever_happens_one_signs_and_nothing_valid_is_disbelieved(steps in collection::vec(step(), 1..60)) {
        let mut world = world();
        let mut next = 1;
        let mut signed: BTreeMap<Digest, credence_model::time::Timestamp> = BTreeMap::new();
        let mut decided: Vec<Digest> = Vec::new();
        for step in steps {
            let before = world.state.authorities.clone();
            let pick = |nth: usize| before.all.get(nth).map_or(Digest([0; 32]), |authority| authority.id);
            match step {
                Step::Prepare => {
                    let _ = world.run(Command::PrepareAuthority { keys: keys(next) });
                    next = next.wrapping_add(1).max(1);
                }
                Step::Activate(nth, force) => {
                    let lagging = before.find(&pick(nth)).is_some_and(|authority| {
                        world.state.nodes_without_bundle(authority.sequence).next().is_some()
                    });
                    let done = world.run(Command::ActivateAuthority { authority: pick(nth), force }).is_ok();
                    let was_active = before.active().is_some_and(|active| active.id == pick(nth));
                    prop_assert!(!done || force || was_active || !lagging, "a node was left behind");
                }
                Step::Taint(nth) => {
                    if world.run(Command::TaintAuthority { authority: pick(nth), reason: None }).is_ok() {
                        decided.push(pick(nth));
                    }
                }
                Step::Retire(nth, force) => {
                    if world.run(Command::RetireAuthority { authority: pick(nth), force }).is_ok() && force {
                        decided.push(pick(nth));
                    }
                }
                Step::Hold(reissued) => {
                    let sequence = world.state.authorities.sequence;
                    let _ = world.report("alpha", Report::BundleHeld { sequence, reissued });
                }
                Step::Reattach => {
                    world.attach("alpha", &["alpha-w1", "alpha-w2"], &[]);
                }
                Step::Sign => {
                    let key = world.key();
                    world.ok(Command::RenewNode { node: name("alpha"), key });
                    let until = world.now.plus_secs(world.state.settings.node_ttl_secs);
                    let by = world.state.authorities.active().unwrap().id;
                    signed.insert(by, until);
                }
                Step::Pass(ms) => world.pass_ms(ms),
            }
            let after = &world.state.authorities;
            let count = |state| after.all.iter().filter(|authority| authority.state == state).count();
            prop_assert_eq!(count(AuthorityState::Active), 1);
            prop_assert!(count(AuthorityState::Prepared) <= 1 && after.all.len() <= AUTHORITIES_MAX);
            let same = |one: &credence_model::authority::Authorities| {
                one.all.iter().map(|authority| (authority.id, authority.state)).collect::<Vec<_>>()
            };
            prop_assert_eq!(same(after) == same(&before), after.sequence == before.sequence);
            let believed = in_bundle(&world.state);
            for (by, until) in &signed {
                let valid = *until > world.now && !decided.contains(by);
                prop_assert!(!valid || believed.contains(by), "{by:?} signed until {until:?}");
            }
        }
    }
}
