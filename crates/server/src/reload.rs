//! The configuration read again while the server runs: all of it, or nothing.
//!
//! Settings of the trust domain, names in the server's certificate, administrators and identity providers can change. What a running server
//! stands on (where it keeps and serves things, and what its keys and SPIFFE IDs are) cannot; a file that changes it is
//! refused as a whole, with the field.

use crate::config::Config;
use crate::listeners::{ListenersError, protect};
use crate::start::Server;
use credence_credential::tls::TlsError;
use credence_credential::x509_svid::ServerNames;
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::refusal::Refusal;
use std::sync::PoisonError;
use thiserror::Error;

/// Why a configuration was not taken over. Everything is as before.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// It changes what a running server stands on.
    #[error("{0} cannot change while the server runs; set it back, or stop the server and start it again")]
    Fixed(&'static str),
    /// It is no good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file cannot be protected as it says.
    #[error(transparent)]
    Protect(#[from] ListenersError),
    /// TLS to an identity provider cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Server {
    /// Takes over a configuration that was read again. The answer names what changed.
    pub async fn reload(&self, config: Config) -> Result<Vec<&'static str>, ReloadError> {
        let before = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(field) = fixed(&before, &config) {
            return Err(ReloadError::Fixed(field));
        }
        let app = &self.app;
        let names = ServerNames { dns: config.dns_names.clone(), ip: config.ip_addrs.clone() };
        // What can fail comes first, and what is seen from outside last.
        let own = app.signer.make_own(&app.cell, app.clock.now(), names.clone()).await?;
        let identity_providers = app.identity_providers.others(&config)?;
        if before.admin_uids.is_empty() != config.admin_uids.is_empty() {
            protect(&config.data_dir, &config.admin_uids)?;
        }
        if before.settings != config.settings {
            let command = Command::Configure(config.settings.clone());
            let request = Request { caller: Caller::System, idempotency_key: None, command };
            if let Err(refusal) = app.cell.submit(request).await {
                protect(&before.data_dir, &before.admin_uids)?;
                return Err(refusal.into());
            }
        }
        app.signer.take_own(own, names)?;
        app.administrators.replace(&config);
        app.identity_providers.replace(&identity_providers);
        let changed = changes(&before, &config);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(changed)
    }
}

/// The field that would have to stay as it is.
fn fixed(before: &Config, after: &Config) -> Option<&'static str> {
    let same = [
        ("trust_domain", before.settings.trust_domain == after.settings.trust_domain),
        ("templates", before.settings.templates == after.settings.templates),
        ("data_dir", before.data_dir == after.data_dir),
        ("listen", before.listen == after.listen),
        ("observe", before.observe == after.observe),
        ("otlp", before.otlp == after.otlp),
        ("authority.algorithm", before.algorithm == after.algorithm),
        ("authority.intermediate", before.intermediate == after.intermediate),
        ("authzen", before.subject_types == after.subject_types),
    ];
    same.into_iter().find_map(|(field, is_same)| (!is_same).then_some(field))
}

fn changes(before: &Config, after: &Config) -> Vec<&'static str> {
    let same = [
        ("settings", before.settings == after.settings),
        ("names", before.dns_names == after.dns_names && before.ip_addrs == after.ip_addrs),
        ("admins", before.admins == after.admins),
        ("admin_uids", before.admin_uids == after.admin_uids),
        ("identity_providers", before.identity_providers == after.identity_providers),
    ];
    same.into_iter().filter_map(|(field, is_same)| (!is_same).then_some(field)).collect()
}
