//! What every request of an endpoint is answered from.

use crate::endpoint::presence::{Live, Presence};
use crate::endpoint::{Backing, Decide, MintJwt};
use credence_model::command::{AUDIENCE_BYTES_MAX, AUDIENCES_MAX};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_policy::inquiry::{Answer, Inquiry};
use credence_telemetry::limit::Limit;
use credence_telemetry::trace::TraceContext;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Most JWT-SVIDs of one actor that are being minted at once; further requests wait.
const MINTS_MAX: usize = 32;
/// Longest wait for a JWT-SVID, in milliseconds.
const MINT_MS_MAX: u64 = 10_000;
/// An actor asks for more tokens at once.
pub(crate) static MINTS: Limit =
    Limit::new("actor_tokens", MINTS_MAX as u64, "tokens of an actor at once", "further ones wait");
/// A token takes too long.
pub(crate) static MINT_TIME: Limit =
    Limit::new("actor_token_time", MINT_MS_MAX, "milliseconds", "refused: unavailable");

/// The one answerer of an endpoint.
pub(super) struct Desk {
    presence: Presence,
    mint: MintJwt,
    decide: Decide,
    now: fn() -> Timestamp,
    minting: Semaphore,
}

impl Desk {
    pub(super) fn new(backing: Backing, closed: watch::Receiver<bool>) -> Self {
        let Backing { served, mint, decide, now } = backing;
        Self { presence: Presence::new(served, closed), mint, decide, now, minting: Semaphore::new(MINTS_MAX) }
    }

    /// A view of its own for whoever waits for changes.
    pub(super) fn presence(&self) -> Presence {
        self.presence.clone()
    }

    /// What is live now.
    pub(super) fn live(&self) -> Result<Live, Refusal> {
        self.presence().live()
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Has a JWT-SVID minted. It is given to nobody if the binding ends meanwhile.
    pub(super) async fn mint(&self, audience: Vec<String>, said: Option<TraceContext>) -> Result<String, Refusal> {
        check_audience(&audience)?;
        let mut presence = self.presence();
        presence.live()?;
        let minted = async {
            if self.minting.available_permits() == 0 {
                MINTS.hit();
            }
            // The semaphore is never closed.
            let _turn = self.minting.acquire().await;
            (self.mint)(audience, said).await
        };
        let minted = tokio::select! {
            minted = tokio::time::timeout(Duration::from_millis(MINT_MS_MAX), minted) => minted.unwrap_or_else(|_| Err(late())),
            ended = presence.ended() => Err(ended),
        }?;
        self.live()?;
        Ok(minted)
    }

    /// Has questions decided in the name of the actor. Nobody is answered if the binding ends meanwhile.
    pub(super) async fn decide(
        &self,
        inquiries: Vec<Inquiry>,
        said: Option<TraceContext>,
    ) -> Result<Vec<Answer>, Refusal> {
        let mut presence = self.presence();
        presence.live()?;
        let answers = tokio::select! {
            answers = (self.decide)(inquiries, said) => answers,
            ended = presence.ended() => Err(ended),
        }?;
        self.live()?;
        Ok(answers)
    }
}

fn late() -> Refusal {
    MINT_TIME.hit();
    let message = "the control plane did not answer in time";
    Refusal::new(Kind::Unavailable, message).hint("try again").retry_after_ms(1_000)
}

/// Refuses before anything is sent to the control plane.
// SPEC: SPIFFE Workload API §6.2.1 (W-10)
fn check_audience(audience: &[String]) -> Result<(), Refusal> {
    let malformed = |why: String| Err(Refusal::new(Kind::Malformed, why).field("audience"));
    if audience.is_empty() || audience.len() > AUDIENCES_MAX {
        return malformed(format!("a JWT-SVID has from 1 to {AUDIENCES_MAX} audiences"));
    }
    if audience.iter().any(|text| text.is_empty() || text.len() > AUDIENCE_BYTES_MAX) {
        return malformed(format!("an audience has from 1 to {AUDIENCE_BYTES_MAX} bytes"));
    }
    Ok(())
}
