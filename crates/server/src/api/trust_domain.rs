//! The trust domain: its settings and its bundle.

use credence_model::settings::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The trust domain as it is now. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustDomainView {
    /// Its settings.
    pub settings: Settings,
    /// Version of the server's software.
    pub server_version: String,
}
