//! The holder of one binding: from the order to hold it until nothing of it is left.
//!
//! INVARIANTS
//! - The endpoint is open before the program starts, so its first question is answered.
//! - Before the end is told, the endpoint is closed and the keys are wiped. What the node started is gone by then, and its
//!   state is packed when nobody can change it any more; a program under `credence run` is ended by that.
//! - Once what is served was taken back, it is never served again.

mod process;
mod slot;

use crate::clock::wall;
use crate::core::message::BindNotice;
use crate::endpoint::{Backing, Endpoint, EndpointError, Identity, MintJwt, Served, socket_name};
use crate::event::{Event, Events, HolderEvent, LocalRun};
use crate::freshness;
use crate::handover::{BindingState, LeftBinding, Line};
use crate::judge::Judge;
use crate::runtime::{Driver, KeptTree};
use crate::signing::Signing;
use crate::transfer::ChannelWatch;
use credence_attest::process_tree::TreeRoot;
use credence_credential::bundle::Bundle;
use credence_model::actor::UnbindMode;
use credence_model::command::Held;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::{SpanKind, Trace, Tracer};
use futures_util::FutureExt as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;

/// What all holders of a node work with.
pub(crate) struct Workshop {
    /// Runs programs.
    pub(crate) driver: Arc<dyn Driver>,
    /// Where the actors' sockets are.
    pub(crate) socket_dir: PathBuf,
    /// Where archives that were fetched lie until they are unpacked.
    pub(crate) incoming_dir: PathBuf,
    /// To the hub.
    pub(crate) events: Events,
    /// The trust domain's present bundle.
    pub(crate) bundles: watch::Receiver<Arc<Bundle>>,
    /// Who signs, and what is to be replaced.
    pub(crate) signing: watch::Receiver<Signing>,
    /// The present way to the control plane.
    pub(crate) channel: ChannelWatch,
    /// Decides what actors ask.
    pub(crate) judge: Judge,
    /// What records the way of a request, if a collector is told.
    pub(crate) tracer: Tracer,
}

/// What is held.
pub(crate) enum Tenant {
    /// A program that this node starts.
    Slot,
    /// A process tree that runs already.
    Process(Box<LocalRun>),
}

/// How the hub reaches a holder.
pub(crate) struct Reins {
    served: Arc<watch::Sender<Served>>,
    mode: watch::Sender<Option<UnbindMode>>,
    leave: watch::Sender<bool>,
}

impl Reins {
    /// Gives every reader of the endpoint this bundle; nothing if it is over.
    pub(crate) fn take_bundle(&self, newest: &Arc<Bundle>) {
        self.served.send_if_modified(|now| {
            let Served::Live { bundle, .. } = now else { return false };
            *bundle = Arc::clone(newest);
            true
        });
    }

    /// What is served, as it changes.
    pub(crate) fn served(&self) -> watch::Receiver<Served> {
        self.served.subscribe()
    }

    /// The certificates that are served now.
    pub(crate) fn chain(&self) -> Option<Vec<Vec<u8>>> {
        match &*self.served.borrow() {
            Served::Live { identity, .. } => Some(identity.chain.clone()),
            Served::Ended => None,
        }
    }

    /// Ends the binding, or ends it more harshly than before. Under the harsh modes nothing is served from this instant.
    pub(crate) fn stop(&self, mode: UnbindMode) {
        if is_harsh(mode) {
            self.served.send_replace(Served::Ended);
        }
        self.mode.send_replace(Some(mode));
    }

    /// Lets go of the binding without ending it.
    pub(crate) fn leave(&self) {
        self.leave.send_replace(true);
    }
}

struct Holder {
    workshop: Arc<Workshop>,
    notice: Box<BindNotice>,
    served: Arc<watch::Sender<Served>>,
    mode: watch::Receiver<Option<UnbindMode>>,
    leave: watch::Receiver<bool>,
    /// The request that led to it.
    trace: Trace,
}

/// Why a binding is not watched over any more.
enum Watched {
    /// It is to end.
    Ended,
    /// Another program of this process goes on with it.
    Left,
}

/// Starts to hold a binding. What becomes of it is told to the hub.
pub(crate) fn hold(
    workshop: Arc<Workshop>,
    notice: Box<BindNotice>,
    identity: Identity,
    tenant: Tenant,
    trace: Trace,
) -> Reins {
    let (mut holder, reins) = Holder::new(workshop, notice, identity);
    holder.trace = trace;
    holder.work(async move |holder| match tenant {
        Tenant::Slot => holder.slot().await,
        Tenant::Process(run) => holder.process(*run).await,
    });
    reins
}

/// Goes on with a binding that another program of this process held: its tree, its socket, and the program if the node
/// started it; else the caller may come back through `rejoined`.
pub(crate) fn adopt(
    workshop: Arc<Workshop>,
    notice: Box<BindNotice>,
    identity: Identity,
    (root, socket, tree): (TreeRoot, OwnedFd, Option<KeptTree>),
    rejoined: mpsc::Receiver<Box<LocalRun>>,
) -> Reins {
    let (holder, reins) = Holder::new(workshop, notice, identity);
    holder.work(async move |holder| match tree {
        Some(tree) => holder.slot_again(root, socket, tree).await,
        None => holder.process_again(root, socket, rejoined).await,
    });
    reins
}

