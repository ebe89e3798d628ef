//! Configuration, in two steps: [`ConfigFile`] is what was typed, [`Config`] is what it means.
//!
//! There is no switch that makes the server insecure: TLS, client identities and the authorization table are always on.

mod identity_provider;

pub use identity_provider::{
    CLAIM_BYTES_MAX, IDENTITY_PROVIDERS_MAX, IdentityProvider, IdentityProviderFile, REQUIRED_CLAIMS_MAX,
    RequiredClaim, SCOPE_DEFAULT, USER_CLAIM_DEFAULT,
};

use crate::limits::Limits;
use credence_credential::key::KeyAlgorithm;
use credence_credential::key_file::Passphrase;
use credence_model::id::Namespace;
use credence_model::refusal::Refusal;
use credence_model::settings::Settings;
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::template::PathTemplates;
use credence_telemetry::otlp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Where data is kept if the configuration does not say.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/credence";
/// Where the server listens if the configuration does not say: only this machine.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8443";
/// Most names in the server's certificate beyond the built-in ones.
pub const NAMES_MAX: usize = 32;
/// Most administrators, by SPIFFE ID and by uid each.
pub const ADMINS_MAX: usize = 256;
/// Most types of subjects beside `actor`.
pub const SUBJECT_TYPES_MAX: usize = 32;
/// Longest of them, in bytes.
pub const SUBJECT_TYPE_BYTES_MAX: usize = 128;
/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;

/// The configuration file as it is written (TOML). Everything but the trust domain has a default. Command-line flags
/// overwrite single fields before [`ConfigFile::resolve`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Name of the trust domain, e.g. `example.internal`. Required, and fixed once the data directory exists.
    pub trust_domain: Option<String>,
    /// Where everything is kept. Default: [`DATA_DIR_DEFAULT`].
    pub data_dir: Option<PathBuf>,
    /// Address and port for nodes, workloads and remote administrators. Default: [`LISTEN_DEFAULT`]; port 0 takes a
    /// free one.
    pub listen: Option<String>,
    /// Loopback address and port of `/metrics`, `/healthz` and `/readyz` in plain HTTP; nowhere by default.
    pub observe: Option<String>,
    /// The collector that is told traces and metrics (OTLP over gRPC); nobody by default.
    pub otlp: otlp::SettingsFile,
    /// Further DNS names and IP addresses for the server's certificate; `localhost`, `127.0.0.1` and `::1` are always
    /// there.
    pub names: Vec<String>,
    /// SPIFFE IDs of administrators.
    pub admins: Vec<String>,
    /// User ids that may use the admin socket, besides root and the server's own.
    pub admin_uids: Vec<u32>,
    /// Who says who a user is. Nobody by default: then no user logs in.
    pub identity_providers: Vec<IdentityProviderFile>,
    /// How keys are made at the first start.
    pub authority: AuthorityFile,
    /// How decisions are asked for.
    pub authzen: AuthzenFile,
    /// Leases and limits.
    pub settings: SettingsFile,
    /// How SPIFFE ID paths are written; fixed once the data directory exists.
    pub templates: PathTemplates,
}

/// How the authority's keys are made at the first start.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityFile {
    /// `ecdsa-p256` (default), `ecdsa-p384` or `ed25519`.
    pub algorithm: KeyAlgorithm,
    /// Whether an intermediate signs instead of the root. Default: false.
    pub intermediate: bool,
}

/// How decisions are asked for over AuthZEN.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzenFile {
    /// Types of subjects beside `actor`, and the namespace whose actors they are: `user = "people"` makes the subject `alice`
    /// of the type `user` the actor `people/alice`.
    pub subject_types: BTreeMap<String, Namespace>,
}

/// Leases and limits; see [`Settings`] for what each means and its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsFile {
    /// See [`Settings::lease_ms`].
    pub lease_ms: Option<u64>,
    /// See [`Settings::heartbeat_ms`].
    pub heartbeat_ms: Option<u64>,
    /// See [`Settings::clock_margin_ms`].
    pub clock_margin_ms: Option<u64>,
    /// See [`Settings::node_ttl_secs`].
    pub node_ttl_secs: Option<u64>,
    /// See [`Settings::waiting_max`].
    pub waiting_max: Option<u64>,
    /// See [`Settings::wait_ms`].
    pub wait_ms: Option<u64>,
}

