//! Who calls: a connection proves a peer, and every request asks anew what that peer may do.
//!
//! A connection outlives what it was opened with: a node gets another key, an actor moves to another worker, a
//! certificate expires. So the handshake decides nothing but whose key it is, and [`Standing`] is worked out per request.
//!
//! A request with a token (`Authorization: Bearer`) is asked by the user whom the token names, whoever the connection is.
//! INVARIANT: a token that is no good is refused; nobody is taken for the connection's peer, or for nobody, instead.

use crate::app::App;
use crate::bearer::bearer;
use crate::who::Who;
use axum::body::Body;
use credence_credential::x509_svid::VerifiedX509Svid;
use credence_model::caller::Caller;
use credence_model::directive::NOT_BEFORE_CUSHION_SECS;
use credence_model::hold::Hold;
use credence_model::id::NodeName;
use credence_model::node::Node;
use credence_model::refusal::{Kind, Refusal};
use credence_model::state::State;
use credence_model::template::Named;
use credence_model::user::User;
use credence_model::verify::verify;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the connection proved.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// A process of this machine, by its user id, through the admin socket.
    Local {
        /// From the socket's peer credentials.
        uid: u32,
    },
    /// TLS with a verified X.509-SVID.
    Svid(Arc<VerifiedX509Svid>),
    /// TLS without a client certificate.
    Anonymous,
}

/// What a peer is allowed to be, now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// How the journal names it; nobody if it did not prove who it is.
    pub(crate) caller: Option<Caller>,
    /// Whether it is an administrator.
    pub(crate) admin: bool,
    /// The node it is.
    pub(crate) node: Option<NodeName>,
    /// Whether it is a workload whose identity is live.
    pub(crate) workload: bool,
    /// Whether it is a user of an identity provider.
    pub(crate) user: bool,
    /// Why its credential is worth nothing now.
    refused: Option<Refusal>,
}

/// What a request shows to say who asks.
pub(crate) enum Shown {
    /// A token of an identity provider.
    Token(Zeroizing<String>),
    /// Nothing but its connection.
    Connection(Peer),
}

impl Shown {
    /// What this request shows.
    pub(crate) fn by(request: &http::Request<Body>) -> Result<Self, Refusal> {
        match bearer(request.headers())? {
            Some(token) => Ok(Self::Token(Zeroizing::new(token.to_owned()))),
            None => Peer::of(request).map(Self::Connection),
        }
    }

    /// Works out what whoever shows it is now.
    pub(crate) async fn standing(&self, app: &App) -> Result<Standing, Refusal> {
        match self {
            Self::Token(token) => Ok(Standing::of_user(app.identity_providers.user(token, app.clock).await?)),
            Self::Connection(peer) => peer.standing(app).await,
        }
    }
}

impl Peer {
    /// The peer that the listener put there. A request without one is not answered.
    fn of(request: &http::Request<Body>) -> Result<Self, Refusal> {
        let missing = || Refusal::new(Kind::Bug, "a request came from nowhere");
        request.extensions().get::<Self>().cloned().ok_or_else(missing)
    }

    /// Which sort it is, for traces.
    pub(crate) fn sort(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::Svid(_) => "svid",
            Self::Anonymous => "anonymous",
        }
    }

    /// Works out what this peer is now.
    async fn standing(&self, app: &App) -> Result<Standing, Refusal> {
        match self {
            Self::Anonymous => Ok(Standing::default()),
            Self::Local { uid } => Ok(Standing {
                caller: Some(Caller::Local { uid: *uid }),
                admin: app.administrators.has_uid(*uid),
                ..Standing::default()
            }),
            Self::Svid(svid) => of_svid(svid, app).await,
        }
    }
}

impl Standing {
    fn of_user(user: User) -> Self {
        Self { caller: Some(Caller::User { user }), user: true, ..Self::default() }
    }

    /// Whether this peer may do what only `who` may.
    pub(crate) fn require(&self, who: Who) -> Result<(), Refusal> {
        let may = match who {
            Who::Anyone => true,
            Who::Workload => self.workload || self.admin,
            Who::User => self.user || self.admin,
            Who::Node => self.node.is_some(),
            Who::Admin => self.admin,
        };
        if may {
            return Ok(());
        }
        if let Some(refusal) = &self.refused {
            return Err(refusal.clone());
        }
        Err(match &self.caller {
            None => {
                let (missing, hint) = missing(who);
                Refusal::new(Kind::Unauthenticated, format!("this is for {who}, and {missing}")).hint(hint)
            }
            Some(caller) => Refusal::new(Kind::Denied, format!("this is for {who}; {caller} is not one")),
        })
    }
}

