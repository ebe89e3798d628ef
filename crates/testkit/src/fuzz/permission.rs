//! Permissions, and what a request says of itself.

use super::refused_alike;
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::permission::Permission;
use credence_model::permission::question::{Facts, Match, Principal, Question};
use credence_model::permission::target::Resource;
use credence_model::time::Timestamp;
use credence_model::user::User;

/// Up to two lines with a permission each, then a JSON object that a request says. A permission is read from the one text
/// that it has; whatever answers what two have in common answers both, and what is contained answers nothing more.
pub fn permission(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let one = lines.next().and_then(read);
    let other = lines.next().and_then(read);
    let said = lines.next().and_then(|said| serde_json::from_str(said).ok()).unwrap_or_default();
    let facts = Facts::read(&said).unwrap_or_default();
    assert!(facts.all().count() <= credence_model::permission::question::ATTRIBUTES_MAX);
    let (Some(one), Some(other)) = (one, other) else { return };
    let Some(question) = question(&one, facts) else { return };
    let Some((actor, class, user, labels)) = asker() else { return };
    let principal = Principal { actor: &actor, class: &class, user: Some(&user), labels: &labels };
    let answers = |permission: &Permission| permission.answers(&question, &principal) == Match::Holds;
    let both = one.both(&other);
    assert_eq!(both.as_ref().is_some_and(answers), answers(&one) && answers(&other), "{one} | {other} | {both:?}");
    if one.contains(&other) {
        assert!(answers(&one) || !answers(&other), "{one} | {other}");
    }
}

/// A permission has one text and contains itself.
fn read(text: &str) -> Option<Permission> {
    match Permission::parse(text) {
        Ok(permission) => {
            let written = permission.to_string();
            assert_eq!(Permission::parse(&written).as_ref(), Ok(&permission), "{written}");
            assert!(permission.contains(&permission), "{written}");
            Some(permission)
        }
        Err(refusal) => {
            refused_alike(&refusal, Permission::parse(text).expect_err("accepted the second time"));
            None
        }
    }
}

/// Who asks: somebody whom a permission can name.
fn asker() -> Option<(ActorRef, ClassRef, User, Labels)> {
    let user = User { issuer: "https://idp.example".into(), subject: "ada".into() };
    Some(("n/a".parse().ok()?, "n/c".parse().ok()?, user, Labels::from([("team".into(), "red".into())])))
}

/// A question about what a permission names, if it names one thing.
fn question(permission: &Permission, context: Facts) -> Option<Question> {
    let target = &permission.target;
    Some(Question {
        action: target.action.clone()?,
        resource: Resource::new(target.kind.clone(), target.id.as_str()).ok()?,
        context,
        properties: Facts::default(),
        at: Timestamp::from_secs(1_800_000_000),
    })
}
