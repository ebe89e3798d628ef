//! What an actor says at its own socket: the Workload API and the metadata service, as bytes on a connection.

use super::credential::{AUTHORITY, LEAF, NOW, TOKEN};
use super::http::{PATIENCE, PAUSE, ask, status_of};
use super::{runtime, scratch};
use credence_attest::process_tree::TreeRoot;
use credence_model::id::{BindingId, Digest, Epoch};
use credence_model::order::{Claims, RevisionClaim};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_node::endpoint::{Backing, Endpoint, Identity, Served};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// What is asked after whatever came before.
const NEXT: &[u8] = b"GET /identity HTTP/1.1\r\nhost: a\r\nmetadata: true\r\nconnection: close\r\n\r\n";
/// The private key of the identity. No certificate belongs to it.
const KEY: &[u8] = b"the private key of the actor";

/// The header that a client sends and one that was tricked does not.
const HEADER: &[u8] = b"workload.spiffe.io";

struct House {
    runtime: Runtime,
    socket: PathBuf,
    _endpoint: Endpoint,
    _served: watch::Sender<Served>,
    _dir: tempfile::TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let runtime = runtime();
    let dir = scratch();
    let socket = dir.path().join("s").join("id@x.sock");
    let served = watch::Sender::new(served());
    let root = TreeRoot::of(std::process::id()).expect("this process");
    let mint: credence_node::endpoint::MintJwt =
        Arc::new(|_, _| Box::pin(std::future::ready(Ok(TOKEN.trim_end().to_owned()))));
    let decide: credence_node::endpoint::Decide = Arc::new(|_, _| Box::pin(std::future::ready(Ok(Vec::new()))));
    let backing = Backing { served: served.subscribe(), mint, decide, now: || NOW };
    let opening = Endpoint::open(&socket, root, backing);
    let endpoint = runtime.block_on(opening).expect("an endpoint");
    House { runtime, socket, _endpoint: endpoint, _served: served, _dir: dir }
});

fn served() -> Served {
    let id = |text: &str| SpiffeId::parse(text).expect("valid");
    let claims = Claims {
        class: id("spiffe://td.test/ns/finance/agent/expense"),
        revision: RevisionClaim { number: 3, digest: Digest([5; 32]) },
        epoch: Epoch(7),
        worker: id("spiffe://td.test/ns/finance/pool/small/worker/w1"),
        binding: BindingId::generate(NOW, [1; 10]),
    };
    let identity = Identity {
        spiffe_id: id("spiffe://td.test/ns/finance/agent/expense/actor/a1"),
        claims,
        chain: vec![LEAF.to_vec()],
        key_pkcs8: Zeroizing::new(KEY.to_vec()),
        not_after: Timestamp::from_secs(NOW.as_secs() + 900),
    };
    Served::Live { identity: Arc::new(identity), bundle: Arc::new(AUTHORITY.clone()) }
}

/// Whatever an actor's program says, the answer is bounded, ends, and is no "internal error"; the key is given only to
/// who sends the header that a tricked client does not send; and the endpoint answers the next one.
pub fn workload(bytes: &[u8]) {
    let house = &*HOUSE;
    let answer = house.runtime.block_on(ask(&house.socket, bytes, PAUSE));
    if let Some(status) = status_of(&answer) {
        assert!((100..500).contains(&status) || [501, 503, 505].contains(&status), "status {status}");
    }
    let has_key = answer.windows(KEY.len()).any(|window| window == KEY);
    // In HTTP/2 the name of the header may be compressed.
    let says = bytes.windows(HEADER.len()).any(|window| window.eq_ignore_ascii_case(HEADER));
    assert!(!has_key || says || bytes.starts_with(b"PRI * HTTP/2.0"), "a key for who does not send the header");
    let next = house.runtime.block_on(ask(&house.socket, NEXT, PATIENCE));
    assert!(next.starts_with(b"HTTP/1.1 200"), "the next request is not answered");
}
