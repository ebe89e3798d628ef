//! `Attest`: lets a node in, once, for its join token.
//!
//! It is the only call that anyone may make, so it is limited in rate and in size before any signature is checked.

use crate::app::App;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credence_attest::join_token::{JoinToken, SECRET_BYTES, digest_of_secret};
use credence_credential::csr;
use credence_model::caller::Caller;
use credence_model::command::Command;
use credence_model::directive::Directive;
use credence_model::id::{Digest, NodeName};
use credence_model::refusal::{Kind, Refusal};
use credence_wire::node::{AttestRequest, AttestResponse};
use zeroize::Zeroizing;

/// Proves the node's origin and signs its SVID.
pub(super) async fn attest(app: &App, request: AttestRequest) -> Result<AttestResponse, Refusal> {
    app.attest_limit.admit(app.clock.now())?;
    let AttestRequest { node, join_token, csr } = request;
    let node = NodeName::parse(&node).map_err(|error| Refusal::from(error).field("node"))?;
    let token = token_digest(&Zeroizing::new(join_token))?;
    let key = csr::prove(&csr, csr::ACCEPTED_BY_DEFAULT)
        .map_err(|error| Refusal::new(error.kind(), error.to_string()).field("csr"))?;
    let caller = Caller::Node { name: node.clone() };
    let answered = app.submit(caller, Command::AttestNode { node, token, key: key.digest() }).await?;
    let order = answered.orders.iter().find_map(|order| match order {
        Directive::NodeSvid { order, .. } => Some(order),
        _ => None,
    });
    let order = order.ok_or_else(|| Refusal::new(Kind::Bug, "attesting a node ordered no SVID"))?;
    let x509_svid = app.signer.x509(order, key.spki())?;
    Ok(AttestResponse { x509_svid, bundle: Some(app.signer.bundle_wire()) })
}

/// Reads the secret, alone or inside the whole token. What was sent is never repeated in an error.
fn token_digest(text: &str) -> Result<Digest, Refusal> {
    if let Ok(token) = JoinToken::parse(text) {
        return Ok(token.digest());
    }
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    match URL_SAFE_NO_PAD.decode_slice(text, secret.as_mut_slice()) {
        Ok(SECRET_BYTES) => Ok(digest_of_secret(&secret)),
        _ => {
            let message = "this is not a join token; pass the whole line that `credence token create` printed";
            Err(Refusal::new(Kind::Malformed, message).field("join_token"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::token_digest;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use credence_attest::join_token::JoinToken;
    use credence_model::id::Digest;

    #[test]
    fn the_secret_is_read_alone_or_inside_the_whole_token() {
        let token = JoinToken::new(&[7; 32], Digest([9; 32]));
        assert_eq!(token_digest(&token.render()), Ok(token.digest()));
        assert_eq!(token_digest(&URL_SAFE_NO_PAD.encode([7; 32])), Ok(token.digest()));
        for wrong in ["", "cjt1.secret", "c2VjcmV0", &"a".repeat(100_000)] {
            let refusal = token_digest(wrong).expect_err("not a token");
            assert!(wrong.is_empty() || !refusal.to_string().contains(wrong), "{refusal}");
        }
    }
}
