//! What the node says, on the way to the cell: read strictly, proofs checked, handed over in order.

use super::{After, Deciding, Session, Waiting};
use crate::app::App;
use crate::limits::KEYS;
use crate::problem;
use crate::protocol::node::convert;
use credence_control::Answered;
use credence_credential::csr::{self, ProvenKey};
use credence_model::caller::Caller;
use credence_model::command::{AUDIENCES_MAX, Command, Report, Request};
use credence_model::id::ActorId;
use credence_model::node::RESERVOIR_KEYS_MAX;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::{Span, Trace};
use credence_wire::node as wire;
use credence_wire::node::{from_node, to_node};
use std::sync::Arc;

/// Most keys in one offer.
const KEYS_PER_OFFER_MAX: usize = 64;

impl Session {
    /// A malformed message ends the stream; a proof that does not hold is refused, and the stream goes on.
    pub(super) async fn heard(
        &mut self,
        message: from_node::Message,
        waiting: &mut Waiting,
        deciding: &mut Deciding,
    ) -> Result<(), Refusal> {
        match message {
            from_node::Message::Hello(_) => Err(convert::malformed("hello", "it was said already")),
            from_node::Message::Heartbeat(heartbeat) => {
                self.report(Report::Heartbeat, After::Heartbeat(heartbeat.number), waiting)
            }
            from_node::Message::BundleHeld(wire::BundleHeld { sequence, reissued }) => {
                self.report(Report::BundleHeld { sequence, reissued }, After::Nothing, waiting)
            }
            from_node::Message::Leaving(_) => self.report(Report::Leaving, After::Nothing, waiting),
            from_node::Message::KeyOffer(offer) => self.keys_offered(&offer, waiting).await,
            from_node::Message::Running(running) => {
                let held = convert::held(running.held.as_ref(), "running.held")?;
                self.report_as("report.running", Report::Running(held), After::Nothing, waiting)
            }
            from_node::Message::Ended(ended) => self.ended(ended, waiting),
            from_node::Message::RenewX509(renew) => self.renew_x509(renew, waiting).await,
            from_node::Message::MintJwt(mint) => self.mint_jwt(mint, waiting),
            from_node::Message::BindProcess(bind) => self.bind_process(&bind, waiting).await,
            from_node::Message::RenewNode(renew) => self.renew_node(&renew, waiting).await,
            from_node::Message::Decide(decide) => self.decide(decide, deciding),
            from_node::Message::Record(record) => self.record(record, waiting),
            from_node::Message::Reply(reply) => {
                if let (Some(waiter), Some(reply)) = (self.asked.remove(&reply.id), reply.reply) {
                    // Whoever asked may have gone away.
                    let _ = waiter.send(Ok(reply));
                }
                Ok(())
            }
        }
    }

    async fn keys_offered(&mut self, offer: &wire::KeyOffer, waiting: &mut Waiting) -> Result<(), Refusal> {
        self.keys_wanted = false;
        if offer.csrs.len() > KEYS_PER_OFFER_MAX || self.keys.len() + offer.csrs.len() > RESERVOIR_KEYS_MAX {
            KEYS.hit();
            let message = format!("at most {KEYS_PER_OFFER_MAX} keys at once and {RESERVOIR_KEYS_MAX} in all are kept");
            return self.refused(&Refusal::new(Kind::Limited, message).field("key_offer.csrs")).await;
        }
        let mut keys = Vec::with_capacity(offer.csrs.len());
        for (index, csr) in offer.csrs.iter().enumerate() {
            let field = format!("key_offer.csrs[{index}]");
            match prove(csr, &field) {
                // A key is certified once: a second binding would find it used up.
                Ok(key) if self.keys.contains_key(&key.digest()) || keys.contains(&key) => {
                    let refusal = convert::malformed(field, "this key was offered already; offer each once");
                    return self.refused(&refusal).await;
                }
                Ok(key) => keys.push(key),
                Err(refusal) => return self.refused(&refusal).await,
            }
        }
        let digests: Vec<_> = keys.iter().map(ProvenKey::digest).collect();
        self.keys.extend(keys.iter().map(|key| (key.digest(), key.spki().to_vec())));
        self.report(Report::KeysOffered(digests.clone()), After::KeysOffered(digests), waiting)
    }

    /// An archive counts only if it was stored for this very actor, and replaces the older ones once that is recorded.
    fn ended(&mut self, ended: wire::Ended, waiting: &mut Waiting) -> Result<(), Refusal> {
        let report = convert::ended(ended)?;
        if let Report::Ended { held, .. } = &report {
            self.briefs.end(held.binding);
        }
        let (app, command) = (Arc::clone(&self.app), self.request(report));
        let part = self.part("report.ended");
        waiting.push_back(Box::pin(async move {
            let ended = end(&app, command, part.trace()).await;
            (After::Nothing, part, ended)
        }));
        Ok(())
    }

