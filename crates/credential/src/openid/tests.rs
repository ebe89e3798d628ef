use super::*;
use crate::bundle::jwk;
use crate::fixture::NOW;
use crate::key::{KeyAlgorithm, KeyPair};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const ISSUER: &str = "https://login.example.org";
const HEADER: &str = r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#;

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key"));
static RSA: LazyLock<RsaPair> = LazyLock::new(|| RsaPair::generate(KeySize::Rsa2048).expect("a key"));

fn jwk_of(key: &KeyPair, id: &str) -> Value {
    let mut members = jwk::members(key.public());
    members.insert("kid".into(), id.into());
    members.into()
}

fn rsa_jwk(id: &str) -> Value {
    let public = RSA.public_key();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (
        number(public.modulus().big_endian_without_leading_zero()),
        number(public.exponent().big_endian_without_leading_zero()),
    );
    json!({ "kty": "RSA", "kid": id, "use": "sig", "n": n, "e": e })
}

fn keys(all: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": all }).to_string().as_bytes()).expect("a key set")
}

fn forged(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(signed.as_bytes())))
}

fn token(header: &str, payload: &str) -> String {
    forged(header, payload, |bytes| KEY.sign_jose(bytes).expect("a signature"))
}

fn claims() -> Value {
    let now = NOW.as_secs();
    json!({ "iss": ISSUER, "sub": "ada", "aud": "credence", "iat": now - 10, "exp": now + 300, "email": "ada@example.org" })
}

fn check_as(token: &str, keys: &KeySet, user_claim: &str, require: &Value) -> Result<VerifiedUser, TokenError> {
    let require: BTreeMap<String, Value> = serde_json::from_value(require.clone()).expect("a table");
    let expected = Expected { issuer: ISSUER, audience: "credence", user_claim, require: &require };
    Presented::parse(token)?.verify(keys, expected, NOW)
}

fn check(token: &str) -> Result<VerifiedUser, TokenError> {
    check_as(token, &keys(&[jwk_of(&KEY, "k1")]), "sub", &json!({}))
}

#[test]
fn a_token_of_every_accepted_algorithm_names_its_user() {
    let ada = VerifiedUser { subject: "ada".into(), expires_at: NOW.plus_secs(300) };
    for (kind, alg) in [
        (KeyAlgorithm::EcdsaP256, "ES256"),
        (KeyAlgorithm::EcdsaP384, "ES384"),
        (KeyAlgorithm::Ed25519, "EdDSA"),
        (KeyAlgorithm::Ed25519, "Ed25519"),
    ] {
        let key = KeyPair::generate(kind).expect("a key");
        let header = json!({ "alg": alg, "kid": "k", "typ": "at+jwt", "x5t": "unknown members are passed over" });
        let sign = |bytes: &[u8]| match kind {
            KeyAlgorithm::Ed25519 => key.sign(bytes).expect("a signature"),
            _ => key.sign_jose(bytes).expect("a signature"),
        };
        let token = forged(&header.to_string(), &claims().to_string(), sign);
        let keys = keys(&[rsa_jwk("r"), jwk_of(&key, "k")]);
        assert_eq!(check_as(&token, &keys, "sub", &json!({})), Ok(ada.clone()), "{alg}");
    }
    for (alg, encoding) in [("RS256", &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding), ("PS256", &RSA_PSS_SHA256)] {
        let header = json!({ "alg": alg, "kid": "r" }).to_string();
        let sign = |bytes: &[u8]| {
            let mut signature = vec![0; RSA.public_modulus_len()];
            RSA.sign(encoding, &SystemRandom::new(), bytes, &mut signature).expect("a signature");
            signature
        };
        let token = forged(&header, &claims().to_string(), sign);
        let mut named = rsa_jwk("r");
        named["alg"] = alg.into();
        assert_eq!(check_as(&token, &keys(&[named]), "sub", &json!({})), Ok(ada.clone()), "{alg}");
        let unnamed = check_as(&token, &keys(&[rsa_jwk("r")]), "sub", &json!({}));
        assert_eq!(unnamed.is_ok(), alg == "RS256", "an RSA key that says no algorithm signs with RS256: {unnamed:?}");
    }
}

