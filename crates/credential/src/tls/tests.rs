use super::*;
use crate::bundle::BundleSet;
use crate::fixture::{ACTOR, Authority, id, template};
use crate::key::KeyAlgorithm;
use crate::x509_svid::Template;
use rustls::{ClientConnection, ServerConnection};
use std::sync::LazyLock;

const SERVER: &str = "spiffe://td.test/credence/server";

/// rustls reads the clock of the machine, so these SVIDs are valid for any date that it may show.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| always("td.test"));

fn always(trust_domain: &str) -> Authority {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let mut template = crate::fixture::ca_template(trust_domain);
    (template.not_before, template.not_after) = (Timestamp(0), Timestamp::from_secs(250_000_000_000));
    let der = x509_svid::build_root(&template, &key).expect("a root");
    let signer = x509_svid::SigningCertificate::new(&der, key).expect("signs");
    Authority { signer, jwt: KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key") }
}

fn identity(authority: &Authority, subject: &str, with_root: bool) -> LiveIdentity {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let (not_before, not_after) = (Timestamp(0), Timestamp::from_secs(250_000_000_000));
    let template = Template { subject: id(subject), not_before, not_after, claims: None, ..template(&key) };
    let mut chain = vec![authority.signer.build(&template).expect("a leaf")];
    chain.extend(with_root.then(|| authority.signer.der().to_vec()));
    LiveIdentity::new(&chain, key.pkcs8()).expect("an identity")
}

fn bundles() -> LiveBundles {
    LiveBundles::new(BundleSet::from(AUTHORITY.bundle()))
}

fn anybody() -> PeerRule {
    PeerRule::Within(AUTHORITY.signer.trust_domain().clone())
}

/// Runs a handshake in memory; returns both ends, or the first error of either.
fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(ClientConnection, ServerConnection), String> {
    let mut client = ClientConnection::new(Arc::new(client), unnamed()).expect("a client");
    let mut server = ServerConnection::new(Arc::new(server)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("memory");
        server.read_tls(&mut bytes.as_slice()).expect("memory");
        server.process_new_packets().map_err(|error| format!("server: {}", explain(&error)))?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).expect("memory");
        client.read_tls(&mut bytes.as_slice()).expect("memory");
        client.process_new_packets().map_err(|error| format!("client: {}", explain(&error)))?;
    }
    Ok((client, server))
}

fn server(clients: ClientAuth) -> ServerConfig {
    server_config(&identity(&AUTHORITY, SERVER, true), &bundles(), clients).expect("a configuration")
}

fn client(identity: &LiveIdentity, rule: PeerRule) -> ClientConfig {
    client_config(identity, &bundles(), rule).expect("a configuration")
}

