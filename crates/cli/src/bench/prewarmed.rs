//! A driver whose workers run already, in this very process: what a resume costs without the start of a program.
//!
//! Every binding gets the tree of this process, so an ordinary client here is served as the actor would be. It says when
//! an endpoint is open, which is when an actor could ask.

use credence_attest::process_tree::TreeRoot;
use credence_model::id::{BindingId, Digest};
use credence_node::runtime::{Archive, Driver, ExecOutput, Prepared, Running, RuntimeError, StartSpec};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The driver.
#[derive(Clone, Default)]
pub(super) struct Prewarmed {
    places: Arc<Mutex<HashMap<BindingId, Place>>>,
}

/// An endpoint that is open, or somebody who waits for it: whichever comes first.
enum Place {
    Open(PathBuf),
    Awaited(oneshot::Sender<PathBuf>),
}

impl Prewarmed {
    /// The socket of a binding, once it is open.
    pub(super) async fn endpoint(&self, binding: BindingId) -> Option<PathBuf> {
        let opened = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Place::Open(path)) = places.remove(&binding) {
                return Some(path);
            }
            let (awaited, opened) = oneshot::channel();
            places.insert(binding, Place::Awaited(awaited));
            opened
        };
        opened.await.ok()
    }

    fn opened(&self, binding: BindingId, path: PathBuf) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match places.remove(&binding) {
            // Whoever waited may have gone.
            Some(Place::Awaited(awaited)) => drop(awaited.send(path)),
            _ => drop(places.insert(binding, Place::Open(path))),
        }
    }
}

impl Driver for Prewarmed {
    fn prepare(&self, spec: StartSpec) -> BoxFuture<'_, Result<Box<dyn Prepared>, RuntimeError>> {
        let root = TreeRoot::of(std::process::id());
        let root = root.map_err(|error| RuntimeError::Supervisor(error.to_string()));
        let driver = self.clone();
        async move { Ok(Box::new(Worker { root: root?, driver, spec }) as Box<dyn Prepared>) }.boxed()
    }
}

struct Worker {
    root: TreeRoot,
    driver: Prewarmed,
    spec: StartSpec,
}

impl Prepared for Worker {
    fn tree_root(&self) -> TreeRoot {
        self.root
    }

    fn go(self: Box<Self>) -> BoxFuture<'static, Result<Arc<dyn Running>, RuntimeError>> {
        self.driver.opened(self.spec.binding, self.spec.endpoint.clone());
        let (over, _) = watch::channel(false);
        async move { Ok(Arc::new(Occupied { root: self.root, over }) as Arc<dyn Running>) }.boxed()
    }
}

struct Occupied {
    root: TreeRoot,
    over: watch::Sender<bool>,
}

impl Running for Occupied {
    fn tree_root(&self) -> TreeRoot {
        self.root
    }

    fn wait(&self) -> BoxFuture<'static, i32> {
        let mut over = self.over.subscribe();
        async move { over.wait_for(|over| *over).await.map_or(0, |_| 0) }.boxed()
    }

    fn stop(&self, _: Duration) -> BoxFuture<'static, i32> {
        self.kill()
    }

    fn kill(&self) -> BoxFuture<'static, i32> {
        self.over.send_replace(true);
        self.wait()
    }

    fn exec(&self, _: Vec<String>, _: Duration) -> BoxFuture<'static, Result<ExecOutput, RuntimeError>> {
        async { Err(RuntimeError::Gone) }.boxed()
    }

    fn archive(&self) -> BoxFuture<'static, Result<Archive, RuntimeError>> {
        let nothing = Archive { path: PathBuf::new(), digest: Digest::of(b""), bytes: 0, skipped: 0 };
        async { Ok(nothing) }.boxed()
    }

    fn discard(&self) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
