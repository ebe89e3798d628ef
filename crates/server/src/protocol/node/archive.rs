//! `PutArchive` and `ReadArchive`: a node stores and reads the state of actors that are bound to it, and of no other.

use super::convert;
use crate::app::App;
use crate::limits::CHUNK_TIME;
use crate::problem;
use credence_model::command::Held;
use credence_model::id::{ActorRef, Digest, NodeName};
use credence_model::refusal::{Kind, Refusal};
use credence_wire::node::{ArchiveChunk, PutArchiveResponse, ReadArchiveRequest};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Bytes of archive in one message.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most messages that wait to be sent.
const CHUNKS_WAITING_MAX: usize = 4;

/// Stores what the node sends.
pub(super) async fn put(
    app: &App,
    node: &NodeName,
    mut chunks: Streaming<ArchiveChunk>,
) -> Result<PutArchiveResponse, Refusal> {
    let at_most = app.limits.archive_time;
    let first = next(&mut chunks, at_most)
        .await?
        .ok_or_else(|| convert::malformed("binding", "the archive has no first part"))?;
    let (actor, _) = held_by(app, node, convert::binding(&first.binding, first.epoch)?).await?;
    let mut incoming = app.archives.begin(&actor).await?;
    incoming.write(&first.bytes).await?;
    while let Some(chunk) = next(&mut chunks, at_most).await? {
        incoming.write(&chunk.bytes).await?;
    }
    let digest = incoming.finish().await?;
    Ok(PutArchiveResponse { digest: digest.0.to_vec() })
}

/// Sends the archive that the actor begins from.
pub(super) async fn get(
    app: &App,
    node: &NodeName,
    request: ReadArchiveRequest,
) -> Result<ReceiverStream<Result<ArchiveChunk, Status>>, Refusal> {
    let held = convert::binding(&request.binding, request.epoch)?;
    let wanted =
        convert::digest(&request.digest, "digest")?.ok_or_else(|| convert::malformed("digest", "it is missing"))?;
    let (actor, present) = held_by(app, node, held).await?;
    if present != Some(wanted) {
        let message = format!("this is not the present state of actor {actor}");
        return Err(Refusal::new(Kind::NotFound, message).field("digest"));
    }
    let file = app.archives.read(&actor, wanted).await?;
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let whose = (request.binding, request.epoch);
    tokio::spawn(send(file, whose, sender, app.limits.archive_time));
    Ok(ReceiverStream::new(receiver))
}

async fn send(mut file: File, whose: (String, u64), to: mpsc::Sender<Result<ArchiveChunk, Status>>, at_most: Duration) {
    let mut whose = Some(whose);
    loop {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file).take(CHUNK_BYTES.try_into().unwrap_or(u64::MAX)).read_to_end(&mut bytes).await;
        let over = bytes.is_empty();
        let chunk = match read {
            // An empty archive still has its first message.
            Ok(_) if over && whose.is_none() => return,
            Ok(_) => {
                let (binding, epoch) = whose.take().unwrap_or_default();
                Ok(ArchiveChunk { binding, epoch, bytes })
            }
            Err(error) => {
                tracing::error!(%error, "a state archive cannot be read");
                let refusal = Refusal::new(Kind::Unavailable, "the state archive cannot be read now");
                Err(problem::grpc(&refusal.retry_after_ms(1_000)))
            }
        };
        let failed = chunk.is_err();
        match to.send_timeout(chunk, at_most).await {
            Ok(()) if failed || over => return,
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => return CHUNK_TIME.hit(),
        }
    }
}

async fn next(chunks: &mut Streaming<ArchiveChunk>, at_most: Duration) -> Result<Option<ArchiveChunk>, Refusal> {
    let late = || {
        CHUNK_TIME.hit();
        Refusal::new(Kind::Unavailable, format!("nothing of the archive came for {} s", at_most.as_secs()))
    };
    let chunk = tokio::time::timeout(at_most, chunks.message()).await;
    let chunk = chunk.map_err(|_| late())?;
    chunk.map_err(|_| Refusal::new(Kind::Unavailable, "the archive broke off").retry_after_ms(1_000))
}

/// The actor that this node holds by this binding, in this epoch, and the digest of its state.
async fn held_by(app: &App, node: &NodeName, held: Held) -> Result<(ActorRef, Option<Digest>), Refusal> {
    let name = node.clone();
    let found = app.cell.read(move |state| {
        let actor = state.actors.active(state.bindings.get(&held.binding)?)?;
        let binding = actor.binding.as_ref()?;
        let here = binding.id == held.binding && binding.epoch == held.epoch && binding.node == name;
        here.then(|| (actor.actor.clone(), actor.archive))
    });
    found.await?.ok_or_else(|| {
        let message = format!("node {node} does not hold binding {} in epoch {}", held.binding, held.epoch);
        Refusal::new(Kind::Stale, message).field("binding")
    })
}
