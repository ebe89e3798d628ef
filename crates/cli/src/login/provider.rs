//! An identity provider, as a program without a browser speaks to it (RFC 8628, RFC 6749 §6).

use crate::client::escape;
use crate::failure::Failure;
use crate::token::Token;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use credence_server::identity_provider::discovery::{self, Metadata};
use credence_server::outbound::{Answer, Outbound, Url, read_roots, system_roots};
use serde::Deserialize;
use std::path::Path;

/// Longest message of a provider that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// How long a token counts that does not say it, in seconds.
const TOKEN_SECS_DEFAULT: u64 = 300;

/// A provider that was found.
pub(crate) struct Provider {
    outbound: Outbound,
    url: Url,
    metadata: Metadata,
}

/// What a login begins with (RFC 8628 §3.2).
#[derive(Deserialize)]
pub(crate) struct Begun {
    pub(crate) device_code: Token,
    pub(crate) user_code: String,
    pub(crate) verification_uri: String,
    pub(crate) verification_uri_complete: Option<String>,
    pub(crate) expires_in: u64,
    pub(crate) interval: Option<u64>,
}

/// What a login ends with (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
#[derive(Deserialize)]
pub(crate) struct Tokens {
    access_token: Token,
    id_token: Option<Token>,
    pub(crate) refresh_token: Option<Token>,
    expires_in: Option<u64>,
}

/// Why there are no tokens (RFC 6749 §5.2).
#[derive(Deserialize)]
pub(crate) struct Refused {
    pub(crate) error: String,
    #[serde(default)]
    error_description: String,
}

impl Provider {
    /// Finds a provider by its issuer.
    pub(crate) async fn find(issuer: &str, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let malformed = |why: String| Failure::new(Kind::Malformed, why);
        let url = Url::parse(issuer).map_err(malformed)?;
        let roots = ca_file.map_or_else(|| Ok(system_roots()), read_roots).map_err(malformed)?;
        let outbound = Outbound::new(roots).map_err(|error| Failure::new(error.kind(), error.to_string()))?;
        let metadata = discovery::metadata(&outbound, issuer).await.map_err(away)?;
        Ok(Self { outbound, url, metadata })
    }

    /// Begins a login. A token for another than the client is asked for by the name of its audience (RFC 8707).
    pub(crate) async fn begin(&self, client_id: &str, scope: &str, audience: &str) -> Result<Begun, Failure> {
        let at =
            self.endpoint(self.metadata.device_authorization_endpoint.as_ref(), "the device authorization grant")?;
        let mut form = vec![("client_id", client_id), ("scope", scope)];
        if audience != client_id {
            form.push(("resource", audience));
        }
        let answer = self.outbound.post_form(&at, written(&form)).await.map_err(|why| away(format!("{at}: {why}")))?;
        read(&answer, &at)?.map_err(|refused: Refused| refused.failure())
    }

    /// Asks once whether a login that was begun has ended; the refusal may be that it has not.
    pub(crate) async fn poll(&self, client_id: &str, device_code: &Token) -> Result<Result<Tokens, Refused>, Failure> {
        const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
        let form = [("grant_type", GRANT), ("client_id", client_id), ("device_code", device_code.expose())];
        self.tokens(&form).await
    }

    /// Gets the next tokens.
    pub(crate) async fn renew(&self, client_id: &str, refresh_token: &Token) -> Result<Tokens, Failure> {
        let form =
            [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token.expose())];
        self.tokens(&form).await?.map_err(|refused| refused.failure())
    }

    async fn tokens(&self, form: &[(&str, &str)]) -> Result<Result<Tokens, Refused>, Failure> {
        let at = self.endpoint(self.metadata.token_endpoint.as_ref(), "tokens")?;
        let answer = self.outbound.post_form(&at, written(form)).await.map_err(|why| away(format!("{at}: {why}")))?;
        read(&answer, &at)
    }

    fn endpoint(&self, named: Option<&String>, what: &str) -> Result<Url, Failure> {
        let missing = || Failure::new(Kind::Malformed, format!("the identity provider does not offer {what}"));
        let named = named.ok_or_else(missing)?;
        discovery::endpoint(&self.url, named).map_err(|why| Failure::new(Kind::Malformed, why))
    }
}

impl Tokens {
    /// The token that a server with this audience is shown: an ID token is for the client.
    pub(crate) fn shown(&self, audience: &str, client_id: &str) -> Result<Token, Failure> {
        if audience != client_id {
            return Ok(self.access_token.clone());
        }
        self.id_token.clone().ok_or_else(|| {
            let failure = Failure::new(Kind::Malformed, "the identity provider gave no ID token");
            failure.hint("The server's configuration needs the scope `openid` for it")
        })
    }

    /// Until when that token is valid, as it says itself. The server judges that; here it is only when to renew.
    pub(crate) fn expires_at(&self, token: &Token, now: Timestamp) -> Timestamp {
        #[derive(Deserialize)]
        struct Expiry {
            exp: u64,
        }
        let payload = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let said = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        said.map_or_else(
            || now.plus_secs(self.expires_in.unwrap_or(TOKEN_SECS_DEFAULT)),
            |Expiry { exp }| Timestamp::from_secs(exp),
        )
    }
}

impl Refused {
    pub(crate) fn failure(self) -> Failure {
        let words = if self.error_description.is_empty() { self.error } else { self.error_description };
        let words: String = words.chars().take(MESSAGE_CHARS_MAX).collect();
        Failure::new(Kind::Denied, format!("the identity provider refused: {words}"))
    }
}

/// An answer of the one sort or the other. What cannot be read is not repeated: it could be a token.
fn read<T: for<'de> Deserialize<'de>>(answer: &Answer, at: &Url) -> Result<Result<T, Refused>, Failure> {
    if answer.status.is_server_error() {
        return Err(away(format!("{at} answered {}", answer.status)));
    }
    let unreadable = |_| Failure::new(Kind::Malformed, format!("{at} answered {} with something else", answer.status));
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body).map(Ok).map_err(unreadable);
    }
    serde_json::from_slice(&answer.body).map(Err).map_err(unreadable)
}

fn away(why: String) -> Failure {
    Failure::new(Kind::Unavailable, format!("the identity provider cannot be asked: {why}")).unsent()
}

fn written(form: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}
