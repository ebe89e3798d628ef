use super::recorder::{RECORDS, recorder};
use super::{ASKING, Complete, Judge, Known};
use crate::clock::{MonoClock, wall};
use crate::endpoint::Decide;
use crate::event::{EVENTS, Event, Events};
use crate::fixture::{Authority, TRUST_DOMAIN, held, hits};
use credence_model::class::ClassSpec;
use credence_model::command::Held;
use credence_model::guards::Guards;
use credence_model::id::Digest;
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_policy::brief::Brief;
use credence_policy::inquiry::{Answer, Inquiry, Subject, Wish};
use credence_telemetry::span::Tracer;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::unconstrained;

/// A node that holds two actors, of whom it was told what their class allows them.
struct Bench {
    judge: Judge,
    clock: MonoClock,
    happening: mpsc::Receiver<Event>,
    served: watch::Sender<crate::endpoint::Served>,
}

const MINE: u8 = 1;
const OTHER: u8 = 2;

impl Bench {
    fn new(allow: &[&str]) -> Self {
        let clock = MonoClock::start();
        let (events, happening) = Events::new(&EVENTS);
        // Nobody records.
        let (records, recording) = recorder(events.clone(), watch::Sender::new(false).subscribe());
        std::mem::forget(recording);
        let known = Arc::new(Known::new(clock));
        let authority = Authority::new();
        let served = watch::Sender::new(authority.outdated(held(MINE)));
        known.serve(held(MINE).binding, served.subscribe());
        known.serve(held(OTHER).binding, watch::Sender::new(authority.outdated(held(OTHER))).subscribe());
        known.guard(Guards::default());
        for number in [MINE, OTHER] {
            known.tell(held(number).binding, Some(Arc::new(brief(allow))));
        }
        Self { judge: Judge::new(known, records, events, Tracer::default()), clock, happening, served }
    }

    fn complete(self) -> Self {
        let (as_of, server_now) = (self.clock.now(), wall());
        self.judge.known.complete(Complete { as_of, heard: as_of, server_now, age_ms_max: 60_000 });
        self
    }

    fn decide(&self) -> Decide {
        self.judge.of(held(MINE))
    }

    async fn ask(&self, inquiries: Vec<Inquiry>) -> Result<Vec<Answer>, Refusal> {
        self.decide()(inquiries, None).await
    }
}

fn brief(allow: &[&str]) -> Brief {
    let mut spec = ClassSpec { owner: "finance@example.org".into(), ..ClassSpec::default() };
    spec.permissions.allow = allow.iter().map(|line| line.parse().expect("a permission")).collect();
    Brief {
        actor: "finance/a1".parse().expect("an actor"),
        class: "finance/expense".parse().expect("a class"),
        labels: Labels::new(),
        barred: None,
        revision: 1,
        spec: Arc::new(spec),
        digest: Digest([1; 32]),
        policies: None,
        only: Vec::new(),
        lineage: Lineage::default(),
        delegations: Vec::new(),
        parent: None,
    }
}

fn about(held: Held, tool: &str, context: Value) -> Inquiry {
    let spiffe_id = format!("spiffe://{TRUST_DOMAIN}/ns/finance/agent/expense/actor/a1");
    let subject = Subject { spiffe_id: SpiffeId::parse(&spiffe_id).expect("a SPIFFE ID"), held };
    let wish = Wish { action: "call".into(), kind: "tool".into(), id: tool.into(), properties: Value::Null, context };
    Inquiry { subject, wish: Some(wish), confirms: false }
}

fn own(tool: &str) -> Inquiry {
    about(held(MINE), tool, Value::Null)
}

#[tokio::test]
async fn what_is_known_and_fresh_is_decided_here() {
    let bench = Bench::new(&["tool expenses/submit when amount <= 500"]).complete();
    for (amount, allowed) in [(500, true), (501, false)] {
        let answers = bench.ask(vec![about(held(MINE), "expenses/submit", json!({"amount": amount}))]).await;
        let [answer] = answers.expect("decided").try_into().expect("one");
        assert_eq!((answer.allowed, answer.decision.is_some()), (allowed, true), "{answer:?}");
    }
    let standing = bench.ask(vec![Inquiry { wish: None, ..own("x/y") }]).await.expect("decided");
    assert!(standing.iter().all(|answer| answer.allowed && answer.decision.is_none()), "{standing:?}");
}

#[tokio::test]
async fn what_is_no_name_is_refused_before_anything_is_decided() {
    let bench = Bench::new(&["tool **"]).complete();
    for tool in ["expenses/ѕubmit", "expenses//submit", "expenses/..", "expenses/submit%2f", "expenses/sub mit", ""] {
        let refused = bench.ask(vec![own(tool)]).await.expect_err(tool);
        assert_eq!(refused.kind, Kind::Malformed, "{tool}: {refused}");
    }
}

