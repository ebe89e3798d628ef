//! What the journal orders to be signed, kept apart from what follows from it in the product: whatever was signed must be here.

use super::check::Broken;
use super::signature::Signed;
use credence_model::event::{Entry, Event};
use credence_model::id::{ActorRef, BindingId, Digest, Epoch};
use credence_model::spiffe_id::SpiffeId;
use credence_model::state::State;
use credence_model::time::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Books {
    certificates: BTreeMap<Digest, Order>,
    tokens: BTreeMap<(BindingId, Timestamp), Order>,
    /// The authority that signs.
    signer: Option<Digest>,
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    subject: Option<SpiffeId>,
    held: Option<(BindingId, Epoch)>,
    not_after: Timestamp,
    authority: Option<Digest>,
}

impl Books {
    /// Reads the next entry; `state` is the one after it.
    pub(super) fn read(&mut self, entry: &Entry, state: &State) {
        let authority = self.signer;
        let of_actor = |actor: &ActorRef| state.actors.get(actor).map(|actor| state.spiffe_id(&actor));
        match &entry.event {
            Event::AuthorityActivated { authority, .. } => self.signer = Some(*authority),
            Event::ActorBound { actor, binding, epoch, key, not_after, .. }
            | Event::X509SvidOrdered { actor, binding, epoch, key, not_after } => {
                let (subject, held) = (of_actor(actor), Some((*binding, *epoch)));
                self.certificates.insert(*key, Order { subject, held, not_after: *not_after, authority });
            }
            Event::NodeAttested { node, key, not_after, .. } | Event::NodeRenewed { node, key, not_after } => {
                let subject = Some(state.settings.templates.node_id(&state.settings.trust_domain, node));
                self.certificates.insert(*key, Order { subject, held: None, not_after: *not_after, authority });
            }
            Event::JwtSvidOrdered { actor, binding, epoch, expires_at, .. } => {
                let (subject, held) = (of_actor(actor), Some((*binding, *epoch)));
                self.tokens.insert((*binding, *expires_at), Order { subject, held, not_after: *expires_at, authority });
            }
            _ => {}
        }
    }

    /// Whether this was ordered, as it was signed.
    pub(super) fn ordered(&self, signed: &Signed) -> Result<(), Broken> {
        let order = match (signed.key, signed.held) {
            (Some(key), _) => self.certificates.get(&key),
            (None, Some((binding, _))) => self.tokens.get(&(binding, signed.not_after)),
            (None, None) => None,
        };
        let is_so = order.is_some_and(|order| {
            order.subject.as_ref() == Some(&signed.subject)
                && (order.held, order.not_after, order.authority) == (signed.held, signed.not_after, signed.authority)
        });
        if is_so { Ok(()) } else { Err(Broken::Unordered(format!("{signed:?}, and the journal says {order:?}"))) }
    }
}
