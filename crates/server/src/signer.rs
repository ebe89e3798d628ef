//! The issuer with what it needs at hand: randomness, the bundle, and the server's own identity.

use crate::meter::Meters;
use aws_lc_rs::rand;
use credence_control::Cell;
use credence_credential::bundle::{self, Bundle, BundleSet};
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::tls::{LiveBundles, LiveIdentity};
use credence_credential::x509_svid::ServerNames;
use credence_issuer::{IssueError, Issuer, NONCE_BYTES};
use credence_model::directive::server_order;
use credence_model::id::Digest;
use credence_model::order::{JwtOrder, X509Order};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_wire::node as wire;
use serde_json::Value;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Life of the server's own SVID, in seconds. It is renewed when a third of it is over.
pub const SERVER_TTL_SECS: u64 = 24 * 3600;

/// The authority's keys change only with a new data directory, so its bundle does, too.
const BUNDLE_SEQUENCE: u64 = 1;

/// The issuer with what it needs at hand.
pub(crate) struct Signer {
    issuer: Issuer,
    bundle: Bundle,
    document: String,
    json: Value,
    bundles: LiveBundles,
    identity: LiveIdentity,
    names: Mutex<ServerNames>,
    meters: Meters,
}

/// An identity of the server that is not shown yet.
pub(crate) struct Own {
    chain: Vec<Vec<u8>>,
    key: KeyPair,
}

impl Signer {
    /// Signs with `issuer`; the server's own certificate gets `names`.
    pub(crate) fn new(issuer: Issuer, names: ServerNames, meters: Meters) -> Result<Self, Refusal> {
        let bundle = issuer.bundle(BUNDLE_SEQUENCE).map_err(|error| refusal(error.kind(), &error))?;
        let document = bundle::write(&bundle).map_err(|error| refusal(error.kind(), &error))?;
        let json = serde_json::from_str(&document).map_err(|error| refusal(Kind::Bug, &error))?;
        let bundles = LiveBundles::new(BundleSet::from(bundle.clone()));
        Ok(Self {
            issuer,
            bundle,
            document,
            json,
            bundles,
            identity: LiveIdentity::empty(),
            names: Mutex::new(names),
            meters,
        })
    }

    /// Signs an order for the key in `spki`: the chain in DER, leaf first.
    pub(crate) fn x509(&self, order: &X509Order, spki: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        self.sign(order, spki, ServerNames::default())
    }

    /// Signs an order for a token.
    pub(crate) fn jwt(&self, order: &JwtOrder) -> Result<String, Refusal> {
        let token = self.issuer.jwt(order, nonce()?).map_err(issue)?;
        self.meters.signed("jwt_svid");
        Ok(token)
    }

    /// SHA-256 of the root certificate: what join tokens tell nodes to trust.
    pub(crate) fn root(&self) -> Digest {
        self.issuer.authority().root_digest()
    }

    /// What verifies everything that this server signs.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The bundle as TLS reads it.
    pub(crate) fn bundles(&self) -> &LiveBundles {
        &self.bundles
    }

    /// The server's own identity as TLS reads it.
    pub(crate) fn identity(&self) -> &LiveIdentity {
        &self.identity
    }

    /// The SPIFFE bundle document.
    pub(crate) fn bundle_json(&self) -> &Value {
        &self.json
    }

    /// The SPIFFE bundle document, for nodes.
    pub(crate) fn bundle_wire(&self) -> wire::Bundle {
        wire::Bundle { document: self.document.clone().into_bytes(), sequence: self.bundle.sequence }
    }

    /// Gives the server a fresh key and SVID, kept in memory only. The root goes along: a node that comes with nothing
    /// but a join token recognises it there.
    pub(crate) async fn renew_own(&self, cell: &Cell, now: Timestamp) -> Result<(), Refusal> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = self.make_own(cell, now, names.clone()).await?;
        self.take_own(own, names)
    }

    /// A fresh key and SVID with these names.
    pub(crate) async fn make_own(&self, cell: &Cell, now: Timestamp, names: ServerNames) -> Result<Own, Refusal> {
        let key = KeyPair::generate(KeyAlgorithm::EcdsaP256).map_err(|error| refusal(error.kind(), &error))?;
        let digest = key.public().digest();
        let order = cell.read(move |state| server_order(state, digest, now, SERVER_TTL_SECS)).await?;
        let mut chain = self.sign(&order, key.public().spki(), names)?;
        chain.push(self.issuer.authority().root().to_vec());
        Ok(Own { chain, key })
    }

    /// Is who [`Self::make_own`] made from now on.
    pub(crate) fn take_own(&self, Own { chain, key }: Own, names: ServerNames) -> Result<(), Refusal> {
        self.identity.replace(&chain, key.pkcs8()).map_err(|error| refusal(error.kind(), &error))?;
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(())
    }

    fn sign(&self, order: &X509Order, spki: &[u8], names: ServerNames) -> Result<Vec<Vec<u8>>, Refusal> {
        let chain = self.issuer.x509(order, spki, names, nonce()?).map_err(issue)?;
        self.meters.signed("x509_svid");
        Ok(chain)
    }
}

fn nonce() -> Result<[u8; NONCE_BYTES], Refusal> {
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce).map_err(|_| Refusal::new(Kind::Unavailable, "the system has no randomness"))?;
    Ok(nonce)
}

fn issue(error: IssueError) -> Refusal {
    tracing::error!(%error, "an order was not signed");
    refusal(error.kind(), &error)
}

fn refusal(kind: Kind, error: &impl Display) -> Refusal {
    Refusal::new(kind, error.to_string())
}
