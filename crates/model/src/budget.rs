//! Budgets: how much of what is permitted an actor has used up in the present period. Counted where everything is recorded, so
//! the count is exact however many use it at once.

use crate::cautious;
use crate::id::{ActorRef, Digest};
use crate::permission::decimal::Decimal;
use crate::permission::obligation::{Budget, Period};
use crate::time::Timestamp;
use imbl::OrdMap;
use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds of an hour, a day and a week.
const HOUR_SECS: u64 = 3_600;
const DAY_SECS: u64 = 86_400;
const WEEK_SECS: u64 = 7 * DAY_SECS;
/// The first of January 1970 was a Thursday; weeks begin on Mondays.
const MONDAY_SECS: u64 = 3 * DAY_SECS;

/// What was taken from a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, JsonSchema)]
pub struct Taken {
    /// The budget: SHA-256 of who set it and its text.
    #[n(0)]
    pub budget: Digest,
    /// When the present period began, in seconds since the Unix epoch.
    #[n(1)]
    pub since_secs: u64,
    /// How much, in ten-thousandths.
    #[n(2)]
    pub amount: i64,
    /// Whose budget it is, if not that of the actor that uses it: that of an actor that spawned it.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<ActorRef>,
}

/// All budgets that something was taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    #[serde(deserialize_with = "cautious::map")]
    taken: OrdMap<(ActorRef, Digest), (u64, i64)>,
}

impl Budgets {
    /// How much of a budget an actor has used up in the period that began then, or in a later one: what is over does not come
    /// back because a clock went back.
    pub fn taken(&self, actor: &ActorRef, budget: Digest, since_secs: u64) -> Decimal {
        let found = self.taken.get(&(actor.clone(), budget)).filter(|(since, _)| *since >= since_secs);
        Decimal::from_ten_thousandths(found.map_or(0, |(_, taken)| *taken))
    }

    /// When the period began in which this is counted: what comes late, after something of a later period, counts in that.
    pub(crate) fn period_secs(&self, actor: &ActorRef, budget: Digest, since_secs: u64) -> u64 {
        self.taken.get(&(actor.clone(), budget)).map_or(since_secs, |(since, _)| since_secs.max(*since))
    }

    pub(crate) fn take(&mut self, actor: &ActorRef, taken: &Taken) {
        let actor = taken.of.as_ref().unwrap_or(actor);
        let before = self.taken(actor, taken.budget, taken.since_secs).ten_thousandths();
        let since_secs = self.period_secs(actor, taken.budget, taken.since_secs);
        self.taken.insert((actor.clone(), taken.budget), (since_secs, before.saturating_add(taken.amount)));
    }

    pub(crate) fn forget(&mut self, actor: &ActorRef) {
        let from = (actor.clone(), Digest([0; 32]));
        let of_actor: Vec<_> =
            self.taken.range(from..).map(|(key, _)| key.clone()).take_while(|(of, _)| of == actor).collect();
        for key in of_actor {
            self.taken.remove(&key);
        }
    }
}

impl Budget {
    /// When the period began in which this moment is, in seconds since the Unix epoch.
    pub fn since_secs(&self, now: Timestamp) -> u64 {
        let secs = now.as_secs();
        match self.per {
            Period::Hour => secs - secs % HOUR_SECS,
            Period::Day => secs - secs % DAY_SECS,
            Period::Week => ((secs + MONDAY_SECS) / WEEK_SECS * WEEK_SECS).saturating_sub(MONDAY_SECS),
            Period::Life => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::permission::Permission;
    use crate::permission::obligation::Obligation;
    use crate::time::Timestamp;

    #[test]
    fn a_period_begins_on_the_hour_at_midnight_on_mondays_or_never() {
        // Friday, the 15th of January 2027, 08:30:05 UTC.
        let now = Timestamp::from_secs(1_800_001_805);
        for (period, since) in [("hour", 1_800_000_000), ("day", 1_799_971_200), ("week", 1_799_625_600), ("life", 0)] {
            let permission = Permission::parse(&format!("tool a/b with budget 5 calls per {period}")).expect("one");
            let Some(Obligation::Budget(budget)) = permission.with.first() else { panic!("a budget") };
            assert_eq!(budget.since_secs(now), since, "{period}");
        }
    }
}
