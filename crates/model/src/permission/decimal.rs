//! Numbers in permissions: exact, with at most four digits behind the point (as Cedar's `decimal`).

use std::fmt;

/// Digits behind the point.
pub const DIGITS: usize = 4;
const SCALE: i64 = 10_000;

/// An exact number, in ten-thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i64);

impl Decimal {
    /// The largest.
    pub const MAX: Self = Self(i64::MAX);

    /// A whole number. `None` if it is too large.
    pub fn whole(number: i64) -> Option<Self> {
        number.checked_mul(SCALE).map(Self)
    }

    /// So many ten-thousandths.
    pub const fn from_ten_thousandths(number: i64) -> Self {
        Self(number)
    }

    /// How many ten-thousandths it is.
    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// Reads a number: digits, with at most one point and four digits behind it. `None` for everything else, also for
    /// what would have to be rounded.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > DIGITS {
            return None;
        }
        let missing = u32::try_from(DIGITS - fraction.len()).ok()?;
        let fraction = fraction.parse::<i64>().ok()? * 10_i64.pow(missing);
        let magnitude = whole.parse::<i64>().ok()?.checked_mul(SCALE)?.checked_add(fraction)?;
        Some(Self(if is_negative { -magnitude } else { magnitude }))
    }

    /// The sum. `None` if it is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / SCALE.unsigned_abs(), magnitude % SCALE.unsigned_abs());
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        if fraction > 0 {
            let digits = format!("{fraction:0DIGITS$}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn a_number_is_exact_or_none() {
        for (text, ten_thousandths, shown) in [
            ("0", 0, "0"),
            ("500", 5_000_000, "500"),
            ("500.00", 5_000_000, "500"),
            ("0.1", 1_000, "0.1"),
            ("-3.1415", -31_415, "-3.1415"),
            ("922337203685477.5807", i64::MAX, "922337203685477.5807"),
        ] {
            let number = Decimal::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((number.ten_thousandths(), number.to_string().as_str()), (ten_thousandths, shown));
        }
        for text in
            ["", "-", ".5", "5.", "1.23456", "1e3", "+1", " 1", "1 ", "0x1", "٣", "922337203685477.5808", "1.-1"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
