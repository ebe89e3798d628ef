//! State archives on their way between this node and the control plane.

use crate::protocol;
use crate::runtime::archive::ARCHIVE_BYTES_MAX;
use credence_model::command::Held;
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use credence_wire::node::node_service_client::NodeServiceClient;
use credence_wire::node::{ArchiveChunk, ReadArchiveRequest};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Bytes of archive in one message.
const CHUNK_BYTES: usize = 64 * 1024;
/// Most messages that wait to be sent.
const CHUNKS_WAITING_MAX: usize = 4;
/// Longest transfer, in seconds.
const TRANSFER_SECS_MAX: u64 = 60;
/// A transfer takes too long.
pub(crate) static TIME: Limit = Limit::new("archive_transfer_time", TRANSFER_SECS_MAX, "seconds", "the transfer fails");

/// The present way to the control plane, if there is one.
pub(crate) type ChannelWatch = watch::Receiver<Option<Channel>>;

/// Reads the archive that an actor begins from into a new file, and checks that it is the one with this digest.
pub(crate) async fn fetch(channel: &ChannelWatch, held: Held, digest: Digest, to: &Path) -> Result<(), Refusal> {
    let mut client = client(channel)?;
    let request =
        ReadArchiveRequest { binding: held.binding.to_string(), epoch: held.epoch.0, digest: digest.0.to_vec() };
    bounded(async {
        let mut chunks = client.read_archive(request).await.map_err(|status| protocol::status(&status))?.into_inner();
        let mut file = File::create(to).await.map_err(|error| disk(&error))?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(chunk) = chunks.message().await.map_err(|status| protocol::status(&status))? {
            bytes += chunk.bytes.len() as u64;
            if bytes > ARCHIVE_BYTES_MAX {
                let message = format!("the state archive has more than {ARCHIVE_BYTES_MAX} bytes");
                return Err(Refusal::new(Kind::Limited, message));
            }
            hash.update(&chunk.bytes);
            file.write_all(&chunk.bytes).await.map_err(|error| disk(&error))?;
        }
        file.flush().await.map_err(|error| disk(&error))?;
        let found = Digest(hash.finalize().into());
        if found == digest {
            return Ok(());
        }
        Err(Refusal::new(Kind::Unavailable, format!("the state archive is {found}, expected was {digest}")))
    })
    .await
}

/// Stores an archive for the actor that this node holds by this binding. It is stored once this answers.
pub(crate) async fn put(channel: &ChannelWatch, held: Held, from: &Path) -> Result<Digest, Refusal> {
    let mut client = client(channel)?;
    let file = File::open(from).await.map_err(|error| disk(&error))?;
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
    let sending = tokio::spawn(send(file, held, sender));
    let stored = bounded(async {
        let answer = client.put_archive(ReceiverStream::new(chunks)).await;
        let answer = answer.map_err(|status| protocol::status(&status))?.into_inner();
        protocol::digest(&answer.digest, "digest")?.ok_or_else(|| protocol::malformed("digest", "it is missing"))
    })
    .await;
    if stored.is_err() {
        // The body may have nobody left who reads it.
        sending.abort();
    }
    match sending.await {
        Ok(Ok(sent)) if stored.as_ref().is_ok_and(|stored| *stored != sent) => {
            Err(Refusal::new(Kind::Unavailable, "the control plane stored something else than was sent"))
        }
        Ok(Err(error)) => Err(disk(&error)),
        _ => stored,
    }
}

async fn send(mut file: File, held: Held, to: mpsc::Sender<ArchiveChunk>) -> std::io::Result<Digest> {
    let (mut hash, mut whose) = (Sha256::new(), Some((held.binding.to_string(), held.epoch.0)));
    loop {
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut bytes).await?;
        if bytes.is_empty() && whose.is_none() {
            return Ok(Digest(hash.finalize().into()));
        }
        hash.update(&bytes);
        let (binding, epoch) = whose.take().unwrap_or_default();
        if to.send(ArchiveChunk { binding, epoch, bytes }).await.is_err() {
            // The other end has failed and says so itself.
            return Ok(Digest(hash.finalize().into()));
        }
    }
}

fn client(channel: &ChannelWatch) -> Result<NodeServiceClient<Channel>, Refusal> {
    let channel = channel.borrow().clone();
    channel.map(NodeServiceClient::new).ok_or_else(|| Refusal::new(Kind::Unavailable, "the node is not connected"))
}

async fn bounded<T>(transfer: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = || {
        TIME.hit();
        Refusal::new(Kind::Unavailable, format!("it took more than {TRANSFER_SECS_MAX} s"))
    };
    tokio::time::timeout(Duration::from_secs(TRANSFER_SECS_MAX), transfer).await.unwrap_or_else(|_| Err(late()))
}

fn disk(error: &std::io::Error) -> Refusal {
    Refusal::new(Kind::Unavailable, format!("the node's disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::bounded;
    use crate::fixture::hits;
    use credence_model::refusal::Kind;

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_does_not_end_fails() {
        let before = hits("archive_transfer_time");
        let late = bounded::<()>(std::future::pending()).await.expect_err("it takes too long");
        assert_eq!(late.kind, Kind::Unavailable);
        assert!(hits("archive_transfer_time") > before);
    }
}
