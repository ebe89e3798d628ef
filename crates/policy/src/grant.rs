//! The smallest grant that would allow what was denied.

use crate::verdict::sentence;
use credence_model::permission::Permission;
use credence_model::permission::condition::{Attribute, Condition, Constraint, End, Range};
use credence_model::permission::question::{Fact, Match, Principal, Question, Unmet, Why};
use credence_model::permission::target::Target;

/// Why none of these allows it, and the smallest permission that would: that of them which lacks least, about exactly this and
/// as far as this request goes. `None` if nothing that could be granted would help.
pub(crate) fn smallest<'a>(
    permissions: impl IntoIterator<Item = &'a Permission>,
    question: &Question,
    who: &Principal,
) -> (String, Option<Permission>) {
    let short = permissions.into_iter().filter_map(|permission| match permission.answers(question, who) {
        Match::Unmet(unmet) => Some((permission, unmet)),
        Match::Beside | Match::Holds => None,
    });
    let exactly = Target::exactly(question.action.clone(), &question.resource);
    let Some((nearest, unmet)) = short.min_by_key(|(_, unmet)| (unmet.iter().any(is_unsaid), unmet.len())) else {
        let permission = Permission { target: exactly, when: Vec::new(), with: Vec::new() };
        return (sentence(format_args!("does not allow `{}`", permission.target)), Some(permission));
    };
    let why = unmet.iter().map(|unmet| reason(unmet)).collect::<Vec<_>>().join(", and ");
    let why = sentence(format_args!("allows `{nearest}`, and {why}"));
    if unmet.iter().any(is_unsaid) {
        return (why, None);
    }
    let mut when = nearest.when.clone();
    for condition in &mut when {
        if let Some(Unmet { why: Why::Otherwise(fact), .. }) = unmet.iter().find(|unmet| unmet.condition == condition) {
            condition.is = as_far_as(&condition.is, fact);
        }
    }
    let permission = Permission { target: exactly, when, with: nearest.with.clone() };
    // What the request says can be longer, or other, than what a permission can name: then nobody can grant it.
    let is_one = Permission::parse(&permission.to_string()).is_ok_and(|read| read == permission);
    (why, Some(permission).filter(|_| is_one))
}

/// What the request does not say, nobody can grant.
fn is_unsaid(unmet: &Unmet) -> bool {
    match &unmet.why {
        Why::Otherwise(Fact::Words(words)) => words.is_empty(),
        Why::Otherwise(_) => false,
        Why::Missing | Why::Type | Why::Currency => true,
    }
}

fn reason(Unmet { condition, why }: &Unmet) -> String {
    let Condition { attribute, is } = condition;
    match why {
        Why::Missing if matches!(attribute, Attribute::Actor(_)) => format!("nothing is known of `{attribute}`"),
        Why::Missing => format!("the request does not say `{attribute}`"),
        Why::Type => format!("`{attribute}` of the request is not what can be compared"),
        Why::Currency => match is {
            Constraint::Within(Range { currency: Some(currency), .. }) => format!("`{attribute}` is not in {currency}"),
            _ => format!("`{attribute}` is in another currency"),
        },
        Why::Otherwise(fact) => format!("`{attribute}` is {}", shown(fact)),
    }
}

fn shown(fact: &Fact) -> String {
    match fact {
        Fact::Number(number) => number.to_string(),
        Fact::Word(word) => format!("`{}`", word.escape_debug()),
        Fact::Truth(truth) => truth.to_string(),
        Fact::Words(words) if words.is_empty() => "an empty list".to_owned(),
        Fact::Words(words) => format!("`{}`", words.join(", ").escape_debug()),
        Fact::Other => "something else".to_owned(),
    }
}

/// The constraint that also holds of this, and of no more than it must.
fn as_far_as(constraint: &Constraint, fact: &Fact) -> Constraint {
    match (constraint, fact) {
        (Constraint::Within(range), Fact::Number(number)) => {
            let end = Some(End { number: *number, included: true });
            let is_above = range.most.is_some_and(|most| *number >= most.number);
            match is_above {
                true => Constraint::Within(Range { most: end, ..range.clone() }),
                false => Constraint::Within(Range { least: end, ..range.clone() }),
            }
        }
        (Constraint::OneOf(_) | Constraint::NoneOf(_), Fact::Word(word)) => Constraint::OneOf([word.clone()].into()),
        (Constraint::OneOf(_) | Constraint::NoneOf(_), Fact::Words(words)) if !words.is_empty() => {
            Constraint::OneOf(words.iter().cloned().collect())
        }
        (Constraint::Is(_), Fact::Truth(truth)) => Constraint::Is(*truth),
        (other, _) => other.clone(),
    }
}
