//! Secrets for a proxy that is the actor or a part of it: Envoy's secret discovery (SDS), as SPIRE's agents offer it.
//!
//! What is given is what the Workload API gives to the same caller, in another form: its own X.509-SVID with its key, and the
//! bundle ([`secret::Name`] has the names). It is whole at every change, and ends with `PermissionDenied` when the binding does.
//!
//! There is no `DeltaSecrets`. No header is asked for: Envoy sends none, and what T18 of the threats is about reaches neither a
//! Unix socket nor HTTP/2 on it.

use crate::endpoint::desk::Desk;
use crate::endpoint::presence::Presence;
use crate::endpoint::sds::secret::Name;
use crate::endpoint::status;
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use credence_wire::envoy::service::secret::v3::secret_discovery_service_server::SecretDiscoveryService;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use tonic::{Request, Response, Status};

mod secret;

/// Most secrets that one stream asks for.
const NAMES_MAX: usize = 16;
/// How much of what a proxy says is written to the log, in characters.
const SHOWN_MAX: usize = 200;

/// The service of one endpoint.
pub(super) struct Sds(pub(super) Arc<Desk>);

type Asking = BoxStream<'static, Result<DiscoveryRequest, Status>>;
type Answers = BoxStream<'static, Result<DiscoveryResponse, Status>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Sds {
    type StreamSecretsStream = Answers;

    async fn stream_secrets(
        &self,
        request: Request<tonic::Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let asking = request.into_inner().boxed();
        Ok(Response::new(stream_of(Subscription::new(self.0.presence(), asking))))
    }

    async fn fetch_secrets(&self, request: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        let answer = fetch(&mut self.0.presence(), &request.into_inner());
        answer.map(Response::new).map_err(|refusal| status::grpc(&refusal))
    }
}

fn fetch(presence: &mut Presence, request: &DiscoveryRequest) -> Result<DiscoveryResponse, Refusal> {
    let (identity, bundle) = presence.live()?;
    check(request)?;
    let names = secret::names(&request.resource_names, &identity)?;
    Ok(secret::told(&names, &identity, &bundle).message)
}

/// What is asked for is a bounded number of secrets.
fn check(request: &DiscoveryRequest) -> Result<(), Refusal> {
    let malformed = |field: &str, why: String| Err(Refusal::new(Kind::Malformed, why).field(field));
    if !matches!(request.type_url.as_str(), "" | secret::TYPE_URL) {
        return malformed("type_url", format!("only {} is served here", secret::TYPE_URL));
    }
    if request.resource_names.len() > NAMES_MAX {
        return malformed("resource_names", format!("at most {NAMES_MAX} secrets are asked for at once"));
    }
    Ok(())
}

/// One stream: what it asks for, and what it was told last.
struct Subscription {
    presence: Presence,
    asking: Asking,
    /// What is asked for; nothing before the first request.
    names: Option<Vec<Name>>,
    /// Of the content that was sent last.
    sent: Option<Digest>,
    /// How many answers were sent; the number of the last one is its nonce.
    answers: u64,
}

/// What makes a stream look whether there is something to tell.
enum Turn {
    Asked(DiscoveryRequest),
    Changed,
    Gone,
}

fn stream_of(subscription: Subscription) -> Answers {
    stream::unfold(Some(subscription), async |subscription| {
        let mut subscription = subscription?;
        match subscription.next().await {
            Ok(Some(answer)) => Some((Ok(answer), Some(subscription))),
            Ok(None) => None,
            Err(refusal) => Some((Err(status::grpc(&refusal)), None)),
        }
    })
    .boxed()
}

impl Subscription {
    fn new(presence: Presence, asking: Asking) -> Self {
        Self { presence, asking, names: None, sent: None, answers: 0 }
    }

    /// The next answer; `None` when the proxy asks nothing more.
    async fn next(&mut self) -> Result<Option<DiscoveryResponse>, Refusal> {
        loop {
            // Seen before it is waited for a change, so that none is missed.
            self.presence.live()?;
            if let Some(answer) = self.news()? {
                return Ok(Some(answer));
            }
            let turn = tokio::select! {
                request = self.asking.next() => match request {
                    Some(Ok(request)) => Turn::Asked(request),
                    Some(Err(_)) | None => Turn::Gone,
                },
                () = self.presence.changed() => Turn::Changed,
            };
            match turn {
                Turn::Asked(request) => self.take(&request)?,
                Turn::Changed => {}
                Turn::Gone => return Ok(None),
            }
        }
    }

    /// A request asks, or says what became of the last answer, or both.
    fn take(&mut self, request: &DiscoveryRequest) -> Result<(), Refusal> {
        check(request)?;
        if self.answers > 0 && request.response_nonce != self.answers.to_string() {
            // It crossed an answer, and says the same again when it has read that.
            return Ok(());
        }
        if let Some(error) = &request.error_detail {
            let said: String = error.message.chars().take(SHOWN_MAX).collect();
            tracing::warn!(said, "a proxy rejected its secrets and goes on with those that it had");
        }
        let (identity, _) = self.presence.live()?;
        let names = secret::names(&request.resource_names, &identity)?;
        if self.names.as_ref() != Some(&names) {
            self.names = Some(names);
            self.sent = None;
        }
        Ok(())
    }

    /// What was not told yet. What a proxy rejected is not told again before it has changed.
    fn news(&mut self) -> Result<Option<DiscoveryResponse>, Refusal> {
        let Some(names) = &self.names else { return Ok(None) };
        let (identity, bundle) = self.presence.live()?;
        let told = secret::told(names, &identity, &bundle);
        if self.sent == Some(told.fingerprint) {
            return Ok(None);
        }
        self.sent = Some(told.fingerprint);
        self.answers += 1;
        let nonce = self.answers.to_string();
        Ok(Some(DiscoveryResponse { nonce, ..told.message }))
    }
}
