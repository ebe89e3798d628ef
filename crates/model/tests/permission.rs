//! Permissions: how they are read and written, and that a narrower one never permits more.

use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::permission::Permission;
use credence_model::permission::decimal::Decimal;
use credence_model::permission::question::{Fact, Facts, Match, Principal, Question, Why};
use credence_model::permission::target::{Name, Resource};
use credence_model::time::Timestamp;
use credence_model::user::User;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection, option, prop_assert, prop_assert_eq, sample};
use serde_json::{Value, json};

pub(crate) fn permission(text: &str) -> Permission {
    Permission::parse(text).expect(text)
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) actor: ActorRef,
    pub(crate) class: ClassRef,
    pub(crate) user: Option<User>,
    pub(crate) labels: Labels,
}

impl Asker {
    pub(crate) fn principal(&self) -> Principal<'_> {
        Principal { actor: &self.actor, class: &self.class, user: self.user.as_ref(), labels: &self.labels }
    }
}

/// An actor that acts for nobody.
pub(crate) fn asker() -> Asker {
    Asker {
        actor: "finance/a-1".parse().expect("an actor"),
        class: "finance/expense-agent".parse().expect("a class"),
        user: None,
        labels: Labels::new(),
    }
}

/// `action kind/id` with a context.
pub(crate) fn question(what: &str, context: Value) -> Question {
    let (action, resource) = what.split_once(' ').expect("an action and a resource");
    let (kind, id) = resource.split_once('/').expect("a kind and a name");
    Question {
        action: Name::parse(action).expect("an action"),
        resource: Resource::new(Name::parse(kind).expect("a kind"), id).expect("a resource"),
        context: Facts::read(&context).expect("facts"),
        properties: Facts::default(),
        at: Timestamp::from_secs(1_800_000_000),
    }
}

#[test]
fn a_permission_has_one_text() {
    for (text, canonical) in [
        ("tool expenses/submit", "tool expenses/submit"),
        ("call tool/expenses/submit", "tool expenses/submit"),
        ("  model   anthropic/*  ", "model anthropic/*"),
        ("egress **.example.org", "egress **.example.org"),
        ("spawn finance/receipt-reader", "spawn finance/receipt-reader"),
        ("* report/**", "* report/**"),
        ("read report/2026 when amount<=500.00 EUR", "read report/2026 when amount <= 500 EUR"),
        (
            "read report/x when team = \"finance\" and amount > 5 and amount <= 9",
            "read report/x when amount > 5 and amount <= 9 and team = finance",
        ),
        ("read report/x when a in (z, y, z)", "read report/x when a in (y, z)"),
        ("read report/x when a in (y) and a != z", "read report/x when a = y"),
        ("read report/x when a != z and a not in (y)", "read report/x when a not in (y, z)"),
        ("read report/x when a = 5", "read report/x when a = 5"),
        ("read report/x when a = \"5\"", "read report/x when a = \"5\""),
        ("read report/x when a = \"say \\\"no\\\" \\\\\"", "read report/x when a = \"say \\\"no\\\" \\\\\""),
        ("read report/x when a = true and b = \"true\"", "read report/x when a = true and b = \"true\""),
        ("read report/x when time >= 08:00 and time < 24:00", "read report/x when time >= 08:00 and time < 24:00"),
        ("read report/x when day in (mon, tue)", "read report/x when day in (mon, tue)"),
        ("read report/x when label env = prod", "read report/x when label env = prod"),
        ("read report/x when resource.owner = a.b", "read report/x when resource.owner = a.b"),
        (
            "tool a/b when actor.class=n/x and actor.id=\"01j/a\"",
            "tool a/b when actor.class = n/x and actor.id = \"01j/a\"",
        ),
        (
            "tool a/b when actor.user in (uid:0, ada@example.org) and actor.issuer = https://idp.example:8443/x",
            "tool a/b when actor.issuer = https://idp.example:8443/x and actor.user in (ada@example.org, uid:0)",
        ),
        ("tool a/b with step-up, log, step-up", "tool a/b with log, step-up"),
        ("tool a/b with budget 2000 EUR per day", "tool a/b with budget 2000 EUR per day"),
        ("tool a/b when x = 1 with budget 5 calls per life", "tool a/b when x = 1 with budget 5 calls per life"),
    ] {
        assert_eq!(permission(text).to_string(), canonical);
        assert_eq!(permission(canonical).to_string(), canonical, "it stays");
    }
}