#[test]
fn two_workloads_meet_and_each_knows_the_other() {
    let actor = identity(&AUTHORITY, ACTOR, false);
    let exactly = PeerRule::Exactly(id(SERVER));
    let (client, server) =
        handshake(client(&actor, exactly), server(ClientAuth::Required(anybody()))).expect("a handshake");
    let now = crate::fixture::NOW;
    let seen = |chain: Option<&[CertificateDer<'_>]>| peer_identity(chain.expect("a chain"), &bundles(), now);
    assert_eq!(seen(client.peer_certificates()).expect("verified").id, id(SERVER));
    assert_eq!(seen(server.peer_certificates()).expect("verified").id, id(ACTOR));
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn a_peer_that_is_not_expected_is_refused_by_either_end() {
    let actor = identity(&AUTHORITY, ACTOR, false);
    let stranger_authority = always("other.test");
    let stranger = identity(&stranger_authority, "spiffe://other.test/a", false);
    let impostor_authority = always("td.test");
    let impostor = identity(&impostor_authority, ACTOR, false);
    let other = PeerRule::Exactly(id("spiffe://td.test/other"));
    let nobody = PeerRule::Where(Arc::new(|_| false));
    let required = || ClientAuth::Required(anybody());
    for (client_identity, rule, auth, message) in [
        (&actor, other.clone(), required(), "client: x509-svid: spiffe://td.test/credence/server is not"),
        (&actor, nobody, required(), "is not the peer that is expected here"),
        (&actor, anybody(), ClientAuth::Required(other), "server: x509-svid: spiffe://td.test/ns"),
        (&stranger, anybody(), required(), "no bundle is held for the trust domain of spiffe://other.test/a"),
        (&stranger, anybody(), ClientAuth::Optional(anybody()), "no bundle is held"),
        (&impostor, anybody(), required(), "is not certified by an authority of its trust domain"),
        (&LiveIdentity::empty(), anybody(), required(), "server: peer sent no certificates"),
    ] {
        let error = handshake(client(client_identity, rule), server(auth)).err().unwrap_or_default();
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn a_client_may_come_without_an_identity_only_where_that_is_optional() {
    let empty = LiveIdentity::empty();
    let (_, server) =
        handshake(client(&empty, anybody()), server(ClientAuth::Optional(anybody()))).expect("a handshake");
    assert_eq!(server.peer_certificates(), None);
}

#[test]
fn a_rotation_is_seen_by_the_next_handshake_without_a_new_configuration() {
    let (live, bundles) = (identity(&AUTHORITY, SERVER, false), bundles());
    let server = Arc::new(server_config(&live, &bundles, ClientAuth::Optional(anybody())).expect("a configuration"));
    let empty = LiveIdentity::empty();
    let meet = |rule| handshake(client(&empty, rule), server.as_ref().clone());
    let second = "spiffe://td.test/credence/second";
    assert!(meet(PeerRule::Exactly(id(second))).is_err());
    let chain = identity(&AUTHORITY, second, false);
    *live.0.write().expect("a lock") = chain.current();
    assert!(meet(PeerRule::Exactly(id(second))).is_ok());
    live.clear();
    assert!(meet(anybody()).is_err());

    let actor = identity(&AUTHORITY, ACTOR, false);
    let strict = server_config(&chain, &bundles, ClientAuth::Required(anybody())).expect("a configuration");
    assert!(handshake(client(&actor, anybody()), strict.clone()).is_ok());
    bundles.replace(BundleSet::new());
    assert!(handshake(client(&actor, anybody()), strict).is_err());
}

#[test]
fn a_first_contact_trusts_the_root_of_the_token_and_no_other() {
    let optional = || ClientAuth::Optional(anybody());
    let meet = |root: &[u8], server| {
        let rule = PeerRule::Exactly(id(SERVER));
        handshake(first_contact_client_config(Digest::of(root), rule).expect("a configuration"), server)
    };
    assert!(meet(AUTHORITY.signer.der(), server(optional())).is_ok());
    let other = always("td.test");
    let error = meet(other.signer.der(), server(optional())).err().unwrap_or_default();
    assert!(error.contains("does not end in the root"), "{error}");
    // An impostor may send the right root along; its own leaf still does not hang below it.
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let template = Template { subject: id(SERVER), claims: None, ..template(&key) };
    let chain = [other.signer.build(&template).expect("a leaf"), AUTHORITY.signer.der().to_vec()];
    let impostor = LiveIdentity::new(&chain, key.pkcs8()).expect("an identity");
    let server = server_config(&impostor, &bundles(), optional()).expect("a configuration");
    assert!(meet(AUTHORITY.signer.der(), server).is_err());
}

#[test]
fn a_key_that_does_not_belong_to_its_certificate_is_refused() {
    let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let leaf = AUTHORITY.signer.build(&template(&key)).expect("a leaf");
    let other = KeyPair::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    assert!(matches!(LiveIdentity::new(&[&leaf], other.pkcs8()), Err(TlsError::Identity(_))));
    assert!(matches!(LiveIdentity::new(&[&leaf], b"key"), Err(TlsError::Key(_))));
}
