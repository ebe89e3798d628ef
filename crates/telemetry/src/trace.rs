//! The id of one request on its whole way, as W3C Trace Context writes it.
//!
//! SPEC: W3C Trace Context §3.2. What cannot be read is as if it were not there (§4.3): a stranger's header never makes a
//! request fail.

use std::fmt;

/// Name of the header.
pub const HEADER: &str = "traceparent";

/// Length of its text in version 00, in bytes.
const TEXT_BYTES: usize = 55;

/// Which request this is, and which part of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// A request that begins here, from 24 random bytes.
    pub fn begin(random: [u8; 24]) -> Self {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.iter_mut().chain(span.iter_mut()).zip(random).for_each(|(byte, random)| *byte = random);
        // All zeroes means "none" (§3.2.2.3).
        trace[15] |= u8::from(trace == [0; 16]);
        span[7] |= u8::from(span == [0; 8]);
        Self { trace, span, flags: 1 }
    }

    /// Reads a header. `None` for everything that §3.2.2 does not allow.
    pub fn parse(text: &str) -> Option<Self> {
        let version = text.get(..2)?;
        // A later version may have more behind it (§4.3); ff is none.
        let is_known = if version == "00" { text.len() == TEXT_BYTES } else { text.len() >= TEXT_BYTES };
        let rest = text.get(2..TEXT_BYTES)?.strip_prefix('-')?;
        let (trace, rest) = rest.split_once('-')?;
        let (span, flags) = rest.split_once('-')?;
        let more = text.get(TEXT_BYTES..).unwrap_or_default();
        if !is_known || byte(version.as_bytes()).is_none_or(|version| version == 0xff) {
            return None;
        }
        if !(more.is_empty() || more.starts_with('-')) {
            return None;
        }
        let context = Self { trace: bytes(trace)?, span: bytes(span)?, flags: bytes::<1>(flags)?[0] & 1 };
        (context.trace != [0; 16] && context.span != [0; 8]).then_some(context)
    }

    /// What the headers of a request say.
    pub fn said(headers: &http::HeaderMap) -> Option<Self> {
        headers.get(HEADER).and_then(|value| value.to_str().ok()).and_then(Self::parse)
    }

    /// The same request, on its next part.
    #[must_use]
    pub fn next(self, random: [u8; 8]) -> Self {
        let mut span = random;
        span[7] |= u8::from(span == [0; 8]);
        Self { span, ..self }
    }

    /// Whether whoever began it wants it recorded (§3.2.2.5).
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The same request, to be recorded or not.
    #[must_use]
    pub fn sampled(self, sampled: bool) -> Self {
        Self { flags: u8::from(sampled), ..self }
    }

    /// The bytes of the request's id, and of the part's.
    pub(crate) fn ids(&self) -> ([u8; 16], [u8; 8]) {
        (self.trace, self.span)
    }

    /// The id of the request, in hex: what stands in logs and in errors.
    pub fn id(&self) -> String {
        hex(&self.trace)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), self.flags)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Lower-case hex of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (to, pair) in bytes.iter_mut().zip(pairs) {
        *to = byte(pair)?;
    }
    Some(bytes)
}

fn byte(pair: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let [high, low] = pair else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_written_is_read_again() {
        let read = TraceContext::parse(GOOD).expect("the specification's own example");
        assert_eq!(read.to_string(), GOOD);
        assert_eq!(read.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let begun = TraceContext::begin([7; 24]);
        assert_eq!(TraceContext::parse(&begun.to_string()), Some(begun));
        assert_eq!(begun.next([1; 8]).id(), begun.id());
        let zero = TraceContext::begin([0; 24]);
        assert_eq!(TraceContext::parse(&zero.to_string()), Some(zero), "randomness that fails makes no invalid id");
    }

    #[test]
    fn what_the_specification_does_not_allow_is_not_there() {
        let later = format!("cc{}-more", &GOOD[2..]);
        assert!(TraceContext::parse(&later).is_some(), "a later version may have more behind it");
        for wrong in [
            String::new(),
            GOOD.to_uppercase(),
            format!("{GOOD}-more"),
            format!("ff{}", &GOOD[2..]),
            format!("0x{}", &GOOD[2..]),
            format!("cc{}more", &GOOD[2..]),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("4bf9", "4bé"),
            GOOD.replace('-', "_"),
        ] {
            assert_eq!(TraceContext::parse(&wrong), None, "{wrong}");
        }
    }
}
