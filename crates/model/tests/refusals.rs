//! Bad input: each gets a clear refusal, and nothing changes.

use crate::world::{World, actor, apply_class, apply_pool, held, name, spec, worker};
use credence_model::actor::Outcome;
use credence_model::apply::apply;
use credence_model::caller::Caller;
use credence_model::class::LIST_ITEMS_MAX;
use credence_model::command::{ANSWERS_MAX, Answer, Command, Held, REASON_BYTES_MAX, Report, Request};
use credence_model::event::{Entry, Event, FORMAT};
use credence_model::id::{ActorId, Digest, Epoch};
use credence_model::label::{LABEL_TEXT_BYTES_MAX, LABELS_MAX, Labels};
use credence_model::node::{GRANTS_MAX, PoolGrant, WORKERS_PER_GRANT_MAX};
use credence_model::pool::SHARE_WITH_MAX;
use credence_model::refusal::Kind;
use serde_json::json;

/// The command is refused with this kind and words, and the state stays as it was.
#[track_caller]
fn refused(world: &mut World, command: Command, kind: Kind, words: &str) {
    let before = world.state.clone();
    let refusal = world.run(command).expect_err("it must be refused");
    assert_eq!(refusal.kind, kind, "{refusal}");
    assert!(refusal.to_string().contains(words), "{refusal}");
    assert!(world.state == before, "a refusal changed the state");
}

fn resume(id: &str) -> Command {
    Command::ResumeActor { actor: actor(id), worker: None, wait_ms: None }
}

