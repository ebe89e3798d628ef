//! Authorization details say what permissions say, no more and no less.

use crate::permission::{permission, permissions};
use credence_model::permission::Permission;
use credence_model::permission::detail::AuthorizationDetail;
use proptest::prelude::*;
use serde_json::{Value, json};

fn detail(permission: &Permission) -> AuthorizationDetail {
    AuthorizationDetail::from(permission)
}

fn read(json: &Value) -> Result<Permission, String> {
    let detail: AuthorizationDetail = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    Permission::try_from(&detail)
        .map_err(|refusal| format!("{}: {}", refusal.field.unwrap_or_default(), refusal.message))
}

/// Every detail that is left when a member is taken away, at any depth, or a duty.
fn without_one(json: &Value) -> Vec<Value> {
    match json {
        Value::Object(members) => {
            let mut all = Vec::new();
            for (name, value) in members {
                let mut less = members.clone();
                less.remove(name);
                all.push(Value::Object(less));
                for inner in without_one(value) {
                    let mut less = members.clone();
                    less.insert(name.clone(), inner);
                    all.push(Value::Object(less));
                }
            }
            all
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_permission_is_written_as_its_members_and_read_again() {
    for (line, written) in [
        (
            "tool expenses/submit when amount <= 500 EUR with step-up",
            json!({
                "type": "credence_permission", "actions": ["call"], "identifier": "tool/expenses/submit",
                "conditions": { "amount": { "max": "500", "currency": "EUR" } }, "obligations": ["step-up"],
            }),
        ),
        (
            "read report/** when label team = finance and time >= 08:00 and time < 18:00",
            json!({
                "type": "credence_permission", "actions": ["read"], "identifier": "report/**",
                "conditions": { "label team": { "in": ["finance"] }, "time": { "min": "08:00", "below": "18:00" } },
            }),
        ),
        (
            "* report/1 when approved = true and resource.owner not in (ada, bob) with budget 2.5 EUR per day, log",
            json!({
                "type": "credence_permission", "actions": ["*"], "identifier": "report/1",
                "conditions": { "approved": { "is": true }, "resource.owner": { "not_in": ["ada", "bob"] } },
                "obligations": ["budget 2.5 EUR per day", "log"],
            }),
        ),
        (
            "egress **.example.org when port = 443",
            json!({
                "type": "credence_permission", "actions": ["connect"], "identifier": "host/**.example.org",
                "conditions": { "port": { "min": "443", "max": "443" } },
            }),
        ),
    ] {
        let permission = permission(line);
        assert_eq!(serde_json::to_value(detail(&permission)).unwrap(), written, "{line}");
        assert_eq!(read(&written), Ok(permission), "{line}");
    }
}

#[test]
fn what_is_no_detail_is_refused_with_its_member() {
    let good = json!({
        "type": "credence_permission", "actions": ["call"], "identifier": "tool/a/b",
        "conditions": { "amount": { "max": "5" } }, "obligations": ["log"],
    });
    read(&good).expect("the others differ from it in one thing");
    for (path, value, why) in [
        ("/type", json!("payment_initiation"), "unknown variant `payment_initiation`"),
        ("/locations", json!(["https://x.example"]), "unknown field `locations`"),
        ("/actions", json!([]), "actions: it has exactly one action"),
        ("/actions", json!(["call", "read"]), "actions: it has exactly one action"),
        ("/actions", json!(["Call"]), "actions[0]: "),
        ("/actions", json!(["tool"]), "actions[0]: this word stands for another action"),
        ("/identifier", json!("tool"), "identifier: it is KIND/NAME"),
        ("/identifier", json!("tool/a when x = 1"), "identifier: "),
        ("/identifier", json!("tool/a/../b"), "identifier: "),
        ("/identifier", json!("tool/**/b"), "identifier: "),
        ("/conditions", json!({ "am ount": { "max": "5" } }), "conditions.am ount: this is no attribute"),
        ("/conditions", json!({ "label a and b": { "in": ["x"] } }), "conditions.label a and b: "),
        ("/conditions/amount", json!({}), "conditions.amount: it has either ends"),
        ("/conditions/amount", json!({ "currency": "EUR" }), "conditions.amount: it has either ends"),
        ("/conditions/amount", json!({ "max": "5", "in": ["a"] }), "conditions.amount: it has either ends"),
        ("/conditions/amount", json!({ "max": "5", "below": "6" }), "conditions.amount.below: there is another end"),
        ("/conditions/amount", json!({ "min": "6", "max": "5" }), "conditions.amount: "),
        ("/conditions/amount", json!({ "max": "5.00" }), "conditions.amount.max: "),
        ("/conditions/amount", json!({ "max": 5 }), "invalid type"),
        ("/conditions/amount", json!({ "max": "5", "currency": "eur" }), "conditions.amount: "),
        ("/conditions/amount", json!({ "most": "5" }), "unknown field `most`"),
        ("/conditions", json!({ "team": { "in": [] } }), "conditions.team: "),
        ("/conditions", json!({ "team": { "in": ["a\nb"] } }), "conditions.team: "),
        ("/conditions", json!({ "day": { "in": ["monday"] } }), "conditions.day: "),
        ("/conditions", json!({ "time": { "max": "25:00" } }), "conditions.time.max: "),
        ("/obligations", json!(["log", "log"]), "obligations[1]: it is said twice"),
        ("/obligations", json!(["log, step-up"]), "obligations[0]: it is one duty"),
        ("/obligations", json!(["budget 5.0 EUR per day"]), "obligations[0]: it is written `budget 5 EUR per day`"),
        ("/obligations", json!(["none"]), "obligations[0]: "),
    ] {
        let mut changed = good.clone();
        match changed.pointer_mut(path) {
            Some(member) => *member = value.clone(),
            None => changed[path.trim_start_matches('/')] = value.clone(),
        }
        let error = read(&changed).expect_err(&format!("{path} {value}"));
        assert!(error.starts_with(why), "{path} {value}: {error}");
    }
}

proptest! {
    #[test]
    fn there_and_back_is_the_same_permission(permission in permissions()) {
        let json = serde_json::to_value(detail(&permission)).unwrap();
        prop_assert_eq!(read(&json), Ok(permission.clone()));
        let again: AuthorizationDetail = serde_json::from_value(json).unwrap();
        prop_assert_eq!(again, detail(&permission));
    }

    /// What a detail says less, it does not forbid: who leaves a member out asks for more, and is within nothing that the whole
    /// detail was not within.
    #[test]
    fn a_detail_that_lost_a_member_is_wider(parent in permissions(), child in permissions(), meets in any::<bool>()) {
        let child = if meets { parent.both(&child).unwrap_or(child) } else { child };
        let whole = serde_json::to_value(detail(&child)).unwrap();
        let mut all = without_one(&whole);
        for nth in 0..child.with.len() {
            let mut less = whole.clone();
            less["obligations"].as_array_mut().unwrap().remove(nth);
            all.push(less);
        }
        for less in all {
            let Ok(less) = read(&less) else { continue };
            prop_assert!(less.contains(&child), "{child} lost something and became {less}");
            prop_assert!(!parent.contains(&less) || parent.contains(&child), "{parent} contains {less}, and not {child}");
        }
    }

    /// Details contain each other as their permissions do.
    #[test]
    fn containment_is_that_of_the_permissions(one in permissions(), other in permissions()) {
        let again = |permission: &Permission| read(&serde_json::to_value(detail(permission)).unwrap()).unwrap();
        prop_assert_eq!(again(&one).contains(&again(&other)), one.contains(&other));
        prop_assert_eq!(again(&one).both(&again(&other)), one.both(&other));
    }
}
