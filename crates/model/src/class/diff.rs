//! What a revision permits more or less than another, in words.

use super::permissions::Permissions;
use crate::permission::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Whether an instance may do more or less for it.
    pub direction: Direction,
    /// What differs.
    pub what: String,
}

/// Where a difference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is permitted, or may be.
    Wider,
    /// Less is permitted.
    Narrower,
}

/// Everything in which `new` differs from `old`: what got wider first.
pub fn differences(old: &Permissions, new: &Permissions) -> Vec<Difference> {
    let mut all: Vec<_> = allowed(&old.allow, &new.allow).chain(forbidden(&old.forbid, &new.forbid)).collect();
    all.extend(cedar(old, new));
    all.extend(terms(old, new));
    all.sort_by_key(|difference| difference.direction == Direction::Narrower);
    all
}

fn allowed<'a>(old: &'a [Permission], new: &'a [Permission]) -> impl Iterator<Item = Difference> + 'a {
    let more = new.iter().filter(move |permission| !permission.is_within(old)).map(move |permission| {
        let before = old.iter().find(|old| permission.contains(old));
        wider(match before {
            Some(old) => format!("allows `{permission}`, where it allowed `{old}`"),
            None => format!("allows `{permission}`"),
        })
    });
    let less = old.iter().filter(move |permission| !permission.is_within(new)).map(move |permission| {
        let after = new.iter().find(|new| permission.contains(new));
        narrower(match after {
            Some(new) => format!("allows only `{new}`, where it allowed `{permission}`"),
            None => format!("allows `{permission}` no more"),
        })
    });
    more.chain(less)
}

fn forbidden<'a>(old: &'a [Permission], new: &'a [Permission]) -> impl Iterator<Item = Difference> + 'a {
    let more = old.iter().filter(move |permission| !permission.is_within(new));
    let less = new.iter().filter(move |permission| !permission.is_within(old));
    let more = more.map(|permission| wider(format!("does not forbid all of `{permission}` any more")));
    more.chain(less.map(|permission| narrower(format!("forbids `{permission}`"))))
}

fn cedar(old: &Permissions, new: &Permissions) -> Option<Difference> {
    let is_same = old.cedar == new.cedar && (new.cedar.is_empty() || old.attributes == new.attributes);
    (!is_same).then(|| wider("has other Cedar policies, which are not compared".to_owned()))
}

fn terms(old: &Permissions, new: &Permissions) -> Vec<Difference> {
    let mut all = Vec::new();
    match (old.delegation.required, new.delegation.required) {
        (true, false) => all.push(wider("needs no user's delegation any more".to_owned())),
        (false, true) => all.push(narrower("does only what its user delegated".to_owned())),
        _ => {}
    }
    let numbers = [
        ("a delegation may last", old.delegation.max_secs, new.delegation.max_secs, " s"),
        ("the chain of actors below it may be", old.spawn.max_depth.into(), new.spawn.max_depth.into(), " long"),
        ("it may have", old.spawn.max_children.into(), new.spawn.max_children.into(), " children"),
    ];
    for (what, before, after, unit) in numbers {
        let say = |text| if after > before { wider(text) } else { narrower(text) };
        if before != after {
            all.push(say(format!("{what} {after}{unit}, where it was {before}")));
        }
    }
    all
}

fn wider(what: String) -> Difference {
    Difference { direction: Direction::Wider, what }
}

fn narrower(what: String) -> Difference {
    Difference { direction: Direction::Narrower, what }
}