impl Holder {
    fn new(workshop: Arc<Workshop>, notice: Box<BindNotice>, identity: Identity) -> (Self, Reins) {
        let bundle = Arc::clone(&workshop.bundles.borrow());
        let served = Arc::new(watch::Sender::new(Served::Live { identity: Arc::new(identity), bundle }));
        let (mode, told) = watch::channel(None);
        let (leave, leaving) = watch::channel(false);
        let reins = Reins { served: Arc::clone(&served), mode, leave };
        (Self { workshop, notice, served, mode: told, leave: leaving, trace: Trace::default() }, reins)
    }

    /// Works to the end, which is told to the hub.
    fn work<W: Future<Output = HolderEvent> + Send>(self, work: impl FnOnce(Self) -> W + Send + 'static) {
        let (events, binding) = (self.workshop.events.clone(), self.notice.binding);
        let work = async move {
            let event = work(self).await;
            // Nobody to tell is the end of the whole node.
            let _ = events.send(Event::Holder { binding, event }).await;
        };
        tokio::spawn(work.in_current_span());
    }

    /// Asks the hub, which asks the control plane.
    fn mint(&self) -> MintJwt {
        let (workshop, held, actor) = (Arc::clone(&self.workshop), self.held(), self.notice.actor.clone());
        Arc::new(move |audience, said| {
            let mut part = workshop.tracer.follow(said, "jwt_svid", SpanKind::Server);
            part.set("credence.actor", || actor.to_string());
            part.set("credence.binding", || held.binding.to_string());
            let events = workshop.events.clone();
            async move {
                let minted = minted(&events, held, audience, part.trace()).await;
                part.fail_if(minted.is_err());
                minted
            }
            .boxed()
        })
    }

    fn backing(&self) -> Backing {
        let decide = self.workshop.judge.of(self.held());
        Backing { served: self.served.subscribe(), mint: self.mint(), decide, now: wall }
    }

    fn held(&self) -> Held {
        self.notice.held()
    }

    fn socket(&self) -> PathBuf {
        self.workshop.socket_dir.join(socket_name(self.notice.binding))
    }

    async fn open(&self, root: TreeRoot) -> Result<Endpoint, EndpointError> {
        let path = self.socket();
        let opened = Endpoint::open(&path, root, self.backing());
        self.trace.during("endpoint.open", opened).await
    }

    /// The same with a socket that is listened on already.
    async fn open_again(&self, root: TreeRoot, socket: OwnedFd) -> Result<Endpoint, EndpointError> {
        Endpoint::adopt(&self.socket(), socket, root, self.backing()).await
    }

    /// What another program of this process needs to go on with this binding; `None` if it is over.
    async fn left(
        &self,
        root: TreeRoot,
        endpoint: Endpoint,
        tree: Option<KeptTree>,
        line: Option<Line>,
    ) -> Option<HolderEvent> {
        let identity = match &*self.served.borrow() {
            Served::Live { identity, .. } => Arc::clone(identity),
            Served::Ended => return None,
        };
        let socket = endpoint.leave().await?;
        let state = BindingState {
            notice: self.notice.clone(),
            chain: identity.chain.clone(),
            key_pkcs8: identity.key_pkcs8.to_vec(),
            root,
            tree: tree.as_ref().map(|tree| tree.state.clone()),
        };
        Some(HolderEvent::Left(Box::new(LeftBinding { state, socket, tree, line })))
    }

    /// Takes the identity back, waits until nobody can ask any more, and wipes its key with the last reader.
    async fn close(&self, endpoint: Endpoint) {
        self.served.send_replace(Served::Ended);
        endpoint.close().await;
    }

    async fn tell(&self, event: HolderEvent) {
        let binding = self.notice.binding;
        // Nobody to tell is the end of the whole node.
        let _ = self.workshop.events.send(Event::Holder { binding, event }).await;
    }

    /// Whether its end was ordered already.
    fn is_stopped(&self) -> bool {
        self.mode.borrow().is_some()
    }

    /// Waits for the order to end.
    async fn stopped(&mut self) -> UnbindMode {
        let told = self.mode.wait_for(Option::is_some).await.ok().and_then(|mode| *mode);
        // Whoever holds the reins is gone, and the node with it.
        told.unwrap_or(UnbindMode::Drop)
    }

    /// Waits for the order to end at once.
    async fn harshly_stopped(&mut self) {
        let harsh = self.mode.wait_for(|mode| mode.is_some_and(is_harsh)).await.is_ok();
        if !harsh {
            tracing::debug!(binding = %self.notice.binding, "the node ends");
        }
    }

    /// Keeps the identity fresh; never resolves.
    fn fresh(&self) -> impl Future<Output = ()> + Send + use<> {
        let Workshop { bundles, signing, events, .. } = &*self.workshop;
        freshness::keep(self.held(), Arc::clone(&self.served), bundles.clone(), signing.clone(), events.clone())
    }
}

async fn told_to_end(mode: &mut watch::Receiver<Option<UnbindMode>>) {
    // The borrow that `wait_for` answers must not live across another await.
    let _ = mode.wait_for(Option::is_some).await.map(|mode| *mode);
}

fn is_harsh(mode: UnbindMode) -> bool {
    matches!(mode, UnbindMode::Quarantine | UnbindMode::Drop)
}

async fn minted(events: &Events, held: Held, audience: Vec<String>, trace: Trace) -> Result<String, Refusal> {
    let away = || Refusal::new(Kind::Unavailable, "the node is not connected to the control plane; try again");
    let (answer, answered) = oneshot::channel();
    events.send(Event::Mint { held, audience, trace, answer }).await.map_err(|_| away())?;
    answered.await.unwrap_or_else(|_| Err(away()))
}
