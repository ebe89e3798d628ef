//! Identity providers in the configuration: who says who a user is.

use super::{ConfigError, field};
use crate::outbound::{Url, read_roots, system_roots};
use credence_model::user::ISSUER_BYTES_MAX;
use rustls::RootCertStore;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Most identity providers of one trust domain.
pub const IDENTITY_PROVIDERS_MAX: usize = 16;
/// Most claims that a provider's tokens are required to have.
pub const REQUIRED_CLAIMS_MAX: usize = 16;
/// Longest audience, client id, name of a claim and required value, in bytes.
pub const CLAIM_BYTES_MAX: usize = 512;
/// The claim that names a user if nothing else is said.
pub const USER_CLAIM_DEFAULT: &str = "sub";
/// The scopes that `credence login` asks for if nothing else is said: an ID token, and tokens to come after it.
pub const SCOPE_DEFAULT: &str = "openid offline_access";

/// An OpenID provider, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityProviderFile {
    /// Its issuer identifier, byte for byte as in its tokens. Required.
    pub issuer: Option<String>,
    /// For whom its tokens have to be: `aud`. Required.
    pub audience: Option<String>,
    /// The public client by which `credence login` is known there. Default: the audience.
    pub client_id: Option<String>,
    /// The scopes that `credence login` asks for. Default: [`SCOPE_DEFAULT`].
    pub scope: Option<String>,
    /// The claim that names a user. Default: [`USER_CLAIM_DEFAULT`].
    pub user_claim: Option<String>,
    /// Claims that its tokens have to have.
    pub require: BTreeMap<String, RequiredClaim>,
    /// Certificates (PEM) of the authorities that it is known by. Default: those of this machine.
    pub ca_file: Option<PathBuf>,
}

/// What a claim has to be, or, if it is a list, to hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum RequiredClaim {
    /// This text.
    Text(String),
    /// This truth value.
    Flag(bool),
}

/// An OpenID provider whose tokens say who a user is.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    /// Its issuer identifier.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// The public client of `credence login`.
    pub client_id: String,
    /// The scopes that `credence login` asks for.
    pub scope: String,
    /// The claim that names a user.
    pub user_claim: String,
    /// Claims that its tokens have to have.
    pub require: BTreeMap<String, Value>,
    /// Where it is.
    pub(crate) url: Url,
    /// Who vouches for its servers.
    pub(crate) roots: Arc<RootCertStore>,
}

impl PartialEq for IdentityProvider {
    fn eq(&self, other: &Self) -> bool {
        let Self { issuer, audience, client_id, scope, user_claim, require, url, roots } = self;
        *issuer == other.issuer
            && *audience == other.audience
            && *client_id == other.client_id
            && *scope == other.scope
            && *user_claim == other.user_claim
            && *require == other.require
            && *url == other.url
            && roots.roots == other.roots.roots
    }
}

