use super::*;
use crate::fixture::{Authority, NOW};
use crate::key::{KeyAlgorithm, KeyPair};
use serde_json::{Value, json};

fn td() -> TrustDomain {
    TrustDomain::parse("td.test").expect("valid")
}

#[test]
fn a_document_is_read_back_as_the_bundle_it_was_written_from() {
    for algorithm in KeyAlgorithm::ALL {
        let bundle = Authority::new("td.test", algorithm).bundle();
        let document = write(&bundle).expect("written");
        assert_eq!(read(&td(), document.as_bytes()), Ok(bundle));
    }
}

#[test]
fn a_document_has_the_members_that_spiffe_asks_for_and_a_key_set_has_no_others() {
    let bundle = Authority::new("td.test", KeyAlgorithm::EcdsaP256).bundle();
    let document: Value = serde_json::from_str(&write(&bundle).expect("written")).expect("JSON");
    assert_eq!((&document["spiffe_sequence"], &document["spiffe_refresh_hint"]), (&json!(7), &json!(60)));
    let (x509, jwt) = (&document["keys"][0], &document["keys"][1]);
    assert_eq!(
        (&x509["use"], x509.get("kid"), x509["x5c"].as_array().map(Vec::len)),
        (&json!("x509-svid"), None, Some(1))
    );
    assert_eq!((&jwt["use"], &jwt["kid"], jwt.get("x5c")), (&json!("jwt-svid"), &json!("jwt-1"), None));
    let set: Value = serde_json::from_str(&jwks(bundle.jwt())).expect("JSON");
    assert_eq!(set["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!((set["keys"][0].get("use"), &set["keys"][0]["kid"]), (None, &json!("jwt-1")));
}

#[test]
fn entries_that_are_not_for_us_are_passed_over_and_broken_ones_are_named() {
    let bundle = Authority::new("td.test", KeyAlgorithm::EcdsaP256).bundle();
    let document: Value = serde_json::from_str(&write(&bundle).expect("written")).expect("JSON");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document = document.clone();
        change(&mut document);
        read(&td(), document.to_string().as_bytes())
    };
    for skipped in [
        json!({"kty": "EC"}),
        json!({"kty": "EC", "use": "sig"}),
        json!({"kty": "EC", "use": "X509-SVID"}),
        json!({"kty": "RSA", "use": "jwt-svid", "kid": "a", "n": "AQ", "e": "AQAB"}),
        json!({"kty": "none", "use": "jwt-svid", "kid": "a"}),
        json!({"kty": "EC", "use": "x509-svid"}),
        json!({"kty": "EC", "use": "x509-svid", "x5c": []}),
        json!({"use": "x509-svid", "x5c": ["AA=="]}),
    ] {
        let read = with(&|document| document["keys"].as_array_mut().expect("keys").push(skipped.clone()));
        assert_eq!(read.as_ref(), Ok(&bundle), "{skipped}");
    }
    let more = with(&|document| document["keys"][0]["x5c"].as_array_mut().expect("x5c").push(json!("not read")));
    assert_eq!(more, Ok(bundle));
    assert_eq!(with(&|document| document["keys"][0]["x5c"][0] = json!("%")), Err(DocumentError::Key(0)));
    assert_eq!(with(&|document| document["keys"][1]["kid"] = json!(null)), Err(DocumentError::Key(1)));
    assert_eq!(with(&|document| document["keys"][1]["x"] = json!("AQ")), Err(DocumentError::Key(1)));
    assert_eq!(with(&|document| document["keys"] = json!({})), Err(DocumentError::Member("keys")));
    assert_eq!(
        with(&|document| document["spiffe_sequence"] = json!(-1)),
        Err(DocumentError::Member("spiffe_sequence"))
    );
    assert!(matches!(read(&td(), br#"{"keys":[],"keys":[]}"#), Err(DocumentError::Json(_))));
    assert!(matches!(read(&td(), &vec![b' '; BUNDLE_BYTES_MAX + 1]), Err(DocumentError::TooLarge)));
}

#[test]
fn an_empty_key_set_is_a_bundle_that_trusts_nobody() {
    let bundle = read(&td(), br#"{"keys":[]}"#).expect("a bundle");
    assert_eq!((bundle.x509().anchors(NOW).len(), bundle.jwt().authorities().len()), (0, 0));
}

#[test]
fn concatenated_certificates_come_apart_again() {
    let roots: Vec<_> =
        (0..3).map(|_| Authority::new("td.test", KeyAlgorithm::EcdsaP256).signer.der().to_vec()).collect();
    let bundle = X509Bundle::new(td(), &roots).expect("a bundle");
    let bytes = bundle.concatenated();
    assert_eq!(X509Bundle::from_concatenated(td(), &bytes), Ok(bundle));
    assert!(X509Bundle::from_concatenated(td(), &bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn what_is_no_authority_does_not_enter_a_bundle() {
    let authority = Authority::new("td.test", KeyAlgorithm::EcdsaP256);
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let leaf = authority.signer.build(&crate::fixture::template(&key)).expect("a leaf");
    assert!(matches!(X509Bundle::new(td(), &[leaf]), Err(BundleError::Authority { position: 1, .. })));
    assert_eq!(X509Bundle::new(td(), &vec![authority.signer.der(); 65]), Err(BundleError::TooMany(td())));
    let jwt = |id: &str| JwtAuthority::new(id, key.public().clone()).expect("a JWT key");
    for ids in [vec!["a", "a"], vec![""]] {
        let authorities = ids.into_iter().map(jwt).collect();
        assert_eq!(JwtBundle::new(td(), authorities), Err(BundleError::KeyId(td())));
    }
    let ed25519 = KeyPair::generate(KeyAlgorithm::Ed25519).expect("a key");
    assert_eq!(JwtAuthority::new("a", ed25519.public().clone()), None);
}

#[test]
fn a_thumbprint_is_the_one_of_rfc_7638() {
    // RFC 7638 gives an RSA example only; this one was computed from the definition by another program.
    let point = [&[4][..], &hex::decode(EXAMPLE_POINT).expect("hexadecimal")].concat();
    let key = PublicKey::from_raw(KeyAlgorithm::EcdsaP256, &point).expect("a key");
    assert_eq!(thumbprint(&key), EXAMPLE_THUMBPRINT);
}

/// The generator of P-256 (SEC 2 §2.4.2).
const EXAMPLE_POINT: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                             4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const EXAMPLE_THUMBPRINT: &str = "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M";
