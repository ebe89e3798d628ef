//! Who asks a gateway for something: what the gateway's peer proved, and we verify again.
//!
//! INVARIANT: an identity comes from a certificate that the gateway saw the key of, or from a token whose audience is the gateway.
//! What any other header says of an identity is not read (threat T19).

use crate::endpoint::Identity;
use crate::endpoint::authorization::message::Message;
use crate::endpoint::authorization::proofs::Proofs;
use credence_credential::bundle::Bundle;
use credence_credential::x509_svid::VerifiedX509Svid;
use credence_credential::{jwt_svid, pem, x509_svid};
use credence_model::command::Held;
use credence_model::order::Claims;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::time::Timestamp;
use credence_wire::envoy::service::auth::v3::attribute_context::Peer;
use std::sync::Arc;

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
    (gateway, bundle): (&Arc<Identity>, &Arc<Bundle>),
    proofs: &Proofs,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let by_certificate = by_certificate(peer, (gateway, bundle), proofs, now)?;
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
    by: (&Arc<Identity>, &Arc<Bundle>),
    proofs: &Proofs,
    now: Timestamp,
) -> Result<Option<Caller>, Refusal> {
    if peer.certificate.is_empty() {
        return Ok(None);
    }
    let svid = match proofs.find(&peer.certificate, by, now) {
        Some(svid) => svid,
        None => {
            let svid = Arc::new(verified(&peer.certificate, by, now)?);
            proofs.keep(&peer.certificate, by, &svid);
            svid
        }
    };
    if !peer.principal.is_empty() && peer.principal != svid.id.as_str() {
        return Err(unauthenticated("the gateway's principal is not who the certificate names"));
    }
    let claims = svid.claims.clone().ok_or_else(|| no_actor(&svid.id))?;
    Ok(Some(Caller { spiffe_id: svid.id.clone(), claims, has_token: false }))
}

fn verified(
    certificate: &str,
    (gateway, bundle): (&Arc<Identity>, &Arc<Bundle>),
    now: Timestamp,
) -> Result<VerifiedX509Svid, Refusal> {
    let chain = chain(certificate).ok_or_else(|| unauthenticated("the certificate cannot be read"))?;
    // Proxies pass on the leaf only. Whoever certified the gateway certifies others, too.
    let chain: Vec<_> = match chain.as_slice() {
        [leaf] => std::iter::once(leaf.clone()).chain(gateway.chain.iter().skip(1).cloned()).collect(),
        _ => chain,
    };
    x509_svid::verify(&chain, bundle.x509(), now).map_err(|error| unauthenticated(error.to_string()))
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

#[cfg(test)]
mod tests {
    use super::{Caller, of};
    use crate::clock::wall;
    use crate::endpoint::Identity;
    use crate::endpoint::authorization::message::Message;
    use crate::endpoint::authorization::proofs::Proofs;
    use crate::fixture::{Authority, held};
    use credence_credential::bundle::Bundle;
    use credence_credential::pem::{self, Label};
    use credence_model::refusal::{Kind, Refusal};
    use credence_model::time::Timestamp;
    use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
    use std::sync::Arc;
    use std::time::Duration;

    /// A gateway, and an actor whose certificate it sees.
    struct Gateway {
        identity: Arc<Identity>,
        bundle: Arc<Bundle>,
        proofs: Proofs,
        peer: Peer,
    }

    impl Gateway {
        fn new() -> Self {
            let authority = Authority::new();
            let encoded = |byte: u8| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            };
            let actor = authority.actor(held(2));
            let certificate = pem::write(Label::Certificate, actor.chain.first().expect("a leaf"));
            Self {
                identity: Arc::new(authority.actor(held(1))),
                bundle: Arc::clone(&authority.bundle),
                proofs: Proofs::default(),
                peer: Peer { principal: String::new(), certificate: certificate.bytes().map(encoded).collect() },
            }
        }

        fn ask_at(&self, now: Timestamp) -> Result<Caller, Refusal> {
            let message = HttpRequest::default();
            of(&self.peer, &Message(&message), (&self.identity, &self.bundle), &self.proofs, now)
        }

        fn is_remembered(&self) -> bool {
            self.proofs.find(&self.peer.certificate, (&self.identity, &self.bundle), wall()).is_some()
        }
    }

    fn unauthenticated(answer: Result<Caller, Refusal>) -> bool {
        answer.is_err_and(|refusal| refusal.kind == Kind::Unauthenticated)
    }

    #[test]
    fn a_certificate_that_was_verified_is_believed_as_it_was_and_no_longer_than_it_is_valid() {
        let mut gateway = Gateway::new();
        assert!(!gateway.is_remembered());
        let first = gateway.ask_at(wall()).expect("an actor");
        assert_eq!(first.held(), held(2));
        assert!(gateway.is_remembered());
        assert_eq!(gateway.ask_at(wall()), Ok(first));
        assert!(unauthenticated(gateway.ask_at(wall().plus_secs(86_400))), "it is over");
        assert!(unauthenticated(gateway.ask_at(wall().minus_secs(86_400))), "it has not begun");
        gateway.peer.principal = "spiffe://td.test/somebody/else".into();
        assert!(unauthenticated(gateway.ask_at(wall())), "the gateway says that it is another one");
    }

    #[test]
    fn what_another_bundle_or_gateway_would_say_is_asked_of_that_one() {
        let mut gateway = Gateway::new();
        gateway.ask_at(wall()).expect("an actor");
        gateway.identity = Arc::new(Authority::new().actor(held(1)));
        assert!(!gateway.is_remembered(), "its intermediates are others");
        gateway.ask_at(wall()).expect("they are not needed here");
        gateway.bundle = Authority::new().bundle;
        assert!(!gateway.is_remembered());
        assert!(unauthenticated(gateway.ask_at(wall())), "its authority is not in the bundle any more");
        assert!(!gateway.is_remembered(), "what is not believed is not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_is_verified_again_after_a_second() {
        let gateway = Gateway::new();
        gateway.ask_at(wall()).expect("an actor");
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(gateway.is_remembered());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!gateway.is_remembered());
        gateway.ask_at(wall()).expect("an actor");
        assert!(gateway.is_remembered());
    }
}
