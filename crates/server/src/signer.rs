//! The issuer with what it needs at hand: randomness, the bundle, and the server's own identity.

use crate::meter::Meters;
use aws_lc_rs::rand;
use credence_control::Cell;
use credence_credential::bundle::{self, Bundle, BundleSet};
use credence_credential::key::{KeyAlgorithm, KeyPair};
use credence_credential::tls::{LiveBundles, LiveIdentity};
use credence_credential::x509_svid::ServerNames;
use credence_issuer::{Authority, AuthorityError, Config as AuthorityConfig, IssueError, Issuer, NONCE_BYTES};
use credence_model::authority::{Authorities, AuthorityKeys, AuthorityState};
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::directive::server_order;
use credence_model::id::Digest;
use credence_model::order::{JwtOrder, X509Order};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_wire::node as wire;
use serde_json::Value;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tokio::sync::watch;

/// Life of the server's own SVID, in seconds. It is renewed when a third of it is over.
pub const SERVER_TTL_SECS: u64 = 24 * 3600;

/// What is signed with and what is believed, at one moment.
struct Trust {
    /// As the registry had them.
    authorities: Authorities,
    issuer: Issuer,
    bundle: Arc<Bundle>,
    json: Value,
    wire: wire::Bundle,
}

/// Where the authorities' files are, and how they are made.
pub(crate) struct Keyring {
    pub(crate) dir: PathBuf,
    pub(crate) made_with: AuthorityConfig,
}

/// The issuer with what it needs at hand.
pub(crate) struct Signer {
    keyring: Keyring,
    trust: watch::Sender<Arc<Trust>>,
    bundles: LiveBundles,
    identity: LiveIdentity,
    names: Mutex<ServerNames>,
    meters: Meters,
    /// One at a time follows the registry.
    following: tokio::sync::Mutex<()>,
}

/// Why the authorities cannot be used.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// An identity of the server that is not shown yet.
pub(crate) struct Own {
    chain: Vec<Vec<u8>>,
    key: KeyPair,
}

impl Signer {
    /// Opens the authorities that the registry knows. A data directory without any gets its first one; one from before
    /// they were recorded has it recorded. The server's own certificate gets `names`.
    pub(crate) async fn open(
        keyring: Keyring,
        cell: &Cell,
        now: Timestamp,
        names: ServerNames,
        meters: Meters,
    ) -> Result<Self, OpenError> {
        let mut known = cell.read(|state| state.authorities.clone()).await?;
        let mut at_hand = Vec::new();
        if known.active().is_none() {
            let first = Arc::new(Authority::open_or_create(&keyring.dir, &keyring.made_with, now)?);
            let command = Command::AdoptAuthority { keys: first.keys() };
            match cell.submit(Request { caller: Caller::System, idempotency_key: None, command }).await {
                Ok(_) => known = cell.read(|state| state.authorities.clone()).await?,
                // A server that is held records nothing; it follows once it is released.
                Err(refusal) => tracing::warn!(%refusal, "the authority is not recorded yet"),
            }
            at_hand.push(first);
        }
        let trust = Arc::new(keyring.trust(known, &at_hand, now)?);
        let bundles = LiveBundles::new(BundleSet::from(Bundle::clone(&trust.bundle)));
        let names = Mutex::new(names);
        let (trust, following) = (watch::Sender::new(trust), tokio::sync::Mutex::new(()));
        Ok(Self { keyring, trust, bundles, identity: LiveIdentity::empty(), names, meters, following })
    }

    /// Makes a further authority and answers its public half; nothing comes of it until the registry has recorded that.
    pub(crate) fn prepare(&self, now: Timestamp) -> Result<AuthorityKeys, Refusal> {
        let made = Authority::create(&self.keyring.dir, &self.keyring.made_with, now);
        made.map(|authority| authority.keys()).map_err(|error| refusal(error.kind(), &error))
    }

    /// Removes the files of an authority that the registry does not know, or not any more.
    pub(crate) fn remove(&self, id: &Digest) {
        if let Err(error) = Authority::remove(&self.keyring.dir, id, &self.keyring.made_with) {
            tracing::error!(%error, "the keys of an authority that is gone are left over");
        }
    }

    /// Does as the registry says from now on: signs with its active authority and believes its bundle. The server gets a
    /// fresh SVID if another authority signs.
    pub(crate) async fn follow(&self, cell: &Cell, now: Timestamp) -> Result<(), Refusal> {
        let _turn = self.following.lock().await;
        let mut known = cell.read(|state| state.authorities.clone()).await?;
        let before = self.present();
        if known.active().is_none()
            && let Some(first) = before.issuer.authorities().first()
        {
            let command = Command::AdoptAuthority { keys: first.keys() };
            cell.submit(Request { caller: Caller::System, idempotency_key: None, command }).await?;
            known = cell.read(|state| state.authorities.clone()).await?;
        }
        let told =
            |known: &Authorities| (known.sequence, known.all.iter().map(|one| (one.id, one.state)).collect::<Vec<_>>());
        if told(&known) == told(&before.authorities) {
            return Ok(());
        }
        let trust = self.keyring.trust(known, before.issuer.authorities(), now);
        let trust = Arc::new(trust.map_err(|error| refusal(error.kind(), &error))?);
        let gone = before.authorities.all.iter().filter(|one| trust.authorities.find(&one.id).is_none());
        let gone: Vec<_> = gone.map(|one| one.id).collect();
        let has_changed = active(&trust.authorities) != active(&before.authorities);
        self.bundles.replace(BundleSet::from(Bundle::clone(&trust.bundle)));
        self.trust.send_replace(trust);
        gone.iter().for_each(|id| self.remove(id));
        if has_changed { self.renew_own(cell, now).await } else { Ok(()) }
    }

