//! Delegations: what a user, or an actor, has others do for it.
//!
//! INVARIANT: a delegation only becomes narrower. Whoever wants to give more gives another one.

use crate::caller::Caller;
use crate::class::LINE_BYTES_MAX;
use crate::id::{ActorRef, ClassRef, DelegationId};
use crate::lineage::SESSION_BYTES_MAX;
use crate::permission::Permission;
use crate::permission::check::check_allow;
use crate::refusal::{Kind, Refusal};
use crate::time::Timestamp;
use crate::user::User;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most permissions of a delegation.
pub const ALLOW_MAX: usize = 64;
/// Most delegations of one grantor that are not over.
pub const PER_GRANTOR_MAX: usize = 1_000;
/// Most of them that are remembered, those that are over included.
pub const REMEMBERED_PER_GRANTOR_MAX: usize = 10_000;
/// Longest purpose, in bytes.
pub const PURPOSE_BYTES_MAX: usize = LINE_BYTES_MAX;
/// How long a delegation that is over is remembered, in seconds.
pub const REMEMBERED_SECS: u64 = 7 * 86_400;

/// A delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct Delegation {
    /// Its id.
    #[n(0)]
    pub id: DelegationId,
    /// Who delegates.
    #[n(1)]
    pub by: Grantor,
    /// To whom.
    #[n(2)]
    pub to: Grantee,
    /// What, when and how often.
    #[n(3)]
    pub terms: Terms,
    /// How often it was used, if its uses are counted.
    #[n(4)]
    pub used: u64,
    /// When it was granted.
    #[n(5)]
    pub granted_at: Timestamp,
    /// How it was revoked.
    #[n(6)]
    pub revoked: Option<Revoked>,
}

/// Who delegates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grantor {
    /// A user, to an actor that acts for it, or to all actors of a class that do.
    #[n(0)]
    User(#[n(0)] User),
    /// An actor, to one that it spawned.
    #[n(1)]
    Actor(#[n(0)] ActorRef),
}

/// To whom something is delegated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// The actors of a class.
    #[n(0)]
    Class(#[n(0)] ClassRef),
    /// One actor.
    #[n(1)]
    Actor(#[n(0)] ActorRef),
}

/// What is delegated, when and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What is allowed.
    #[n(0)]
    pub allow: Vec<Permission>,
    /// Only to actors that act in this session of the user.
    #[n(1)]
    #[serde(default)]
    pub session: Option<String>,
    /// What for, in the grantor's words.
    #[n(2)]
    #[serde(default)]
    pub purpose: String,
    /// Not before.
    #[n(3)]
    pub not_before: Timestamp,
    /// When it ends.
    #[n(4)]
    pub expires_at: Timestamp,
    /// How often it may be used; as often as wanted if missing.
    #[n(5)]
    #[serde(default)]
    pub uses: Option<u64>,
}

/// What somebody wants to delegate. Its times count from the grant, so that a request which is made again says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// What is allowed.
    pub allow: Vec<Permission>,
    /// Only to actors that act in this session of the user.
    pub session: Option<String>,
    /// What for, in the grantor's words.
    pub purpose: String,
    /// Not before; as soon as it is granted if missing.
    pub not_before: Option<Timestamp>,
    /// How long it lasts from then on, in milliseconds.
    pub lasts_ms: u64,
    /// How often it may be used; as often as wanted if missing.
    pub uses: Option<u64>,
}

/// How a delegation was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct Revoked {
    /// When.
    #[n(0)]
    pub at: Timestamp,
    /// By whom.
    #[n(1)]
    pub by: Caller,
    /// Why, in words.
    #[n(2)]
    pub reason: Option<String>,
}

/// Why a delegation counts for nothing at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lapse {
    /// It was revoked.
    Revoked,
    /// It has not begun.
    Early,
    /// It is over.
    Expired,
    /// It was used as often as it may be.
    UsedUp,
}

impl Delegation {
    /// Why it counts for nothing at this moment; `None` if it counts.
    pub fn lapse(&self, now: Timestamp) -> Option<Lapse> {
        if self.revoked.is_some() {
            Some(Lapse::Revoked)
        } else if now < self.terms.not_before {
            Some(Lapse::Early)
        } else if self.terms.expires_at <= now {
            Some(Lapse::Expired)
        } else if self.terms.uses.is_some_and(|uses| self.used >= uses) {
            Some(Lapse::UsedUp)
        } else {
            None
        }
    }

