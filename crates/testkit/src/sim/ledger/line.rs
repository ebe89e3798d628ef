//! Permissions as the simulator writes them, read by their text and by nothing of the product.

use super::{Actor, Asked};

/// Whether a line answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// It asks for something that nobody knows.
    Unknown,
}

/// What a line of the simulated world says to a question of this actor.
pub(super) fn answer(line: &str, asked: Asked, name: &str, actor: &Actor) -> Answer {
    let line = line.split(" with ").next().unwrap_or_default();
    let (target, conditions) = line.split_once(" when ").unwrap_or((line, ""));
    let is_meant = match target.strip_prefix("tool ").or_else(|| target.strip_prefix("* tool/")) {
        Some("**" | "t/*" | "t/**") => true,
        Some(exactly) => exactly == asked.tool,
        None => false,
    };
    if !is_meant {
        return Answer::No;
    }
    let mut all = Answer::Yes;
    for condition in conditions.split(" and ").filter(|condition| !condition.is_empty()) {
        match holds(condition, asked, name, actor) {
            Answer::Yes => {}
            Answer::No => return Answer::No,
            Answer::Unknown => all = Answer::Unknown,
        }
    }
    all
}

fn holds(condition: &str, asked: Asked, name: &str, actor: &Actor) -> Answer {
    let mut words = condition.split(' ');
    let (what, sign, value) = (words.next(), words.next(), words.next().unwrap_or_default());
    let user = actor.user.as_deref();
    let is = match what.unwrap_or_default() {
        "amount" => Some(value.parse().is_ok_and(|most: i64| asked.amount <= most)),
        "actor.id" => Some(value == name),
        "actor.class" => Some(value == actor.class),
        "actor.user" => user.map(|user| value == user),
        "actor.issuer" => user.map(|_| value == super::ISSUER),
        _ => None,
    };
    match (is, sign) {
        (None, _) => Answer::Unknown,
        (Some(is), Some("!=")) if is => Answer::No,
        (Some(_), Some("!=")) | (Some(true), _) => Answer::Yes,
        (Some(false), _) => Answer::No,
    }
}
