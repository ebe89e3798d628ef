//! `credence svid inspect`: what a certificate or token says, in words, offline.
//!
//! It believes nothing: what the file says and what was checked are told apart, and so is what a file alone cannot tell.

pub(super) mod credential;
mod words;

use crate::args::{InspectArgs, SvidVerb};
use crate::client::read_bundle;
use crate::clock;
use crate::failure::Failure;
use crate::session::Session;
use credence_credential::bundle::Bundle;
use credence_credential::{jwt_svid, x509_svid};
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use credential::Credential;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// What is known about a credential without asking anybody.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Inspection {
    /// A certificate chain, leaf first.
    X509Svid { certificates: Vec<x509_svid::Inspected>, signature: Checked },
    /// A token.
    JwtSvid { token: Box<jwt_svid::Inspected>, signature: Checked },
}

/// What came of checking the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "checked", content = "why", rename_all = "snake_case")]
pub(super) enum Checked {
    /// No bundle was given.
    Not,
    /// It leads to an authority of the bundle, and everything else about it is in order too.
    Good,
    /// It does not, or something else is wrong.
    Bad(String),
}

pub(super) fn run(verb: SvidVerb, session: &Session) -> Result<ExitCode, Failure> {
    let SvidVerb::Inspect(InspectArgs { file }) = verb;
    let bundle = session.global.bundle.as_deref().map(read_bundle).transpose()?;
    let now = clock::now();
    let inspection = inspect(&credential::read(&file)?, bundle.as_ref(), now)?;
    let name = file_name(&file);
    session.out.answer(&inspection, || words::explain(&inspection, &name, now, session.out.style))?;
    let (Inspection::X509Svid { signature, .. } | Inspection::JwtSvid { signature, .. }) = &inspection;
    Ok(if matches!(signature, Checked::Bad(_)) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn file_name(file: &Path) -> String {
    if file.as_os_str() == "-" { "-".into() } else { crate::output::table::printable(&file.display().to_string()) }
}

/// Looks into a credential, and checks it if there is a bundle.
pub(super) fn inspect(credential: &Credential, bundle: Option<&Bundle>, now: Timestamp) -> Result<Inspection, Failure> {
    let malformed = |why: String| Failure::new(Kind::Malformed, why);
    match credential {
        Credential::X509(chain) => {
            let certificates = chain.iter().map(|der| x509_svid::inspect(der)).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|error| malformed(error.to_string()))?;
            let signature = match chain.as_slice() {
                [one] if certificates.iter().all(|certificate| certificate.is_ca) => {
                    check(bundle, |bundle| is_authority(one, bundle))
                }
                chain => check(bundle, |bundle| x509_svid::verify(chain, bundle.x509(), now).map(|_| ())),
            };
            Ok(Inspection::X509Svid { certificates, signature })
        }
        Credential::Jwt(token) => {
            let read = jwt_svid::inspect(token).map_err(|error| malformed(error.to_string()))?;
            // Whoever inspects a token is rarely its audience: only that it has one is looked at here.
            let audience = read.audience.first().cloned().unwrap_or_default();
            let signature = check(bundle, |bundle| jwt_svid::verify(token, bundle.jwt(), &audience, now).map(|_| ()));
            Ok(Inspection::JwtSvid { token: Box::new(read), signature })
        }
    }
}

/// A root is no SVID: it is either in the bundle or it is not.
fn is_authority(der: &[u8], bundle: &Bundle) -> Result<(), &'static str> {
    if bundle.x509().authorities().any(|authority| authority == der) { Ok(()) } else { Err("it is not in it") }
}

fn check<E: ToString>(bundle: Option<&Bundle>, verify: impl FnOnce(&Bundle) -> Result<(), E>) -> Checked {
    match bundle.map(verify) {
        None => Checked::Not,
        Some(Ok(())) => Checked::Good,
        Some(Err(error)) => Checked::Bad(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
