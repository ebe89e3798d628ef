use super::*;

#[test]
fn every_kind_of_key_survives_pkcs8_and_signs_what_its_public_key_verifies() {
    for algorithm in KeyAlgorithm::ALL {
        let made = KeyPair::generate(algorithm).expect("a key");
        let read = KeyPair::from_pkcs8(made.pkcs8()).expect("its own PKCS#8");
        assert_eq!((read.algorithm(), read.public()), (algorithm, made.public()));
        let signature = read.sign(b"message").expect("a signature");
        assert_eq!(made.public().verify(b"message", &signature), Ok(()));
        assert_eq!(made.public().verify(b"massage", &signature), Err(KeyError::Signature));
    }
}

#[test]
fn a_key_has_exactly_one_encoding() {
    for algorithm in KeyAlgorithm::ALL {
        let spki = KeyPair::generate(algorithm).expect("a key").public().spki().to_vec();
        let mut trailing = spki.clone();
        trailing.push(0);
        let cut = &spki[..spki.len() - 1];
        for bad in [&trailing[..], cut] {
            assert_eq!(PublicKey::from_spki(bad, &KeyAlgorithm::ALL), Err(KeyError::Damaged));
        }
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut spki = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key").public().spki().to_vec();
    spki.iter_mut().skip(27).for_each(|byte| *byte = 1);
    assert_eq!(PublicKey::from_spki(&spki, &KeyAlgorithm::ALL), Err(KeyError::Damaged));
}

#[test]
fn a_kind_that_is_not_accepted_is_named_together_with_those_that_are() {
    let spki = KeyPair::generate(KeyAlgorithm::Ed25519).expect("a key").public().spki().to_vec();
    let error = PublicKey::from_spki(&spki, &[KeyAlgorithm::EcdsaP256]).expect_err("accepted");
    assert_eq!(error.to_string(), "key type Ed25519 is not accepted; use ECDSA P-256");
    let error = PublicKey::from_spki(RSA_SPKI, &KeyAlgorithm::ALL).expect_err("accepted");
    assert_eq!(error.to_string(), "key type RSA is not accepted; use ECDSA P-256 or ECDSA P-384 or Ed25519");
}

/// An RSA key with a tiny modulus: enough to be named.
const RSA_SPKI: &[u8] = &[
    0x30, 0x1b, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x0a,
    0x00, 0x30, 0x07, 0x02, 0x02, 0x0c, 0xaf, 0x02, 0x01, 0x03,
];

#[test]
fn the_private_key_is_not_in_the_debug_output() {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    assert!(format!("{key:?}").ends_with("private: \"redacted\" }"));
}