#[test]
fn a_header_that_could_mislead_is_refused() {
    assert!(check(&token(HEADER, &claims().to_string())).is_ok(), "the unspoilt token must verify");
    for (header, message) in [
        (r#"{"alg":"none","kid":"k1"}"#, "alg is not accepted"),
        (r#"{"alg":"HS256","kid":"k1"}"#, "alg is not accepted"),
        (r#"{"alg":"es256","kid":"k1"}"#, "alg is not accepted"),
        (r#"{"kid":"k1"}"#, "alg is not accepted"),
        (r#"{"alg":"RS256","kid":"k1"}"#, "not the one of the key"),
        (r#"{"alg":"ES384","kid":"k1"}"#, "not the one of the key"),
        (r#"{"alg":"ES256"}"#, "no usable kid"),
        (r#"{"alg":"ES256","kid":"other"}"#, "no key with the token's kid"),
        (r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#, "a typ other"),
        (r#"{"alg":"ES256","kid":"k1","typ":7}"#, "a typ other"),
        (r#"{"alg":"ES256","kid":"k1","jku":"https://evil.example"}"#, "a key of its own"),
        (r#"{"alg":"ES256","kid":"k1","x5u":"https://evil.example"}"#, "a key of its own"),
        (r#"{"alg":"ES256","kid":"k1","jwk":{}}"#, "a key of its own"),
        (r#"{"alg":"ES256","kid":"k1","crit":["x"],"x":1}"#, "a key of its own"),
        (r#"{"alg":"ES256","kid":"k1","kid":"k1"}"#, "header cannot be read"),
    ] {
        let error = check(&token(header, &claims().to_string())).expect_err(header).to_string();
        assert!(error.contains(message), "{header}: {error}");
    }
    let unsigned = forged(r#"{"alg":"none","kid":"k1"}"#, &claims().to_string(), |_| Vec::new());
    assert_eq!(check(&unsigned), Err(TokenError::Algorithm));
}

#[test]
fn a_claim_that_is_not_as_it_has_to_be_is_refused() {
    let now = NOW.as_secs();
    for (member, value, message) in [
        ("iss", json!("https://login.example.org/"), "claim iss"),
        ("iss", json!(7), "claim iss"),
        ("aud", json!("other"), "not `credence` alone"),
        ("aud", json!(["credence", "other"]), "not `credence` alone"),
        ("aud", json!("Credence"), "not `credence` alone"),
        ("aud", json!([]), "claim aud"),
        ("aud", Value::Null, "claim aud"),
        ("sub", json!(""), "claim sub"),
        ("sub", json!("a\nb"), "claim sub"),
        ("sub", json!("a".repeat(256)), "claim sub"),
        ("exp", json!(now - LEEWAY_SECS), "expired"),
        ("exp", json!(now - 10), "claim exp"),
        ("exp", json!(now + TOKEN_SECS_MAX), "valid for longer"),
        ("exp", json!("soon"), "claim exp"),
        ("exp", Value::Null, "claim exp"),
        ("iat", json!(now + LEEWAY_SECS + 1), "not valid yet"),
        ("iat", Value::Null, "claim iat"),
        ("nbf", json!(now + LEEWAY_SECS + 1), "not valid yet"),
        ("client_id", json!("ada"), "claim sub"),
        ("azp", json!("ada"), "claim sub"),
        ("cid", json!("ada"), "claim sub"),
        ("appid", json!("ada"), "claim sub"),
        ("events", json!({}), "claim events"),
    ] {
        let mut claims = claims();
        claims[member] = value;
        let error = check(&token(HEADER, &claims.to_string())).expect_err(member).to_string();
        assert!(error.contains(message), "{claims}: {error}");
    }
    let twice = claims().to_string().replacen('{', r#"{"sub":"bob","#, 1);
    assert_eq!(check(&token(HEADER, &twice)), Err(TokenError::Malformed("payload")));
}

#[test]
fn the_user_is_who_the_configured_claim_names_and_required_claims_have_to_be_there() {
    let keys = keys(&[jwk_of(&KEY, "k1")]);
    let mut claims = claims();
    let ask = |claims: &Value, user_claim: &str, require: Value| {
        let verified = check_as(&token(HEADER, &claims.to_string()), &keys, user_claim, &require);
        verified.map(|user| user.subject).map_err(|error| error.to_string())
    };
    let unverified = ask(&claims, "email", json!({})).expect_err("an address that nobody has checked");
    assert!(unverified.contains("claim email_verified"), "{unverified}");
    claims["email_verified"] = json!(true);
    assert_eq!(ask(&claims, "email", json!({})).as_deref(), Ok("ada@example.org"));
    assert!(ask(&claims, "preferred_username", json!({})).is_err(), "a claim that is not there");
    claims["groups"] = json!(["staff", "finance"]);
    assert_eq!(ask(&claims, "sub", json!({ "groups": "finance", "email_verified": true })).as_deref(), Ok("ada"));
    assert!(ask(&claims, "sub", json!({ "groups": "fin" })).is_err());
    assert!(ask(&claims, "sub", json!({ "hd": "example.org" })).is_err());
}

#[test]
fn a_key_set_has_only_keys_that_may_sign_and_one_for_each_id() {
    let good = jwk_of(&KEY, "k1");
    let spoilt = |member: &str, value: Value| {
        let mut key = good.clone();
        key[member] = value;
        key
    };
    let mut weak = rsa_jwk("weak");
    weak["e"] = "AQ".into();
    let mut short = rsa_jwk("short");
    short["n"] = URL_SAFE_NO_PAD.encode([0x81; 128]).into();
    let symmetric = json!({ "kty": "oct", "kid": "o", "k": "c2VjcmV0" });
    for unusable in [
        spoilt("use", json!("enc")),
        spoilt("alg", json!("HS256")),
        spoilt("alg", json!("ES384")),
        spoilt("crv", json!("P-521")),
        spoilt("x", json!("AA")),
        spoilt("kid", json!("")),
        json!("no key"),
        symmetric,
        weak,
        short,
    ] {
        assert!(keys(std::slice::from_ref(&unusable)).is_empty(), "{unusable}");
        assert_eq!(keys(&[unusable, good.clone()]).len(), 1);
    }
    let read = |text: &str| KeySet::read(text.as_bytes());
    assert_eq!(read(&json!({ "keys": [good, good] }).to_string()), Err(KeySetError::Ambiguous));
    assert_eq!(read(&json!({ "keys": vec![good; KEYS_MAX + 1] }).to_string()), Err(KeySetError::TooMany));
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(read(bad), Err(KeySetError::Malformed), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_change_of_one_character_is_believed(at in 0_usize..4096, with in "[A-Za-z0-9._=-]") {
        let mut token = token(HEADER, &claims().to_string());
        let at = at % token.len();
        prop_assume!(token.get(at..=at) != Some(with.as_str()));
        token.replace_range(at..=at, &with);
        prop_assert!(check(&token).is_err());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,80}", parts in "[A-Za-z0-9_-]{0,20}\\.[A-Za-z0-9_-]{0,20}\\.[A-Za-z0-9_-]{0,20}") {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&parts).is_err());
    }
}
