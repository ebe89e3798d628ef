//! What every handler can reach.

use crate::administrators::Administrators;
use crate::archive::Archives;
use crate::attest_limit::AttestLimit;
use crate::call::Calls;
use crate::clock::Clock;
use crate::compiled::CompiledPolicies;
use crate::identity_provider::IdentityProviders;
use crate::limits::Limits;
use crate::mark::Marks;
use crate::meter::Meters;
use crate::seal::Seal;
use crate::signer::Signer;
use credence_attest::join_token::SECRET_BYTES;
use credence_control::{Answered, Cell};
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::hold::Hold;
use credence_model::id::Namespace;
use credence_model::refusal::Refusal;
use credence_model::spiffe_id::TrustDomain;
use credence_model::template::PathTemplates;
use credence_telemetry::span::Tracer;
use credence_wire::node as wire;
use std::collections::BTreeMap;
use tokio::sync::{Semaphore, watch};
use zeroize::Zeroizing;

/// What every handler can reach.
pub(crate) struct App {
    /// The registry and its journal.
    pub(crate) cell: Cell,
    /// Who signs.
    pub(crate) signer: Signer,
    /// What it counts.
    pub(crate) meters: Meters,
    /// How much and how long.
    pub(crate) limits: Limits,
    /// What records the way of a request, if a collector is told.
    pub(crate) tracer: Tracer,
    /// The time.
    pub(crate) clock: Clock,
    /// State archives.
    pub(crate) archives: Archives,
    /// Policies that are ready to be asked.
    pub(crate) policies: CompiledPolicies,
    /// Types of subjects that stand for the actors of a namespace, beside `actor`.
    pub(crate) subject_types: BTreeMap<String, Namespace>,
    /// Whose turn it is to ask about the past.
    pub(crate) past: Semaphore,
    /// The open streams of nodes.
    pub(crate) calls: Calls,
    /// How fast nodes may attest.
    pub(crate) attest_limit: AttestLimit,
    /// The trust domain; it never changes.
    pub(crate) trust_domain: TrustDomain,
    /// Its path templates; they never change either.
    pub(crate) templates: PathTemplates,
    /// Who may administer.
    pub(crate) administrators: Administrators,
    /// Who says who a user is.
    pub(crate) identity_providers: IdentityProviders,
    /// What retried join tokens are derived from.
    pub(crate) token_seed: Zeroizing<[u8; SECRET_BYTES]>,
    /// Closes the tokens of pages.
    pub(crate) page_seal: Seal,
    /// How far it was, for nodes to keep.
    pub(crate) marks: Marks,
    /// Becomes true when the server stops: whoever waits for something answers at once.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    /// Whether it can do its work, or why not.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.cell.ready().await?;
        let held = self.cell.read(|state| state.hold.as_ref().map(Hold::refusal)).await;
        match held.map_err(|refusal| refusal.message)? {
            Some(refusal) => Err(refusal.to_string()),
            None => Ok(()),
        }
    }

    /// How far it is now, for a node to keep.
    pub(crate) fn mark(&self) -> wire::Mark {
        let recorded = *self.cell.recorded().borrow();
        self.marks.issue(&recorded, self.signer.bundle().sequence)
    }

    /// Hands a command to the cell.
    pub(crate) async fn submit(&self, caller: Caller, command: Command) -> Result<Answered, Refusal> {
        self.cell.submit(Request { caller, idempotency_key: None, command }).await
    }
}

/// Waits until the server stops.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A dropped sender is the end as well. The borrow must not live across another await.
    let _ = stopping.wait_for(|stopping| *stopping).await.map(|stopping| *stopping);
}
