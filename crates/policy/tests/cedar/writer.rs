//! Writes policies and questions by chance, from a tape of numbers: what is short on the tape is short as text, so that a
//! failing case shrinks to a small one.

use crate::cedar::world::{Asker, name, number, resource, words};
use credence_model::label::Labels;
use credence_model::permission::question::{Fact, Facts, Question};
use credence_model::time::Timestamp;

const TEXTS: [&str; 10] = ["EUR", "CHF", "finance", "ops", "mon", "tool", "expenses/submit", "", "a*b", "ü\\n"];
const LONGS: [&str; 8] =
    ["0", "1", "(-1)", "2", "510", "(-9223372036854775808)", "9223372036854775807", "4611686018427387904"];
const DECIMALS: [&str; 6] = ["0.0", "1.5", "-1.50", "500.0001", "922337203685477.5807", "-922337203685477.5808"];
const PATTERNS: [&str; 8] = ["*", "", "expenses/*", "*submit", "*e*s*", "EUR", "a\\*b", "**o*"];
const ACTORS: [&str; 3] = ["finance/actor-01", "finance/actor-02", "ops/actor-01"];
const CLASSES: [&str; 2] = ["finance/expense-agent", "ops/watcher"];
const NAMESPACES: [&str; 2] = ["finance", "ops"];
const ACTIONS: [&str; 4] = ["call", "use", "read", "archive"];
const RESOURCES: [&str; 4] = ["tool/expenses/submit", "tool/expenses/list", "host/example.org", "tool/EUR"];
const TAGS: [&str; 4] = ["team", "owner", "mon", "none"];

pub(crate) struct Writer {
    tape: std::vec::IntoIter<u16>,
}