    /// Changes when there is another bundle.
    pub(crate) fn watch(&self) -> BundleWatch {
        BundleWatch(self.trust.subscribe())
    }

    fn present(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.borrow())
    }

    /// Signs an order for the key in `spki`: the chain in DER, leaf first.
    pub(crate) fn x509(&self, order: &X509Order, spki: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        self.sign(order, spki, ServerNames::default())
    }

    /// Signs an order for a token.
    pub(crate) fn jwt(&self, order: &JwtOrder) -> Result<String, Refusal> {
        let token = self.present().issuer.jwt(order, nonce()?).map_err(issue)?;
        self.meters.signed("jwt_svid");
        Ok(token)
    }

    /// SHA-256 of the root certificate that signs: what join tokens tell nodes to trust.
    pub(crate) fn root(&self) -> Digest {
        let trust = self.present();
        active(&trust.authorities)
            .or_else(|| trust.issuer.authorities().first().map(|one| one.id()))
            .unwrap_or(Digest([0; 32]))
    }

    /// What verifies everything that this server signs.
    pub(crate) fn bundle(&self) -> Arc<Bundle> {
        Arc::clone(&self.present().bundle)
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
    pub(crate) fn bundle_json(&self) -> Value {
        self.present().json.clone()
    }

    /// The SPIFFE bundle document, for nodes.
    pub(crate) fn bundle_wire(&self) -> wire::Bundle {
        self.present().wire.clone()
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
        let trust = self.present();
        let signed_by = order.authority();
        let authorities = trust.issuer.authorities();
        let signer = authorities.iter().find(|one| signed_by.is_none_or(|id| one.id() == id));
        chain.extend(signer.map(|authority| authority.root().to_vec()));
        Ok(Own { chain, key })
    }

    /// Is who [`Self::make_own`] made from now on.
    pub(crate) fn take_own(&self, Own { chain, key }: Own, names: ServerNames) -> Result<(), Refusal> {
        self.identity.replace(&chain, key.pkcs8()).map_err(|error| refusal(error.kind(), &error))?;
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(())
    }

    fn sign(&self, order: &X509Order, spki: &[u8], names: ServerNames) -> Result<Vec<Vec<u8>>, Refusal> {
        let chain = self.present().issuer.x509(order, spki, names, nonce()?).map_err(issue)?;
        self.meters.signed("x509_svid");
        Ok(chain)
    }
}

/// Changes when there is another bundle.
pub(crate) struct BundleWatch(watch::Receiver<Arc<Trust>>);

impl BundleWatch {
    /// The bundle, when there is another one than before.
    pub(crate) async fn changed(&mut self) -> wire::Bundle {
        if self.0.changed().await.is_err() {
            // The server is gone, and with it whoever asks.
            return std::future::pending().await;
        }
        self.0.borrow_and_update().wire.clone()
    }
}

impl Keyring {
    /// Opens whatever is not at hand, and makes the bundle.
    fn trust(
        &self,
        authorities: Authorities,
        at_hand: &[Arc<Authority>],
        now: Timestamp,
    ) -> Result<Trust, AuthorityError> {
        let mut keys = Vec::new();
        for one in authorities.in_bundle() {
            match at_hand.iter().find(|authority| authority.id() == one.id) {
                Some(found) => keys.push(Arc::clone(found)),
                None => match Authority::open(&self.dir, &one.id, &self.made_with, now) {
                    Ok(opened) => keys.push(Arc::new(opened)),
                    // It signs nothing any more, and nobody believes it.
                    Err(AuthorityError::Expired(path)) if one.state != AuthorityState::Active => {
                        tracing::warn!(path = %path.display(), "an old authority has expired; retire it");
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        if keys.is_empty() {
            keys.extend(at_hand.iter().cloned());
        }
        let issuer = Issuer::with(keys);
        let sequence = authorities.sequence.max(1);
        let unusable = |why: String| AuthorityError::Damaged { path: self.dir.clone(), why };
        let bundle = issuer.bundle(sequence).map_err(|error| unusable(error.to_string()))?;
        let document = bundle::write(&bundle).map_err(|error| unusable(error.to_string()))?;
        let json = serde_json::from_str(&document).map_err(|error| unusable(error.to_string()))?;
        let wire = wire::Bundle {
            document: document.into_bytes(),
            sequence,
            active: active(&authorities).map(|id| id.0.to_vec()).unwrap_or_default(),
            tainted: authorities.tainted().map(|one| one.id.0.to_vec()).collect(),
        };
        Ok(Trust { authorities, issuer, bundle: Arc::new(bundle), json, wire })
    }
}

fn active(authorities: &Authorities) -> Option<Digest> {
    authorities.active().map(|active| active.id)
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