#[test]
fn what_is_no_permission_is_refused_with_its_place() {
    for (text, why) in [
        ("", "expected tool, model, egress, agent, spawn or an action, found the end, at column 1"),
        ("tool", "expected what it is about, found the end, at column 5"),
        ("read report", "expected KIND/NAME, at column 6"),
        ("Read report/x", "it is a small letter, then a-z, 0-9, _ and -, at column 1"),
        ("read Report/x", "it is a small letter, then a-z, 0-9, _ and -, at column 6"),
        ("tool a//b", "a segment is empty or only dots, at column 6"),
        ("tool a/../b", "a segment is empty or only dots, at column 6"),
        ("tool a%2fb", "`%` does not belong here, at column 7"),
        ("tool tооl", "`о` does not belong here, at column 7"),
        ("tool a/b*", "* stands for a whole segment, at column 6"),
        ("tool a/**/b", "** stands only at the end, at column 6"),
        ("egress a.**", "** stands only at the beginning of a host's name, at column 8"),
        ("egress API.example.org", "a host is small letters, digits, - and ., at column 8"),
        ("tool a/b if x = 1", "expected `when`, `with` or the end, found `if`, at column 10"),
        ("tool a/b when", "expected an attribute, found the end, at column 14"),
        ("tool a/b when amount", "expected =, !=, <, <=, >, >=, `in` or `not in`, found the end, at column 21"),
        ("tool a/b when amount <=", "expected a number, found the end, at column 24"),
        ("tool a/b when amount <= much", "expected a number, found `much`, at column 25"),
        ("tool a/b when amount <= 1.23456", "at most four digits behind the point"),
        ("tool a/b when amount != 5", "numbers are compared with =, <, <=, > and >=, at column 25"),
        ("tool a/b when amount < 5 and amount > 6", "its conditions can never hold together"),
        ("tool a/b when amount < 5 and amount = x", "its conditions can never hold together"),
        ("tool a/b when amount < 5 EUR and amount < 5 USD", "its conditions can never hold together"),
        ("tool a/b when a = b and a = c", "its conditions can never hold together"),
        ("tool a/b when actor. = c", "`actor.` is no attribute, at column 15"),
        ("tool a/b when actor..class = c", "`actor..class` is no attribute, at column 15"),
        ("tool a/b when аctor.class = c", "`а` does not belong here, at column 15"),
        ("tool a/b when actor.id = 01j/a", "or a word in quotes, found `01j/a`, at column 26"),
        ("tool a/b when a..b = c", "`a..b` is no attribute, at column 15"),
        ("tool a/b when time >= 25:00", "expected a time from 00:00 to 24:00, found `25:00`, at column 23"),
        ("tool a/b when day = monday", "a day is one of mon, tue, wed, thu, fri, sat, sun, at column 21"),
        ("tool a/b when a = \"x", "the quote is not closed, at column 19"),
        ("tool a/b when a in ()", "expected a word, found `)`, at column 21"),
        ("tool a/b with", "expected step-up, log or budget, found the end, at column 14"),
        ("tool a/b with budget 5 per day", "expected a currency or `calls`, found `per`, at column 24"),
        ("tool a/b with budget -5 calls per day", "a budget is not negative, at column 22"),
        ("tool a/b with log when a = b", "expected `,` or the end, found `when`, at column 19"),
        ("tool a/b\nwhen a = b", "`\\n` does not belong here, at column 9"),
    ] {
        let error = Permission::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    let long = format!("tool a/{}", "b".repeat(1024));
    assert!(Permission::parse(&long).expect_err("long").to_string().contains("longer than 1024 bytes"));
}

#[test]
fn what_is_not_said_or_said_as_something_else_fulfils_nothing() {
    let submit = permission("tool expenses/submit when amount <= 500 EUR and approved = true and team in (a, b)");
    let good = json!({ "amount": 150.5, "currency": "EUR", "approved": true, "team": "a" });
    assert_eq!(
        submit.answers(&question("call tool/expenses/submit", good.clone()), &asker().principal()),
        Match::Holds
    );
    let asker = asker();
    for (member, value, why) in [
        ("amount", json!(500.0001), Some(Why::Otherwise(Fact::Number(Decimal::parse("500.0001").unwrap())))),
        ("amount", json!("150"), Some(Why::Type)),
        ("amount", json!(0.00001), Some(Why::Type)),
        ("amount", json!(1e300), Some(Why::Type)),
        ("amount", json!(100_000_000_000.5), Some(Why::Type)),
        ("amount", json!(-755_289_637_780.25), Some(Why::Type)),
        ("amount", json!(null), Some(Why::Type)),
        ("amount", json!([1]), Some(Why::Type)),
        ("amount", json!({ "value": 1 }), Some(Why::Type)),
        ("amount", json!(-3), None),
        ("currency", json!("USD"), Some(Why::Currency)),
        ("currency", json!(["EUR"]), Some(Why::Currency)),
        ("approved", json!("true"), Some(Why::Type)),
        ("approved", json!(1), Some(Why::Type)),
        ("team", json!("A"), Some(Why::Otherwise(Fact::Word("A".into())))),
        ("team", json!(["a", "b"]), None),
        ("team", json!(["a", "c"]), Some(Why::Otherwise(Fact::Words(vec!["a".into(), "c".into()])))),
        ("team", json!([]), Some(Why::Otherwise(Fact::Words(Vec::new())))),
    ] {
        let mut said = good.clone();
        said[member] = value;
        let asked = question("call tool/expenses/submit", said.clone());
        let found = match submit.answers(&asked, &asker.principal()) {
            Match::Holds => None,
            Match::Unmet(unmet) => Some(unmet[0].why.clone()),
            Match::Beside => panic!("{said}"),
        };
        assert_eq!(found, why, "{said}");
    }
    let mut less = good.clone();
    less.as_object_mut().unwrap().remove("amount");
    let asked = question("call tool/expenses/submit", less);
    assert!(matches!(submit.answers(&asked, &asker.principal()), Match::Unmet(unmet) if unmet[0].why == Why::Missing));
    for what in
        ["call tool/expenses/Submit", "call tool/expenses", "call tool/expenses/submit/x", "use tool/expenses/submit"]
    {
        assert_eq!(submit.answers(&question(what, good.clone()), &asker.principal()), Match::Beside, "{what}");
    }
}

#[test]
fn hosts_are_read_from_their_end_and_times_in_utc() {
    let hosts = [
        ("egress *.example.org", "a.example.org", "a.b.example.org"),
        ("egress **.example.org", "a.b.example.org", "example.org"),
    ];
    for (text, inside, outside) in hosts {
        let permission = permission(text);
        assert_eq!(
            permission.answers(&question(&format!("connect host/{inside}"), json!({})), &asker().principal()),
            Match::Holds
        );
        for outside in [outside, "example.org.evil.net", "a.example.com", "aexample.org"] {
            assert_eq!(
                permission.answers(&question(&format!("connect host/{outside}"), json!({})), &asker().principal()),
                Match::Beside
            );
        }
    }
    // 2027-01-15 08:00:00 UTC, a Friday.
    let at_work = permission("read report/x when time >= 08:00 and time < 18:00 and day in (thu, fri)");
    let mut asked = question("read report/x", json!({ "time": 0, "day": "sun" }));
    for (secs_later, holds) in [(-1, false), (0, true), (36_000 - 1, true), (36_000, false), (86_400, false)] {
        asked.at = Timestamp::from_secs(1_800_000_000_u64.saturating_add_signed(secs_later));
        assert_eq!(at_work.answers(&asked, &asker().principal()) == Match::Holds, holds, "{secs_later}");
    }
}

#[test]
fn facts_are_bounded() {
    let many: Value = (0..300).map(|nth| (format!("a{nth}"), json!(nth))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(Facts::read(&many).expect_err("many").to_string(), "more than 256 attributes");
    let deep = (0..9).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert_eq!(Facts::read(&deep).expect_err("deep").to_string(), "attributes lie deeper than 8 objects");
    assert_eq!(Facts::read(&json!([])).expect_err("a list").to_string(), "it is not an object");
    let facts = Facts::read(&json!({ "a.b": 1, "a": { "b": 2 } })).expect("facts");
    assert_eq!(facts.at("a.b"), Some(&Fact::Number(Decimal::parse("2").unwrap())), "a point makes no path");
}

#[test]
fn a_missing_condition_or_duty_never_makes_it_narrower() {
    let contains = |one: &str, other: &str| permission(one).contains(&permission(other));
    for (wide, narrow) in [
        ("tool expenses/*", "tool expenses/submit"),
        ("tool expenses/**", "tool expenses/*"),
        ("* tool/expenses/submit", "tool expenses/submit"),
        ("egress **.example.org", "egress *.a.example.org"),
        ("tool a/b", "tool a/b when amount <= 5 EUR"),
        ("tool a/b when amount <= 5", "tool a/b when amount <= 5 EUR"),
        ("tool a/b when amount <= 5 EUR", "tool a/b when amount < 5 EUR and team = x"),
        ("tool a/b when team in (x, y)", "tool a/b when team = x"),
        ("tool a/b when team != z", "tool a/b when team in (x, y)"),
        ("tool a/b with log", "tool a/b with log, step-up"),
        ("tool a/b with budget 9 EUR per day", "tool a/b with budget 8 EUR per day"),
    ] {
        assert!(contains(wide, narrow), "{wide} | {narrow}");
        assert!(!contains(narrow, wide), "{narrow} | {wide}");
        assert_eq!(permission(wide).both(&permission(narrow)), Some(permission(narrow)));
    }
    for (one, other) in [
        ("tool expenses/*", "tool expenses"),
        ("tool expenses/*", "tool expensesx/submit"),
        ("tool a/b when amount <= 5 EUR", "tool a/b when amount <= 5 USD"),
        ("tool a/b with budget 9 EUR per day", "tool a/b with budget 8 EUR per week"),
        ("tool a/b with budget 9 EUR per day", "tool a/b with budget 8 calls per day"),
    ] {
        assert!(!contains(one, other) && !contains(other, one), "{one} | {other}");
    }
}

fn id() -> impl Strategy<Value = String> {
    let segment = sample::select(vec!["a", "b", "*"]);
    (collection::vec(segment, 1..3), any::<bool>()).prop_map(|(mut segments, rest)| {
        if rest {
            segments.push("**");
        }
        segments.join("/")
    })
}

fn condition() -> impl Strategy<Value = String> {
    let words = collection::vec(sample::select(vec!["x", "y", "z"]), 1..3);
    prop_oneof![
        (sample::select(vec!["<", "<=", "=", ">", ">="]), 0..4_i64, option::of(sample::select(vec!["EUR", "USD"])))
            .prop_map(|(op, number, currency)| format!("n {op} {number} {}", currency.unwrap_or_default())),
        (sample::select(vec!["in", "not in"]), words).prop_map(|(op, words)| format!("w {op} ({})", words.join(","))),
        any::<bool>().prop_map(|truth| format!("t = {truth}")),
        (sample::select(vec!["=", "!="]), sample::select(vec!["n/x", "n/y"]))
            .prop_map(|(op, class)| format!("actor.class {op} {class}")),
        (sample::select(vec!["=", "!="]), sample::select(vec!["ada", "bob"]))
            .prop_map(|(op, user)| format!("actor.user {op} {user}")),
    ]
}

fn obligations() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        Just("log".to_owned()),
        Just("step-up".to_owned()),
        (1..3).prop_map(|most| format!("budget {most} calls per day"))
    ];
    collection::vec(one, 0..3).prop_map(|all| match all.is_empty() {
        true => String::new(),
        false => format!("with {}", all.join(", ")),
    })
}

