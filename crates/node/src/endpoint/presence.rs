//! What is served right now, and waiting for that to change: the daemon's watch and the endpoint's own end as one.

use crate::endpoint::{Identity, Served};
use credence_credential::bundle::Bundle;
use credence_model::refusal::{Kind, Refusal};
use std::sync::Arc;
use tokio::sync::watch;

/// A live identity and the bundle beside it.
pub(super) type Live = (Arc<Identity>, Arc<Bundle>);

/// One reader's view.
#[derive(Clone)]
pub(super) struct Presence {
    served: watch::Receiver<Served>,
    closing: watch::Receiver<bool>,
}

impl Presence {
    pub(super) fn new(served: watch::Receiver<Served>, closing: watch::Receiver<bool>) -> Self {
        Self { served, closing }
    }

    /// What is live now, or that nothing is any more: said, closed, or the daemon's side is gone.
    pub(super) fn live(&mut self) -> Result<Live, Refusal> {
        let orphaned = self.served.has_changed().is_err() || self.closing.has_changed().is_err();
        if orphaned || *self.closing.borrow_and_update() {
            return Err(ended());
        }
        match &*self.served.borrow_and_update() {
            Served::Live { identity, bundle } => Ok((Arc::clone(identity), Arc::clone(bundle))),
            Served::Ended => Err(ended()),
        }
    }

    /// Waits until [`Self::live`] may say something else than at its last call.
    pub(super) async fn changed(&mut self) {
        // An error means that a sender is gone, which `live` sees as the end.
        tokio::select! {
            _ = self.served.changed() => {}
            _ = self.closing.changed() => {}
        }
    }

    /// Waits for the end.
    pub(super) async fn ended(&mut self) -> Refusal {
        loop {
            if let Err(ended) = self.live() {
                return ended;
            }
            self.changed().await;
        }
    }
}

/// The first three words are those by which clients tell this from other denials.
fn ended() -> Refusal {
    Refusal::new(Kind::Denied, "no identity issued: this actor's binding is over")
}
