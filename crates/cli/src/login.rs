//! Users: the tokens of whoever logged in on this machine, and what they are good for.
//!
//! INVARIANT: a token goes to the server for which it was got, and to no other; what renews it goes to the provider that
//! issued it, and to none that the server names later. Neither is ever in an argument, the environment, or anything that is printed.

pub(crate) mod device;
mod file;
mod provider;

use crate::clock;
use crate::context::ServerAddress;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::token::Token;
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_server::api::me::MeView;
pub(crate) use provider::Provider;
use provider::Tokens;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A token is renewed when it is valid for no longer than this, in seconds.
const RENEW_BEFORE_SECS: u64 = 30;

/// Somebody who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The server, as it was named.
    server: String,
    /// The provider where the person logged in, which alone renews it.
    issuer: String,
    /// Who it is there.
    pub(crate) user: User,
    /// What shows it.
    pub(crate) token: Token,
    /// Until when.
    pub(crate) expires_at: Timestamp,
    /// What gets the next one, if the provider gave it.
    refresh_token: Option<Token>,
    /// The client at the provider.
    client_id: String,
    /// For whom its tokens are.
    audience: String,
    /// What the provider is known by, if not by what this machine trusts.
    ca_file: Option<PathBuf>,
}

/// Whoever is logged in at this server, with a token that is still good: renewed if that is due and can be done.
pub(crate) async fn current(server: &ServerAddress, environment: &Environment) -> Result<Option<Login>, Failure> {
    let Some(home) = &environment.home else { return Ok(None) };
    let Some(login) = file::read(home)?.filter(|login| login.is_at(server)) else { return Ok(None) };
    if !login.is_due(clock::now()) {
        return Ok(Some(login));
    }
    // Whoever renews beside this one may have used up the token that renews; one of them does it.
    let _alone = file::lock(home)?;
    let Some(mut login) = file::read(home)?.filter(|login| login.is_at(server)) else { return Ok(None) };
    if !login.is_due(clock::now()) {
        return Ok(Some(login));
    }
    let tokens = login.renewal().await?;
    let taken = login.take(tokens);
    file::write(home, &login)?;
    taken.map(|()| Some(login))
}

/// Keeps a login.
pub(crate) fn keep(login: &Login, environment: &Environment) -> Result<PathBuf, Failure> {
    let home = environment.home.as_ref().ok_or_else(|| {
        let failure = Failure::new(
            Kind::Unavailable,
            "there is no place to keep the login: neither HOME nor CREDENCE_HOME is set",
        );
        failure.hint("Set CREDENCE_HOME")
    })?;
    let _alone = file::lock(home)?;
    file::write(home, login)
}

/// Forgets a login; who it was.
pub(crate) fn forget(environment: &Environment) -> Result<Option<User>, Failure> {
    let Some(home) = environment.home.as_ref().filter(|home| home.is_dir()) else { return Ok(None) };
    // A renewal under way would write it back.
    let _alone = file::lock(home)?;
    // A file that cannot be read is removed all the same.
    let user = file::read(home).ok().flatten().map(|login| login.user);
    file::remove(home).map(|was_there| user.filter(|_| was_there))
}

/// The user as whom the server knows whoever logged in at this provider.
pub(crate) fn user_of(issuer: &str, me: MeView) -> Result<User, Failure> {
    me.user.filter(|user| user.issuer == issuer).ok_or_else(|| {
        let message = format!("the server does not take whoever logged in at {issuer} for a user of it");
        Failure::new(Kind::Denied, message).hint("Nothing was kept. Check that --server is the one that is meant")
    })
}

impl Login {
    fn is_at(&self, server: &ServerAddress) -> bool {
        self.server == server.to_string()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at <= now.plus_secs(RENEW_BEFORE_SECS)
    }

    async fn renewal(&self) -> Result<Tokens, Failure> {
        let over = |why: &str| {
            let message = format!("the login of {} is over{why}", self.user);
            Failure::new(Kind::Unauthenticated, message).hint("Run `credence login` again, or `credence logout`")
        };
        let Some(refresh_token) = &self.refresh_token else { return Err(over("")) };
        let provider = Provider::find(&self.issuer, self.ca_file.as_deref()).await?;
        let renewed = provider.renew(&self.client_id, refresh_token).await;
        renewed.map_err(|failure| match failure.refusal.kind {
            Kind::Unavailable => failure,
            _ => over(&format!(": {}", failure.refusal.message)),
        })
    }

    /// Takes over what the provider gave: what renews first, for the one before is used up even if the rest is of no use.
    fn take(&mut self, mut tokens: Tokens) -> Result<(), Failure> {
        if let Some(next) = tokens.refresh_token.take() {
            self.refresh_token = Some(next);
        }
        let token = tokens.shown(&self.audience, &self.client_id)?;
        self.expires_at = tokens.expires_at(&token, clock::now());
        self.token = token;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
