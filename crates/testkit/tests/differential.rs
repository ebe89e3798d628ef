//! Two implementations of one standard: what ours accepts, the other one accepts too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_credential::bundle::{JwtAuthority, JwtBundle};
use credence_credential::jwt_svid;
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_model::spiffe_id::TrustDomain;
use credence_model::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, get_current_timestamp};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};
use std::sync::OnceLock;

const AUDIENCE: &str = "spiffe://td.test/tool";
const KEY_ID: &str = "key-1";
/// Characters of a token; any of them may be changed into any other.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";

/// Every algorithm that JWT-SVIDs are signed with, with its kind of key and the bytes of its point.
const ALGORITHMS: [(Algorithm, KeyAlgorithm, usize); 2] =
    [(Algorithm::ES256, KeyAlgorithm::EcdsaP256, 64), (Algorithm::ES384, KeyAlgorithm::EcdsaP384, 96)];

/// What a header may say.
const SAID: [Algorithm; 7] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::RS256,
    Algorithm::PS512,
    Algorithm::HS256,
    Algorithm::HS384,
];

struct Keys {
    algorithm: Algorithm,
    pair: KeyPair,
    bundle: JwtBundle,
    theirs: DecodingKey,
}

/// The keys of one of [`ALGORITHMS`].
fn keys(which: usize) -> &'static Keys {
    static KEYS: [OnceLock<Keys>; ALGORITHMS.len()] = [const { OnceLock::new() }; ALGORITHMS.len()];
    KEYS[which].get_or_init(|| {
        let (algorithm, of_key, point_bytes) = ALGORITHMS[which];
        let pair = KeyPair::generate(of_key).expect("a key");
        let authority = JwtAuthority::new(KEY_ID, pair.public().clone()).expect("a JWT key");
        let trust_domain = TrustDomain::parse("td.test").expect("a trust domain");
        let bundle = JwtBundle::new(trust_domain, vec![authority]).expect("a bundle");
        // The point is the end of the SubjectPublicKeyInfo: 04, x, y.
        let spki = pair.public().spki();
        let (x, y) = spki[spki.len() - point_bytes..].split_at(point_bytes / 2);
        let theirs = DecodingKey::from_ec_components(&URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y));
        Keys { algorithm, theirs: theirs.expect("their key"), bundle, pair }
    })
}

fn ours(keys: &Keys, token: &str) -> Option<Value> {
    let now = Timestamp::from_secs(get_current_timestamp());
    jwt_svid::verify(token, &keys.bundle, AUDIENCE, now).ok().map(|verified| verified.members.into())
}

