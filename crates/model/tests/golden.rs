//! The golden journal: every event, as the first version wrote it. These bytes must decode and re-encode for ever.

use crate::permission::permission;
use crate::world::{actor, binding, name, settings, spec, worker};
use credence_model::actor::{ActorState, Outcome, UnbindMode};
use credence_model::authority::{AuthorityKeys, AuthorityState, Der};
use credence_model::budget::Taken;
use credence_model::caller::Caller;
use credence_model::command::{Answer, Unbind};
use credence_model::decided::{Decided, Said};
use credence_model::delegation::{Delegation, Grantee, Grantor, Revoked, Terms};
use credence_model::event::{Entry, Event, FORMAT, PermissionEvent};
use credence_model::guard::GuardSpec;
use credence_model::hold::{HoldCause, Release, Seen};
use credence_model::id::{ActorRef, ClassName, ClassRef, DecisionId, DelegationId, Digest, Epoch, GuardRef, PoolRef};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::node::PoolGrant;
use credence_model::pool::PoolSpec;
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_model::worker::WorkerKind;
use std::collections::BTreeSet;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/journal-v1.txt");

#[test]
fn the_golden_journal_holds_every_event_and_is_read_for_ever() {
    let entries: Vec<_> = events()
        .into_iter()
        .enumerate()
        .map(|(nth, (caller, event))| Entry {
            format: FORMAT,
            index: nth as u64 + 1,
            at: Timestamp(1_800_000_000_000 + nth as u64),
            caller,
            event,
        })
        .collect();
    let written: String =
        entries.iter().map(|entry| format!("{} {}\n", tag(&entry.event), hex::encode(entry.encode()))).collect();
    if option_env!("CREDENCE_GOLDEN") == Some("accept") {
        std::fs::write(PATH, &written).unwrap();
    }
    let golden = std::fs::read_to_string(PATH).unwrap();
    for (line, entry) in golden.lines().zip(&entries) {
        let bytes = hex::decode(line.split(' ').nth(1).unwrap()).unwrap();
        let read = Entry::decode(&bytes).unwrap();
        assert_eq!(read, *entry);
        assert_eq!(read.encode(), bytes);
    }
    assert_eq!(golden, written, "an event is missing, or its bytes changed; old lines must never change");
}

#[test]
fn every_variant_of_event_is_in_the_golden_journal() {
    let schema = schemars::schema_for!(Event);
    let mut known = BTreeSet::new();
    collect_tags(schema.as_value(), &mut known);
    let tags: BTreeSet<_> = events().iter().map(|(_, event)| tag(event)).collect();
    assert_eq!(tags, known);
}

/// What `type` can be, anywhere in a schema.
fn collect_tags(schema: &serde_json::Value, tags: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            let tag = schema.pointer("/properties/type/const").and_then(serde_json::Value::as_str);
            tags.extend(tag.map(str::to_owned));
            members.values().for_each(|member| collect_tags(member, tags));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_tags(item, tags)),
        _ => {}
    }
}

#[test]
fn an_entry_of_a_later_format_is_refused_by_number() {
    let (caller, event) = events().remove(0);
    let entry = Entry { format: FORMAT + 1, index: 7, at: Timestamp(0), caller, event };
    let message = Entry::decode(&entry.encode()).unwrap_err().to_string();
    assert!(message.contains("entry 7 has format 2"), "{message}");
}

fn tag(event: &Event) -> String {
    serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned()
}

