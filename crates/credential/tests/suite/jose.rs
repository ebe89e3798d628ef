//! `jsonwebtoken` believes our tokens, and we believe its.

use credence_credential::bundle::{Bundle, JwtAuthority, JwtBundle, X509Bundle, jwks, thumbprint};
use credence_credential::jwt_svid::{self, Template};
use credence_credential::key::{JwtAlgorithm, KeyAlgorithm, KeyPair};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ACTOR: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";

struct Signer {
    key: KeyPair,
    id: String,
    bundle: Bundle,
}

fn signer(algorithm: KeyAlgorithm) -> Signer {
    let td = TrustDomain::parse("td.test").expect("valid");
    let key = KeyPair::generate(algorithm).expect("a key");
    let id = thumbprint(key.public());
    let authority = JwtAuthority::new(id.clone(), key.public().clone()).expect("a JWT key");
    let jwt = JwtBundle::new(td.clone(), vec![authority]).expect("a bundle");
    let x509 = X509Bundle::new::<&[u8]>(td, &[]).expect("a bundle");
    Signer { key, id, bundle: Bundle::new(x509, jwt, 1, 1).expect("a bundle") }
}

const KINDS: [(KeyAlgorithm, JwtAlgorithm, Algorithm); 2] = [
    (KeyAlgorithm::EcdsaP256, JwtAlgorithm::Es256, Algorithm::ES256),
    (KeyAlgorithm::EcdsaP384, JwtAlgorithm::Es384, Algorithm::ES384),
];

#[test]
fn jsonwebtoken_verifies_our_tokens_from_our_key_set() {
    for (of_key, ours, theirs) in KINDS {
        let signer = signer(of_key);
        let template = Template {
            subject: SpiffeId::parse(ACTOR).expect("valid"),
            audience: vec!["tools".into()],
            issued_at: NOW,
            expires_at: NOW.plus_secs(100),
            jwt_id: "1".into(),
            claims: None,
        };
        let token =
            jwt_svid::encode(&template, ours, &signer.id, |bytes| signer.key.sign_jose(bytes)).expect("a token");
        let set: JwkSet = serde_json::from_str(&jwks(signer.bundle.jwt())).expect("a JWK Set");
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        let jwk = set.find(header.kid.as_deref().expect("a kid")).expect("our key");
        let key = DecodingKey::from_jwk(jwk).expect("a key");
        let mut validation = Validation::new(theirs);
        validation.validate_exp = false;
        validation.set_audience(&["tools"]);
        let read = jsonwebtoken::decode::<Value>(&token, &key, &validation).expect("verified");
        assert_eq!(read.claims["sub"], json!(ACTOR));
        validation.set_audience(&["others"]);
        assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_err());
    }
}

#[test]
fn we_verify_the_tokens_of_jsonwebtoken() {
    for (of_key, _, theirs) in KINDS {
        let signer = signer(of_key);
        let mut header = Header::new(theirs);
        header.kid = Some(signer.id.clone());
        let claims = json!({"sub": ACTOR, "aud": "tools", "exp": NOW.as_secs() + 1});
        let key = EncodingKey::from_ec_der(signer.key.pkcs8());
        let token = jsonwebtoken::encode(&header, &claims, &key).expect("a token");
        let read = jwt_svid::verify(&token, signer.bundle.jwt(), "tools", NOW).expect("verified");
        assert_eq!((read.id.as_str(), read.claims), (ACTOR, None));
    }
}
