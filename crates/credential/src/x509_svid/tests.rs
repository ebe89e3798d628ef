use super::*;
use crate::bundle::X509Bundle;
use crate::fixture::{ACTOR, Authority, NOW, ca_template, claims, id, template};
use crate::key::{KeyAlgorithm, KeyPair};
use credence_model::id::Epoch;
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use std::sync::LazyLock;

/// What the error must name, and how to cause it.
type Spoilt<T> = (&'static str, fn(&mut T));

fn key() -> KeyPair {
    KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key")
}

fn authority() -> Authority {
    Authority::new("td.test", KeyAlgorithm::EcdsaP256)
}

#[test]
fn a_leaf_of_every_kind_of_key_is_what_was_ordered_and_verifies() {
    for of_root in KeyAlgorithm::ALL {
        for of_leaf in KeyAlgorithm::ALL {
            let (authority, key) = (Authority::new("td.test", of_root), KeyPair::generate(of_leaf).expect("a key"));
            let template = template(&key);
            let leaf = authority.signer.build(&template).expect("a leaf");
            assert_eq!(validate(&leaf, &template, &authority.signer), Ok(()));
            let verified = verify(&[&leaf], &authority.x509(), NOW).expect("verified");
            assert_eq!((verified.id.as_str(), verified.claims.as_ref()), (ACTOR, Some(&claims())));
            assert_eq!((verified.not_after, &verified.spki), (template.not_after, &template.spki));
        }
    }
}

#[test]
fn the_serial_number_is_positive_and_never_padded() {
    let (authority, key) = (authority(), key());
    for serial in [[0xff; 16], [0x7f; 16], [0; 16].map(|_| 1), {
        let mut one = [0; 16];
        one[15] = 1;
        one
    }] {
        let template = Template { serial, ..template(&key) };
        let leaf = authority.signer.build(&template).expect("a leaf");
        assert_eq!(validate(&leaf, &template, &authority.signer), Ok(()));
    }
    assert_eq!(authority.signer.build(&Template { serial: [0; 16], ..template(&key) }), Err(BuildError::Serial));
}

#[test]
fn what_an_authority_may_not_certify_is_refused_before_signing() {
    let (authority, key) = (authority(), key());
    let refused = |change: fn(&mut Template)| {
        let mut template = template(&key);
        change(&mut template);
        authority.signer.build(&template).expect_err("built").to_string()
    };
    assert!(refused(|order| order.subject = id("spiffe://td.test")).contains("cannot be certified"));
    assert!(refused(|order| order.subject = id("spiffe://other.test/a")).contains("cannot be certified"));
    assert!(refused(|order| order.not_after = order.not_before).contains("validity"));
    assert!(refused(|order| order.not_after = NOW.plus_secs(1_000_000)).contains("validity"));
    assert!(refused(|order| order.spki.push(0)).contains("key"));
    assert!(refused(|order| order.names.dns.push("ä".into())).contains("DNS name"));
}

#[test]
fn a_certificate_that_differs_from_its_order_in_any_field_does_not_leave() {
    let (authority, key) = (authority(), key());
    let ordered = template(&key);
    let leaf = authority.signer.build(&ordered).expect("a leaf");
    let table: [Spoilt<Template>; 8] = [
        ("the SPIFFE ID", |order| order.subject = id("spiffe://td.test/other")),
        ("the key", |order| order.spki[40] ^= 1),
        ("the start of validity", |order| order.not_before = NOW),
        ("the end of validity", |order| order.not_after = NOW),
        ("the serial number", |order| order.serial[15] ^= 1),
        ("the names", |order| order.names.dns.push("a.test".into())),
        ("the claims", |order| order.claims.as_mut().expect("claims").epoch = Epoch(8)),
        ("the claims", |order| order.claims = None),
    ];
    for (what, change) in table {
        let mut other = ordered.clone();
        change(&mut other);
        let error = validate(&leaf, &other, &authority.signer).expect_err("left").to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    let stranger = self::authority();
    let error = validate(&leaf, &ordered, &stranger.signer).expect_err("left").to_string();
    assert!(error.contains("the issuer"), "{error}");
}

/// A leaf as it should be, for a test to spoil.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    params.subject_alt_names = vec![uri(ACTOR)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

fn sign(params: &CertificateParams, authority: &Authority) -> Vec<u8> {
    let issuer =
        rcgen::Issuer::from_ca_cert_der(&authority.signer.der().into(), authority.signer.key()).expect("a root");
    params.signed_by(&key(), &issuer).expect("a leaf").der().to_vec()
}

#[test]
fn a_leaf_that_breaks_any_rule_of_the_profile_is_refused_and_explained() {
    let authority = authority();
    assert!(verify(&[sign(&params(), &authority)], &authority.x509(), NOW).is_ok(), "the unspoilt leaf must verify");
    let table: [Spoilt<CertificateParams>; 16] = [
        ("no URI", |leaf| leaf.subject_alt_names.clear()),
        ("2 URI", |leaf| leaf.subject_alt_names.push(uri("spiffe://td.test/other"))),
        ("2 URI", |leaf| leaf.subject_alt_names.push(uri("https://td.test/other"))),
        ("not a SPIFFE ID", |leaf| leaf.subject_alt_names = vec![uri("https://td.test/a")]),
        ("not a SPIFFE ID", |leaf| leaf.subject_alt_names = vec![uri("spiffe://td.test/a/../b")]),
        ("not a SPIFFE ID", |leaf| leaf.subject_alt_names = vec![uri("spiffe://td.test/")]),
        ("not a SPIFFE ID", |leaf| leaf.subject_alt_names = vec![uri("spiffe://TD.test/a")]),
        ("has no path", |leaf| leaf.subject_alt_names = vec![uri("spiffe://td.test")]),
        ("it is a CA", |leaf| leaf.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
        ("signing certificates", |leaf| leaf.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        ("signing certificates", |leaf| leaf.key_usages.push(KeyUsagePurpose::CrlSign)),
        ("key usage is absent", |leaf| leaf.key_usages.clear()),
        ("lacks digitalSignature", |leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
        ("extended key usage", |leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ("extended key usage", |leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ("claims cannot be read", |leaf| {
            let other = rcgen::CustomExtension::from_oid_content(CLAIMS_OID, b"\x0c\x02{}".to_vec());
            leaf.custom_extensions.push(other);
        }),
    ];
    for (what, spoil) in table {
        let mut params = params();
        spoil(&mut params);
        let leaf = sign(&params, &authority);
        let error = verify(&[&leaf], &authority.x509(), NOW).expect_err(what).to_string();
        assert!(error.contains(what), "{what}: {error}");
        let explained = inspect(&leaf).expect("readable").violations.join("; ");
        assert!(explained.contains(what) || what == "it is a CA", "{what}: {explained}");
    }
}

#[test]
fn a_leaf_without_extended_key_usage_and_with_other_names_is_accepted() {
    let authority = authority();
    let mut params = params();
    params.extended_key_usages.clear();
    params.subject_alt_names.push(SanType::DnsName("a.test".try_into().expect("ASCII")));
    assert!(verify(&[sign(&params, &authority)], &authority.x509(), NOW).is_ok());
}

#[test]
fn an_unknown_critical_extension_is_refused_and_an_unknown_other_one_is_not() {
    let authority = authority();
    for critical in [true, false] {
        let mut params = params();
        let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, 9], vec![5, 0]);
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
        assert_eq!(verify(&[sign(&params, &authority)], &authority.x509(), NOW).is_err(), critical);
    }
}

#[test]
fn only_the_bundle_of_its_own_trust_domain_vouches_for_a_leaf_and_only_in_time() {
    let (authority, key) = (authority(), key());
    let leaf = authority.signer.build(&template(&key)).expect("a leaf");
    let check = |chain: &[&[u8]], bundle: &X509Bundle, now| verify(chain, bundle, now).expect_err("believed");
    let own = authority.x509();
    let same_name = self::authority().x509();
    let other = Authority::new("other.test", KeyAlgorithm::EcdsaP256).x509();
    let renamed = X509Bundle::new(other.trust_domain().clone(), &[authority.signer.der()]).expect("a bundle");
    let empty = X509Bundle::new::<&[u8]>(own.trust_domain().clone(), &[]).expect("a bundle");
    assert!(matches!(check(&[&leaf], &same_name, NOW), VerifyError::Untrusted { .. }));
    assert!(matches!(check(&[&leaf], &other, NOW), VerifyError::OtherTrustDomain { .. }));
    assert!(matches!(check(&[&leaf], &renamed, NOW), VerifyError::OtherTrustDomain { .. }));
    assert!(matches!(check(&[&leaf], &empty, NOW), VerifyError::NoAuthority(_)));
    assert!(matches!(check(&[&leaf], &own, NOW.plus_secs(901)), VerifyError::Expired { .. }));
    assert!(matches!(check(&[&leaf], &own, NOW.minus_secs(11)), VerifyError::NotYetValid { .. }));
    assert!(verify(&[&leaf], &own, NOW.plus_secs(900)).is_ok(), "notAfter itself still counts (RFC 5280 §4.1.2.5)");
    assert!(matches!(check(&[], &own, NOW), VerifyError::Absent));
    assert!(matches!(check(&[leaf.as_slice(); 6], &own, NOW), VerifyError::TooLong(6)));
    let trailing = [&leaf[..], &[0]].concat();
    assert!(matches!(check(&[&trailing], &own, NOW), VerifyError::Malformed { position: 1, .. }));
    let large = vec![0x30; 17 * 1024];
    assert!(matches!(check(&[&large], &own, NOW), VerifyError::Malformed { position: 1, .. }));
    assert!(matches!(check(&[authority.signer.der()], &own, NOW), VerifyError::Profile { position: 1, .. }));
    assert!(matches!(check(&[&leaf, &leaf], &own, NOW), VerifyError::Profile { position: 2, .. }));
}

#[test]
fn an_authority_that_expired_vouches_for_nobody() {
    let (authority, key) = (authority(), key());
    let leaf = authority.signer.build(&template(&key)).expect("a leaf");
    let short = CaTemplate { not_after: NOW.minus_secs(1), ..ca_template("td.test") };
    // The same key and name, so that only the dates of the root differ.
    let root = build_root(&short, authority.signer.key()).expect("a root");
    let bundle = X509Bundle::new(authority.signer.trust_domain().clone(), &[root]).expect("a bundle");
    assert!(matches!(verify(&[leaf], &bundle, NOW), Err(VerifyError::NoAuthority(_))));
}

#[test]
fn an_intermediate_signs_leaves_and_nothing_else() {
    let (authority, key) = (authority(), key());
    let own = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let spki = own.public().spki().to_vec();
    let der = authority.signer.build_intermediate(&ca_template("td.test"), &spki).expect("an intermediate");
    let intermediate = SigningCertificate::new(&der, own).expect("a signing certificate");
    let leaf = intermediate.build(&template(&key)).expect("a leaf");
    let bundle = authority.x509();
    assert!(verify(&[&leaf, &der], &bundle, NOW).is_ok());
    assert!(verify(&[&leaf[..], &der, authority.signer.der()], &bundle, NOW).is_ok(), "a root sent along is harmless");
    assert!(matches!(verify(&[&leaf], &bundle, NOW), Err(VerifyError::Untrusted { .. })));

    let deeper = self::key();
    let spki = deeper.public().spki().to_vec();
    let second = intermediate.build_intermediate(&ca_template("td.test"), &spki).expect("a second intermediate");
    let leaf = SigningCertificate::new(&second, deeper).expect("signs").build(&template(&key)).expect("a leaf");
    let error = verify(&[&leaf, &second, &der], &bundle, NOW).expect_err("pathLenConstraint was ignored");
    assert!(matches!(error, VerifyError::Untrusted { .. }));
}

#[test]
fn a_signing_certificate_with_a_workloads_id_or_without_its_key_usage_is_refused() {
    let (authority, key) = (authority(), key());
    let table: [Spoilt<CertificateParams>; 4] = [
        ("has a path", |ca| ca.subject_alt_names = vec![uri(ACTOR)]),
        ("lacks keyCertSign", |ca| ca.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("key usage is absent", |ca| ca.key_usages.clear()),
        ("does not belong to the trust domain", |ca| ca.subject_alt_names = vec![uri("spiffe://other.test")]),
    ];
    for (what, spoil) in table {
        let mut params = params();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.subject_alt_names = vec![uri("spiffe://td.test")];
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
        spoil(&mut params);
        let root =
            rcgen::Issuer::from_ca_cert_der(&authority.signer.der().into(), authority.signer.key()).expect("a root");
        let own = self::key();
        let der = params.signed_by(&own, &root).expect("an intermediate").der().to_vec();
        let issuer = rcgen::Issuer::from_params(&params, &own);
        let leaf = self::params().signed_by(&key, &issuer).expect("a leaf").der().to_vec();
        let error = verify(&[leaf, der], &authority.x509(), NOW).expect_err(what).to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn a_certificate_is_explained_without_being_believed() {
    let (authority, key) = (authority(), key());
    let leaf = inspect(&authority.signer.build(&template(&key)).expect("a leaf")).expect("readable");
    assert_eq!(leaf.spiffe_id.as_ref().map(|id| id.as_str()), Some(ACTOR));
    assert_eq!((leaf.subject.as_str(), leaf.key_type.as_str()), ("", "ECDSA P-256"));
    assert_eq!(leaf.extended_key_usage, ["serverAuth", "clientAuth"]);
    assert_eq!((leaf.claims, leaf.violations), (Some(claims()), vec![]));
    let root = inspect(authority.signer.der()).expect("readable");
    assert_eq!((root.is_ca, root.key_usage), (true, vec!["keyCertSign", "cRLSign"]));
    assert_eq!(root.violations, Vec::<String>::new());
}

static ISSUED: LazyLock<(X509Bundle, Vec<u8>)> = LazyLock::new(|| {
    let authority = authority();
    let leaf = authority.signer.build(&template(&key())).expect("a leaf");
    (authority.x509(), leaf)
});

proptest! {
    #[test]
    fn no_change_of_one_byte_is_believed(at in 0_usize..4096, flip in 1_u8..=255) {
        let (bundle, leaf) = &*ISSUED;
        let mut leaf = leaf.clone();
        let at = at % leaf.len();
        leaf[at] ^= flip;
        prop_assert!(verify(&[leaf], bundle, NOW).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..4096) {
        let (bundle, leaf) = &*ISSUED;
        let _ = inspect(&bytes);
        let cut = &leaf[..cut % leaf.len()];
        prop_assert!(verify(&[cut], bundle, NOW).is_err());
    }
}