#[test]
fn ids_that_are_not_labels_never_enter() {
    let long = "a".repeat(64);
    for bad in ["", "a/b", "..", "a%2fb", "a\0", "Actor", "ä", "-a", "a-", "a.b", "a b", &long] {
        assert!(ActorId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_class_or_pool_that_is_unknown_is_named() {
    let mut world = World::furnished();
    let class: credence_model::id::ClassRef = "finance/nobody".parse().unwrap();
    let create = Command::CreateActor { class: class.clone(), id: None, labels: Labels::new() };
    refused(&mut world, create, Kind::NotFound, "there is no class finance/nobody");
    let grants = vec![PoolGrant { pool: "finance/nowhere".parse().unwrap(), workers_max: 1 }];
    let create = Command::CreateJoinToken { token: Digest::of(b"x"), node: None, grants, ttl_secs: 60 };
    refused(&mut world, create, Kind::NotFound, "there is no pool finance/nowhere");
    refused(&mut world, resume("nobody"), Kind::NotFound, "there is no actor finance/nobody");
    let drain = Command::DrainWorker { worker: worker("nothing") };
    refused(&mut world, drain, Kind::NotFound, "there is no worker finance/standard/nothing");
}

#[test]
fn a_class_that_changed_since_it_was_read_is_not_overwritten() {
    let mut world = World::furnished();
    let Command::ApplyClass { class, labels, spec, .. } = apply_class(spec()) else { unreachable!() };
    let version = world.state.classes[&class].version;
    let mut changed = spec.clone();
    changed.purpose = "something else".into();
    let apply = |if_version| Command::ApplyClass {
        class: class.clone(),
        labels: labels.clone(),
        spec: changed.clone(),
        if_version,
    };
    refused(&mut world, apply(Some(version + 1)), Kind::Conflict, "changed since you read it");
    refused(&mut world, apply(Some(0)), Kind::Conflict, "exists already");
    world.ok(apply(Some(version)));
    refused(&mut world, apply(Some(version)), Kind::Conflict, "metadata.version");
    assert_eq!(world.state.classes[&class].newest().unwrap().0, 2);
}

#[test]
fn every_text_of_a_class_has_a_limit_and_is_named_when_it_is_beyond() {
    let long = || "x".repeat(credence_model::class::DESCRIPTION_BYTES_MAX + 1);
    let apply = |json: serde_json::Value| {
        let mut spec = serde_json::to_value(spec()).unwrap();
        spec.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        apply_class(serde_json::from_value(spec).unwrap())
    };
    for (member, field) in [
        (json!({"description": long()}), "spec.description"),
        (json!({"models": [{"model": "m", "provider": long()}]}), "spec.models[0].provider"),
        (json!({"skills": [{"name": "s", "description": long()}]}), "spec.skills[0].description"),
        (json!({"tools": [{"name": "t", "description": long()}]}), "spec.tools[0].description"),
        (json!({"runtime": {"command": ["c", long()]}}), "spec.runtime.command[1]"),
        (json!({"runtime": {"env": [{"name": "A", "value": long()}]}}), "spec.runtime.env[0].value"),
        (json!({"runtime": {"env": [{"name": "A", "value": "\u{0}"}]}}), "spec.runtime.env[0].value"),
        (json!({"purpose": long()}), "spec.purpose"),
    ] {
        refused(&mut World::furnished(), apply(member), Kind::Malformed, field);
    }
}

#[test]
fn only_a_suspended_actor_is_resumed() {
    let mut world = World::furnished();
    world.create("a");
    world.running("a");
    refused(&mut world, resume("a"), Kind::Conflict, "is running already, epoch 1 on worker finance/standard/alpha-w1");
    world.ok(Command::TerminateActor { actor: actor("a"), reason: None });
    refused(&mut world, resume("a"), Kind::Conflict, "A terminated actor never returns; create a new one");
    refused(&mut world, Command::TerminateActor { actor: actor("a"), reason: None }, Kind::Conflict, "terminated at");
}

#[test]
fn of_two_resumes_that_race_one_wins() {
    let mut world = World::furnished();
    world.create("a");
    world.resume("a").unwrap();
    refused(&mut world, resume("a"), Kind::Conflict, "is starting already");
}

#[test]
fn a_worker_that_somebody_else_picked_is_held_to_the_rules() {
    let mut world = World::furnished();
    world.create("a");
    world.create("b");
    world.running("a");
    let pick = |id: &str| Command::ResumeActor { actor: actor("b"), worker: Some(id.parse().unwrap()), wait_ms: None };
    refused(&mut world, pick("finance/standard/alpha-w1"), Kind::Conflict, "held by actor finance/a");
    refused(&mut world, pick("finance/standard/none"), Kind::NotFound, "there is no worker");
    let Command::ApplyPool { labels, spec, .. } = apply_pool() else { unreachable!() };
    world.ok(Command::ApplyPool { pool: "other/pool".parse().unwrap(), labels, spec, if_version: None });
    let grants = vec![PoolGrant { pool: "other/pool".parse().unwrap(), workers_max: 1 }];
    let token = Digest::of(b"gamma");
    world.ok(Command::CreateJoinToken { token, node: Some(name("gamma")), grants, ttl_secs: 60 });
    let key = world.key();
    world.ok(Command::AttestNode { node: name("gamma"), token, key });
    let workers = vec!["other/pool/gamma-w1".parse().unwrap()];
    world.ok(Command::AttachNode { node: name("gamma"), workers, held: Vec::new() });
    refused(&mut world, pick("other/pool/gamma-w1"), Kind::Denied, "may not run class finance/expense-agent");
}

#[test]
fn an_actor_id_is_never_used_twice() {
    let mut world = World::furnished();
    let id = world.create("a");
    let create = || Command::CreateActor {
        class: "finance/expense-agent".parse().unwrap(),
        id: Some("a".parse().unwrap()),
        labels: Labels::new(),
    };
    refused(&mut world, create(), Kind::Conflict, "an id is never used twice");
    world.ok(Command::DeleteActor { actor: id.clone() });
    refused(&mut world, create(), Kind::Conflict, "an id is never used twice");
    refused(&mut world, resume("a"), Kind::NotFound, "was deleted; its id is never used again");
    world.ok(Command::DeleteClass { class: "finance/expense-agent".parse().unwrap() });
    world.ok(apply_class(spec()));
    refused(&mut world, create(), Kind::Conflict, "an id is never used twice");
}

#[test]
fn a_join_token_works_once_in_time_and_for_its_node() {
    let mut world = World::furnished();
    let attest = |node: &str, token: &str| Command::AttestNode {
        node: name(node),
        token: Digest::of(token.as_bytes()),
        key: Digest::of(b"key"),
    };
    refused(&mut world, attest("gamma", "alpha"), Kind::Unauthenticated, "used already; each works once");
    refused(&mut world, attest("gamma", "unheard"), Kind::Unauthenticated, "unknown");
    let grants = vec![PoolGrant { pool: "finance/standard".parse().unwrap(), workers_max: 1 }];
    let token = Digest::of(b"t");
    world.ok(Command::CreateJoinToken { token, node: Some(name("gamma")), grants, ttl_secs: 60 });
    refused(&mut world, attest("delta", "t"), Kind::Unauthenticated, "made for another node");
    world.now = world.now.plus_secs(60);
    refused(&mut world, attest("gamma", "t"), Kind::Unauthenticated, "has expired");
}

#[test]
fn a_node_holds_only_what_its_token_granted() {
    let mut world = World::furnished();
    let attach = |node: &str, ids: &[&str]| Command::AttachNode {
        node: name(node),
        workers: ids.iter().map(|id| worker(id)).collect(),
        held: Vec::new(),
    };
    refused(&mut world, attach("beta", &["beta-w1", "beta-w2"]), Kind::Denied, "its join token granted 1");
    refused(&mut world, attach("beta", &["alpha-w1"]), Kind::Denied, "belongs to node alpha");
    refused(&mut world, attach("gamma", &[]), Kind::NotFound, "there is no node gamma");
}

#[test]
fn a_node_that_presents_an_old_epoch_or_another_nodes_binding_gets_nothing() {
    let mut world = World::furnished();
    world.create("a");
    let bind = world.running("a");
    let old = Held { epoch: Epoch(0), ..held(&bind) };
    let cases = [("alpha", old), ("beta", held(&bind)), ("alpha", Held { binding: crate::world::binding(7), ..old })];
    for (node, held) in cases {
        let key = world.key();
        let audience = vec!["x".to_owned()];
        for report in [
            Report::Running(held),
            Report::RenewX509 { held, key },
            Report::MintJwt { held, audience },
            Report::Ended { held, outcome: Outcome::Stopped, archive: None },
        ] {
            let session = world.state.nodes[&name(node)].session;
            refused(&mut world, Command::Report { node: name(node), session, report }, Kind::Stale, "is over");
        }
    }
}

#[test]
fn a_disabled_class_or_a_forbidden_revision_admits_nobody_and_renews_nothing() {
    let mut world = World::furnished();
    let class = || "finance/expense-agent".parse().unwrap();
    world.create("a");
    let bind = world.running("a");
    world.create("b");
    world.ok(Command::EnableClass { class: class(), revision: None, enabled: false });
    refused(&mut world, resume("b"), Kind::Denied, "is disabled");
    let key = world.key();
    assert!(world.report("alpha", Report::RenewX509 { held: held(&bind), key }).is_err());
    world.ok(Command::EnableClass { class: class(), revision: None, enabled: true });
    world.ok(Command::EnableClass { class: class(), revision: Some(1), enabled: false });
    refused(&mut world, resume("b"), Kind::Denied, "no revision of class finance/expense-agent is allowed");
    let enable = Command::EnableClass { class: class(), revision: Some(9), enabled: true };
    refused(&mut world, enable, Kind::NotFound, "has no revision 9");
}

#[test]
fn a_retried_command_gets_the_first_answer() {
    let mut world = World::furnished();
    let request = |key: &str, uid: u32| Request {
        caller: Caller::Local { uid },
        idempotency_key: Some(key.to_owned()),
        command: Command::CreateActor {
            class: "finance/expense-agent".parse().unwrap(),
            id: None,
            labels: Labels::new(),
        },
    };
    let first = world.request(&request("k", 0)).unwrap();
    let before = world.state.clone();
    assert_eq!(world.request(&request("k", 0)).unwrap(), first);
    assert!(world.state == before);
    assert_ne!(world.request(&request("k", 1)).unwrap(), first, "another caller's key is another key");
    let mut other = request("k", 0);
    other.command = Command::SuspendActor { actor: actor("x") };
    assert!(world.request(&other).unwrap_err().to_string().contains("was used for another command"));
}

#[test]
fn wrong_fields_of_a_class_are_named() {
    let mut world = World::furnished();
    let mut check = |field: &str, change: fn(&mut credence_model::class::ClassSpec)| {
        let mut wrong = spec();
        change(&mut wrong);
        let refusal = world.run(apply_class(wrong)).unwrap_err();
        assert_eq!((refusal.kind, refusal.field.as_deref()), (Kind::Malformed, Some(field)), "{refusal}");
    };
    check("spec.owner", |spec| spec.owner.clear());
    check("spec.purpose", |spec| spec.purpose = "a\nb".into());
    check("spec.credentials.x509TtlSecs", |spec| spec.credentials.x509_ttl_secs = 901);
    check("spec.runtime.stopGraceSecs", |spec| spec.runtime.stop_grace_secs = 61);
    check("spec.runtime.passEnv[0]", |spec| spec.runtime.pass_env.push("A=B".into()));
    check("spec.runtime.env[0].name", |spec| {
        let (name, value) = ("SPIFFE_ENDPOINT_SOCKET".into(), "unix:///elsewhere".into());
        spec.runtime.env.push(credence_model::class::EnvVar { name, value });
    });
    check("spec.models[0].model", |spec| {
        spec.models.push(credence_model::class::Model { model: " ".into(), provider: String::new() });
    });
}

#[test]
fn a_queue_that_is_full_says_when_to_try_again() {
    let mut world = World::new();
    let mut settings = crate::world::settings();
    settings.waiting_max = 1;
    world.ok(Command::Start(settings));
    world.ok(apply_pool());
    world.ok(apply_class(spec()));
    for id in ["a", "b"] {
        world.create(id);
    }
    let now = Command::ResumeActor { actor: actor("a"), worker: None, wait_ms: Some(0) };
    refused(&mut world, now, Kind::Unavailable, "no worker is free");
    world.resume("a").unwrap();
    refused(&mut world, resume("b"), Kind::Unavailable, "which is the limit");
}

/// `count` labels whose keys have so many characters.
fn labels(count: usize, characters: usize) -> Labels {
    (0..count).map(|nth| (format!("{nth:0>characters$}"), "x".to_owned())).collect()
}

fn with_labels(labels: Labels) -> Command {
    let Command::ApplyPool { pool, spec, if_version, .. } = apply_pool() else { unreachable!() };
    Command::ApplyPool { pool, labels, spec, if_version }
}

fn sharing(count: usize) -> Command {
    let Command::ApplyPool { pool, labels, mut spec, if_version } = apply_pool() else { unreachable!() };
    spec.share_with = (0..count).map(|nth| format!("n{nth}").parse().unwrap()).collect();
    Command::ApplyPool { pool, labels, spec, if_version }
}

fn granting(pools: usize, workers_max: u32) -> Command {
    let grant = |nth| PoolGrant { pool: format!("finance/p{nth}").parse().unwrap(), workers_max };
    let grants = (0..pools).map(grant).collect();
    Command::CreateJoinToken { token: Digest::of(b"new"), node: None, grants, ttl_secs: 60 }
}

fn reason(bytes: usize) -> Option<String> {
    Some("x".repeat(bytes))
}

/// A class with one list of so many items.
fn listing(list: &str, item: &serde_json::Value, count: usize) -> Command {
    let mut spec = serde_json::to_value(spec()).unwrap();
    let numbered = |nth: usize| item.to_string().replace('#', &nth.to_string());
    let items = (0..count).map(|nth| serde_json::from_str(&numbered(nth)).unwrap());
    *spec.pointer_mut(list).unwrap() = serde_json::Value::Array(items.collect());
    apply_class(serde_json::from_value(spec).unwrap())
}

#[test]
fn what_is_counted_or_measured_is_taken_up_to_its_limit_and_refused_beyond_it() {
    let mut furnished = World::furnished();
    for nth in 0..=GRANTS_MAX {
        let Command::ApplyPool { labels, spec, if_version, .. } = apply_pool() else { unreachable!() };
        let pool = format!("finance/p{nth}").parse().unwrap();
        furnished.ok(Command::ApplyPool { pool, labels, spec, if_version });
    }
    furnished.create("a");
    let check = |limit: usize, command: &dyn Fn(usize) -> Command, words: &str| {
        furnished.clone().ok(command(limit));
        refused(&mut furnished.clone(), command(limit + 1), Kind::Malformed, words);
    };
    check(LABELS_MAX, &|count| with_labels(labels(count, 3)), "metadata.labels: more than 64 labels");
    check(LABEL_TEXT_BYTES_MAX, &|bytes| with_labels(labels(1, bytes)), "at most 128 letters");
    let value = |bytes| with_labels(Labels::from([("k".to_owned(), "x".repeat(bytes))]));
    check(LABEL_TEXT_BYTES_MAX, &value, "at most 128 letters");
    check(SHARE_WITH_MAX, &sharing, "spec.shareWith: more than 256 namespaces");
    check(GRANTS_MAX, &|count| granting(count, 1), "a join token grants from 1 to 64 pools");
    let workers = |count| granting(1, u32::try_from(count).unwrap());
    check(WORKERS_PER_GRANT_MAX as usize, &workers, "pools[0].workers_max: 4097 is not from 0 to 4096");
    let (terminate, quarantine) = (
        |bytes| Command::TerminateActor { actor: actor("a"), reason: reason(bytes) },
        |bytes| Command::QuarantineActor { actor: actor("a"), reason: reason(bytes) },
    );
    check(REASON_BYTES_MAX, &terminate, "reason: longer than 512 bytes");
    check(REASON_BYTES_MAX, &quarantine, "reason: longer than 512 bytes");
    for (list, item, field) in [
        ("/models", json!({ "model": "m#" }), "spec.models"),
        ("/skills", json!({ "name": "s#" }), "spec.skills"),
        ("/tools", json!({ "name": "t#" }), "spec.tools"),
        ("/runtime/command", json!("c#"), "spec.runtime.command"),
        ("/runtime/env", json!({ "name": "E#", "value": "" }), "spec.runtime.env"),
        ("/runtime/passEnv", json!("P#"), "spec.runtime.passEnv"),
    ] {
        let words = format!("{field}: more than 256 items");
        check(LIST_ITEMS_MAX, &|count| listing(list, &item, count), &words);
    }
}

#[test]
fn so_many_answers_are_remembered_and_the_oldest_is_forgotten_for_a_new_one() {
    let mut world = World::furnished();
    let class = "finance/expense-agent".parse().unwrap();
    let command = Command::CreateActor { class, id: None, labels: Labels::new() };
    let request = Request { caller: Caller::Local { uid: 0 }, idempotency_key: Some("first".to_owned()), command };
    world.request(&request).unwrap();
    for nth in 1..=ANSWERS_MAX {
        assert!(nth % (ANSWERS_MAX / 4) != 0 || world.decide(&request).unwrap().events.is_empty(), "it is remembered");
        let (key, command) = (Digest::of(&nth.to_be_bytes()), Digest::of(b"command"));
        let (index, at) = (world.state.last_index + 1, world.state.last_at);
        let event = Event::CommandAnswered { key, command, answer: Answer::Done {} };
        apply(&mut world.state, &Entry { format: FORMAT, index, at, caller: Caller::System, event });
    }
    assert!(!world.decide(&request).unwrap().events.is_empty(), "it is as if it had never been asked");
}