/// Says what they mean.
pub(super) fn resolve(files: Vec<IdentityProviderFile>) -> Result<Vec<IdentityProvider>, ConfigError> {
    let files = super::check_count("identity_providers", files, IDENTITY_PROVIDERS_MAX)?;
    let mut issuers = BTreeSet::new();
    let mut providers = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        let provider = file.resolve(&format!("identity_providers[{index}]"))?;
        if !issuers.insert(provider.issuer.clone()) {
            return Err(field(format!("identity_providers[{index}].issuer"), "another one has the same issuer"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

impl IdentityProviderFile {
    fn resolve(self, at: &str) -> Result<IdentityProvider, ConfigError> {
        let inside = |name: &str| format!("{at}.{name}");
        let required = |name: &str, text: Option<String>| {
            text.ok_or_else(|| field(inside(name), "it is required")).and_then(|text| fits(&inside(name), text))
        };
        let issuer = required("issuer", self.issuer)?;
        let url = issuer_url(&issuer).map_err(|why| field(inside("issuer"), why))?;
        let audience = required("audience", self.audience)?;
        let client_id = self.client_id.map_or_else(|| Ok(audience.clone()), |id| fits(&inside("client_id"), id))?;
        let scope = self.scope.unwrap_or_else(|| SCOPE_DEFAULT.to_owned());
        let user_claim = self.user_claim.unwrap_or_else(|| USER_CLAIM_DEFAULT.to_owned());
        let roots = match &self.ca_file {
            Some(_) if !url.is_tls() => {
                return Err(field(inside("ca_file"), "certificates are for https:// only; leave it away"));
            }
            Some(path) => read_roots(path).map_err(|why| field(inside("ca_file"), why))?,
            None => system_roots(),
        };
        if url.is_tls() && roots.is_empty() {
            let message = "this machine has no file of authorities that it trusts; name one";
            return Err(field(inside("ca_file"), message));
        }
        Ok(IdentityProvider {
            scope: fits(&inside("scope"), scope)?,
            user_claim: fits(&inside("user_claim"), user_claim)?,
            require: required_claims(&inside("require"), self.require)?,
            roots: Arc::new(roots),
            issuer,
            audience,
            client_id,
            url,
        })
    }
}

// SPEC: OpenID Connect Discovery §3, `issuer`: a URL without query or fragment.
fn issuer_url(issuer: &str) -> Result<Url, String> {
    if issuer.len() > ISSUER_BYTES_MAX {
        return Err(format!("it is longer than {ISSUER_BYTES_MAX} bytes"));
    }
    let url = Url::parse(issuer)?;
    if url.has_query() { Err("an issuer has no query".to_owned()) } else { Ok(url) }
}

fn required_claims(at: &str, claims: BTreeMap<String, RequiredClaim>) -> Result<BTreeMap<String, Value>, ConfigError> {
    if claims.len() > REQUIRED_CLAIMS_MAX {
        return Err(field(at, format!("more than {REQUIRED_CLAIMS_MAX} items")));
    }
    let read = |(name, value)| {
        let value = match value {
            RequiredClaim::Text(text) => Value::String(fits(&format!("{at}.{name}"), text)?),
            RequiredClaim::Flag(flag) => Value::Bool(flag),
        };
        Ok((fits(at, name)?, value))
    };
    claims.into_iter().map(read).collect()
}

fn fits(at: &str, text: String) -> Result<String, ConfigError> {
    if (1..=CLAIM_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(field(at, format!("it is one line of 1 to {CLAIM_BYTES_MAX} bytes")))
}

#[cfg(test)]
mod tests {
    use super::IdentityProvider;
    use crate::config::{ConfigError, ConfigFile};
    use serde_json::json;
    use std::path::Path;

    fn resolve(text: &str) -> Result<Vec<IdentityProvider>, ConfigError> {
        let text = format!("trust_domain = 'a'\n{text}");
        Ok(ConfigFile::parse(Path::new("credence.toml"), &text)?.resolve()?.identity_providers)
    }

    fn one(more: &str) -> String {
        format!("[[identity_providers]]\nissuer = 'http://127.0.0.1:3000/oidc'\naudience = 'credence'\n{more}")
    }

    #[test]
    fn a_provider_is_an_issuer_and_an_audience() {
        let provider = resolve(&one("")).expect("complete").remove(0);
        assert_eq!((provider.client_id.as_str(), provider.user_claim.as_str()), ("credence", "sub"));
        let provider = resolve(&one("client_id = 'cli'\nuser_claim = 'email'\nrequire = { hd = 'a', staff = true }"));
        let provider = provider.expect("complete").remove(0);
        assert_eq!((provider.client_id.as_str(), provider.user_claim.as_str()), ("cli", "email"));
        assert_eq!(json!(provider.require), json!({ "hd": "a", "staff": true }));
        assert_eq!(resolve("").expect("none"), []);
    }

    #[test]
    fn every_wrong_value_is_named_with_its_field() {
        let issuer = |issuer: &str| format!("[[identity_providers]]\nissuer = '{issuer}'\naudience = 'a'");
        for (text, message) in [
            ("[[identity_providers]]\naudience = 'a'".to_owned(), "identity_providers[0].issuer: it is required"),
            ("[[identity_providers]]\nissuer = 'http://[::1]'".to_owned(), "identity_providers[0].audience"),
            (issuer("http://login.example.org"), "identity_providers[0].issuer"),
            (issuer("https://login.example.org?a"), "identity_providers[0].issuer: an issuer has no query"),
            (issuer("spiffe://a"), "identity_providers[0].issuer"),
            (issuer(&format!("http://127.0.0.1/{}", "a".repeat(512))), "identity_providers[0].issuer"),
            (one("").repeat(2), "identity_providers[1].issuer: another one has the same issuer"),
            (one("client_id = ''"), "identity_providers[0].client_id"),
            (one("user_claim = \"a\\nb\""), "identity_providers[0].user_claim"),
            (one("require = { hd = '' }"), "identity_providers[0].require.hd"),
            (one("require = { hd = 7 }"), "data did not match"),
            (one("ca_file = '/nowhere.pem'"), "identity_providers[0].ca_file"),
            (
                format!("{}\nca_file = '/nowhere.pem'", issuer("https://login.example.org")),
                "identity_providers[0].ca_file: /nowhere.pem",
            ),
            (one("secret = 'a'"), "unknown field `secret`"),
            (
                (0..17)
                    .map(|port| issuer(&format!("http://127.0.0.1:{}\n", port + 1).replace('\n', "")) + "\n")
                    .collect(),
                "identity_providers: more than 16 items",
            ),
        ] {
            let error = resolve(&text).expect_err(&text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
