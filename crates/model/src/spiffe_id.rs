//! SPIFFE IDs and trust domains, read strictly (SPIFFE-ID §2).
//!
//! The specification is of two minds about upper case in the trust domain; like every implementation in use, Credence
//! refuses it.

use crate::text::{InvalidText, text_type};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest SPIFFE ID, in bytes (SPIFFE-ID §2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Longest trust domain name, in bytes (SPIFFE-ID §2.3).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// What every SPIFFE ID begins with.
pub const SCHEME: &str = "spiffe://";

/// The name of a trust domain: lower-case letters, digits, `.`, `-` and `_` (SPIFFE-ID §2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Reads a trust domain name, without the `spiffe://` scheme.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > TRUST_DOMAIN_BYTES_MAX {
            "it is longer than 255 bytes"
        } else if !text.bytes().all(allowed) {
            "only a-z, 0-9, '.', '-' and '_' are allowed; no port, no user"
        } else {
            return Ok(Self(text.into()));
        };
        Err(InvalidText::new("trust domain", text, why))
    }

    /// What a registry has before its first entry: a name that no trust domain may have (RFC 2606 §2).
    pub(crate) fn unset() -> Self {
        Self("unset.invalid".into())
    }

    /// The name, without a scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust domain's own SPIFFE ID, which has no path.
    pub fn id(&self) -> SpiffeId {
        SpiffeId { text: self.id_text(0).into(), trust_domain_len: self.0.len() }
    }

    /// The text of that, with room for a path.
    pub(crate) fn id_text(&self, path_bytes: usize) -> String {
        let mut text = String::with_capacity(SCHEME.len() + self.0.len() + path_bytes);
        text.push_str(SCHEME);
        text.push_str(&self.0);
        text
    }
}

text_type!(TrustDomain, "^[a-z0-9._-]+$", 255);

/// A SPIFFE ID: `spiffe://` + trust domain + path (SPIFFE-ID §2). Compared byte for byte; a clone costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    text: Arc<str>,
    trust_domain_len: usize,
}

impl SpiffeId {
    /// Reads a SPIFFE ID of at most [`SPIFFE_ID_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let wrong = |why: &str| InvalidText::new("SPIFFE ID", text, why);
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(wrong("it is longer than 2048 bytes"));
        }
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with spiffe://"))?;
        let trust_domain_len = rest.find('/').unwrap_or(rest.len());
        let (trust_domain, path) = rest.split_at(trust_domain_len);
        TrustDomain::parse(trust_domain)?;
        if !path.is_empty() {
            path.split('/').skip(1).try_for_each(|segment| check_segment(segment).map_err(&wrong))?;
        }
        Ok(Self { text: text.into(), trust_domain_len })
    }

    /// Joins a trust domain and a path that begins with `/`.
    pub fn from_parts(trust_domain: &TrustDomain, path: &str) -> Result<Self, InvalidText> {
        Self::parse(&(trust_domain.id_text(path.len()) + path))
    }

    /// The whole identifier.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain it belongs to.
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(self.host().into())
    }

    /// The path, with its leading `/`; empty for the trust domain's own identifier.
    pub fn path(&self) -> &str {
        self.text.get(SCHEME.len() + self.trust_domain_len..).unwrap_or_default()
    }

    /// Whether it belongs to `trust_domain`.
    pub fn is_in(&self, trust_domain: &TrustDomain) -> bool {
        self.host() == trust_domain.as_str()
    }

    fn host(&self) -> &str {
        self.text.get(SCHEME.len()..SCHEME.len() + self.trust_domain_len).unwrap_or_default()
    }
}

text_type!(SpiffeId, "^spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)*$", 2048);

/// Checks one path segment (SPIFFE-ID §2.2): no percent-encoding, not empty, not `.` or `..`.
pub(crate) fn check_segment(segment: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if segment.is_empty() {
        Err("its path has an empty segment or ends with /")
    } else if segment == "." || segment == ".." {
        Err("its path has a dot segment")
    } else if !segment.bytes().all(allowed) {
        Err("its path may hold only letters, digits, '.', '-' and '_', nothing percent-encoded")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_allows_is_a_spiffe_id() {
        let long = format!("spiffe://td/{}", "a".repeat(SPIFFE_ID_BYTES_MAX - "spiffe://td/".len()));
        assert_eq!(long.len(), 2048);
        for good in ["spiffe://td", "spiffe://td/a", "spiffe://1.2.3.4/A/b.c_d-e", "spiffe://td/...", &long] {
            assert_eq!(SpiffeId::parse(good).map(|id| id.to_string()), Ok(good.to_owned()));
        }
        let too_long = format!("{long}a");
        for bad in [
            "",
            "spiffe:/td/a",
            "SPIFFE://td/a",
            "https://td/a",
            "spiffe://",
            "spiffe:///a",
            "spiffe://td/",
            "spiffe://td//a",
            "spiffe://td/a/",
            "spiffe://td/./a",
            "spiffe://td/../a",
            "spiffe://td/%2f",
            "spiffe://td/a?b",
            "spiffe://td/a#b",
            "spiffe://u@td/a",
            "spiffe://td:80/a",
            "spiffe://Td/a",
            "spiffe://td/a\0",
            "spiffe://td/ä",
            "spiffe://[::1]/a",
            &too_long,
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_spiffe_id_comes_apart_into_trust_domain_and_path() {
        let id = SpiffeId::parse("spiffe://demo.internal/ns/a").expect("valid");
        assert_eq!((id.trust_domain().as_str(), id.path()), ("demo.internal", "/ns/a"));
        assert_eq!(id.trust_domain().id().as_str(), "spiffe://demo.internal");
    }
}