    async fn renew_x509(&mut self, renew: wire::RenewX509, waiting: &mut Waiting) -> Result<(), Refusal> {
        let held = convert::held(renew.held.as_ref(), "renew_x509.held")?;
        let binding = held.binding.to_string();
        match prove(&renew.csr, "renew_x509.csr") {
            Ok(key) => {
                let after = After::X509 { binding, spki: key.spki().to_vec() };
                self.report(Report::RenewX509 { held, key: key.digest() }, after, waiting)
            }
            Err(refusal) => {
                let part = self.part("x509_svid.renew");
                self.answered(After::X509 { binding, spki: Vec::new() }, part, Err(refusal)).await
            }
        }
    }

    fn mint_jwt(&mut self, mint: wire::MintJwt, waiting: &mut Waiting) -> Result<(), Refusal> {
        let held = convert::held(mint.held.as_ref(), "mint_jwt.held")?;
        if mint.audience.len() > AUDIENCES_MAX {
            return Err(convert::malformed("mint_jwt.audience", format!("more than {AUDIENCES_MAX} audiences")));
        }
        let after = After::Jwt { request: mint.request };
        self.report_as("jwt_svid.mint", Report::MintJwt { held, audience: mint.audience }, after, waiting)
    }

    /// The names come from a person's command line, so they are refused like any request and the stream goes on.
    async fn bind_process(&mut self, bind: &wire::BindProcess, waiting: &mut Waiting) -> Result<(), Refusal> {
        let after = After::BindProcess { request: bind.request };
        let class = bind.class.parse().map_err(|error| convert::malformed("class", error));
        let actor = Some(&bind.actor).filter(|actor| !actor.is_empty()).map(|actor| ActorId::parse(actor)).transpose();
        let report = class.and_then(|class| {
            let actor = actor.map_err(|error| convert::malformed("actor", error))?;
            Ok(Report::BindProcess { class, actor })
        });
        match report {
            Ok(report) => self.report_as("process.bind", report, after, waiting),
            Err(refusal) => self.answered(after, self.part("process.bind"), Err(refusal)).await,
        }
    }

    async fn renew_node(&mut self, renew: &wire::RenewNode, waiting: &mut Waiting) -> Result<(), Refusal> {
        let key = match prove(&renew.csr, "renew_node.csr") {
            Ok(key) => key,
            Err(refusal) => {
                let part = self.part("node_svid.renew");
                return self.answered(After::NodeSvid { spki: Vec::new() }, part, Err(refusal)).await;
            }
        };
        let (app, node) = (Arc::clone(&self.app), self.node.clone());
        let caller = Caller::Node { name: node.clone() };
        let command = Command::RenewNode { node, key: key.digest() };
        let after = After::NodeSvid { spki: key.spki().to_vec() };
        waiting.push_back(Box::pin(async move { (after, Span::default(), app.submit(caller, command).await) }));
        Ok(())
    }

    /// A report that belongs to no request.
    fn report(&mut self, report: Report, after: After, waiting: &mut Waiting) -> Result<(), Refusal> {
        let (app, request) = (Arc::clone(&self.app), self.request(report));
        waiting.push_back(Box::pin(async move { (after, Span::default(), app.cell.submit(request).await) }));
        Ok(())
    }

    /// A report that may be a part of a request, under this name.
    fn report_as(
        &mut self,
        name: &'static str,
        report: Report,
        after: After,
        waiting: &mut Waiting,
    ) -> Result<(), Refusal> {
        let (app, request, part) = (Arc::clone(&self.app), self.request(report), self.part(name));
        waiting.push_back(Box::pin(async move {
            let answered = app.cell.submit_traced(request, part.trace()).await;
            (after, part, answered)
        }));
        Ok(())
    }

    fn request(&self, report: Report) -> Request {
        let caller = Caller::Node { name: self.node.clone() };
        let command = Command::Report { node: self.node.clone(), session: self.number, report };
        Request { caller, idempotency_key: None, command }
    }

    async fn refused(&self, refusal: &Refusal) -> Result<(), Refusal> {
        self.send(to_node::Message::Refused(problem::refused(refusal))).await
    }
}

fn prove(csr: &[u8], field: &str) -> Result<ProvenKey, Refusal> {
    let refusal = |error: csr::CsrError| Refusal::new(error.kind(), error.to_string()).field(field);
    csr::prove(csr, csr::ACCEPTED_BY_DEFAULT).map_err(refusal)
}

/// Reports the end of a binding.
async fn end(app: &App, mut request: Request, trace: Trace) -> Result<Answered, Refusal> {
    let Command::Report { report: Report::Ended { held, archive, .. }, .. } = &mut request.command else {
        return app.cell.submit_traced(request, trace).await;
    };
    let binding = held.binding;
    let actor = app.cell.read(move |state| state.bindings.get(&binding).cloned()).await?;
    let mut kept = None;
    if let (Some(digest), Some(actor)) = (*archive, actor) {
        if app.archives.has(&actor, digest).await {
            kept = Some((actor, digest));
        } else {
            tracing::warn!(%actor, %digest, "a node names an archive that it did not store; it is ignored");
            *archive = None;
        }
    }
    let answered = app.cell.submit_traced(request, trace).await?;
    if let Some((actor, digest)) = kept
        && let Err(error) = app.archives.keep_only(&actor, digest).await
    {
        tracing::warn!(%actor, %error, "an older archive is left over");
    }
    Ok(answered)
}