    /// When it is over, at the latest.
    pub fn ends_at(&self) -> Timestamp {
        self.revoked.as_ref().map_or(self.terms.expires_at, |revoked| revoked.at.min(self.terms.expires_at))
    }

    /// Whether it can never count again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.over_at() <= now
    }

    /// From when on it can never count again, if nothing more happens to it; the beginning of time if that is so already.
    pub(crate) fn over_at(&self) -> Timestamp {
        let is_used_up = self.terms.uses.is_some_and(|uses| self.used >= uses);
        if is_used_up || self.revoked.is_some() { Timestamp::from_secs(0) } else { self.terms.expires_at }
    }
}

impl Offer {
    /// What is delegated if it is granted now.
    pub fn terms(&self, now: Timestamp) -> Terms {
        let Self { allow, session, purpose, not_before, lasts_ms, uses } = self.clone();
        let not_before = not_before.unwrap_or(now);
        Terms { allow, session, purpose, not_before, expires_at: not_before.plus_ms(lasts_ms), uses }
    }
}

impl From<Terms> for Offer {
    fn from(terms: Terms) -> Self {
        let Terms { allow, session, purpose, not_before, expires_at, uses } = terms;
        let lasts_ms = expires_at.ms_since(not_before);
        Self { allow, session, purpose, not_before: Some(not_before), lasts_ms, uses }
    }
}

impl Terms {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn validate(&self, now: Timestamp, secs_max: u64) -> Result<(), Refusal> {
        let wrong = |field: &str, message: String| Err(Refusal::new(Kind::Malformed, message).field(field));
        if self.allow.is_empty() || self.allow.len() > ALLOW_MAX {
            return wrong("allow", format!("a delegation has 1 to {ALLOW_MAX} permissions"));
        }
        check_allow("allow", &self.allow)?;
        if self.purpose.len() > PURPOSE_BYTES_MAX || self.purpose.chars().any(char::is_control) {
            return wrong("purpose", format!("it is one line of at most {PURPOSE_BYTES_MAX} bytes"));
        }
        if let Some(session) = &self.session {
            check_session("session", session)?;
        }
        if self.expires_at <= now.max(self.not_before) {
            return wrong("expires_at", "it is over before it begins".into());
        }
        if self.expires_at.ms_since(self.not_before.max(now)) > secs_max.saturating_mul(1000) {
            return wrong("expires_at", format!("the class lets a delegation last {secs_max} s at most"));
        }
        if self.uses == Some(0) {
            return wrong("uses", "it could never be used".into());
        }
        Ok(())
    }

    /// Which member is wider than that of `old`; `None` if none is.
    pub fn wider_than(&self, old: &Self) -> Option<&'static str> {
        let is_more = |new: Option<u64>, old: Option<u64>| old.is_some_and(|old| new.is_none_or(|new| new > old));
        if self.allow.iter().any(|permission| !permission.is_within(&old.allow)) {
            Some("allow")
        } else if old.session.is_some() && self.session != old.session {
            Some("session")
        } else if self.not_before < old.not_before {
            Some("not_before")
        } else if self.expires_at > old.expires_at {
            Some("expires_at")
        } else if is_more(self.uses, old.uses) {
            Some("uses")
        } else {
            None
        }
    }
}

/// Checks the id of a session: it is compared byte for byte.
pub(crate) fn check_session(field: &str, session: &str) -> Result<(), Refusal> {
    if (1..=SESSION_BYTES_MAX).contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let message = format!("a session is 1 to {SESSION_BYTES_MAX} visible ASCII characters");
    Err(Refusal::new(Kind::Malformed, message).field(field))
}

impl fmt::Display for Grantor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Actor(actor) => write!(f, "actor {actor}"),
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "class {class}"),
            Self::Actor(actor) => write!(f, "actor {actor}"),
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revoked => "it was revoked",
            Self::Early => "it has not begun",
            Self::Expired => "it is over",
            Self::UsedUp => "it was used as often as it may be",
        })
    }
}
