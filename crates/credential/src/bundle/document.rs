//! The SPIFFE bundle document (a JWK Set with freshness), and the plain JWK Set of the Workload API.

use crate::bundle::{Bundle, BundleError, JwtAuthority, JwtBundle, X509Bundle, jwk};
use crate::certificate::Certificate;
use crate::strict_json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::TrustDomain;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Largest document that is read, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 1024 * 1024;

/// The value of `use` for X.509 authorities.
const USE_X509: &str = "x509-svid";
/// The value of `use` for JWT authorities.
const USE_JWT: &str = "jwt-svid";

/// Why a bundle document could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// It is larger than [`BUNDLE_BYTES_MAX`].
    #[error("bundle document: it is larger than 1 MiB")]
    TooLarge,
    /// It is not JSON, or a member appears twice.
    #[error("bundle document: {0}")]
    Json(String),
    /// A member is absent or of the wrong type.
    #[error("bundle document: `{0}` is absent or not of the right type")]
    Member(&'static str),
    /// A key cannot be read although it says that it is for us.
    #[error("bundle document: keys[{0}] is not a usable key for its `use`")]
    Key(usize),
    /// The authorities do not make a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// An authority has a key of a kind that no JWK is defined for here.
    #[error("bundle document: X.509 authority {0} has a key that cannot be written as a JWK")]
    Write(usize),
}

impl DocumentError {
    /// What sort of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TooLarge => Kind::Limited,
            Self::Bundle(error) => error.kind(),
            _ => Kind::Malformed,
        }
    }
}

/// Writes the SPIFFE bundle document of a trust domain.
// SPEC: Trust Domain and Bundle §4.1, §4.2; X509-SVID §6.1; JWT-SVID §6.1 (B-02, B-03, B-06, B-07, X-13, X-14, J-09)
pub fn write(bundle: &Bundle) -> Result<String, DocumentError> {
    let mut keys = Vec::new();
    for (index, der) in bundle.x509().authorities().enumerate() {
        let certificate = Certificate::parse(der).map_err(|_| DocumentError::Write(index + 1))?;
        let mut key = jwk::members_of_spki(&certificate.spki).ok_or(DocumentError::Write(index + 1))?;
        key.insert("use".to_owned(), USE_X509.into());
        key.insert("x5c".to_owned(), json!([STANDARD.encode(der)]));
        keys.push(Value::Object(key));
    }
    for authority in bundle.jwt().authorities() {
        let mut key = named_key(authority);
        key.insert("use".to_owned(), USE_JWT.into());
        keys.push(Value::Object(key));
    }
    let document = json!({
        "spiffe_sequence": bundle.sequence,
        "spiffe_refresh_hint": bundle.refresh_hint_secs,
        "keys": keys,
    });
    Ok(document.to_string())
}

/// Writes the plain JWK Set that the Workload API serves for verifying JWT-SVIDs: no keys of other uses, and no `use`,
/// whose SPIFFE values libraries for RFC 7517 do not know.
// SPEC: Workload API §6.2.2 (W-12)
pub fn jwks(bundle: &JwtBundle) -> String {
    let keys: Vec<_> = bundle.authorities().iter().map(|authority| Value::Object(named_key(authority))).collect();
    json!({ "keys": keys }).to_string()
}

fn named_key(authority: &JwtAuthority) -> Map<String, Value> {
    let mut key = jwk::members(authority.key());
    key.insert("kid".to_owned(), authority.key_id().into());
    key.insert("alg".to_owned(), authority.algorithm().as_str().into());
    key
}

/// Reads a SPIFFE bundle document as the bundle of `trust_domain`, which the document itself does not name.
/// Keys of unknown `use` or `kty` are passed over.
// SPEC: Trust Domain and Bundle §4; X509-SVID §6.2; JWT-SVID §6.2 (B-01, B-04 to B-07, X-15, J-10)
pub fn read(trust_domain: &TrustDomain, document: &[u8]) -> Result<Bundle, DocumentError> {
    if document.len() > BUNDLE_BYTES_MAX {
        return Err(DocumentError::TooLarge);
    }
    let value = strict_json::parse(document).map_err(|error| DocumentError::Json(error.to_string()))?;
    let keys = value.get("keys").and_then(Value::as_array).ok_or(DocumentError::Member("keys"))?;
    let (mut x509, mut jwt) = (Vec::new(), Vec::new());
    for (index, key) in keys.iter().enumerate() {
        let Some(key) = key.as_object() else { return Err(DocumentError::Key(index)) };
        match key.get("use").and_then(Value::as_str) {
            Some(USE_X509) => x509.extend(read_x509(key, index)?),
            Some(USE_JWT) => jwt.extend(read_jwt(key, index)?),
            _ => {}
        }
    }
    let x509 = X509Bundle::new(trust_domain.clone(), &x509)?;
    let jwt = JwtBundle::new(trust_domain.clone(), jwt)?;
    let sequence = number(&value, "spiffe_sequence")?;
    Ok(Bundle::new(x509, jwt, sequence, number(&value, "spiffe_refresh_hint")?)?)
}

/// The first certificate of `x5c`, if the entry has one.
fn read_x509(key: &Map<String, Value>, index: usize) -> Result<Option<Vec<u8>>, DocumentError> {
    if !key.get("kty").is_some_and(Value::is_string) {
        return Ok(None);
    }
    let Some(first) = key.get("x5c").and_then(Value::as_array).and_then(|chain| chain.first()) else {
        return Ok(None);
    };
    let der = first.as_str().and_then(|text| STANDARD.decode(text).ok());
    der.map(Some).ok_or(DocumentError::Key(index))
}

/// A JWT authority; none for a kind of key that JWT-SVIDs are not verified with here.
fn read_jwt(key: &Map<String, Value>, index: usize) -> Result<Option<JwtAuthority>, DocumentError> {
    let known = matches!(key.get("crv").and_then(Value::as_str), Some("P-256" | "P-384"));
    if key.get("kty").and_then(Value::as_str) != Some("EC") || !known {
        return Ok(None);
    }
    let key_id = key.get("kid").and_then(Value::as_str).ok_or(DocumentError::Key(index))?;
    let key = jwk::read(key).ok_or(DocumentError::Key(index))?;
    JwtAuthority::new(key_id, key).map(Some).ok_or(DocumentError::Key(index))
}

fn number(document: &Value, name: &'static str) -> Result<u64, DocumentError> {
    document.get(name).map_or(Ok(0), |value| value.as_u64().ok_or(DocumentError::Member(name)))
}
