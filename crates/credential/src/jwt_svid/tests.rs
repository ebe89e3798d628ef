use super::*;
use crate::bundle::{BundleSet, JwtAuthority, JwtBundle};
use crate::fixture::{ACTOR, Authority, NOW, claims, id};
use crate::key::{KeyAlgorithm, KeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("td.test", KeyAlgorithm::EcdsaP256));

fn template() -> Template {
    Template {
        subject: id(ACTOR),
        audience: vec!["tools".into(), "spiffe://td.test/other".into()],
        issued_at: NOW,
        expires_at: NOW.plus_secs(300),
        jwt_id: "token-1".into(),
        claims: Some(claims()),
    }
}

fn token(template: &Template) -> String {
    encode(template, JwtAlgorithm::Es256, "jwt-1", |bytes| AUTHORITY.jwt.sign_jose(bytes)).expect("a token")
}

/// A token with any header and payload, truly signed.
fn forged(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = AUTHORITY.jwt.sign_jose(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn check(token: &str) -> Result<VerifiedJwtSvid, VerifyError> {
    verify(token, AUTHORITY.bundle().jwt(), "tools", NOW)
}

const HEADER: &str = r#"{"alg":"ES256","kid":"jwt-1","typ":"JWT"}"#;

fn payload() -> Value {
    json!({"sub": ACTOR, "aud": ["tools"], "exp": NOW.as_secs() + 300})
}

#[test]
fn a_token_is_read_back_as_it_was_ordered() {
    let ordered = template();
    let read = verify_in(&token(&ordered), &BundleSet::from(AUTHORITY.bundle()), "tools", NOW).expect("verified");
    assert_eq!((&read.id, &read.audience, &read.claims), (&ordered.subject, &ordered.audience, &ordered.claims));
    assert_eq!((read.expires_at, read.issued_at), (ordered.expires_at, Some(ordered.issued_at)));
    assert_eq!(read.members["credence"]["epoch"], json!(7));
    let es384 = KeyPair::generate(KeyAlgorithm::EcdsaP384).expect("a key");
    let token = encode(&ordered, JwtAlgorithm::Es384, "k", |bytes| es384.sign_jose(bytes)).expect("a token");
    let authority = JwtAuthority::new("k", es384.public().clone()).expect("a JWT key");
    let bundle = JwtBundle::new(ordered.subject.trust_domain(), vec![authority]).expect("a bundle");
    assert!(verify(&token, &bundle, "tools", NOW).is_ok());
}

#[test]
fn what_cannot_be_a_jwt_svid_is_not_written() {
    let refused = |change: fn(&mut Template)| {
        let mut template = template();
        change(&mut template);
        encode(&template, JwtAlgorithm::Es256, "k", |_| Ok::<_, ()>(vec![])).expect_err("written")
    };
    assert_eq!(refused(|order| order.audience.clear()), EncodeError::Audience);
    assert_eq!(refused(|order| order.audience = vec![String::new()]), EncodeError::Audience);
    assert_eq!(refused(|order| order.audience = vec!["a".into(); 17]), EncodeError::Audience);
    assert_eq!(refused(|order| order.audience = vec!["a".repeat(2049)]), EncodeError::Audience);
    assert_eq!(refused(|order| order.expires_at = order.issued_at), EncodeError::Validity);
    assert!(matches!(refused(|order| order.subject = id("spiffe://td.test")), EncodeError::Subject(_)));
}

#[test]
fn a_header_that_says_anything_unexpected_is_refused() {
    let body = payload().to_string();
    assert!(check(&forged(HEADER, &body)).is_ok(), "the unspoilt token must verify");
    for fine in [r#"{"alg":"ES256","kid":"jwt-1"}"#, r#"{"alg":"ES256","kid":"jwt-1","typ":"JOSE"}"#] {
        assert!(check(&forged(fine, &body)).is_ok(), "{fine}");
    }
    for (header, message) in [
        (r#"{"alg":"none","kid":"jwt-1"}"#, "alg is not accepted"),
        (r#"{"alg":"HS256","kid":"jwt-1"}"#, "alg is not accepted"),
        (r#"{"alg":"EdDSA","kid":"jwt-1"}"#, "alg is not accepted"),
        (r#"{"alg":"es256","kid":"jwt-1"}"#, "alg is not accepted"),
        (r#"{"kid":"jwt-1"}"#, "alg is not accepted"),
        (r#"{"alg":"ES384","kid":"jwt-1"}"#, "not the one of the key"),
        (r#"{"alg":"ES256"}"#, "no usable kid"),
        (r#"{"alg":"ES256","kid":""}"#, "no usable kid"),
        (r#"{"alg":"ES256","kid":7}"#, "no usable kid"),
        (r#"{"alg":"ES256","kid":"../jwt-1"}"#, "no key with its kid"),
        (r#"{"alg":"ES256","kid":"jwt-1","typ":"at+jwt"}"#, "a typ other"),
        (r#"{"alg":"ES256","kid":"jwt-1","typ":null}"#, "a typ other"),
        (r#"{"alg":"ES256","kid":"jwt-1","jku":"https://x"}"#, "a member other"),
        (r#"{"alg":"ES256","kid":"jwt-1","crit":["exp"]}"#, "a member other"),
        (r#"{"alg":"ES256","kid":"jwt-1","kid":"jwt-1"}"#, "header cannot be read"),
        (r#"["ES256"]"#, "header cannot be read"),
    ] {
        let error = check(&forged(header, &body)).expect_err(header).to_string();
        assert!(error.contains(message), "{header}: {error}");
    }
}

#[test]
fn a_payload_that_is_not_for_us_now_is_refused() {
    let now = NOW.as_secs();
    for (member, value, message) in [
        ("sub", json!(null), "claim sub"),
        ("sub", json!("alice"), "claim sub"),
        ("sub", json!("spiffe://td.test"), "claim sub"),
        ("sub", json!("spiffe://other.test/a"), "no bundle"),
        ("aud", json!([]), "claim aud"),
        ("aud", json!(null), "claim aud"),
        ("aud", json!(["tools", 7]), "claim aud"),
        ("aud", json!("Tools"), "audience does not hold `tools`"),
        ("aud", json!(["tools "]), "audience does not hold `tools`"),
        ("exp", json!(null), "claim exp"),
        ("exp", json!("1900000000"), "claim exp"),
        ("exp", json!(-1), "claim exp"),
        ("exp", json!(1e300), "claim exp"),
        ("exp", json!(now - LEEWAY_SECS), "expired"),
        ("nbf", json!(now + LEEWAY_SECS + 1), "not valid yet"),
        ("iat", json!(now + LEEWAY_SECS + 1), "not valid yet"),
        ("jti", json!(7), "claim jti"),
        ("credence", json!({"epoch": 1}), "claim credence"),
    ] {
        let mut payload = payload();
        payload[member] = value;
        let error = check(&forged(HEADER, &payload.to_string())).expect_err(member).to_string();
        assert!(error.contains(message), "{payload}: {error}");
    }
    for (member, value) in [
        ("aud", json!("tools")),
        ("exp", json!(now - LEEWAY_SECS + 1)),
        ("exp", json!(now as f64 + 0.5)),
        ("nbf", json!(now + LEEWAY_SECS)),
        ("unknown", json!({"a": [1]})),
    ] {
        let mut payload = payload();
        payload[member] = value;
        assert!(check(&forged(HEADER, &payload.to_string())).is_ok(), "{payload}");
    }
    let twice = format!(r#"{{"sub":"{ACTOR}","sub":"{ACTOR}","aud":"tools","exp":1900000000}}"#);
    assert_eq!(check(&forged(HEADER, &twice)), Err(VerifyError::Malformed("payload")));
}

#[test]
fn nothing_but_the_compact_form_is_read() {
    let good = token(&template());
    let json_form = json!({"payload": "e30", "signatures": []}).to_string();
    for bad in [
        String::new(),
        json_form,
        good.replace('.', ""),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).unwrap_or_default(),
        "a".repeat(TOKEN_BYTES_MAX + 1),
    ] {
        assert!(check(&bad).is_err(), "{}", &bad[..bad.len().min(80)]);
    }
}

#[test]
fn a_token_of_another_authority_is_refused_and_never_repeated() {
    let stranger = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let token = encode(&template(), JwtAlgorithm::Es256, "jwt-1", |bytes| stranger.sign_jose(bytes)).expect("a token");
    let error = check(&token).expect_err("believed");
    assert_eq!(error, VerifyError::Signature);
    assert!(!error.to_string().contains(&token[..20]));
}

proptest! {
    #[test]
    fn no_change_of_one_character_is_believed(at in 0_usize..4096, with in "[A-Za-z0-9._=-]") {
        let mut token = token(&template());
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
