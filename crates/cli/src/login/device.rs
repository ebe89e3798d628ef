//! The OAuth device authorization grant (RFC 8628): the person uses a browser, anywhere, and this program waits.

use crate::clock;
use crate::context::ServerAddress;
use crate::failure::Failure;
use crate::login::provider::{Begun, Refused, Tokens};
use crate::login::{Login, Provider};
use crate::token::Token;
use credence_model::refusal::Kind;
use credence_model::user::User;
use credence_server::api::identity_provider::IdentityProviderView;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait between two questions if the provider does not say, in seconds (RFC 8628 §3.2).
const INTERVAL_SECS_DEFAULT: u64 = 5;
/// How much longer after being told to slow down, in seconds (RFC 8628 §3.5).
const SLOW_DOWN_SECS: u64 = 5;
/// Longest wait between two questions, in seconds.
const INTERVAL_SECS_MAX: u64 = 60;
/// Longest time that a person is waited for, in seconds.
const LOGIN_SECS_MAX: u64 = 1_800;

/// Waits until the person has logged in, or has not.
// SPEC: RFC 8628 §3.4, §3.5
pub(crate) async fn wait(provider: &Provider, client_id: &str, begun: &Begun) -> Result<Tokens, Failure> {
    let patience = Duration::from_secs(begun.expires_in.min(LOGIN_SECS_MAX));
    let until = Instant::now() + patience;
    let mut interval = begun.interval.unwrap_or(INTERVAL_SECS_DEFAULT).clamp(1, INTERVAL_SECS_MAX);
    loop {
        sleep(Duration::from_secs(interval)).await;
        match provider.poll(client_id, &begun.device_code).await {
            Ok(Ok(tokens)) => return Ok(tokens),
            Ok(Err(Refused { error, .. })) if error == "authorization_pending" => {}
            Ok(Err(Refused { error, .. })) if error == "slow_down" => interval = slower(interval),
            Ok(Err(Refused { error, .. })) if error == "expired_token" => return Err(late()),
            Ok(Err(refused)) => return Err(refused.failure()),
            // Whoever does not answer is asked less often.
            Err(failure) if failure.refusal.kind == Kind::Unavailable && Instant::now() < until => {
                interval = slower(interval);
            }
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= until {
            return Err(late());
        }
    }
}

fn slower(interval: u64) -> u64 {
    (interval + SLOW_DOWN_SECS).min(INTERVAL_SECS_MAX)
}

fn late() -> Failure {
    Failure::new(Kind::Unauthenticated, "nobody entered the code in time").hint("Run `credence login` again")
}

/// What is kept of a login.
pub(crate) fn login(
    server: &ServerAddress,
    at: IdentityProviderView,
    (tokens, token): (Tokens, Token),
    user: User,
    ca_file: Option<PathBuf>,
) -> Login {
    Login {
        server: server.to_string(),
        issuer: at.issuer,
        user,
        expires_at: tokens.expires_at(&token, clock::now()),
        token,
        refresh_token: tokens.refresh_token,
        client_id: at.client_id,
        audience: at.audience,
        ca_file,
    }
}