/// What the configuration means.
#[derive(Debug, Clone)]
pub struct Config {
    /// Settings of the trust domain, which are recorded.
    pub settings: Settings,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where metrics and probes are, if anywhere.
    pub observe: Option<SocketAddr>,
    /// Who is told traces and metrics, if anybody.
    pub otlp: Option<otlp::Settings>,
    /// DNS names in the server's certificate.
    pub dns_names: Vec<String>,
    /// IP addresses in the server's certificate.
    pub ip_addrs: Vec<IpAddr>,
    /// SPIFFE IDs of administrators.
    pub admins: Vec<SpiffeId>,
    /// User ids of administrators, besides root and the server's own.
    pub admin_uids: Vec<u32>,
    /// Who says who a user is.
    pub identity_providers: Vec<IdentityProvider>,
    /// Kind of the authority's keys.
    pub algorithm: KeyAlgorithm,
    /// Whether an intermediate signs.
    pub intermediate: bool,
    /// Types of subjects beside `actor`.
    pub subject_types: BTreeMap<String, Namespace>,
    /// How much and how long; never in the file.
    pub limits: Limits,
    /// What the authority's keys are encrypted with on disk; never in the file.
    pub passphrase: Option<Arc<Passphrase>>,
}

/// Why a configuration is not accepted. Names the field.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not TOML, has an unknown field or a wrong type.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// A field holds a wrong value.
    #[error("configuration: {field}: {message}")]
    Field {
        /// The field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
}

impl ConfigFile {
    /// Reads the text of a configuration file; `path` is for error messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |message| ConfigError::File { path: path.to_owned(), message };
        if text.len() > CONFIG_BYTES_MAX {
            return Err(wrong(format!("it has {} bytes; at most {CONFIG_BYTES_MAX} are read", text.len())));
        }
        toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().replace('\n', "\n  ")))
    }

    /// Says what it means.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let name = self.trust_domain.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(field("trust_domain", "it is required; choose a name for ever, e.g. example.internal"));
        }
        let trust_domain = TrustDomain::parse(name).map_err(|error| field("trust_domain", error))?;
        let settings = self.settings.over(trust_domain, self.templates)?;
        let listen = self.listen.as_deref().unwrap_or(LISTEN_DEFAULT);
        let listen = listen
            .parse()
            .map_err(|_| field("listen", format!("`{listen}` is not ADDRESS:PORT, e.g. {LISTEN_DEFAULT}")))?;
        let wrong = |text: &str| field("observe", format!("`{text}` is not ADDRESS:PORT, e.g. 127.0.0.1:9464"));
        let observe = self.observe.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?;
        let otlp = self.otlp.0.resolve().map_err(|error| field(error.field, error))?;
        let (dns_names, ip_addrs) = names(&self.names)?;
        Ok(Config {
            settings,
            data_dir: self.data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into()),
            listen,
            observe,
            otlp,
            dns_names,
            ip_addrs,
            admins: admins(&self.admins)?,
            admin_uids: check_count("admin_uids", self.admin_uids, ADMINS_MAX)?,
            identity_providers: identity_provider::resolve(self.identity_providers)?,
            algorithm: self.authority.algorithm,
            intermediate: self.authority.intermediate,
            subject_types: subject_types(self.authzen.subject_types)?,
            limits: Limits::default(),
            passphrase: None,
        })
    }
}

impl SettingsFile {
    fn over(&self, trust_domain: TrustDomain, templates: PathTemplates) -> Result<Settings, ConfigError> {
        let default = Settings::new(trust_domain);
        let settings = Settings {
            templates,
            lease_ms: self.lease_ms.unwrap_or(default.lease_ms),
            heartbeat_ms: self.heartbeat_ms.unwrap_or(default.heartbeat_ms),
            clock_margin_ms: self.clock_margin_ms.unwrap_or(default.clock_margin_ms),
            node_ttl_secs: self.node_ttl_secs.unwrap_or(default.node_ttl_secs),
            waiting_max: self.waiting_max.unwrap_or(default.waiting_max),
            wait_ms: self.wait_ms.unwrap_or(default.wait_ms),
            ..default
        };
        settings.validate().map_err(|refusal: Refusal| {
            let message = refusal.message.clone();
            ConfigError::Field { field: format!("settings.{}", refusal.field.unwrap_or_default()), message }
        })?;
        Ok(settings)
    }
}

fn names(texts: &[String]) -> Result<(Vec<String>, Vec<IpAddr>), ConfigError> {
    let mut dns = vec!["localhost".to_owned()];
    let mut ips = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    for (index, text) in texts.iter().enumerate() {
        let label = |label: &str| {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty() && label.len() <= 63 && label.chars().all(legal)
        };
        match text.parse() {
            Ok(ip) if !ips.contains(&ip) => ips.push(ip),
            Ok(_) => {}
            Err(_) if text.len() > 253 || !text.split('.').all(label) => {
                let message =
                    format!("`{}` is neither a DNS name in lower case nor an IP address", text.escape_debug());
                return Err(field(format!("names[{index}]"), message));
            }
            Err(_) if dns.contains(text) => {}
            Err(_) => dns.push(text.clone()),
        }
    }
    check_count("names", texts.to_vec(), NAMES_MAX)?;
    Ok((dns, ips))
}

