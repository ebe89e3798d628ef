//! Obligations: what has to happen beside what is permitted.

use crate::permission::decimal::Decimal;
use smol_str::SmolStr;
use std::fmt;

/// How the duty is written that a person confirms it.
pub const STEP_UP: &str = "step-up";
/// How the duty is written that it is recorded.
pub const LOG: &str = "log";

/// A duty that comes with a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obligation {
    /// Not more than so much in each period, of one actor.
    Budget(Budget),
    /// Every use is recorded, however the class's decisions are sampled.
    Log,
    /// A person confirms each use first.
    StepUp,
}

/// How much may be used up in each period.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budget {
    /// In what it is counted.
    pub of: Counted,
    /// How often it begins anew.
    pub per: Period,
    /// How much of it.
    pub most: Decimal,
}

/// In what a budget is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Uses.
    Calls,
    /// The `amount` of each use, in this currency.
    Amount(SmolStr),
}

/// How often a budget begins anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// Every hour.
    Hour,
    /// Every day.
    Day,
    /// Every seven days, on Mondays.
    Week,
    /// Never.
    Life,
}

impl Period {
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("hour", Self::Hour), ("day", Self::Day), ("week", Self::Week), ("life", Self::Life)];
}

impl Obligation {
    /// Whether this duty is fulfilled by whoever fulfils `other`.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Budget(own), Self::Budget(other)) => {
                (&own.of, own.per) == (&other.of, other.per) && own.most >= other.most
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepUp => f.write_str(STEP_UP),
            Self::Log => f.write_str(LOG),
            Self::Budget(Budget { of, per, most }) => {
                let (period, _) =
                    Period::ALL.iter().find(|(_, period)| period == per).unwrap_or(&("life", Period::Life));
                match of {
                    Counted::Calls => write!(f, "budget {most} calls per {period}"),
                    Counted::Amount(currency) => write!(f, "budget {most} {currency} per {period}"),
                }
            }
        }
    }
}
