//! The online check: is this credential's binding and epoch still the live one?

use super::text::Text;
use crate::app::App;
use crate::hold::behind;
use crate::route::{Ask, Nothing, Route, route};
use crate::who::Who;
use credence_credential::{jwt_svid, x509_svid};
use credence_model::caller::Caller;
use credence_model::hold::Seen;
use credence_model::id::{ActorRef, BindingId, ClassRef, Epoch, NodeName, WorkerRef};
use credence_model::order::Claims;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_model::verify::verify;
use http::Method;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest PEM chain or token that is verified, in bytes.
pub const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;

/// A credential to verify: exactly one of `x509_svid_pem`, `jwt_svid`, or `spiffe_id` with `epoch` and `binding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyBody {
    /// Certificates in PEM, leaf first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x509_svid_pem: Option<String>,
    /// A JWT-SVID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_svid: Option<String>,
    /// The audience that a JWT-SVID must name. Required with `jwt_svid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// SPIFFE ID of an actor, from a credential that the caller verified itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<SpiffeId>,
    /// The epoch that the credential carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The binding that the credential carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictView {
    /// Whether the credential is genuine and its epoch is the live one, now.
    pub live: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// The SPIFFE ID that it names.
    pub spiffe_id: SpiffeId,
    /// The class, as `NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Text<ClassRef>>,
    /// The actor, as `NAMESPACE/ACTOR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Text<ActorRef>>,
    /// The epoch that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The epoch that is live now; missing if the actor is not bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_epoch: Option<Epoch>,
    /// The class revision that it was issued under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The worker of the live binding, as `NAMESPACE/POOL/WORKER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Text<WorkerRef>>,
    /// The worker's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The binding that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<BindingId>,
    /// Number of the last journal entry that this verdict takes into account.
    pub entry_index: u64,
}

pub(crate) fn routes() -> Vec<Route> {
    let does = "says whether a credential is genuine and its epoch the live one";
    vec![route(Method::POST, "/v1/verify", Who::Workload, does, check).only_telling()]
}

/// What a credential says, and why it is not believed if it is not.
struct Said {
    id: SpiffeId,
    claims: Option<(Epoch, BindingId, Option<u32>)>,
    not_believed: Option<String>,
}

async fn check(ask: Ask<Nothing, VerifyBody>) -> Result<VerdictView, Refusal> {
    let said = ask.body.said(&ask.app)?;
    // What the caller says that it verified itself proves nothing.
    let is_genuine = ask.body.spiffe_id.is_none() && said.not_believed.is_none();
    let Said { id, claims, not_believed } = said;
    let (epoch, binding, revision) = claims.map_or((None, None, None), |(e, b, r)| (Some(e), Some(b), r));
    let now = ask.app.clock.now();
    let spiffe_id = id.clone();
    let look = move |state: &credence_model::state::State| {
        let verdict = verify(state, &id, epoch.unwrap_or_default(), binding?, now);
        Some((verdict, state.last_index))
    };
    let Some((verdict, entry_index)) = ask.app.cell.glance(look).await? else {
        let reason =
            not_believed.unwrap_or_else(|| "it says nothing about a binding, so it is not an actor's".to_owned());
        return Ok(VerdictView::dead(spiffe_id, reason, ask.app.cell.recorded().borrow().index));
    };
    if let Some(reason) = not_believed {
        return Ok(VerdictView::dead(spiffe_id, reason, entry_index));
    }
    if let (true, true, Some(epoch)) = (is_genuine, verdict.is_newer, epoch) {
        let caller = ask.caller.clone().unwrap_or(Caller::System);
        let by = caller.to_string();
        behind(&ask.app, caller, by, Seen { epoch, ..Seen::default() }).await?;
    }
    Ok(VerdictView {
        live: verdict.live,
        reason: verdict.reason,
        spiffe_id,
        class: verdict.class.map(Text),
        actor: verdict.actor.map(Text),
        epoch,
        live_epoch: verdict.live_epoch,
        revision,
        worker: verdict.worker.map(Text),
        node: verdict.node,
        binding,
        entry_index,
    })
}

