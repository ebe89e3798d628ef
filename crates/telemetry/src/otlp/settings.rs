//! Which collector, and what it is told: what was typed, and what it means.
//!
//! What is told names actors, so plain text goes to this machine only; there is no switch that changes that.

use super::dial::Place;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// How often metrics are told if the configuration does not say, in seconds.
pub const EVERY_SECS: u64 = 10;
/// The longest time between two tellings, in seconds.
const EVERY_SECS_MAX: u64 = 3_600;

/// What was typed: all of it, or only the endpoint.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// `http://` on this machine, `https://HOST:PORT`, or `unix:PATH`. Nobody is told without it.
    pub endpoint: Option<String>,
    /// Certificates (PEM) of the authorities that a collector behind `https://` is known by.
    pub ca: Option<PathBuf>,
    /// Which share of the requests that begin here is traced, from 0 to 1. Default: all.
    pub ratio: Option<f64>,
    /// How often metrics are told, in seconds. Default: [`EVERY_SECS`].
    pub every_secs: Option<u64>,
}

/// The same in a configuration file: a text, which is the endpoint, or a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettingsFile(pub File);

/// What it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub(crate) place: Place,
    pub(crate) ratio: f64,
    pub(crate) every: Duration,
}

/// What was typed means nothing.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct SettingsError {
    /// Which field of the configuration.
    pub field: &'static str,
    message: String,
}

impl File {
    /// What it means; nothing if no collector is named.
    ///
    /// # Errors
    /// A value that means nothing, or a collector that would be told in plain text over a network.
    pub fn resolve(self) -> Result<Option<Settings>, SettingsError> {
        let Some(endpoint) = self.endpoint else {
            let is_alone = self.ca.is_some() || self.ratio.is_some() || self.every_secs.is_some();
            let missing = || wrong("otlp.endpoint", "it is missing; name the collector, e.g. http://127.0.0.1:4317");
            return if is_alone { Err(missing()) } else { Ok(None) };
        };
        let authorities = self.ca.map(authorities).transpose()?;
        let place = Place::parse(&endpoint, authorities).map_err(|why| wrong("otlp.endpoint", why))?;
        let ratio = self.ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&ratio) {
            return Err(wrong("otlp.ratio", format!("{ratio} is not a number from 0 to 1")));
        }
        let every_secs = self.every_secs.unwrap_or(EVERY_SECS);
        if !(1..=EVERY_SECS_MAX).contains(&every_secs) {
            return Err(wrong("otlp.every_secs", format!("{every_secs} is not from 1 to {EVERY_SECS_MAX}")));
        }
        Ok(Some(Settings { place, ratio, every: Duration::from_secs(every_secs) }))
    }
}

fn authorities(path: PathBuf) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let unusable = |why: String| wrong("otlp.ca", format!("{}: {why}", path.display()));
    let read = CertificateDer::pem_file_iter(&path).map_err(|error| unusable(error.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    if read.is_empty() { Err(unusable("there is no certificate in it".to_owned())) } else { Ok(read) }
}

fn wrong(field: &'static str, message: impl Into<String>) -> SettingsError {
    SettingsError { field, message: message.into() }
}

impl<'de> Deserialize<'de> for SettingsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = SettingsFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the collector's endpoint, or a table with endpoint, ca, ratio and every_secs")
            }

            fn visit_str<E>(self, endpoint: &str) -> Result<SettingsFile, E> {
                Ok(SettingsFile(File { endpoint: Some(endpoint.to_owned()), ..File::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SettingsFile, A::Error> {
                File::deserialize(MapAccessDeserializer::new(map)).map(SettingsFile)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