fn events() -> Vec<(Caller, Event)> {
    let class =
        || ClassRef { namespace: "finance".parse().unwrap(), class: ClassName::parse("expense-agent").unwrap() };
    let pool = || PoolRef { namespace: "finance".parse().unwrap(), pool: "standard".parse().unwrap() };
    let labels = || Labels::from([("tier".to_owned(), "standard".to_owned())]);
    let grants = || vec![PoolGrant { pool: pool(), workers_max: 2 }];
    let (key, at) = (Digest::of(b"key"), Timestamp(1_800_000_900_000));
    let (a, b, epoch) = (actor("actor-01"), binding(1), Epoch(2));
    let admin = || Caller::Local { uid: 1000 };
    let person = || Caller::Svid { id: SpiffeId::parse("spiffe://demo.internal/person/ada").unwrap() };
    let node = || Caller::Node { name: name("alpha") };
    let answers = [
        Answer::Done {},
        Answer::Applied { version: 4, revision: 1, changed: true },
        Answer::Actor { actor: a.clone(), state: ActorState::Starting, epoch, binding: Some(b), waiting: false },
        Answer::JoinToken { expires_at: at },
        Answer::Attached { session: 3, unbind: vec![Unbind { binding: b, mode: UnbindMode::Drop }] },
    ];
    let outcomes = [
        Outcome::Stopped,
        Outcome::Exited { code: -1 },
        Outcome::Failed { reason: "no such program".into() },
        Outcome::Dropped,
        Outcome::LeaseOver,
    ];
    let modes = [UnbindMode::Suspend, UnbindMode::Terminate, UnbindMode::Quarantine, UnbindMode::Drop];
    let keys = AuthorityKeys {
        root: Der(vec![0x30, 0x01]),
        jwt_key: Der(vec![0x30, 0x02]),
        jwt_key_id: "kid".into(),
        not_after: at,
    };
    let mut events = vec![
        (Caller::System, Event::SettingsChanged { settings: settings() }),
        (Caller::System, Event::CellStarted {}),
        (admin(), Event::ClassRevised { class: class(), labels: labels(), revision: 1, spec: Box::new(spec()) }),
        (person(), Event::ClassLabelled { class: class(), labels: Labels::new() }),
        (person(), Event::ClassEnabled { class: class(), enabled: false }),
        (admin(), Event::RevisionAllowed { class: class(), revision: 1, allowed: false }),
        (admin(), Event::ClassDeleted { class: class() }),
        (
            admin(),
            Event::PoolApplied {
                pool: pool(),
                labels: labels(),
                spec: PoolSpec {
                    description: "d".into(),
                    share_with: vec!["ops".parse().unwrap()],
                    share_with_all: true,
                    direct: true,
                },
            },
        ),
        (admin(), Event::PoolDeleted { pool: pool() }),
        (admin(), Event::JoinTokenCreated { token: key, node: Some(name("alpha")), grants: grants(), expires_at: at }),
        (node(), Event::NodeAttested { node: name("alpha"), token: key, grants: grants(), key, not_after: at }),
        (node(), Event::NodeRenewed { node: name("alpha"), key, not_after: at }),
        (
            node(),
            Event::NodeAttached { node: name("alpha"), session: 3, workers: vec![worker("alpha-w1")], kept: vec![b] },
        ),
        (node(), Event::NodeHeard { node: name("alpha") }),
        (Caller::System, Event::NodeLost { node: name("alpha") }),
        (admin(), Event::NodeDeleted { node: name("alpha") }),
        (node(), Event::KeysOffered { node: name("alpha"), keys: vec![key] }),
        (node(), Event::WorkerRegistered { worker: worker("run-1"), node: name("alpha"), kind: WorkerKind::Process }),
        (node(), Event::WorkerRegistered { worker: worker("w1"), node: name("alpha"), kind: WorkerKind::Slot }),
        (admin(), Event::WorkerDraining { worker: worker("alpha-w1") }),
        (admin(), Event::WorkerGone { worker: worker("alpha-w1") }),
        (admin(), Event::ActorCreated { actor: a.clone(), class: class().class, labels: labels() }),
        (admin(), Event::ActorQueued { actor: a.clone(), until: at }),
        (Caller::System, Event::ActorUnqueued { actor: a.clone(), reason: "no worker became free in time".into() }),
        (
            Caller::System,
            Event::ActorBound {
                actor: a.clone(),
                binding: b,
                epoch,
                worker: worker("alpha-w1"),
                node: name("alpha"),
                revision: 1,
                key,
                not_after: at,
            },
        ),
        (node(), Event::ActorRunning { actor: a.clone(), binding: b }),
        (admin(), Event::ActorTerminated { actor: a.clone(), reason: Some("done".into()) }),
        (admin(), Event::ActorQuarantined { actor: a.clone(), reason: None }),
        (admin(), Event::ActorDeleted { actor: a.clone() }),
        (node(), Event::X509SvidOrdered { actor: a.clone(), binding: b, epoch, key, not_after: at }),
        (
            node(),
            Event::JwtSvidOrdered {
                actor: a.clone(),
                binding: b,
                epoch,
                audience: vec!["tool".into()],
                expires_at: at,
            },
        ),
    ];
    events.extend(answers.map(|answer| (admin(), Event::CommandAnswered { key, command: key, answer })));
    events.extend(
        modes.map(|mode| (admin(), Event::ActorUnbinding { actor: a.clone(), binding: b, mode, wanted: true })),
    );
    events.extend(outcomes.map(|outcome| {
        (node(), Event::BindingEnded { actor: a.clone(), binding: b, epoch, outcome, archive: Some(key) })
    }));
    events.extend([
        (Caller::System, Event::CellHeld { cause: HoldCause::Restored { made_at: at, last_index: 7, last_at: at } }),
        (
            node(),
            Event::CellHeld {
                cause: HoldCause::Behind {
                    by: "node alpha".into(),
                    seen: Seen { index: 9, epoch, bundle_sequence: 1 },
                },
            },
        ),
        (
            admin(),
            Event::CellReleased {
                release: Release { epoch_floor: Epoch(1_000_002), bundle_floor: 1, reason: Some("drill".into()) },
            },
        ),
    ]);
    // Later versions add at the end: the lines above keep their numbers.
    let answer = Answer::Authority { authority: key, state: AuthorityState::Prepared, changed: true };
    events.extend([
        (admin(), Event::AuthorityPrepared { authority: key, keys }),
        (admin(), Event::AuthorityActivated { authority: key, forced: false }),
        (admin(), Event::AuthorityTainted { authority: key, reason: Some("stolen".into()) }),
        (Caller::System, Event::AuthorityWithdrawn { authority: key, reissued: true }),
        (admin(), Event::AuthorityRetired { authority: key, forced: true }),
        (node(), Event::BundleHeld { node: name("alpha"), sequence: 7, reissued: true }),
        (admin(), Event::CommandAnswered { key, command: key, answer }),
    ]);
    let mut wide = spec();
    wide.permissions.allow = vec![permission("tool expenses/submit when amount <= 500 EUR with step-up")];
    wide.permissions.cedar = "permit (principal, action, resource);".into();
    let only = vec![permission("tool expenses/submit when amount <= 100 EUR with step-up")];
    events.extend([
        (admin(), Event::ClassRevised { class: class(), labels: labels(), revision: 2, spec: Box::new(wide) }),
        (admin(), Event::Permission(PermissionEvent::ConsentWanted { class: class(), revision: 2 })),
        (admin(), Event::Permission(PermissionEvent::RevisionConsented { class: class(), revision: 2, only })),
        (admin(), Event::Permission(PermissionEvent::ConsentWithdrawn { class: class(), revision: 2 })),
    ]);
    let user = User { issuer: "https://idp.example".into(), subject: "ada".into() };
    let lineage = Lineage {
        parent: Some(actor("parent")),
        forked_from: Some(actor("other")),
        user: Some(user.clone()),
        session: Some("s-1".into()),
        depth: 1,
    };
    let terms = Terms {
        allow: vec![permission("tool expenses/submit when amount <= 200 EUR")],
        session: Some("s-1".into()),
        purpose: "the trip to Lisbon".into(),
        not_before: Timestamp(1_800_000_000_000),
        expires_at: at,
        uses: Some(3),
    };
    let id = DelegationId::parse("01jdvarh8000000000000000aa").unwrap();
    let delegation = |by, to| Delegation {
        id,
        by,
        to,
        terms: terms.clone(),
        used: 1,
        granted_at: at,
        revoked: Some(Revoked { at, by: Caller::System, reason: None }),
    };
    let taken = Taken { budget: key, since_secs: 1_800_000_000, amount: 1_500_000, of: None };
    let by_token = Caller::User { user: user.clone() };
    let granted = |by, to| Event::Permission(PermissionEvent::DelegationGranted { delegation: delegation(by, to) });
    events.extend([
        (admin(), Event::Permission(PermissionEvent::ActorDescends { actor: a.clone(), lineage })),
        (person(), granted(Grantor::User(user), Grantee::Class(class()))),
        (person(), granted(Grantor::Actor(actor("parent")), Grantee::Actor(a.clone()))),
        (person(), Event::Permission(PermissionEvent::DelegationNarrowed { delegation: id, terms: terms.clone() })),
        (
            person(),
            Event::Permission(PermissionEvent::DelegationRevoked { delegation: id, reason: Some("over".into()) }),
        ),
        (
            admin(),
            Event::Permission(PermissionEvent::Used { actor: a.clone(), delegations: vec![id], budgets: vec![taken] }),
        ),
        (Caller::System, Event::Permission(PermissionEvent::DelegationsForgotten { delegations: vec![id] })),
        (
            admin(),
            Event::CommandAnswered { key, command: key, answer: Answer::Delegation { delegation: id, changed: true } },
        ),
        (person(), Event::Permission(PermissionEvent::Decided { decided: Box::new(decided(class(), a.clone(), key)) })),
    ]);
    let of_parent = Taken { budget: key, since_secs: 1_800_000_000, amount: 10_000, of: Some(actor("parent")) };
    let guard = GuardRef { namespace: "finance".parse().unwrap(), guard: "expenses".parse().unwrap() };
    let (of, spec) = (guard.clone(), Box::new(guard_spec()));
    events.extend([
        (person(), Event::Permission(PermissionEvent::GuardApplied { guard: of, labels: labels(), spec })),
        (admin(), Event::Permission(PermissionEvent::GuardDeleted { guard })),
        (
            admin(),
            Event::Permission(PermissionEvent::Used { actor: a, delegations: Vec::new(), budgets: vec![of_parent] }),
        ),
        (by_token, Event::Permission(PermissionEvent::DelegationRevoked { delegation: id, reason: None })),
    ]);
    events
}

fn guard_spec() -> GuardSpec {
    GuardSpec {
        owner: "expenses@example.org".into(),
        description: "d".into(),
        resource: "tool/expenses/**".parse().unwrap(),
        allow: vec![permission("tool expenses/submit when actor.class = finance/expense-agent with log")],
        forbid: vec![permission("* tool/expenses/** when actor.namespace != finance")],
    }
}

fn decided(class: ClassRef, actor: ActorRef, context: Digest) -> Decided {
    let verdicts = vec![Said {
        actor: actor.clone(),
        layer: "class".into(),
        allowed: false,
        why: "revision 2 of class finance/expense-agent does not allow `read report/x`".into(),
        missing: Some("`read report/x`, from its owner".into()),
    }];
    Decided {
        id: DecisionId::parse("01jdvarh8000000000000000ab").unwrap(),
        actor,
        class,
        revision: 2,
        action: "read".into(),
        resource: "report/x".into(),
        context,
        allowed: false,
        verdicts,
        obligations: vec!["log".into()],
    }
}
