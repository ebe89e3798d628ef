//! The SPIFFE Workload API, X.509 and JWT profiles. The caller is the socket's actor, so every answer holds one identity.
//!
//! The WIT profile is not offered: its RPCs answer `Unimplemented`, as SPIFFE Workload API §7 asks (W-15).

use crate::endpoint::Identity;
use crate::endpoint::desk::Desk;
use crate::endpoint::presence::Presence;
use crate::endpoint::status;
use crate::endpoint::workload::claims::to_struct;
use credence_credential::bundle::{self, Bundle};
use credence_credential::jwt_svid;
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_model::spiffe_id::SpiffeId;
use credence_telemetry::trace::TraceContext;
use credence_wire::workload::spiffe_workload_api_server::SpiffeWorkloadApi;
use credence_wire::workload::{
    JwtBundlesRequest, JwtBundlesResponse, Jwtsvid, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svid, X509svidRequest, X509svidResponse,
};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use std::collections::HashMap;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) mod claims;

/// The service of one endpoint.
pub(super) struct Workload(pub(super) Arc<Desk>);

type Answers<M> = BoxStream<'static, Result<M, Status>>;

#[tonic::async_trait]
impl SpiffeWorkloadApi for Workload {
    type FetchX509SVIDStream = Answers<X509svidResponse>;
    type FetchX509BundlesStream = Answers<X509BundlesResponse>;
    type FetchJWTBundlesStream = Answers<JwtBundlesResponse>;

    async fn fetch_x509svid(&self, _: Request<X509svidRequest>) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        Ok(Response::new(whole_at_every_change(self.0.presence(), x509_svid)))
    }

    async fn fetch_x509_bundles(
        &self,
        _: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        Ok(Response::new(whole_at_every_change(self.0.presence(), x509_bundles)))
    }

    async fn fetch_jwtsvid(&self, request: Request<JwtsvidRequest>) -> Result<Response<JwtsvidResponse>, Status> {
        let said = TraceContext::said(request.metadata().as_ref());
        let answer = fetch_jwt_svid(&self.0, request.into_inner(), said).await;
        answer.map(Response::new).map_err(|refusal| status::grpc(&refusal))
    }

    async fn fetch_jwt_bundles(
        &self,
        _: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        Ok(Response::new(whole_at_every_change(self.0.presence(), jwt_bundles)))
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        let answer = validate_jwt_svid(&self.0, &request.into_inner());
        answer.map(Response::new).map_err(|refusal| status::grpc(&refusal))
    }
}

/// A message and what tells it from the one before, without keeping the message: it may hold a key.
struct Told<M> {
    message: M,
    fingerprint: Digest,
}

/// The present state at once, the whole new state whenever it changes, and a last status when the binding is over.
// SPEC: SPIFFE Workload API §4.3 (W-02), §5.2.1 (W-08)
fn whole_at_every_change<M: Send + 'static>(presence: Presence, tell: fn(&Identity, &Bundle) -> Told<M>) -> Answers<M> {
    let start = (Some(presence), None);
    stream::unfold(start, move |(presence, mut last)| async move {
        let mut presence = presence?;
        loop {
            let (identity, bundle) = match presence.live() {
                Ok(live) => live,
                Err(ended) => return Some((Err(status::grpc(&ended)), (None, None))),
            };
            let told = tell(&identity, &bundle);
            if last != Some(told.fingerprint) {
                last = Some(told.fingerprint);
                return Some((Ok(told.message), (Some(presence), last)));
            }
            // Not held while waiting: a key that was replaced or ended is wiped with its last holder.
            drop((identity, bundle, told));
            presence.changed().await;
        }
    })
    .boxed()
}

// SPEC: SPIFFE Workload API §5.2.1 (W-06, W-18)
fn x509_svid(identity: &Identity, bundle: &Bundle) -> Told<X509svidResponse> {
    let chain = identity.chain.concat();
    let authorities = bundle.x509().concatenated();
    let fingerprint = Digest::of(&[chain.as_slice(), authorities.as_slice()].concat());
    let svid = X509svid {
        spiffe_id: identity.spiffe_id.as_str().to_owned(),
        x509_svid: chain,
        x509_svid_key: identity.key_pkcs8.to_vec(),
        bundle: authorities,
        hint: String::new(),
    };
    let message = X509svidResponse { svids: vec![svid], crl: Vec::new(), federated_bundles: HashMap::new() };
    Told { message, fingerprint }
}

// SPEC: SPIFFE Workload API §5.2.2 (W-09)
fn x509_bundles(_: &Identity, bundle: &Bundle) -> Told<X509BundlesResponse> {
    let authorities = bundle.x509().concatenated();
    let fingerprint = Digest::of(&authorities);
    let bundles = HashMap::from([(bundle_key(bundle), authorities)]);
    Told { message: X509BundlesResponse { crl: Vec::new(), bundles }, fingerprint }
}

// SPEC: SPIFFE Workload API §6.2.2 (W-12)
fn jwt_bundles(_: &Identity, bundle: &Bundle) -> Told<JwtBundlesResponse> {
    let keys = bundle::jwks(bundle.jwt()).into_bytes();
    let fingerprint = Digest::of(&keys);
    Told { message: JwtBundlesResponse { bundles: HashMap::from([(bundle_key(bundle), keys)]) }, fingerprint }
}

/// Bundles are keyed by the SPIFFE ID of their trust domain.
fn bundle_key(bundle: &Bundle) -> String {
    bundle.trust_domain().id().as_str().to_owned()
}

// SPEC: SPIFFE Workload API §6.2.1 (W-10, W-11)
async fn fetch_jwt_svid(
    desk: &Desk,
    request: JwtsvidRequest,
    said: Option<TraceContext>,
) -> Result<JwtsvidResponse, Refusal> {
    let (identity, _) = desk.live()?;
    if !request.spiffe_id.is_empty() {
        let wanted = SpiffeId::parse(&request.spiffe_id)
            .map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field("spiffe_id"))?;
        if wanted != identity.spiffe_id {
            return Err(Refusal::new(Kind::Denied, format!("this actor is {}", identity.spiffe_id)));
        }
    }
    let svid = desk.mint(request.audience, said).await?;
    let svid = Jwtsvid { spiffe_id: identity.spiffe_id.as_str().to_owned(), svid, hint: String::new() };
    Ok(JwtsvidResponse { svids: vec![svid] })
}

// SPEC: SPIFFE Workload API §6.2.3, §6.3 (W-13, W-14)
fn validate_jwt_svid(desk: &Desk, request: &ValidateJwtsvidRequest) -> Result<ValidateJwtsvidResponse, Refusal> {
    let (_, bundle) = desk.live()?;
    for (field, value) in [("audience", &request.audience), ("svid", &request.svid)] {
        if value.is_empty() {
            return Err(Refusal::new(Kind::Malformed, format!("{field} is missing")).field(field));
        }
    }
    // The specification leaves the code open; clients know InvalidArgument.
    let verified = jwt_svid::verify(&request.svid, bundle.jwt(), &request.audience, desk.now())
        .map_err(|error| Refusal::new(Kind::Malformed, error.to_string()).field("svid"))?;
    Ok(ValidateJwtsvidResponse {
        spiffe_id: verified.id.as_str().to_owned(),
        claims: Some(to_struct(verified.members)),
    })
}
