//! How policies in Cedar are read: parsed and checked by Cedar, then put into the compact form.
//!
//! A policy is refused unless Cedar can show that it never compares values of different types, whatever is asked. So what is
//! left of errors is numbers that get too large, and requests that say something of another type than was declared.

mod error;
mod scan;
mod schema;
mod translate;

pub use error::CedarError;

use crate::policies::{Effect, Policies, Policy};
use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, ValidationResult, ValidationWarning, Validator, pst};
use credence_model::class::LIST_ITEMS_MAX;
use credence_model::class::permissions::{AttributeType, CEDAR_BYTES_MAX};
use credence_model::permission::Permission;
use credence_model::permission::obligation::Obligation;
use scan::Scan;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use translate::Translator;

/// Most policies of a class.
pub const POLICIES_MAX: usize = 256;
/// Most different actions that the policies of a class name: Cedar checks each policy for each of them.
pub const ACTIONS_MAX: usize = 64;
/// How deep an expression may be, counted generously, in steps.
pub const DEPTH_MAX: usize = 128;
/// Longest name of a policy, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Stack for the deepest text. Only what is used of it takes memory.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// What a policy may be annotated with.
const ANNOTATIONS: [&str; 3] = ["description", "id", "obligation"];

/// Reads the policies of a class.
///
/// # Errors
/// The first mistake: where it is, and what to do.
pub fn compile(text: &str, attributes: &BTreeMap<String, AttributeType>) -> Result<Policies, CedarError> {
    let wrong = |message: String| CedarError::at(text, 0, message);
    if text.len() > CEDAR_BYTES_MAX {
        return Err(wrong(format!("the policies are longer than {CEDAR_BYTES_MAX} bytes: divide the class")));
    }
    if attributes.len() > LIST_ITEMS_MAX {
        return Err(wrong(format!("more than {LIST_ITEMS_MAX} attributes: declare only what policies look at")));
    }
    if let Some(name) = [schema::TIME, schema::DAY].into_iter().find(|name| attributes.contains_key(*name)) {
        return Err(wrong(format!("the attribute `{name}` is always there: do not declare it")));
    }
    let scan = Scan::of(text)?;
    on_own_stack(|| {
        let set = checked(text, attributes, &scan)?;
        translated(attributes, &scan, &set)
    })
    .unwrap_or_else(|| Err(wrong("the policies cannot be read now: try again".to_owned())))
}

/// Cedar goes as deep as the text does, and takes much of the stack for each step: the caller's may be too small. `None` if
/// there is no thread to be had, or Cedar fails.
fn on_own_stack<T: Send>(read: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("cedar".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, read).ok()?.join().ok()
    })
}

/// Has Cedar read and check them.
fn checked(text: &str, attributes: &BTreeMap<String, AttributeType>, scan: &Scan<'_>) -> Result<PolicySet, CedarError> {
    let unreadable = || CedarError::at(text, 0, "the policies cannot be read: see the grammar of Cedar");
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        CedarError::first(text, errors.iter()).unwrap_or_else(unreadable)
    })?;
    if set.num_of_templates() > 0 || set.num_of_policies() != scan.policies() {
        return Err(unreadable());
    }
    let schema = Schema::from_json_value(schema::schema(attributes, &scan.actions))
        .map_err(|error| CedarError::at(text, 0, format!("the attributes make no schema: {error}")))?;
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let mistake = CedarError::first(text, result.validation_errors());
    mistake.or_else(|| trap(text, &result)).map_or(Ok(set), Err)
}

/// What Cedar only warns of, and what is never meant: a policy that cannot hold, and text that reads otherwise than it is.
fn trap(text: &str, result: &ValidationResult) -> Option<CedarError> {
    let found = result.validation_warnings().filter_map(|warning| {
        let message = match warning {
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                "the policy can never hold: look for an attribute that nothing has, or types that differ"
            }
            ValidationWarning::BidiCharsInString(_) | ValidationWarning::BidiCharsInIdentifier(_) => {
                "a character here turns the direction of the text: leave it out"
            }
            // Names of people are written in several scripts.
            _ => return None,
        };
        Some((error::place(warning), message))
    });
    found.min().map(|(byte, message)| CedarError::at(text, byte, message))
}

fn translated(
    attributes: &BTreeMap<String, AttributeType>,
    scan: &Scan<'_>,
    set: &PolicySet,
) -> Result<Policies, CedarError> {
    let translator = Translator::new(attributes);
    let mut policies = Vec::with_capacity(scan.policies());
    let mut names = BTreeSet::new();
    for nth in 0..scan.policies() {
        let lost = || scan.wrong(nth, "", "the policy cannot be read: write it in another way");
        let policy = set.policy(&PolicyId::new(format!("policy{nth}"))).ok_or_else(lost)?;
        let policy = policy.to_pst().map_err(|_| lost())?;
        let policy = policy.body();
        let wrong = |key: &str, message: String| scan.wrong_annotation(nth, key, message);
        if let Some(key) = policy.annotations.keys().find(|key| !ANNOTATIONS.contains(&key.as_str())) {
            let message = format!("the annotation `{key}` means nothing here: use {}", ANNOTATIONS.join(", "));
            return Err(wrong(key, message));
        }
        let name = name(nth, policy).map_err(|message| wrong("id", message.to_owned()))?;
        if !names.insert(name.clone()) {
            return Err(wrong("id", format!("another policy is called `{name}`: give each its own name")));
        }
        let effect = match policy.effect {
            pst::Effect::Permit => Effect::Permit,
            pst::Effect::Forbid => Effect::Forbid,
        };
        let obligations = obligations(effect, policy).map_err(|message| wrong("obligation", message.to_owned()))?;
        let condition = translator.condition(policy);
        let condition = condition.map_err(|refused| scan.wrong(nth, &refused.word, refused.message))?;
        policies.push(Policy { name, effect, obligations, condition });
    }
    Ok(Policies { policies: policies.into(), attributes: translator.attributes })
}

fn name(nth: usize, policy: &pst::Template) -> Result<SmolStr, &'static str> {
    match policy.annotations.get("id") {
        None => Ok(format!("policy{nth}").into()),
        Some(id) if id.is_empty() || id.len() > NAME_BYTES_MAX || id.contains(char::is_control) => {
            Err("a name is 1 to 128 bytes of text, without control characters")
        }
        Some(id) => Ok(id.clone()),
    }
}

/// The duties of a policy, written as in a permission.
fn obligations(effect: Effect, policy: &pst::Template) -> Result<Box<[Obligation]>, &'static str> {
    let Some(text) = policy.annotations.get("obligation") else { return Ok(Box::default()) };
    if effect == Effect::Forbid {
        return Err("what is forbidden has no obligations: leave the annotation out");
    }
    // Behind `with` stands nothing but duties, so none of the text can be read as something else.
    let permission = Permission::parse(&format!("* any/** with {text}"));
    let message = "obligations are step-up, log or budgets as in a permission, divided by commas";
    permission.map(|permission| permission.with.into()).map_err(|_| message)
}
