//! Identity providers: who says who a user is. A token is believed if the provider that it names is configured and one of
//! that provider's keys signed it.
//!
//! Keys come from the provider's own documents and from nowhere else. They are kept, asked for again in the background
//! before they are old, and at once when a token names a key that is not among them, though not more often than every few
//! seconds ([`cache`]). INVARIANT: without keys that are fresh enough no token is believed.

mod cache;
pub mod discovery;

use crate::clock::Clock;
use crate::config::{Config, IdentityProvider};
use crate::outbound::Outbound;
use cache::{Cache, Found};
use credence_credential::openid::{Expected, KeySet, Presented, TokenError};
use credence_credential::tls::TlsError;
use credence_model::refusal::{Kind, Refusal};
use credence_model::user::User;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked whether keys have to be asked for again, in seconds.
const LOOK_EVERY_SECS: u64 = 5;

/// All that are configured. Replaced as a whole when the configuration is read again.
pub(crate) struct IdentityProviders(RwLock<Vec<Arc<Provider>>>);

/// One of them, and what is known of its keys.
struct Provider {
    settings: IdentityProvider,
    outbound: Outbound,
    cache: Mutex<Cache>,
    /// Held by whoever asks for the keys: one at a time.
    asking: tokio::sync::Mutex<()>,
}

impl IdentityProviders {
    pub(crate) fn new(config: &Config) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(providers(config, &[])?)))
    }

    /// Those of another configuration. Those that stay the same keep their keys.
    pub(crate) fn others(&self, config: &Config) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(providers(config, &self.all())?)))
    }

    pub(crate) fn replace(&self, others: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = others.all();
    }

    /// What is configured of each.
    pub(crate) fn settings(&self) -> Vec<IdentityProvider> {
        self.all().iter().map(|provider| provider.settings.clone()).collect()
    }

    /// The user whom a token names.
    pub(crate) async fn user(&self, token: &str, clock: Clock) -> Result<User, Refusal> {
        let presented = Presented::parse(token).map_err(refused)?;
        let all = self.all();
        let provider = all.iter().find(|provider| provider.settings.issuer == presented.issuer()).ok_or_else(|| {
            let message = "the token is of no identity provider of this trust domain";
            Refusal::new(Kind::Unauthenticated, message).hint(LOG_IN)
        })?;
        let keys = provider.keys(presented.key_id(), clock).await?;
        let IdentityProvider { issuer, audience, user_claim, require, .. } = &provider.settings;
        let expected = Expected { issuer, audience, user_claim, require };
        let verified = presented.verify(&keys, expected, clock.now()).map_err(refused)?;
        Ok(User { issuer: issuer.clone(), subject: verified.subject })
    }

    /// Asks for keys again before they are old, until it is dropped.
    pub(crate) async fn keep_keys(&self, clock: Clock) {
        // A task each: a provider that hangs does not delay the others.
        let mut under_way = JoinSet::new();
        loop {
            for provider in self.all() {
                under_way.spawn(async move { provider.refresh(clock).await });
            }
            tokio::time::sleep(Duration::from_secs(LOOK_EVERY_SECS)).await;
            while under_way.try_join_next().is_some() {}
        }
    }

    fn all(&self) -> Vec<Arc<Provider>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

const LOG_IN: &str = "Log in with `credence login`";

fn providers(config: &Config, before: &[Arc<Provider>]) -> Result<Vec<Arc<Provider>>, TlsError> {
    let provider = |settings: &IdentityProvider| match before.iter().find(|old| old.settings == *settings) {
        Some(same) => Ok(Arc::clone(same)),
        None => Ok(Arc::new(Provider {
            settings: settings.clone(),
            outbound: Outbound::new(settings.roots.as_ref().clone())?,
            cache: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })),
    };
    config.identity_providers.iter().map(provider).collect()
}

fn refused(error: TokenError) -> Refusal {
    Refusal::new(error.kind(), error.to_string()).hint(LOG_IN)
}

impl Provider {
    /// Keys among which there is this one.
    async fn keys(&self, key_id: &str, clock: Clock) -> Result<Arc<KeySet>, Refusal> {
        let since = clock.now();
        let look = || match self.cache().find(key_id, since, clock.now()) {
            Found::Keys(keys) => Some(Ok(keys)),
            Found::Unknown => Some(Err(refused(TokenError::UnknownKey))),
            Found::NotNow { why, retry_after_ms } => Some(Err(self.unavailable(&why).retry_after_ms(retry_after_ms))),
            Found::Ask => None,
        };
        if let Some(found) = look() {
            return found;
        }
        let _alone = self.asking.lock().await;
        // Whoever was before may have brought it.
        if let Some(found) = look() {
            return found;
        }
        self.ask(clock).await;
        look().unwrap_or_else(|| Err(self.unavailable("they were just asked for")))
    }

    async fn refresh(&self, clock: Clock) {
        // Whoever asks now brings them for everybody.
        let Ok(_alone) = self.asking.try_lock() else { return };
        if self.cache().is_due(clock.now()) {
            self.ask(clock).await;
        }
    }

    async fn ask(&self, clock: Clock) {
        let began = clock.now();
        let asked = discovery::keys(&self.outbound, &self.settings.issuer, &self.settings.url).await;
        // A provider that is away for long does not fill the log.
        if let Some(why) = self.cache().news(&asked) {
            tracing::warn!(issuer = self.settings.issuer, why, "the keys of an identity provider cannot be had");
        }
        self.cache().told(asked, began, clock.now());
    }

    fn unavailable(&self, why: &str) -> Refusal {
        let issuer = &self.settings.issuer;
        let message = format!("the token cannot be verified: the keys of {issuer} cannot be had: {why}");
        Refusal::new(Kind::Unavailable, message)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // It is whole even if somebody panicked while holding it: every change is one assignment.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
