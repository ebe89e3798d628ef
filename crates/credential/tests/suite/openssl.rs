//! OpenSSL believes what we sign, and reads in it what we meant.

use credence_credential::csr;
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::pem::{self, Label};
use credence_credential::x509_svid::{CaTemplate, ServerNames, SigningCertificate, Template, build_root};
use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::time::Timestamp;
use std::fs;
use std::path::Path;
use std::process::Command;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ACTOR: &str = "spiffe://td.test/ns/finance/agent/expense/actor/a1";

fn openssl(dir: &Path, arguments: &str) -> (bool, String) {
    let output =
        Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl is installed");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).expect("valid")
}

fn ca_template() -> CaTemplate {
    CaTemplate {
        trust_domain: TrustDomain::parse("td.test").expect("valid"),
        not_before: NOW.minus_secs(60),
        not_after: NOW.plus_secs(100_000),
        serial: [0x81; 16],
    }
}

fn template(key: &KeyPair) -> Template {
    Template {
        subject: id(ACTOR),
        spki: key.public().spki().to_vec(),
        claims: Some(Claims {
            class: id("spiffe://td.test/ns/finance/agent/expense"),
            revision: RevisionClaim { number: 1, digest: Digest([1; 32]) },
            epoch: Epoch(4),
            worker: id("spiffe://td.test/ns/finance/pool/p/worker/w"),
            binding: BindingId::generate(NOW, [3; 10]),
        }),
        not_before: NOW,
        not_after: NOW.plus_secs(900),
        serial: [0x92; 16],
        names: ServerNames::default(),
    }
}

#[test]
fn openssl_accepts_the_chains_of_every_kind_of_key_for_both_ends_of_tls() {
    for algorithm in KeyAlgorithm::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, der: &[u8]| {
            fs::write(dir.path().join(name), pem::write(Label::Certificate, der).as_bytes()).expect("written");
        };
        let key = KeyPair::generate(algorithm).expect("a key");
        let root_der = build_root(&ca_template(), &key).expect("a root");
        let root = SigningCertificate::new(&root_der, key).expect("signs");
        let key = KeyPair::generate(algorithm).expect("a key");
        let spki = key.public().spki().to_vec();
        let intermediate_der = root.build_intermediate(&ca_template(), &spki).expect("an intermediate");
        let intermediate = SigningCertificate::new(&intermediate_der, key).expect("signs");
        let key = KeyPair::generate(algorithm).expect("a key");
        write("root.pem", &root_der);
        write("intermediate.pem", &intermediate_der);
        write("direct.pem", &root.build(&template(&key)).expect("a leaf"));
        write("leaf.pem", &intermediate.build(&template(&key)).expect("a leaf"));
        for purpose in ["sslserver", "sslclient"] {
            let common =
                format!("verify -x509_strict -attime {} -purpose {purpose} -CAfile root.pem", NOW.as_secs() + 1);
            for chain in ["direct.pem", "-untrusted intermediate.pem leaf.pem"] {
                let (accepted, said) = openssl(dir.path(), &format!("{common} {chain}"));
                assert!(accepted, "{algorithm} {purpose} {chain}: {said}");
            }
            let (accepted, said) = openssl(dir.path(), &format!("{common} leaf.pem"));
            assert!(!accepted, "without its intermediate: {said}");
        }
    }
}

#[test]
fn openssl_reads_in_a_leaf_what_was_ordered() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let root = build_root(&ca_template(), &key).expect("a root");
    let leaf = SigningCertificate::new(&root, key).expect("signs");
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let leaf = leaf.build(&template(&key)).expect("a leaf");
    fs::write(dir.path().join("leaf.der"), leaf).expect("written");
    let (_, text) = openssl(dir.path(), "x509 -inform DER -in leaf.der -noout -text");
    for line in [
        "Serial Number:",
        "92:92:92:92:92:92:92:92:92:92:92:92:92:92:92:92",
        "X509v3 Subject Alternative Name: critical\n                URI:spiffe://td.test/ns/finance/agent/expense/actor/a1",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Authority Key Identifier",
        "X509v3 Subject Key Identifier",
        "1.3.6.1.4.1.32473.20.1: \n",
        "\"epoch\":4",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[test]
fn openssl_reads_our_keys_and_requests_and_we_read_its() {
    for (algorithm, command) in [
        (KeyAlgorithm::EcdsaP256, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out theirs.pem"),
        (KeyAlgorithm::EcdsaP384, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out theirs.pem"),
        (KeyAlgorithm::Ed25519, "genpkey -algorithm ED25519 -out theirs.pem"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let ours = KeyPair::generate(algorithm).expect("a key");
        fs::write(dir.path().join("ours.pem"), pem::write(Label::PrivateKey, ours.pkcs8()).as_bytes())
            .expect("written");
        fs::write(dir.path().join("ours.csr"), csr::request(&ours).expect("a request")).expect("written");
        let (read, said) = openssl(dir.path(), "pkey -in ours.pem -noout -check");
        assert!(read, "{algorithm}: {said}");
        let (read, said) = openssl(dir.path(), "req -inform DER -in ours.csr -noout -verify");
        assert!(read, "{algorithm}: {said}");

        let (made, said) = openssl(dir.path(), command);
        assert!(made, "{algorithm}: {said}");
        let text = fs::read(dir.path().join("theirs.pem")).expect("their key");
        let theirs = KeyPair::from_pkcs8(&pem::read_private_key(&text).expect("PEM")).expect("PKCS#8");
        let digest = if algorithm == KeyAlgorithm::EcdsaP384 { " -sha384" } else { "" };
        let request = format!("req -new -key theirs.pem -subj /CN=ignored -outform DER -out theirs.csr{digest}");
        let (made, said) = openssl(dir.path(), &request);
        assert!(made, "{algorithm}: {said}");
        let request = fs::read(dir.path().join("theirs.csr")).expect("their request");
        let proven = csr::prove(&request, &KeyAlgorithm::ALL).expect("accepted");
        assert_eq!(proven.key(), theirs.public());
    }
}

#[test]
fn an_rsa_request_of_openssl_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let request = "req -new -newkey rsa:2048 -noenc -keyout key.pem -subj /CN=a -outform DER -out rsa.csr";
    let (made, said) = openssl(dir.path(), request);
    assert!(made, "{said}");
    let request = fs::read(dir.path().join("rsa.csr")).expect("their request");
    let error = csr::prove(&request, csr::ACCEPTED_BY_DEFAULT).expect_err("accepted");
    assert_eq!(error.to_string(), "csr: key type RSA is not accepted; use ECDSA P-256");
}
