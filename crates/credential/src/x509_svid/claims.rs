//! The claims about a binding, as one extension of an X.509-SVID.
//!
//! The extension value is a UTF8String (RFC 5280 §4.2 asks for DER there) that holds the same JSON object as the `credence`
//! member of a JWT-SVID. The extension is not critical, so a verifier that does not know it is not disturbed.

use crate::strict_json;
use credence_model::order::Claims;
use x509_parser::asn1_rs::{FromDer as _, Utf8String};

/// The extension's identifier. 32473 is the enterprise number that RFC 5612 keeps for documentation: provisional until
/// Credence has a number of its own. Every arc is below 2^31, because Go's parser refuses larger ones.
pub const CLAIMS_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 20, 1];
pub(crate) const CLAIMS_OID_TEXT: &str = "1.3.6.1.4.1.32473.20.1";

/// Largest extension value that is read, in bytes: two SPIFFE IDs of full length and the rest.
pub const CLAIMS_BYTES_MAX: usize = 8 * 1024;

/// DER of a UTF8String with the claims as JSON.
pub(crate) fn encode(claims: &Claims) -> Option<Vec<u8>> {
    const UTF8_STRING: u8 = 0x0c;
    let json = serde_json::to_vec(claims).ok()?;
    let length = u16::try_from(json.len()).ok()?.to_be_bytes();
    let mut der = vec![UTF8_STRING];
    match length {
        [0, short] if short < 0x80 => der.push(short),
        [0, middle] => der.extend([0x81, middle]),
        long => der.extend([0x82, long[0], long[1]]),
    }
    der.extend(json);
    Some(der)
}

/// Reads what [`encode`] writes; `None` when it is anything else.
pub(crate) fn decode(der: &[u8]) -> Option<Claims> {
    if der.len() > CLAIMS_BYTES_MAX {
        return None;
    }
    let (rest, text) = Utf8String::from_der(der).ok()?;
    let json = strict_json::parse(text.as_ref().as_bytes()).ok()?;
    if rest.is_empty() { serde_json::from_value(json).ok() } else { None }
}