fn theirs(keys: &Keys, token: &str) -> Option<Value> {
    let mut validation = Validation::new(keys.algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    validation.validate_nbf = true;
    decode::<Value>(token, &keys.theirs, &validation).ok().map(|data| data.claims)
}

fn written(keys: &Keys, header: Header, claims: &Value) -> String {
    encode(&header, claims, &EncodingKey::from_ec_der(keys.pair.pkcs8())).expect("a token")
}

fn header(keys: &Keys) -> Header {
    Header { kid: Some(KEY_ID.into()), ..Header::new(keys.algorithm) }
}

fn good() -> Value {
    json!({ "sub": "spiffe://td.test/a", "aud": [AUDIENCE], "exp": get_current_timestamp() + 1_000 })
}

/// A claim set as somebody might write it: members left out, of a wrong type, too early or too late.
fn claims() -> impl Strategy<Value = Value> {
    let now = get_current_timestamp();
    let times = move || {
        prop_oneof![
            Just(Value::Null),
            Just(json!(now + 1_000)),
            Just(json!(now - 1_000)),
            Just(json!("soon")),
            Just(json!(1e300)),
            Just(json!(-5)),
        ]
    };
    let audience = prop_oneof![
        Just(Value::Null),
        Just(json!(AUDIENCE)),
        Just(json!([AUDIENCE])),
        Just(json!(["other", AUDIENCE])),
        Just(json!(["other"])),
        Just(json!([])),
        Just(json!([7, AUDIENCE])),
    ];
    let subject = prop_oneof![
        Just(json!("spiffe://td.test/a")),
        Just(json!("spiffe://other.test/a")),
        Just(json!("spiffe://td.test")),
        Just(json!(7)),
        Just(Value::Null),
    ];
    (subject, audience, times(), times()).prop_map(|(sub, aud, exp, nbf)| {
        let members = [("sub", sub), ("aud", aud), ("exp", exp), ("nbf", nbf)];
        members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

#[test]
fn a_good_token_is_accepted_by_both_with_the_same_members() {
    for keys in (0..ALGORITHMS.len()).map(keys) {
        let claims = good();
        let token = written(keys, header(keys), &claims);
        assert_eq!(ours(keys, &token), Some(claims));
        assert_eq!(theirs(keys, &token), ours(keys, &token));
    }
}

#[test]
fn a_key_of_a_kind_that_signs_no_tokens_is_none_of_a_bundle() {
    for algorithm in KeyAlgorithm::ALL {
        let pair = KeyPair::generate(algorithm).expect("a key");
        let signs = ALGORITHMS.iter().any(|(_, of_key, _)| *of_key == algorithm);
        assert_eq!(JwtAuthority::new(KEY_ID, pair.public().clone()).is_some(), signs, "{algorithm}");
    }
}

proptest! {
    #[test]
    fn no_claims_are_accepted_that_the_other_one_refuses(which in 0..ALGORITHMS.len(), claims in claims()) {
        let keys = keys(which);
        let token = written(keys, header(keys), &claims);
        if let Some(members) = ours(keys, &token) {
            prop_assert_eq!(&members, &claims);
            prop_assert_eq!(theirs(keys, &token), Some(claims));
        }
    }

    #[test]
    fn no_change_of_a_character_is_accepted(which in 0..ALGORITHMS.len(), at in any::<usize>(), to in any::<usize>()) {
        let keys = keys(which);
        let mut token = written(keys, header(keys), &good()).into_bytes();
        let (at, to) = (at % token.len(), ALPHABET[to % ALPHABET.len()]);
        let changed = std::mem::replace(&mut token[at], to) != to;
        let token = String::from_utf8(token).expect("text");
        prop_assert_eq!(ours(keys, &token).is_some(), !changed, "{}", token);
        prop_assert!(theirs(keys, &token).is_some() || ours(keys, &token).is_none());
    }

    #[test]
    fn no_other_algorithm_type_or_key_id_is_accepted(
        which in 0..ALGORITHMS.len(), said in 0..SAID.len(), typ in 0..3_usize, kid in 0..3_usize,
    ) {
        let keys = keys(which);
        let mut header = header(keys);
        header.alg = SAID[said];
        header.typ = [Some("JWT".to_owned()), Some("JOSE".to_owned()), Some("at+jwt".to_owned())][typ].clone();
        header.kid = [Some(KEY_ID.to_owned()), Some("key-2".to_owned()), None][kid].clone();
        // Signed with the right key, whatever the header says.
        let text = serde_json::to_vec(&header).expect("a header");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(good().to_string()));
        let signature = keys.pair.sign_jose(signed.as_bytes()).expect("a signature");
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let is_right = SAID[said] == keys.algorithm && typ < 2 && kid == 0;
        prop_assert_eq!(ours(keys, &token).is_some(), is_right, "{:?}", header);
        prop_assert!(theirs(keys, &token).is_some() || ours(keys, &token).is_none());
    }

    #[test]
    fn no_key_of_the_other_kind_signs(which in 0..ALGORITHMS.len(), said in 0..SAID.len()) {
        let (keys, other) = (keys(which), keys((which + 1) % ALGORITHMS.len()));
        let text = serde_json::to_vec(&Header { alg: SAID[said], ..header(keys) }).expect("a header");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(good().to_string()));
        let signature = other.pair.sign_jose(signed.as_bytes()).expect("a signature");
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        prop_assert_eq!((ours(keys, &token), theirs(keys, &token)), (None, None));
    }
}
