//! What is checked of permissions when somebody says them, beyond that they can be read. What was recorded before is taken as it
//! is: what nobody knows fulfils nothing.

use super::Permission;
use super::condition::{ACTOR, Attribute};
use crate::refusal::{Kind, Refusal};

/// Checks lines that allow something.
pub(crate) fn check_allow(field: &str, lines: &[Permission]) -> Result<(), Refusal> {
    for (nth, line) in lines.iter().enumerate() {
        let field = format!("{field}[{nth}]");
        check_actor(&field, line)?;
        let asks = |name: &str| line.when.iter().any(|condition| is_actor(&condition.attribute, name));
        if asks("user") && !asks("issuer") {
            let message = "another issuer may have a user of the same name";
            let hint = "Say `actor.issuer = …` beside `actor.user = …`";
            return Err(Refusal::new(Kind::Malformed, message).field(field).hint(hint));
        }
    }
    Ok(())
}

/// Checks lines that forbid something.
pub(crate) fn check_forbid(field: &str, lines: &[Permission]) -> Result<(), Refusal> {
    for (nth, line) in lines.iter().enumerate() {
        let field = format!("{field}[{nth}]");
        if !line.with.is_empty() {
            let refusal = Refusal::new(Kind::Malformed, "what is forbidden has no obligations").field(field);
            return Err(refusal.hint("Leave out `with …`"));
        }
        check_actor(&field, line)?;
    }
    Ok(())
}

fn is_actor(attribute: &Attribute, name: &str) -> bool {
    matches!(attribute, Attribute::Actor(found) if found == name)
}

fn check_actor(field: &str, line: &Permission) -> Result<(), Refusal> {
    let is_unknown =
        |attribute: &Attribute| matches!(attribute, Attribute::Actor(name) if !ACTOR.contains(&name.as_str()));
    match line.when.iter().find(|condition| is_unknown(&condition.attribute)) {
        None => Ok(()),
        Some(condition) => {
            let message = format!("`{}` is nothing that is known of an actor", condition.attribute);
            let hint = format!("Known are actor.{}", ACTOR.join(", actor."));
            Err(Refusal::new(Kind::Malformed, message).field(field).hint(hint))
        }
    }
}