/// Permissions over a small world, so that they often meet.
pub(crate) fn permissions() -> impl Strategy<Value = Permission> {
    let conditions = collection::vec(condition(), 0..3).prop_map(|all| match all.is_empty() {
        true => String::new(),
        false => format!("when {}", all.join(" and ")),
    });
    (sample::select(vec!["do", "go", "*"]), id(), conditions, obligations()).prop_filter_map(
        "its conditions can hold",
        |(action, id, conditions, obligations)| {
            Permission::parse(&format!("{action} k/{id} {conditions} {obligations}")).ok()
        },
    )
}

fn askers() -> impl Strategy<Value = Asker> {
    let user = option::of(sample::select(vec!["ada", "bob"]));
    (sample::select(vec!["n/x", "n/y"]), user).prop_map(|(class, user)| {
        let user = user.map(|subject| User { issuer: "https://idp.example".into(), subject: subject.into() });
        Asker { class: class.parse().expect("a class"), user, ..asker() }
    })
}

fn questions() -> impl Strategy<Value = Question> {
    let id = collection::vec(sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|segments| segments.join("/"));
    let number = option::of((0..5_i64, option::of(sample::select(vec!["EUR", "USD"]))));
    let word = option::of(sample::select(vec!["x", "y", "z", "q"]));
    (sample::select(vec!["do", "go"]), id, number, word, option::of(any::<bool>())).prop_map(
        |(action, id, number, word, truth)| {
            let (number, currency) = number.map_or((Value::Null, None), |(number, currency)| (json!(number), currency));
            let context = json!({ "n": number, "currency": currency, "w": word, "t": truth });
            question(&format!("{action} k/{id}"), context)
        },
    )
}