impl Writer {
    pub(crate) fn new(tape: Vec<u16>) -> Self {
        Self { tape: tape.into_iter() }
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::from(self.tape.next().unwrap_or_default()) % of
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.pick(of.len())]
    }

    pub(crate) fn policy(&mut self) -> String {
        let effect = self.one(&["permit", "forbid"]);
        let (actor, class) = (self.one(&ACTORS), self.one(&CLASSES));
        let namespace = self.one(&NAMESPACES);
        let principal = match self.pick(10) {
            2 => format!("principal == Actor::\"{actor}\""),
            3 => format!("principal in Class::\"{class}\""),
            4 => format!("principal in Namespace::\"{namespace}\""),
            5 => "principal is Actor".to_owned(),
            6 => format!("principal is Actor in Class::\"{class}\""),
            _ => "principal".to_owned(),
        };
        let (one, other) = (self.one(&ACTIONS), self.one(&ACTIONS));
        let action = match self.pick(10) {
            2 => format!("action == Action::\"{one}\""),
            3 => format!("action in Action::\"{one}\""),
            4 => format!("action in [Action::\"{one}\", Action::\"{other}\"]"),
            _ => "action".to_owned(),
        };
        let id = self.one(&RESOURCES);
        let resource = match self.pick(10) {
            2 => format!("resource == Resource::\"{id}\""),
            3 => format!("resource in Resource::\"{id}\""),
            4 => "resource is Resource".to_owned(),
            _ => "resource".to_owned(),
        };
        let mut text = format!("{effect}({principal}, {action}, {resource})");
        for _ in 0..self.pick(4) {
            let clause = self.one(&["when", "unless"]);
            text.push_str(&format!("\n  {clause} {{ {} }}", self.truth(4)));
        }
        text + ";\n"
    }

    /// A condition.
    fn truth(&mut self, depth: usize) -> String {
        let Some(below) = depth.checked_sub(1) else {
            return self.one(&["context.time < 600", "true", "false"]).to_owned();
        };
        match self.pick(23) {
            0 => format!("{} {} {}", self.long(below), self.one(&["<", "<=", ">", ">=", "==", "!="]), self.long(below)),
            1 | 2 => format!("({} && {})", self.truth(below), self.truth(below)),
            3 | 4 => format!("({} || {})", self.truth(below), self.truth(below)),
            5 => format!("!({})", self.truth(below)),
            6 => format!("(if {} then {} else {})", self.truth(below), self.truth(below), self.truth(below)),
            7 => format!("{} {} {}", self.text(below), self.one(&["==", "!="]), self.text(below)),
            8 => format!("{} like \"{}\"", self.text(below), self.one(&PATTERNS)),
            9 => {
                let compare = self.one(&["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]);
                format!("{}.{compare}({})", self.decimal(below), self.decimal(below))
            }
            10 => format!("{} == {}", self.decimal(below), self.decimal(below)),
            11 => format!("{}.contains({})", self.texts(below), self.text(below)),
            12 => {
                let compare = self.one(&["containsAll", "containsAny"]);
                format!("{}.{compare}({})", self.texts(below), self.texts(below))
            }
            13 => format!("{}.isEmpty()", self.texts(below)),
            14 => self.sets(below),
            15 | 20..=22 => self.entities(below),
            16 => self.asked(below),
            17 => "context has approved && context.approved".to_owned(),
            18 => format!("{} == {}", self.record(below), self.record(below)),
            _ => format!("{}.c {} 1", self.record(below), self.one(&["==", "<"])),
        }
    }

    /// A comparison of sets.
    fn sets(&mut self, below: usize) -> String {
        match self.pick(4) {
            0 => format!("{} == {}", self.texts(below), self.texts(below)),
            1 => format!("[{}, {}].contains({})", self.long(below), self.long(below), self.long(below)),
            2 => format!("[{}, {}] == [{}]", self.long(below), self.long(below), self.long(below)),
            _ => format!("[{}].containsAny([{}, {}])", self.decimal(below), self.decimal(below), self.decimal(below)),
        }
    }

    /// A comparison of entities.
    fn entities(&mut self, below: usize) -> String {
        let kind = self.pick(5);
        let own = self.entity(kind);
        match self.pick(8) {
            0 => format!("{own} == {}", self.entity(kind)),
            1 | 6 | 7 => {
                let parent = self.above(kind);
                format!("{own} in {}", self.entity(parent))
            }
            2 => {
                let parent = self.above(kind);
                format!("{own} in [{}, {}]", self.entity(parent), self.entity(parent))
            }
            3 => format!("{own} is {}", self.one(&["Actor", "Class", "Namespace", "Action", "Resource"])),
            4 => {
                let parent = self.above(kind);
                let kind = self.one(&["Actor", "Class", "Resource"]);
                format!("{own} is {kind} in {}", self.entity(parent))
            }
            _ => format!("(if {} then {own} else {}) == {own}", self.truth(below), self.entity(kind)),
        }
    }

    /// The type of what may be above an entity.
    fn above(&mut self, kind: usize) -> usize {
        [kind, 3, 4, 4, self.pick(5)][self.pick(5)]
    }

    fn entity(&mut self, kind: usize) -> String {
        match (kind, self.pick(3)) {
            (0, 0) => "principal".to_owned(),
            (1, 0) => "action".to_owned(),
            (2, 0) => "resource".to_owned(),
            (0, _) => format!("Actor::\"{}\"", self.one(&ACTORS)),
            (1, _) => format!("Action::\"{}\"", self.one(&ACTIONS)),
            (2, _) => format!("Resource::\"{}\"", self.one(&RESOURCES)),
            (3, _) => format!("Class::\"{}\"", self.one(&CLASSES)),
            _ => format!("Namespace::\"{}\"", self.one(&NAMESPACES)),
        }
    }

    /// Whether something is there.
    fn asked(&mut self, below: usize) -> String {
        match self.pick(6) {
            0 => format!(
                "context has {}",
                self.one(&["amount", "count", "currency", "approved", "tags", "\"per-diem\""])
            ),
            1 => format!("{} has {}", self.one(&["resource", "Resource::\"tool/EUR\""]), self.one(&["kind", "none"])),
            2 => format!("{} has {}", self.record(below), self.one(&["a", "c", "d", "b.e", "b.f"])),
            3 => format!("{}.hasTag({})", self.tagged(), self.text(below)),
            4 => format!("principal has {}", self.one(&["name", "team"])),
            _ => "(if context.time < 600 then context else context) has count".to_owned(),
        }
    }

    fn tagged(&mut self) -> String {
        let kind = self.one(&["principal", "resource", "actor", "other"]);
        match kind {
            "actor" => format!("Actor::\"{}\"", self.one(&ACTORS)),
            "other" => format!("Resource::\"{}\"", self.one(&RESOURCES)),
            known => known.to_owned(),
        }
    }

    fn record(&mut self, below: usize) -> String {
        format!("{{a: {}, b: {{e: {}}}, c: {}}}", self.truth(below), self.text(below), self.long(below))
    }

    fn long(&mut self, depth: usize) -> String {
        let Some(below) = depth.checked_sub(1) else { return self.one(&LONGS).to_owned() };
        match self.pick(9) {
            0 | 1 => self.one(&LONGS).to_owned(),
            2 => "context.time".to_owned(),
            3 => format!("(if context has count then context.count else {})", self.long(below)),
            4 => format!("(if context has \"per-diem\" then context[\"per-diem\"] else {})", self.long(below)),
            5 => format!("({} {} {})", self.long(below), self.one(&["+", "-", "*"]), self.long(below)),
            6 => format!("-({})", self.long(below)),
            7 => format!("(if {} then {} else {})", self.truth(below), self.long(below), self.long(below)),
            _ => format!("{}.c", self.record(below)),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let Some(below) = depth.checked_sub(1) else { return format!("\"{}\"", self.one(&TEXTS)) };
        match self.pick(8) {
            0 | 1 => format!("\"{}\"", self.one(&TEXTS)),
            2 => "context.day".to_owned(),
            3 => self.one(&["resource.kind", "resource.name", "resource[\"name\"]"]).to_owned(),
            4 => format!("(if context has currency then context.currency else {})", self.text(below)),
            5 => {
                let (of, key) = (self.tagged(), self.one(&TAGS));
                format!("(if {of}.hasTag(\"{key}\") then {of}.getTag(\"{key}\") else {})", self.text(below))
            }
            6 => format!("Resource::\"{}\".{}", self.one(&RESOURCES), self.one(&["kind", "name"])),
            _ => format!("{}.b.e", self.record(below)),
        }
    }

    fn decimal(&mut self, depth: usize) -> String {
        let literal = format!("decimal(\"{}\")", self.one(&DECIMALS));
        let Some(below) = depth.checked_sub(1) else { return literal };
        match self.pick(4) {
            0 | 1 => literal,
            2 => format!("(if context has amount then context.amount else {literal})"),
            _ => format!("(if {} then {literal} else {})", self.truth(below), self.decimal(below)),
        }
    }

    /// A set of texts.
    fn texts(&mut self, depth: usize) -> String {
        let below = depth.saturating_sub(1);
        match self.pick(if depth == 0 { 1 } else { 4 }) {
            0 => format!("[{}, {}]", self.text(below), self.text(below)),
            1 => format!("[{}]", self.text(below)),
            2 => format!("(if context has tags then context.tags else {})", self.texts(below)),
            _ => format!("(if {} then {} else {})", self.truth(below), self.texts(below), self.texts(below)),
        }
    }

    pub(crate) fn asker(&mut self) -> Asker {
        let nth = self.pick(3);
        let mut labels = Labels::new();
        for key in TAGS {
            match self.pick(4) {
                0 | 1 => {}
                2 => drop(labels.insert(key.to_owned(), self.one(&TEXTS).to_owned())),
                _ => drop(labels.insert(key.to_owned(), "finance".to_owned())),
            }
        }
        Asker { actor: ACTORS[nth].parse().unwrap(), class: CLASSES[nth / 2].parse().unwrap(), labels }
    }

    pub(crate) fn question(&mut self) -> Question {
        let (kind, id) = self.one(&RESOURCES).split_once('/').unwrap();
        let mut context = Facts::default();
        let numbers = ["0", "1", "-1", "500", "922337203685477"];
        let amount = self.one(&["0", "1.5", "-1.5", "500.0001", "922337203685477.5807"]);
        for (attribute, fact) in [
            ("amount", number(amount)),
            ("count", number(self.one(&numbers))),
            ("per-diem", number(self.one(&numbers))),
            ("currency", Fact::Word(self.one(&TEXTS).into())),
            ("approved", Fact::Truth(self.pick(2) == 0)),
            ("tags", words(&TEXTS[..self.pick(5)])),
            ("unheard", Fact::Other),
        ] {
            if self.pick(3) > 0 {
                context.insert(attribute, fact);
            }
        }
        let mut properties = Facts::default();
        for key in TAGS {
            match self.pick(4) {
                0 | 1 => {}
                2 => properties.insert(key, Fact::Word(self.one(&TEXTS).into())),
                _ => properties.insert(key, Fact::Word("finance".into())),
            }
        }
        let at = Timestamp::from_secs(4 * 86_400 + 3_600 * u64::try_from(self.pick(48)).unwrap());
        Question { action: name(self.one(&ACTIONS)), resource: resource(kind, id), context, properties, at }
    }

    /// The same question with some of what it says in other types, and the names of these attributes.
    pub(crate) fn confused(&mut self, question: &Question) -> (Question, Vec<&'static str>) {
        let mut confused = question.clone();
        let mut names = Vec::new();
        for (attribute, facts) in [
            ("amount", [Fact::Word("1.5".into()), Fact::Other, words(&["1.5"])]),
            ("count", [number("1.5"), Fact::Word("1".into()), Fact::Truth(true)]),
            ("per-diem", [Fact::Other, number("0.0001"), words(&[])]),
            ("currency", [words(&["EUR"]), number("1"), Fact::Other]),
            ("approved", [Fact::Word("true".into()), number("1"), Fact::Other]),
            ("tags", [Fact::Word("EUR".into()), Fact::Other, number("1")]),
        ] {
            if self.pick(3) == 0 {
                confused.context.insert(attribute, facts[self.pick(3)].clone());
                names.push(attribute);
            }
        }
        (confused, names)
    }
}
