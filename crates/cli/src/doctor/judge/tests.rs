//! Every check fails for its own reason, and says what to do.

use super::{Check, State, judge};
use crate::doctor::local::{Certificate, Data, Disk, Local, Unread};
use crate::doctor::remote::Server;
use crate::doctor::{Facts, words};
use crate::golden;
use crate::output::style::Style;
use credence_model::id::NodeName;
use credence_model::time::Timestamp;
use credence_server::api::status::{Life, LostNode, StatusView, WaitingActor};
use credence_server::backup::Checked;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY_SECS: u64 = 86_400;
const GIB: u64 = 1024 * 1024 * 1024;

fn certificate(name: &str, days: u64) -> Certificate {
    Certificate { name: name.into(), not_before: NOW.minus_secs(DAY_SECS), not_after: NOW.plus_secs(days * DAY_SECS) }
}

fn healthy() -> Facts {
    let status = StatusView {
        now: NOW,
        version: "0.1.0".into(),
        trust_domain: "demo.internal".into(),
        not_ready: None,
        held: None,
        last_index: 655,
        clock_margin_ms: 500,
        svid: Some(Life { not_before: NOW.minus_secs(60), not_after: NOW.plus_secs(DAY_SECS) }),
        nodes_connected: 2,
        nodes_lost: 0,
        lost: Vec::new(),
        waiting: 0,
        waits_longest: None,
    };
    Facts {
        local: Local {
            config: Some(Ok(())),
            data: Some(Ok(Data { dir: "/var/lib/credence".into(), exposed: Vec::new() })),
            disk: Some(Ok(Disk { free_bytes: 34 * GIB, all_bytes: 252 * GIB })),
            journal: Some(Ok(Checked { last_index: 655, last_at: NOW.minus_secs(3), verified: 12 })),
            authority: Some(Ok(vec![certificate("root", 3650), certificate("intermediate", 300)])),
            node_svid: Some(Ok(certificate("identity.pem", 1))),
            node_socket: Some(("/run/node.sock".into(), Ok(()))),
        },
        server: Some(Ok(Server { status, heard_at: NOW.plus_ms(40), took_ms: 2 })),
    }
}

/// With this changed in what the server says.
fn says(change: impl FnOnce(&mut StatusView)) -> Facts {
    let mut facts = healthy();
    if let Some(Ok(server)) = &mut facts.server {
        change(&mut server.status);
    }
    facts
}

/// With this changed in what was found on the machine.
fn found(change: impl FnOnce(&mut Local)) -> Facts {
    let mut facts = healthy();
    change(&mut facts.local);
    facts
}

fn lost() -> LostNode {
    LostNode { name: NodeName::parse("beta").expect("a name"), heard_at: NOW.minus_secs(90) }
}

fn waits(secs: u64) -> Facts {
    says(|status| {
        status.waiting = 3;
        status.waits_longest = Some(WaitingActor { actor: "finance/actor-07".into(), since: NOW.minus_secs(secs) });
    })
}

#[test]
fn what_is_healthy_is_said_in_one_screen() {
    let checks = judge(&healthy(), NOW);
    assert!(checks.iter().all(|check| check.state == State::Ok && check.what_to_do.is_none()), "{checks:?}");
    golden::check("view/doctor-healthy.txt", &words(&checks, Style::default()));
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let mut facts = says(|status| {
        status.held = Some("it was restored from a backup that ends at journal entry 655".into());
        status.not_ready = Some("held".into());
        (status.nodes_lost, status.lost) = (1, vec![lost()]);
    });
    facts.local.disk = Some(Ok(Disk { free_bytes: 40 * 1024 * 1024, all_bytes: 252 * GIB }));
    facts.local.config = None;
    golden::check("view/doctor-unhealthy.txt", &words(&judge(&facts, NOW), Style::default()));
    golden::check("view/doctor-nothing.txt", &words(&judge(&Facts::default(), NOW), Style::default()));
}

type Case = (&'static str, &'static str, Facts);

