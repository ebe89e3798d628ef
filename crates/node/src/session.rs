//! The way to the control plane: one stream at a time, opened again whenever it breaks.
//!
//! It knows nothing of what is said on the stream; that is the hub's.

use crate::backoff::Backoff;
use crate::dial::{Dial, DialError};
use crate::event::{Event, Events, StreamEvent};
use crate::identity::NodeIdentity;
use crate::protocol;
use credence_credential::bundle::Bundle;
use credence_credential::tls::TlsError;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use credence_telemetry::trace::TraceContext;
use credence_wire::node::node_service_client::NodeServiceClient;
use credence_wire::node::{ToNode, to_node};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Most messages that wait to be sent on a stream; of more, the stream is cut.
const OUTGOING_MAX: usize = 4096;
/// The control plane does not read.
pub(crate) static OUTGOING: Limit =
    Limit::new("server_messages", OUTGOING_MAX as u64, "messages", "the stream is cut and opened again");
/// The first pause before the stream is opened again, and the longest, in milliseconds.
const PAUSE_MS: u64 = 100;
const PAUSE_MS_MAX: u64 = 5_000;
/// A stream that was open for so long was a good one: the pauses begin anew, in milliseconds.
const GOOD_MS: u64 = 5_000;

/// What is needed to open a stream.
pub(crate) struct Session {
    pub(crate) dial: Dial,
    pub(crate) server_path: String,
    pub(crate) identity: watch::Receiver<Arc<NodeIdentity>>,
    pub(crate) bundles: watch::Receiver<Arc<Bundle>>,
    pub(crate) events: Events,
    pub(crate) channel: watch::Sender<Option<Channel>>,
}

/// Writes down which request led to a message, if that is told; what it is then is the hub's.
fn note(message: ToNode) -> (Option<TraceContext>, Option<to_node::Message>) {
    let said = TraceContext::parse(&message.traceparent);
    if let Some(trace) = said {
        let request = trace.id();
        match &message.message {
            Some(to_node::Message::Bind(bind)) => {
                tracing::info!(request, binding = %bind.binding.escape_debug(), "told to hold a binding");
            }
            Some(to_node::Message::Unbind(unbind)) => {
                tracing::info!(request, binding = %unbind.binding.escape_debug(), "told to end a binding");
            }
            _ => {}
        }
    }
    (said, message.message)
}

impl Session {
    /// Opens stream after stream, until it is dropped.
    pub(crate) async fn keep_open(self) {
        let mut backoff = Backoff::new(PAUSE_MS, PAUSE_MS_MAX);
        for stream in 1.. {
            let begun = Instant::now();
            let refusal = self.one(stream).await;
            if begun.elapsed() >= Duration::from_millis(GOOD_MS) {
                backoff.begin_anew();
            }
            let pause = backoff.pause(refusal.retry_after_ms);
            match refusal.kind {
                Kind::Unavailable => tracing::info!(%refusal, ?pause, "not connected"),
                _ => tracing::warn!(%refusal, ?pause, "the control plane refuses this node"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One stream, from its opening to its end; answers why it ended.
    async fn one(&self, stream: u64) -> Refusal {
        let channel = match self.connect().await {
            Ok(channel) => channel,
            Err(refusal) => return refusal,
        };
        let (out, outgoing) = mpsc::channel(OUTGOING_MAX);
        let opened = NodeServiceClient::new(channel.clone()).connect(ReceiverStream::new(outgoing)).await;
        let mut incoming = match opened {
            Ok(incoming) => incoming.into_inner(),
            Err(status) => return protocol::status(&status),
        };
        let (cut, mut is_cut) = oneshot::channel();
        self.channel.send_replace(Some(channel));
        self.tell(stream, StreamEvent::Opened { out, cut }).await;
        let why = loop {
            let message = tokio::select! {
                message = incoming.message() => message,
                _ = &mut is_cut => break Refusal::new(Kind::Unavailable, "this node cut the stream"),
            };
            match message {
                Ok(Some(message)) => match note(message) {
                    (said, Some(message)) => {
                        self.tell(stream, StreamEvent::Heard { message: Box::new(message), said }).await;
                    }
                    // Of a newer version; what is needed is refused where it is missed.
                    (_, None) => tracing::warn!("the control plane said something that this version does not know"),
                },
                Ok(None) => break Refusal::new(Kind::Unavailable, "the control plane ended the stream"),
                Err(status) => break protocol::status(&status),
            }
        };
        self.channel.send_replace(None);
        self.tell(stream, StreamEvent::Closed).await;
        why
    }

    async fn connect(&self) -> Result<Channel, Refusal> {
        let (identity, bundle) = (Arc::clone(&self.identity.borrow()), Arc::clone(&self.bundles.borrow()));
        let unusable = |error: TlsError| Refusal::new(error.kind(), error.to_string());
        let tls = identity.client_config(&self.server_path, &bundle).map_err(unusable)?;
        let away = |error: DialError| Refusal::new(Kind::Unavailable, error.to_string());
        self.dial.connect(tls).await.map_err(away)
    }

    async fn tell(&self, stream: u64, event: StreamEvent) {
        // Nobody to tell is the end of the whole node.
        let _ = self.events.send(Event::Stream { stream, event }).await;
    }
}
