//! The keys of a provider: its JWK Set (RFC 7517 §5).

use crate::bundle::jwk::{self, KEY_ID_BYTES_MAX};
use crate::jose::Members;
use crate::openid::KEYS_MAX;
use crate::openid::algorithm::{Algorithm, Key};
use crate::strict_json;
use serde_json::Value;
use thiserror::Error;

/// Least and most bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Most bytes of an RSA exponent; most are 65537.
const EXPONENT_BYTES_MAX: usize = 4;

/// The keys with which a provider signs tokens, by their `kid`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<NamedKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedKey {
    id: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: Key,
}

/// Why a JWK Set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// It is not JSON, a member appears twice in it, or it has no keys.
    #[error("the key set is no JWK Set")]
    Malformed,
    /// Too many.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Two keys that could be meant.
    #[error("the key set has two signing keys of the same kid")]
    Ambiguous,
}

impl KeySet {
    /// Reads a JWK Set. Keys that sign nothing here (another `use`, kind, size or algorithm, no `kid`) are passed over.
    pub fn read(document: &[u8]) -> Result<Self, KeySetError> {
        let value = strict_json::parse(document).map_err(|_| KeySetError::Malformed)?;
        let keys = value.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut read: Vec<NamedKey> = Vec::new();
        for key in keys.iter().filter_map(|key| named(key.as_object()?)) {
            if read.iter().any(|before| before.id == key.id) {
                return Err(KeySetError::Ambiguous);
            }
            read.push(key);
        }
        Ok(Self(read))
    }

    /// Whether it has a key of this id.
    pub fn has(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing can be verified with it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, key_id: &str) -> Option<&NamedKey> {
        self.0.iter().find(|key| key.id == key_id)
    }
}

// SPEC: RFC 7517 §4 (a key's members), OpenID Connect Discovery §3 (`use` where keys of other uses are there)
fn named(jwk: &Members) -> Option<NamedKey> {
    let member = |name: &str| jwk.get(name).map(Value::as_str);
    if !matches!(member("use"), None | Some(Some("sig"))) {
        return None;
    }
    let id = member("kid")?.filter(|id| (1..=KEY_ID_BYTES_MAX).contains(&id.len()))?;
    let key = if member("kty")?? == "RSA" { rsa(jwk)? } else { Key::Curve(jwk::read_any(jwk)?) };
    let algorithm = member("alg").map_or(Some(key.usual()), |said| Algorithm::parse(said?))?;
    key.suits(algorithm).then(|| NamedKey { id: id.to_owned(), algorithm, key })
}

fn rsa(jwk: &Members) -> Option<Key> {
    let number = |name: &str| jwk::number(jwk, name);
    let (modulus, exponent) = (number("n")?, number("e")?);
    // With an exponent of one anything would be its own signature.
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    let fits = MODULUS_BYTES.contains(&modulus.len()) && exponent.len() <= EXPONENT_BYTES_MAX;
    (fits && is_odd && exponent != [1]).then_some(Key::Rsa { modulus, exponent })
}