impl VerifyBody {
    fn said(&self, app: &App) -> Result<Said, Refusal> {
        let malformed = |field: &str, message: &str| Refusal::new(Kind::Malformed, message).field(field);
        let triple = self.spiffe_id.is_some() || self.epoch.is_some() || self.binding.is_some();
        match (&self.x509_svid_pem, &self.jwt_svid, triple) {
            (Some(pem), None, false) => x509(app, pem),
            (None, Some(token), false) => {
                let audience = self.audience.as_deref();
                let missing = || malformed("audience", "a JWT-SVID is verified for an audience; name yours");
                jwt(app, token, audience.ok_or_else(missing)?)
            }
            (None, None, true) => match (&self.spiffe_id, self.epoch, self.binding) {
                (Some(id), Some(epoch), Some(binding)) => {
                    Ok(Said { id: id.clone(), claims: Some((epoch, binding, None)), not_believed: None })
                }
                _ => Err(malformed("spiffe_id", "spiffe_id, epoch and binding go together")),
            },
            _ => Err(malformed("body", "exactly one of x509_svid_pem, jwt_svid, or spiffe_id with epoch and binding")),
        }
    }
}

fn x509(app: &App, pem: &str) -> Result<Said, Refusal> {
    let malformed = |message: String| Refusal::new(Kind::Malformed, message).field("x509_svid_pem");
    check_size(pem).map_err(|refusal| refusal.field("x509_svid_pem"))?;
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| malformed(format!("it is not PEM: {error}")))?;
    match x509_svid::verify(&chain, app.signer.bundle().x509(), app.clock.now()) {
        Ok(svid) => Ok(Said { id: svid.id, claims: claims(svid.claims.as_ref()), not_believed: None }),
        Err(error) => {
            let leaf = chain.first().and_then(|leaf| x509_svid::inspect(leaf).ok());
            let id = leaf.and_then(|leaf| leaf.spiffe_id).ok_or_else(|| malformed(error.to_string()))?;
            Ok(Said { id, claims: None, not_believed: Some(error.to_string()) })
        }
    }
}

fn jwt(app: &App, token: &str, audience: &str) -> Result<Said, Refusal> {
    check_size(token).map_err(|refusal| refusal.field("jwt_svid"))?;
    match jwt_svid::verify(token, app.signer.bundle().jwt(), audience, app.clock.now()) {
        Ok(svid) => Ok(Said { id: svid.id, claims: claims(svid.claims.as_ref()), not_believed: None }),
        Err(error) => {
            let inspected = jwt_svid::inspect(token);
            let malformed = |_| Refusal::new(Kind::Malformed, error.to_string()).field("jwt_svid");
            let id = inspected.map_err(malformed)?.subject;
            Ok(Said { id, claims: None, not_believed: Some(error.to_string()) })
        }
    }
}

fn claims(claims: Option<&Claims>) -> Option<(Epoch, BindingId, Option<u32>)> {
    claims.map(|claims| (claims.epoch, claims.binding, Some(claims.revision.number)))
}

fn check_size(text: &str) -> Result<(), Refusal> {
    if text.len() > CREDENTIAL_BYTES_MAX {
        return Err(Refusal::new(Kind::Limited, format!("longer than {CREDENTIAL_BYTES_MAX} bytes")));
    }
    Ok(())
}

impl VerdictView {
    /// Nothing of what it says is repeated but the name.
    fn dead(spiffe_id: SpiffeId, reason: String, entry_index: u64) -> Self {
        Self {
            live: false,
            reason,
            spiffe_id,
            class: None,
            actor: None,
            epoch: None,
            live_epoch: None,
            revision: None,
            worker: None,
            node: None,
            binding: None,
            entry_index,
        }
    }
}
