//! Certificates as a forger makes them: every field as bytes, right or wrong, and the signature over whatever they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_credential::key::KeyPair;

/// Keys of these tests alone, always the same, so that a byte at a place is the same byte in every run.
const ROOT_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEYYj9NS0QO2DwDo6q4a3QNIdk3x7sFD6SGDs6Xs/WGihRANCAASHGaLg8NQZ1UN3uLQtkFYrxgtTNkRgjq7avzE+jMm4TEprfg+ZT1lYQWE+S34jJOnYCDDGWW9jvcjbrvV6Oooj";
const OTHER_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgogTZ0m81X5uIKcgPOLjFqSh6ZJ8E1+7egzTIhlJF+vahRANCAARnSju70BRILEvBvSSVlbqqxLxu39Qs58ph307ftC1BMuhNAfADocyatRmuX7MmTmXhYjCtCSE4SUyEdD6vojHb";
const LEAF_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVT9RpXftl1G6nAblkb+IXhXQUZvDNj02cKHBEi0TvuihRANCAARCl9rC1B+kI8QkTtlGTUqWApSSuFHGVwVn6BpEuUT72YQlmmHnwetWqerc2B/4Uc3tbpONNlt7m2pgjzIaoF5L";

/// Object identifiers of extensions, as content octets (RFC 5280 §4.2.1).
pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
pub(crate) const NAMES: &[u8] = &[0x55, 0x1D, 0x11];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x1E];
pub(crate) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x24];
pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
/// Of nobody (RFC 5612).
pub(crate) const UNKNOWN: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x81, 0xFD, 0x59, 0x09];

pub(crate) const ECDSA_SHA256: &[u8] = &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
pub(crate) const ECDSA_SHA384: &[u8] = &[0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03];

const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const EMAIL: &[u8] = &[0x06, 0x08, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
const ANY_PURPOSE: &[u8] = &[0x06, 0x04, 0x55, 0x1D, 0x25, 0x00];

/// What an extended key usage can hold.
pub(crate) const BOTH_ENDS: &[&[u8]] = &[SERVER_AUTH, CLIENT_AUTH];
pub(crate) const SERVER_ONLY: &[&[u8]] = &[SERVER_AUTH];
pub(crate) const CLIENT_ONLY: &[&[u8]] = &[CLIENT_AUTH];
pub(crate) const EMAIL_ONLY: &[&[u8]] = &[EMAIL];
pub(crate) const ANY: &[&[u8]] = &[ANY_PURPOSE];

/// Who signs.
pub(crate) struct Keys {
    pub(crate) root: KeyPair,
    pub(crate) other: KeyPair,
    pub(crate) leaf: KeyPair,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let read = |text| KeyPair::from_pkcs8(&STANDARD.decode(text).expect("base64")).expect("PKCS#8");
        Self { root: read(ROOT_KEY), other: read(OTHER_KEY), leaf: read(LEAF_KEY) }
    }
}

/// A certificate to be: its fields in DER, in their order.
#[derive(Clone)]
pub(crate) struct Forgery {
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) inner_algorithm: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: Vec<u8>,
    pub(crate) not_after: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// Each with its object identifier, so that it can be found and replaced.
    pub(crate) extensions: Vec<(&'static [u8], Vec<u8>)>,
    pub(crate) outer_algorithm: Vec<u8>,
}

