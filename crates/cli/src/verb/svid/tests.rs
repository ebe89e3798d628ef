use super::*;
use crate::golden;
use crate::output::style::Style;
use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::SpiffeId;

/// 2026-11-24 14:21:11 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_795_530_071);
const ACTOR: &str = "spiffe://demo.internal/ns/finance/agent/expense-agent/actor/actor-01";

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("a SPIFFE ID")
}

fn claims() -> Claims {
    Claims {
        class: id("spiffe://demo.internal/ns/finance/agent/expense-agent"),
        revision: RevisionClaim { number: 1, digest: Digest([0x9f; 32]) },
        epoch: Epoch(2),
        worker: id("spiffe://demo.internal/ns/default/pool/beta/worker/w1"),
        binding: BindingId::parse("01jdvarh8000000000000000aa").expect("a binding"),
    }
}

fn certificate(spiffe_id: &str, claims: Option<Claims>) -> x509_svid::Inspected {
    x509_svid::Inspected {
        spiffe_id: Some(id(spiffe_id)),
        uri_names: vec![spiffe_id.to_owned()],
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        subject: String::new(),
        issuer: "O=Credence, CN=root 3a91".into(),
        serial: "0a1b".into(),
        not_before: NOW.minus_secs(19 * 60),
        not_after: NOW.plus_secs(41 * 60),
        is_ca: false,
        key_usage: vec!["digitalSignature"],
        extended_key_usage: vec!["serverAuth", "clientAuth"],
        key_type: "ECDSA P-256".into(),
        key: Digest([0xab; 32]),
        claims,
        violations: Vec::new(),
    }
}

fn x509(certificate: x509_svid::Inspected, signature: Checked) -> Inspection {
    Inspection::X509Svid { certificates: vec![certificate], signature }
}

#[test]
fn credentials_are_explained_in_words() {
    let server = x509_svid::Inspected {
        dns_names: vec!["localhost".into()],
        ip_addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        not_after: NOW.minus_secs(90),
        ..certificate("spiffe://demo.internal/credence/server", None)
    };
    let broken = x509_svid::Inspected {
        spiffe_id: None,
        uri_names: vec!["https://x".into(), "spiffe://a/b\u{1b}[2J".into()],
        not_before: NOW.plus_secs(10),
        violations: vec!["it has 2 URI names and not one".into()],
        ..certificate("spiffe://demo.internal/x", None)
    };
    let token = jwt_svid::Inspected {
        algorithm: "ES256".into(),
        key_id: "kid-1".into(),
        subject: id(ACTOR),
        audience: vec!["tools".into(), "reports".into()],
        expires_at: NOW.plus_secs(240),
        issued_at: Some(NOW.minus_secs(60)),
        not_before: None,
        jwt_id: Some("jti-1".into()),
        claims: Some(claims()),
        members: serde_json::Map::new(),
    };
    let root = x509_svid::Inspected {
        is_ca: true,
        key_usage: vec!["keyCertSign", "cRLSign"],
        extended_key_usage: Vec::new(),
        ..certificate("spiffe://demo.internal", None)
    };
    let inspections = [
        x509(certificate(ACTOR, Some(claims())), Checked::Good),
        x509(server, Checked::Bad("it expired".into())),
        x509(broken, Checked::Not),
        x509(certificate("spiffe://other.example/some/workload", None), Checked::Not),
        x509(root, Checked::Good),
        Inspection::JwtSvid { token: Box::new(token), signature: Checked::Not },
    ];
    let texts: Vec<_> =
        inspections.iter().map(|inspection| words::explain(inspection, "cert.pem", NOW, Style::default())).collect();
    assert!(texts.iter().all(|text| !text.replace('\n', "").contains(char::is_control)));
    golden::check("inspect.txt", &texts.join("\n\n"));
}

#[test]
fn a_damaged_certificate_or_token_is_refused_in_one_line() {
    for bytes in [&[0x30, 0][..], b"a.b.c", b"..", b"e30.e30.AA"] {
        let credential = credential::recognise(bytes).expect("recognised by how it begins");
        let failure = inspect(&credential, None, NOW).expect_err("it is damaged").to_string();
        assert!(!failure.contains('\n') && failure.contains("svid"), "{failure}");
    }
}