#[tokio::test]
async fn an_actor_asks_about_others_only_if_its_class_may_decide_about_theirs() {
    let other = || vec![about(held(OTHER), "expenses/list", Value::Null)];
    let refused = Bench::new(&["tool expenses/list"]).complete().ask(other()).await.expect_err("it may not");
    assert_eq!(refused.kind, Kind::Denied);
    assert!(refused.hint.is_some_and(|hint| hint.contains("decide agent/finance/expense")), "{}", refused.message);
    let answers = Bench::new(&["tool expenses/list", "decide agent/finance/*"]).complete().ask(other()).await;
    assert!(answers.expect("decided").iter().all(|answer| answer.allowed));
}

/// Whether the control plane is asked before anything is answered.
async fn is_asked(bench: &mut Bench, inquiry: Inquiry) -> bool {
    let deciding = bench.decide()(vec![inquiry], None);
    tokio::select! {
        answers = deciding => {
            answers.expect("decided here");
            false
        }
        event = bench.happening.recv() => matches!(event, Some(Event::Decide { .. })),
    }
}

#[tokio::test]
async fn what_is_not_known_or_not_fresh_or_counted_is_asked_of_the_control_plane() {
    let mut stale = Bench::new(&["tool expenses/list"]);
    assert!(is_asked(&mut stale, own("expenses/list")).await, "nothing was complete ever");
    let mut fresh = Bench::new(&["tool expenses/list", "tool expenses/submit with budget 5 calls per day"]).complete();
    for (inquiry, is_expected) in [
        (own("expenses/list"), false),
        (own("expenses/submit"), true),
        (own("expenses/other"), false),
        (about(held(3), "expenses/list", Value::Null), true),
        (about(Held { epoch: held(9).epoch, ..held(MINE) }, "expenses/list", Value::Null), true),
    ] {
        assert_eq!(is_asked(&mut fresh, inquiry.clone()).await, is_expected, "{inquiry:?}");
    }
    let elsewhere = Subject { spiffe_id: SpiffeId::parse("spiffe://td.test/x").expect("one"), held: held(MINE) };
    assert!(is_asked(&mut fresh, Inquiry { subject: elsewhere, ..own("expenses/list") }).await, "another name");
    fresh.served.send_replace(crate::endpoint::Served::Ended);
    assert!(is_asked(&mut fresh, own("expenses/list")).await, "its binding is over");
}

#[tokio::test]
async fn what_belongs_together_is_recorded_only_as_far_as_it_is_done() {
    let bench = Bench::new(&["tool expenses/list"]).complete();
    let answers = bench.ask(vec![own("expenses/list"), own("expenses/other")]).await.expect("decided");
    assert_eq!(answers.iter().map(|answer| answer.allowed).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.judge.records().left(), 1, "the denial");
}

#[tokio::test]
async fn what_has_to_be_recorded_is_not_answered_when_there_is_no_room_for_it() {
    let bench = Bench::new(&["tool expenses/list"]).complete();
    let before = hits("decisions_to_record");
    for _ in 0..RECORDS.value {
        bench.ask(vec![own("expenses/other")]).await.expect("there is room");
    }
    let refused = bench.ask(vec![own("expenses/other")]).await.expect_err("there is none");
    assert_eq!(refused.kind, Kind::Unavailable);
    assert!(hits("decisions_to_record") > before);
}

#[tokio::test]
async fn of_too_many_questions_of_an_actor_the_further_ones_wait_even_if_nobody_waits_for_those_before() {
    let mut bench = Bench::new(&["tool expenses/list"]);
    let before = hits("actor_decisions");
    let (mine, other) = (bench.decide(), bench.judge.of(held(OTHER)));
    // As soon as it is polled it goes as far as it can.
    let ask = |of: &Decide| unconstrained(of(vec![own("expenses/list")], None));
    let mut asked = Vec::new();
    for _ in 0..ASKING.value {
        let gone_away = ask(&mine).now_or_never();
        assert!(gone_away.is_none());
        asked.push(bench.happening.try_recv().expect("the server is asked"));
    }
    let (mut further, mut others) = (ask(&mine), ask(&other));
    assert!((&mut further).now_or_never().is_none());
    assert!(bench.happening.try_recv().is_err() && hits("actor_decisions") > before, "it waits");
    assert!((&mut others).now_or_never().is_none());
    assert!(bench.happening.try_recv().is_ok(), "another actor does not");
    asked.pop();
    assert!((&mut further).now_or_never().is_none());
    assert!(bench.happening.try_recv().is_ok(), "one was answered");
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_does_not_decide_is_not_waited_for_without_end() {
    let bench = Bench::new(&["tool expenses/list"]);
    let before = hits("server_decision_time");
    let refused = bench.ask(vec![own("expenses/list")]).await.expect_err("nobody answers");
    assert_eq!(refused.kind, Kind::Unavailable);
    assert!(hits("server_decision_time") > before);
}