impl Forgery {
    /// A leaf with this SPIFFE ID, as it should be, whose issuer has this name and key.
    pub(crate) fn leaf(id: &str, key: &KeyPair, issuer: &str, issuer_key: &KeyPair) -> Self {
        let mut leaf = Self::bare(&tlv(0x30, &[]), key, issuer);
        leaf.set(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &key_id(issuer_key))));
        leaf.set(NAMES, true, &tlv(0x30, &uri(id)));
        leaf.set(KEY_USAGE, true, &[0x03, 0x02, 0x07, 0x80]);
        leaf.usages(BOTH_ENDS);
        leaf.set(BASIC_CONSTRAINTS, true, &[0x30, 0x00]);
        leaf
    }

    /// A signing certificate of this name, as it should be.
    pub(crate) fn authority(subject: &str, key: &KeyPair, issuer: &str, issuer_key: &KeyPair) -> Self {
        let mut authority = Self::bare(&name(subject), key, issuer);
        authority.set(AUTHORITY_KEY_ID, false, &tlv(0x30, &tlv(0x80, &key_id(issuer_key))));
        authority.set(SUBJECT_KEY_ID, false, &tlv(0x04, &key_id(key)));
        authority.set(NAMES, false, &tlv(0x30, &uri("spiffe://td.test")));
        authority.set(KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x06]);
        authority.set(BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x01, 0x01, 0xFF]);
        authority
    }

    fn bare(subject: &[u8], key: &KeyPair, issuer: &str) -> Self {
        Self {
            version: vec![0xA0, 0x03, 0x02, 0x01, 0x02],
            serial: vec![0x02, 0x01, 0x07],
            inner_algorithm: ECDSA_SHA256.to_vec(),
            issuer: name(issuer),
            not_before: tlv(0x17, b"200101000000Z"),
            not_after: tlv(0x17, b"400101000000Z"),
            subject: subject.to_vec(),
            spki: key.public().spki().to_vec(),
            extensions: Vec::new(),
            outer_algorithm: ECDSA_SHA256.to_vec(),
        }
    }

    /// Puts an extension in the place of the one of its kind, or at the end.
    pub(crate) fn set(&mut self, oid: &'static [u8], critical: bool, value: &[u8]) {
        let criticality: &[u8] = if critical { &[0x01, 0x01, 0xFF] } else { &[] };
        self.set_raw(oid, &[&tlv(0x06, oid), criticality, &tlv(0x04, value)].concat());
    }

    /// The same with anything for its content.
    pub(crate) fn set_raw(&mut self, oid: &'static [u8], content: &[u8]) {
        let extension = (oid, tlv(0x30, content));
        match self.extensions.iter_mut().find(|(other, _)| *other == oid) {
            Some(place) => *place = extension,
            None => self.extensions.push(extension),
        }
    }

    pub(crate) fn remove(&mut self, oid: &[u8]) {
        self.extensions.retain(|(other, _)| *other != oid);
    }

    pub(crate) fn usages(&mut self, usages: &[&[u8]]) {
        self.set(EXTENDED_KEY_USAGE, false, &tlv(0x30, &usages.concat()));
    }

    pub(crate) fn names(&mut self, names: &[Vec<u8>]) {
        self.set(NAMES, true, &tlv(0x30, &names.concat()));
    }

    /// What is to be signed.
    pub(crate) fn body(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self.extensions.iter().flat_map(|(_, extension)| extension.clone()).collect();
        let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0xA3, &tlv(0x30, &extensions)) };
        let validity = tlv(0x30, &[self.not_before.as_slice(), &self.not_after].concat());
        let fields = [&self.version, &self.serial, &self.inner_algorithm, &self.issuer, &validity];
        let more = [&self.subject, &self.spki, &extensions];
        tlv(0x30, &fields.into_iter().chain(more).flatten().copied().collect::<Vec<_>>())
    }

    /// What the byte at this place of the body is about.
    pub(crate) fn part(&self, at: usize) -> &'static str {
        let body = self.body();
        let holds = |part: &[u8]| {
            let begin = body.windows(part.len()).position(|window| window == part);
            begin.is_some_and(|begin| (begin..begin + part.len()).contains(&at))
        };
        let hints = [(AUTHORITY_KEY_ID, "authority key identifier"), (SUBJECT_KEY_ID, "subject key identifier")];
        let hint =
            |(oid, name)| self.extensions.iter().any(|(other, whole)| *other == oid && holds(whole)).then_some(name);
        let hint = hints.into_iter().find_map(hint);
        hint.unwrap_or(if holds(&self.spki) { "its key" } else { "its fields" })
    }

    pub(crate) fn signed(&self, by: &KeyPair) -> Vec<u8> {
        signed(&self.body(), &self.outer_algorithm, by)
    }
}

/// A certificate of this body, whatever it is.
pub(crate) fn signed(body: &[u8], algorithm: &[u8], by: &KeyPair) -> Vec<u8> {
    let signature = by.sign(body).expect("a signature");
    tlv(0x30, &[body, algorithm, &tlv(0x03, &[&[0], signature.as_slice()].concat())].concat())
}

pub(crate) fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

pub(crate) fn dns(text: &str) -> Vec<u8> {
    tlv(0x82, text.as_bytes())
}

/// A name of one common name.
pub(crate) fn name(common: &str) -> Vec<u8> {
    let attribute = [&[0x06, 0x03, 0x55, 0x04, 0x03][..], &tlv(0x0C, common.as_bytes())].concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &attribute)))
}

/// The last bytes of a key are as good a name for it as any.
fn key_id(key: &KeyPair) -> [u8; 20] {
    *key.public().spki().last_chunk().expect("a key is longer")
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short one");
    let [high, low] = length.to_be_bytes();
    let head: &[u8] = match length {
        0..0x80 => &[tag, low],
        0x80..0x100 => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, content].concat()
}

/// The same with its length in more bytes than it needs, which DER does not allow (X.690 §10.1).
pub(crate) fn long_tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a short one").to_be_bytes();
    [&[tag, 0x83, 0, high, low], content].concat()
}
