//! What a peer shows to prove who it is: certificates, requests, tokens, bundles.
//!
//! `crates/testkit/fixtures/fuzz` holds an authority's public bundle with one X.509-SVID and one JWT-SVID. Its keys were
//! thrown away, so nothing else that it signed can ever be accepted. The same of a provider's key set and a user's token.

use super::refused_alike;
use credence_attest::join_token::{JoinToken, TEXT_BYTES};
use credence_credential::bundle::{self, Bundle};
use credence_credential::key::KeyAlgorithm;
use credence_credential::openid::{self, Expected, KeySet, Presented};
use credence_credential::{csr, jwt_svid, pem, x509_svid};
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A moment at which the fixtures are valid.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// For whom the token is.
const AUDIENCE: &str = "tool";
pub(super) const LEAF: &[u8] = include_bytes!("../../fixtures/fuzz/leaf.der");
pub(super) const TOKEN: &str = include_str!("../../fixtures/fuzz/token.txt");
const BUNDLE: &[u8] = include_bytes!("../../fixtures/fuzz/bundle.json");

pub(super) static AUTHORITY: LazyLock<Bundle> =
    LazyLock::new(|| bundle::read(&trust_domain(), BUNDLE).expect("the fixture"));

/// The keys of a provider of users, whose private one was thrown away, and a token that it signed.
static PROVIDER: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::read(include_bytes!("../../fixtures/fuzz/provider.json")).expect("the fixture"));
const USER_TOKEN: &str = include_str!("../../fixtures/fuzz/user_token.txt").trim_ascii_end();

fn trust_domain() -> TrustDomain {
    TrustDomain::parse("td.test").expect("a name")
}

/// A certificate says the same twice; only the one that the authority signed is believed, and it says what was signed.
pub fn certificate(bytes: &[u8]) {
    match (x509_svid::inspect(bytes), x509_svid::inspect(bytes)) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two);
            serde_json::to_string(&one).expect("can be shown");
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {one:?} and {two:?}"),
    }
    if let Ok(believed) = x509_svid::verify(&[bytes], AUTHORITY.x509(), NOW) {
        let signed = x509_svid::verify(&[LEAF], AUTHORITY.x509(), NOW).expect("the fixture");
        assert_eq!(believed, signed, "believed, and not what was signed");
        assert!(x509_svid::inspect(bytes).is_ok_and(|inspected| inspected.violations.is_empty()));
    }
    if let Ok(certificates) = pem::read_certificates(bytes) {
        let written: String =
            certificates.iter().map(|der| pem::write(pem::Label::Certificate, der).to_string()).collect();
        assert_eq!(pem::read_certificates(written.as_bytes()), Ok(certificates));
    }
}

/// A signing request proves the key that it names, the same twice, and never more than its limit is read.
pub fn request(bytes: &[u8]) {
    match (csr::prove(bytes, &KeyAlgorithm::ALL), csr::prove(bytes, &KeyAlgorithm::ALL)) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two);
            assert!(bytes.len() <= csr::CSR_BYTES_MAX);
            assert!(bytes.windows(one.spki().len()).any(|window| window == one.spki()), "a key that is not in it");
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {one:?} and {two:?}"),
    }
}

/// A token says the same twice; only what the authority signed is believed, and another implementation believes it, too.
pub fn jwt_svid(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match (jwt_svid::inspect(text), jwt_svid::inspect(text)) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two);
            assert!(text.len() <= jwt_svid::TOKEN_BYTES_MAX && text.matches('.').count() == 2);
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {one:?} and {two:?}"),
    }
    if let Ok(believed) = jwt_svid::verify(text, AUTHORITY.jwt(), AUDIENCE, NOW) {
        let signed = jwt_svid::verify(TOKEN.trim_end(), AUTHORITY.jwt(), AUDIENCE, NOW).expect("the fixture");
        assert_eq!(believed, signed, "believed, and not what was signed");
        let same = text.rsplit_once('.').map(|(signed, _)| signed) == TOKEN.rsplit_once('.').map(|(signed, _)| signed);
        assert!(same, "another text than the one signed");
        assert_eq!(theirs(text), Some(believed.members.into()), "the other implementation does not believe it");
    }
}

/// What the other implementation believes. Times are left to ours: its clock is the machine's, and the token's is not.
fn theirs(text: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(text).ok()?;
    let keys: JwkSet = serde_json::from_slice(BUNDLE).expect("the fixture");
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).ok()?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    validation.validate_exp = false;
    jsonwebtoken::decode(text, &key, &validation).ok().map(|data| data.claims)
}

/// A user's token says the same twice, and only what the provider signed is believed. The same bytes as a key set: it has
/// no more keys than are read, and all that are in it can be named.
pub fn user_token(bytes: &[u8]) {
    match (KeySet::read(bytes), KeySet::read(bytes)) {
        (Ok(one), Ok(two)) => assert!(one == two && one.len() <= openid::KEYS_MAX),
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {one:?} and {two:?}"),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let require = BTreeMap::new();
    let expected =
        Expected { issuer: "https://login.td.test", audience: "credence", user_claim: "sub", require: &require };
    let verify = || Presented::parse(text).and_then(|token| token.verify(&PROVIDER, expected, NOW));
    let signed = |text: &str| text.rsplit_once('.').map(|(signed, _)| signed.to_owned());
    match (verify(), verify()) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two);
            assert_eq!((one.subject.as_str(), signed(text)), ("ada", signed(USER_TOKEN)), "believed, and not signed");
        }
        (Err(one), Err(two)) => {
            refused_alike(one, two);
            assert_ne!(text, USER_TOKEN, "the provider's own token is not believed");
        }
        (one, two) => panic!("judged in two ways: {one:?} and {two:?}"),
    }
}

/// A join token is written back to the text it was read from: there is one text for each.
pub fn join_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match JoinToken::parse(text) {
        Ok(token) => {
            assert!(text.len() == TEXT_BYTES && token.render().as_str() == text, "two texts for one token");
            assert!(credence_attest::join_token::verify(token.secret(), &token.digest()));
        }
        Err(refusal) => {
            refused_alike(refusal, JoinToken::parse(text).expect_err("accepted the second time"));
        }
    }
}

/// A bundle document that is understood is written to one that means the same, which is its own canonical form.
pub fn bundle(bytes: &[u8]) {
    match bundle::read(&trust_domain(), bytes) {
        Ok(read) => {
            // An authority may have a key of a kind that is verified with and cannot be written as a JWK.
            let Ok(written) = bundle::write(&read) else { return };
            let again = bundle::read(&trust_domain(), written.as_bytes()).expect("reads what it wrote");
            assert_eq!(again, read);
            assert_eq!(bundle::write(&again).as_ref(), Ok(&written), "two ways to write one bundle");
        }
        Err(refusal) => {
            refused_alike(refusal, bundle::read(&trust_domain(), bytes).expect_err("accepted the second time"));
        }
    }
}