fn admins(texts: &[String]) -> Result<Vec<SpiffeId>, ConfigError> {
    let admins = texts
        .iter()
        .enumerate()
        .map(|(index, text)| SpiffeId::parse(text).map_err(|error| field(format!("admins[{index}]"), error)));
    check_count("admins", admins.collect::<Result<Vec<_>, _>>()?, ADMINS_MAX)
}

fn subject_types(types: BTreeMap<String, Namespace>) -> Result<BTreeMap<String, Namespace>, ConfigError> {
    if types.len() > SUBJECT_TYPES_MAX {
        return Err(field("authzen.subject_types", format!("more than {SUBJECT_TYPES_MAX} types")));
    }
    let is_type = |kind: &str| {
        kind != "actor"
            && (1..=SUBJECT_TYPE_BYTES_MAX).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_graphic())
    };
    match types.keys().find(|kind| !is_type(kind)) {
        Some(kind) => {
            let message = format!("it is not `actor`, and 1 to {SUBJECT_TYPE_BYTES_MAX} visible ASCII characters");
            Err(field(format!("authzen.subject_types.{}", kind.escape_debug()), message))
        }
        None => Ok(types),
    }
}

fn check_count<T>(name: &str, items: Vec<T>, max: usize) -> Result<Vec<T>, ConfigError> {
    if items.len() > max { Err(field(name, format!("more than {max} items"))) } else { Ok(items) }
}

fn field(field: impl Into<String>, message: impl ToString) -> ConfigError {
    ConfigError::Field { field: field.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigError, ConfigFile};
    use std::path::Path;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        ConfigFile::parse(Path::new("credence.toml"), text)?.resolve()
    }

    #[test]
    fn a_trust_domain_is_all_that_must_be_configured() {
        let config = resolve("trust_domain = 'demo.internal'").expect("complete");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8443");
        assert_eq!((config.dns_names.len(), config.ip_addrs.len()), (1, 2));
        assert_eq!(config.settings.lease_ms, 10_000);
    }

    #[test]
    fn a_type_of_subjects_stands_for_a_namespace() {
        let authzen =
            |types: &str| resolve(&format!("trust_domain = 'demo.internal'\n[authzen.subject_types]\n{types}"));
        let config = authzen("user = 'people'").expect("a type");
        assert_eq!(config.subject_types["user"].as_str(), "people");
        let many: String = (0..33).map(|nth| format!("t{nth} = 'people'\n")).collect();
        for types in ["actor = 'people'", "'' = 'people'", "'a b' = 'people'", "user = 'People'", &many] {
            authzen(types).expect_err(types);
        }
    }

    #[test]
    fn what_is_written_overrides_the_default() {
        let text = "trust_domain = 'a'\nlisten = '[::1]:0'\nnames = ['credence.example', '10.0.0.1', 'localhost']\n\
                    admin_uids = [1000]\n[settings]\nlease_ms = 5000\n[authority]\nalgorithm = 'ed25519'";
        let config = resolve(text).expect("complete");
        assert_eq!(config.dns_names, ["localhost", "credence.example"]);
        assert_eq!(config.ip_addrs.len(), 3);
        assert_eq!((config.settings.lease_ms, config.settings.heartbeat_ms), (5000, 2000));
    }

    #[test]
    fn every_wrong_value_is_named_with_its_field() {
        for (text, field) in [
            ("", "trust_domain"),
            ("trust_domain = 'A'", "trust_domain"),
            ("trust_domain = 'a'\nlisten = 'localhost'", "listen"),
            ("trust_domain = 'a'\nnames = ['ok', 'no good']", "names[1]"),
            ("trust_domain = 'a'\nadmins = ['spiffe://A/b']", "admins[0]"),
            ("trust_domain = 'a'\n[settings]\nlease_ms = 1", "settings.leaseMs"),
            ("trust_domain = 'a'\ninsecure = true", "unknown field `insecure`"),
            ("trust_domain = 7", "line 1"),
            (
                "trust_domain = 'a'\notlp = 'http://10.0.0.1:4317'",
                "otlp.endpoint: `10.0.0.1` is not a loopback address",
            ),
            ("trust_domain = 'a'\n[otlp]\nratio = 1", "otlp.endpoint: it is missing"),
        ] {
            let message = resolve(text).expect_err(text).to_string();
            assert!(message.contains(field), "{text}: {message}");
        }
    }
}
