//! JSON Web Keys (RFC 7517), as far as bundles need them: elliptic-curve keys to read and write, RSA only to write.

use crate::key::{KeyAlgorithm, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::id::Digest;
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Longest `kid`, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 256;

/// The SHA-256 thumbprint of a key (RFC 7638), in base64url: the `kid` of our own keys.
pub fn thumbprint(key: &PublicKey) -> String {
    let members = members(key);
    let member = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    // RFC 7638 §3: the required members only, in lexicographic order, without white space.
    let (curve, kind, x, y) = (member("crv"), member("kty"), member("x"), member("y"));
    let canonical = match key.algorithm() {
        KeyAlgorithm::Ed25519 => format!(r#"{{"crv":"{curve}","kty":"{kind}","x":"{x}"}}"#),
        _ => format!(r#"{{"crv":"{curve}","kty":"{kind}","x":"{x}","y":"{y}"}}"#),
    };
    URL_SAFE_NO_PAD.encode(Digest::of(canonical.as_bytes()).0)
}

/// The members of a JWK that describe the key itself.
pub(crate) fn members(key: &PublicKey) -> Map<String, Value> {
    let raw = key.raw();
    let (curve, coordinate_bytes) = match key.algorithm() {
        KeyAlgorithm::EcdsaP256 => ("P-256", 32),
        KeyAlgorithm::EcdsaP384 => ("P-384", 48),
        KeyAlgorithm::Ed25519 => return object(json!({"kty": "OKP", "crv": "Ed25519", "x": encode(raw)})),
    };
    let (x, y) = raw.get(1..).and_then(|point| point.split_at_checked(coordinate_bytes)).unwrap_or_default();
    object(json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)}))
}

/// The same for the key of any certificate, whose kind may be one that Credence itself does not use.
pub(super) fn members_of_spki(spki: &[u8]) -> Option<Map<String, Value>> {
    if let Ok(key) = PublicKey::from_spki(spki, &KeyAlgorithm::ALL) {
        return Some(members(&key));
    }
    let (_, parsed) = SubjectPublicKeyInfo::from_der(spki).ok()?;
    match parsed.parsed().ok()? {
        ParsedKey::RSA(rsa) => {
            let (modulus, exponent) = (strip(rsa.modulus), strip(rsa.exponent));
            Some(object(json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})))
        }
        _ => None,
    }
}

/// Reads an elliptic-curve key that JWT-SVIDs are signed with; `None` when it is of another kind or damaged.
pub(super) fn read(jwk: &Map<String, Value>) -> Option<PublicKey> {
    read_any(jwk).filter(|key| key.algorithm() != KeyAlgorithm::Ed25519)
}

/// Reads a key of any kind that is accepted somewhere but RSA (RFC 7518 §6.2.1, RFC 8037 §2).
pub(crate) fn read_any(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let (algorithm, bytes) = match (member("kty")?, member("crv")?) {
        ("EC", "P-256") => (KeyAlgorithm::EcdsaP256, 32),
        ("EC", "P-384") => (KeyAlgorithm::EcdsaP384, 48),
        ("OKP", "Ed25519") => (KeyAlgorithm::Ed25519, 32),
        _ => return None,
    };
    let (mut raw, coordinates) = match algorithm {
        KeyAlgorithm::Ed25519 => (Vec::new(), ["x"].as_slice()),
        _ => (vec![4], ["x", "y"].as_slice()),
    };
    for name in coordinates {
        let coordinate = URL_SAFE_NO_PAD.decode(member(name)?).ok()?;
        if coordinate.len() != bytes {
            return None;
        }
        raw.extend(coordinate);
    }
    PublicKey::from_raw(algorithm, &raw).ok()
}

/// A member that is an unsigned big-endian number (RFC 7518 §2), without zeros before it; `None` if it is none.
pub(crate) fn number(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
    Some(strip(&bytes).to_vec())
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An unsigned big-endian number without the sign octet of DER.
fn strip(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