proptest! {
    #[test]
    fn a_text_is_read_as_what_wrote_it(permission in permissions()) {
        prop_assert_eq!(Permission::parse(&permission.to_string()), Ok(permission));
    }

    #[test]
    fn a_narrower_permission_never_answers_what_a_wider_one_does_not(
        wide in permissions(),
        narrow in permissions(),
        asked in collection::vec((questions(), askers()), 8),
    ) {
        prop_assert!(wide.contains(&wide));
        let both = wide.both(&narrow);
        for (question, asker) in &asked {
            let (of_wide, of_narrow) = (wide.answers(question, &asker.principal()) == Match::Holds, narrow.answers(question, &asker.principal()) == Match::Holds);
            if wide.contains(&narrow) {
                prop_assert!(of_wide || !of_narrow, "{wide} | {narrow} | {question:?} | {asker:?}");
            }
            let of_both = both.as_ref().is_some_and(|both| both.answers(question, &asker.principal()) == Match::Holds);
            prop_assert_eq!(of_both, of_wide && of_narrow, "{} | {} | {:?} | {:?}", wide, narrow, both, question);
        }
        if let Some(both) = both {
            prop_assert!(wide.contains(&both) && narrow.contains(&both), "{wide} | {narrow} | {both}");
        }
    }

    #[test]
    fn what_contains_what_contains_it_contains_it(all in collection::vec(permissions(), 3)) {
        if all[0].contains(&all[1]) && all[1].contains(&all[2]) {
            prop_assert!(all[0].contains(&all[2]), "{all:?}");
        }
    }

    #[test]
    fn no_text_is_a_panic(text in ".{0,60}") {
        let _ = Permission::parse(&text);
    }
}