async fn of_svid(svid: &Arc<VerifiedX509Svid>, app: &App) -> Result<Standing, Refusal> {
    let now = app.clock.now();
    if svid.not_after <= now {
        let message = format!("the certificate of {} expired while the connection was open", svid.id);
        return Ok(refused(Refusal::new(Kind::Unauthenticated, message).hint("Connect again with a fresh one")));
    }
    let named = svid.id.is_in(&app.trust_domain).then(|| app.templates.read(&svid.id)).flatten();
    match named {
        Some(Named::Node(node)) => of_node(svid, node, app).await,
        Some(Named::Actor(..)) => of_actor(svid, app).await,
        // Nobody else is given an SVID today; an administrator may still be named by one of these.
        _ => Ok(Standing {
            caller: Some(Caller::Svid { id: svid.id.clone() }),
            admin: app.administrators.has_id(&svid.id),
            ..Standing::default()
        }),
    }
}

/// A node is who holds a key that was registered since it last proved its origin: an SVID from before is worth nothing.
async fn of_node(svid: &Arc<VerifiedX509Svid>, node: NodeName, app: &App) -> Result<Standing, Refusal> {
    let name = node.clone();
    let key = svid.key();
    let from = svid.not_before.plus_secs(NOT_BEFORE_CUSHION_SECS);
    let look = move |state: &State| {
        // What was signed in a time that a restore lost is known from the signature alone.
        let is_known = |node: &Node| node.is_known_by(&key) || state.is_in_lost_time(from);
        (state.nodes.get(&name).map(is_known), state.hold.as_ref().map(Hold::refusal))
    };
    let (is_known, held) = app.cell.read(look).await?;
    Ok(match is_known {
        Some(false) | None if held.is_some() => held.map(refused).unwrap_or_default(),
        Some(true) => {
            Standing { caller: Some(Caller::Node { name: node.clone() }), node: Some(node), ..Standing::default() }
        }
        Some(false) => refused(
            Refusal::new(Kind::Stale, format!("node {node} has proved its origin anew; this certificate is older"))
                .hint("Attest again with a new join token"),
        ),
        None => refused(
            Refusal::new(Kind::Unauthenticated, format!("there is no node {node} any more"))
                .hint("Attest again with a new join token"),
        ),
    })
}

async fn of_actor(svid: &Arc<VerifiedX509Svid>, app: &App) -> Result<Standing, Refusal> {
    let Some(claims) = &svid.claims else {
        let message = format!("the certificate of {} says nothing about its binding", svid.id);
        return Ok(refused(Refusal::new(Kind::Unauthenticated, message)));
    };
    let (id, epoch, binding, now) = (svid.id.clone(), claims.epoch, claims.binding, app.clock.now());
    let verdict = app.cell.read(move |state| verify(state, &id, epoch, binding, now)).await?;
    if !verdict.live {
        let message = format!("the identity {} is not live: {}", svid.id, verdict.reason);
        return Ok(refused(Refusal::new(Kind::Stale, message)));
    }
    Ok(Standing {
        caller: Some(Caller::Svid { id: svid.id.clone() }),
        admin: app.administrators.has_id(&svid.id),
        workload: true,
        ..Standing::default()
    })
}

/// What was not shown, and what to show instead.
fn missing(who: Who) -> (&'static str, &'static str) {
    match who {
        Who::User => ("nothing was shown that says who asks", "Log in with `credence login`, or use the admin socket"),
        _ => ("no client certificate was shown", "Use the admin socket, or a client certificate with a live SPIFFE ID"),
    }
}

fn refused(refusal: Refusal) -> Standing {
    Standing { refused: Some(refusal), ..Standing::default() }
}

#[cfg(test)]
mod tests {
    use super::Standing;
    use crate::who::Who;
    use credence_model::caller::Caller;
    use credence_model::id::NodeName;
    use credence_model::refusal::Kind;
    use credence_model::user::User;

    #[test]
    fn who_may_do_what_is_exactly_this() {
        let name = NodeName::parse("alpha").expect("a name");
        let nobody = Standing::default();
        let stranger = Standing { caller: Some(Caller::Local { uid: 7 }), ..Standing::default() };
        let admin = Standing { admin: true, ..stranger.clone() };
        let workload = Standing { workload: true, ..stranger.clone() };
        let node =
            Standing { caller: Some(Caller::Node { name: name.clone() }), node: Some(name), ..Standing::default() };
        let ada = User { issuer: "https://login.example.org".into(), subject: "ada".into() };
        for (standing, allowed, kind) in [
            (nobody, &[Who::Anyone][..], Kind::Unauthenticated),
            (stranger, &[Who::Anyone], Kind::Denied),
            (workload, &[Who::Anyone, Who::Workload], Kind::Denied),
            (node, &[Who::Anyone, Who::Node], Kind::Denied),
            (admin, &[Who::Anyone, Who::Workload, Who::User, Who::Admin], Kind::Denied),
            (Standing::of_user(ada), &[Who::Anyone, Who::User], Kind::Denied),
        ] {
            for who in [Who::Anyone, Who::Workload, Who::User, Who::Node, Who::Admin] {
                let expected = if allowed.contains(&who) { Ok(()) } else { Err(kind) };
                assert_eq!(standing.require(who).map_err(|refusal| refusal.kind), expected, "{standing:?} as {who}");
            }
        }
    }
}