/// What can be wrong on this machine.
fn wrong_here() -> Vec<Case> {
    let ended = || Certificate { not_after: NOW.minus_secs(60), ..certificate("root", 1) };
    let exposed = || vec![("/var/lib/credence/authority/root.key.pem".to_owned(), 0o644)];
    vec![
        ("config", "why", found(|local| local.config = Some(Err("why".into())))),
        ("data", "why", found(|local| local.data = Some(Err("why".into())))),
        (
            "data",
            "root.key.pem (mode 0644)",
            found(|local| {
                local.data = Some(Ok(Data { dir: "/d".into(), exposed: exposed() }));
            }),
        ),
        (
            "disk",
            "3 MiB free",
            found(|local| {
                local.disk = Some(Ok(Disk { free_bytes: 3 * 1024 * 1024, all_bytes: GIB }));
            }),
        ),
        ("journal", "why", found(|local| local.journal = Some(Err(Unread::Damaged("why".into()))))),
        ("authority", "why", found(|local| local.authority = Some(Err("why".into())))),
        ("authority", "root ended 1 min ago", found(|local| local.authority = Some(Ok(vec![ended()])))),
        ("node svid", "why", found(|local| local.node_svid = Some(Err("why".into())))),
        (
            "node svid",
            "begins only",
            found(|local| {
                let later = Certificate { not_before: NOW.plus_secs(60), ..certificate("identity.pem", 1) };
                local.node_svid = Some(Ok(later));
            }),
        ),
        ("node socket", "/n: why", found(|local| local.node_socket = Some(("/n".into(), Err("why".into()))))),
    ]
}

/// What can be wrong with the server.
fn wrong_there() -> Vec<Case> {
    vec![
        ("server", "not ready: why", says(|status| status.not_ready = Some("why".into()))),
        ("server svid", "it has none", says(|status| status.svid = None)),
        (
            "server svid",
            "ended 1 min ago",
            says(|status| {
                status.svid = Some(Life { not_before: NOW.minus_secs(120), not_after: NOW.minus_secs(60) });
            }),
        ),
        ("clock", "6.9 s apart", says(|status| status.now = NOW.plus_ms(7_000))),
        (
            "held",
            "why",
            says(|status| {
                status.held = Some("why".into());
                status.not_ready = Some("held".into());
            }),
        ),
        (
            "nodes",
            "beta, not heard for 1 min",
            says(|status| {
                (status.nodes_connected, status.nodes_lost, status.lost) = (0, 1, vec![lost()]);
            }),
        ),
        ("waiting", "finance/actor-07 longest, for 2 min", waits(120)),
    ]
}

#[test]
fn every_check_fails_for_its_own_reason_and_no_other_fails_with_it() {
    for (name, expected, facts) in wrong_here().into_iter().chain(wrong_there()) {
        let failing: Vec<Check> = judge(&facts, NOW).into_iter().filter(|check| check.state == State::Fail).collect();
        let [one] = failing.as_slice() else { panic!("{name}: {failing:?}") };
        assert_eq!(one.name, name);
        assert!(one.says.contains(expected), "{one:?}");
        assert!(one.what_to_do.is_some(), "{one:?}");
    }
    let away = Facts { server: Some(Err("why".to_owned())), ..healthy() };
    let failing: Vec<_> = judge(&away, NOW).into_iter().filter(|check| check.state != State::Ok).collect();
    let names: Vec<_> = failing.iter().map(|check| (check.name, check.state)).collect();
    let unknown = |name| (name, State::Unknown);
    assert_eq!(
        names,
        [
            ("server", State::Fail),
            unknown("server svid"),
            unknown("clock"),
            unknown("held"),
            unknown("nodes"),
            unknown("waiting")
        ],
        "what only the server knows is not known, and not wrong"
    );
}

#[test]
fn what_will_fail_soon_is_a_warning() {
    let cases: Vec<(&str, Facts)> = vec![
        ("disk", found(|local| local.disk = Some(Ok(Disk { free_bytes: GIB / 2, all_bytes: GIB })))),
        (
            "authority",
            found(|local| {
                let late = Certificate { not_before: NOW.minus_secs(300 * DAY_SECS), ..certificate("root", 20) };
                local.authority = Some(Ok(vec![late]));
            }),
        ),
        ("journal", found(|local| local.journal = Some(Err(Unread::Unchecked("why".into()))))),
        ("clock", says(|status| status.now = NOW.plus_ms(1_000))),
        ("nodes", says(|status| status.nodes_connected = 0)),
        ("nodes", says(|status| (status.nodes_lost, status.lost) = (1, vec![lost()]))),
        ("waiting", waits(20)),
    ];
    for (name, facts) in cases {
        let checks = judge(&facts, NOW);
        let other: Vec<_> = checks.iter().filter(|check| check.state != State::Ok).collect();
        assert!(matches!(other.as_slice(), [one] if one.name == name && one.state == State::Warn), "{name}: {other:?}");
    }
}
