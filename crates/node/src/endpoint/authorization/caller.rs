//! Who asks a gateway for something: what the gateway's peer proved, and we verify again.
//!
//! INVARIANT: an identity comes from a certificate that the gateway saw the key of, or from a token whose audience is the gateway.
//! What any other header says of an identity is not read (threat T19).

use crate::endpoint::Identity;
use crate::endpoint::authorization::message::Message;
use credence_credential::bundle::Bundle;
use credence_credential::{jwt_svid, pem, x509_svid};
use credence_model::command::Held;
use credence_model::order::Claims;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_wire::envoy::service::auth::v3::attribute_context::Peer;

/// Longest certificate that is read, percent-encoded PEM, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 32 * 1024;

/// An actor that proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) spiffe_id: SpiffeId,
    pub(super) claims: Claims,
    /// Whether it sent a token that only says who it is to this gateway, and that nobody behind it is to have.
    pub(super) has_token: bool,
}

impl Caller {
    /// The binding in which it acts.
    pub(super) fn held(&self) -> Held {
        Held { binding: self.claims.binding, epoch: self.claims.epoch }
    }
}

/// Who sent a message, by its certificate, or by its token if it has none; if it has both, they say the same.
pub(super) fn of(
    peer: &Peer,
    message: &Message<'_>,
    (gateway, bundle): (&Identity, &Bundle),
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let by_certificate = by_certificate(peer, (gateway, bundle), now)?;
    let token = bearer(message)?;
    match (by_certificate, token) {
        (None, None) => Err(nobody(peer)),
        (None, Some(token)) => by_token(token, (gateway, bundle), now),
        (Some(caller), None) => Ok(caller),
        // A token of somebody else's making is for whoever is behind the gateway.
        (Some(caller), Some(token)) if !is_ours(token, bundle) => Ok(caller),
        (Some(caller), Some(token)) => {
            let other = by_token(token, (gateway, bundle), now)?;
            if (&caller.spiffe_id, &caller.claims) == (&other.spiffe_id, &other.claims) {
                Ok(other)
            } else {
                Err(unauthenticated("the certificate and the token name different actors or bindings"))
            }
        }
    }
}

fn unauthenticated(why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::Unauthenticated, why)
}

/// Nothing was proven. A principal alone is the gateway's word only.
fn nobody(peer: &Peer) -> Refusal {
    if peer.principal.is_empty() {
        let hint = "connect with your X.509-SVID, or send a JWT-SVID for this gateway as the bearer token";
        return unauthenticated("nobody is known to ask").hint(hint);
    }
    unauthenticated("the gateway does not pass on the certificate").hint("set include_peer_certificate: true")
}

fn by_certificate(
    peer: &Peer,
    (gateway, bundle): (&Identity, &Bundle),
    now: Timestamp,
) -> Result<Option<Caller>, Refusal> {
    if peer.certificate.is_empty() {
        return Ok(None);
    }
    let chain = chain(&peer.certificate).ok_or_else(|| unauthenticated("the certificate cannot be read"))?;
    // Proxies pass on the leaf only. Whoever certified the gateway certifies others, too.
    let chain: Vec<_> = match chain.as_slice() {
        [leaf] => std::iter::once(leaf.clone()).chain(gateway.chain.iter().skip(1).cloned()).collect(),
        _ => chain,
    };
    let svid = x509_svid::verify(&chain, bundle.x509(), now).map_err(|error| unauthenticated(error.to_string()))?;
    if !peer.principal.is_empty() && peer.principal != svid.id.as_str() {
        return Err(unauthenticated("the gateway's principal is not who the certificate names"));
    }
    let claims = svid.claims.ok_or_else(|| no_actor(&svid.id))?;
    Ok(Some(Caller { spiffe_id: svid.id, claims, has_token: false }))
}

fn by_token(token: &str, (gateway, bundle): (&Identity, &Bundle), now: Timestamp) -> Result<Caller, Refusal> {
    let svid = jwt_svid::verify(token, bundle.jwt(), gateway.spiffe_id.as_str(), now).map_err(|error| {
        unauthenticated(error.to_string()).hint(format!("ask for a JWT-SVID with the audience {}", gateway.spiffe_id))
    })?;
    let claims = svid.claims.ok_or_else(|| no_actor(&svid.id))?;
    Ok(Caller { spiffe_id: svid.id, claims, has_token: true })
}

fn no_actor(id: &SpiffeId) -> Refusal {
    unauthenticated(format!("{id} is no actor: its credential says nothing about a binding"))
}

/// The token of `Authorization: Bearer TOKEN`; the scheme is not sensitive to case (RFC 9110 §11.1).
fn bearer<'a>(message: &Message<'a>) -> Result<Option<&'a str>, Refusal> {
    let Some((scheme, token)) = message.header("authorization")?.and_then(|said| said.split_once(' ')) else {
        return Ok(None);
    };
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()))
}

/// Whether a token says that it is a JWT-SVID of this trust domain.
fn is_ours(token: &str, bundle: &Bundle) -> bool {
    jwt_svid::inspect(token).is_ok_and(|said| said.subject.is_in(bundle.trust_domain()))
}

fn chain(encoded: &str) -> Option<Vec<Vec<u8>>> {
    if encoded.len() > CERTIFICATE_BYTES_MAX {
        return None;
    }
    let mut text = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            other => other,
        });
    }
    pem::read_certificates(&text).ok()
}
