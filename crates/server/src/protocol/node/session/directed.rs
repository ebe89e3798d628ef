//! What the cell directs and how it answered, on the way to the node: signed and sent.

use super::{After, RESERVOIR_KEYS, Session};
use crate::problem::{self, kind_name};
use crate::protocol::node::convert;
use credence_control::{Answered, Directed};
use credence_model::command::Answer;
use credence_model::directive::{Bind, Directive};
use credence_model::order::{JwtOrder, X509Order};
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::{Span, SpanKind, Trace};
use credence_wire::node as wire;
use credence_wire::node::{bind_process_result, to_node};

impl Session {
    pub(super) async fn directed(&mut self, directed: Directed) -> Result<(), Refusal> {
        let trace = directed.trace;
        match directed.directive {
            Directive::Bind(bind) => self.bind(&bind, &trace).await,
            Directive::Unbind { unbind, .. } => {
                let mut part = trace.span("node.unbind", SpanKind::Producer);
                part.set("credence.binding", || unbind.binding.to_string());
                part.set("credence.node", || self.node.to_string());
                self.send_traced(to_node::Message::Unbind(convert::unbind(unbind)), &part.trace()).await
            }
            // Orders come with the answer to the report that caused them, what is to be reconsidered beside the queue, and the
            // end of a session closes it.
            Directive::X509 { .. }
            | Directive::Jwt { .. }
            | Directive::NodeSvid { .. }
            | Directive::Reconsider { .. }
            | Directive::EndSessions { .. } => Ok(()),
        }
    }

    /// The binding and its first X.509-SVID in one push: possession of the key was checked before.
    async fn bind(&mut self, bind: &Bind, trace: &Trace) -> Result<(), Refusal> {
        if bind.session != self.number {
            return Ok(());
        }
        let spki = self.keys.remove(&bind.order.key()).ok_or_else(|| {
            Refusal::new(Kind::Bug, format!("the key of binding {} was not offered on this stream", bind.binding))
        })?;
        let part = self.telling(bind, trace);
        let trace = part.trace();
        let chain = trace.doing("sign", || self.app.signer.x509(&bind.order, &spki))?;
        let (binding, actor) = (bind.binding, bind.actor.clone());
        let bind = wire::Bind { mark: Some(self.app.mark()), ..convert::bind(bind, chain)? };
        self.send_traced(to_node::Message::Bind(bind), &trace).await?;
        drop(part);
        self.briefs.begin(binding, actor);
        self.want_keys().await
    }

    /// The part of a request in which a node is told to hold a binding.
    fn telling(&self, bind: &Bind, trace: &Trace) -> Span {
        let mut part = trace.span("node.bind", SpanKind::Producer);
        part.set("credence.actor", || bind.actor.to_string());
        part.set("credence.binding", || bind.binding.to_string());
        part.set("credence.epoch", || bind.epoch.0);
        part.set("credence.worker", || bind.worker.to_string());
        part.set("credence.node", || self.node.to_string());
        part
    }

    /// Asks for keys when half of the reservoir is used up, once until the node offers some.
    async fn want_keys(&mut self) -> Result<(), Refusal> {
        let ready = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        if self.keys_wanted || ready > RESERVOIR_KEYS / 2 {
            return Ok(());
        }
        self.keys_wanted = true;
        self.send(to_node::Message::KeysWanted(wire::KeysWanted { count: RESERVOIR_KEYS - ready })).await
    }

    pub(super) async fn answered(
        &mut self,
        after: After,
        mut part: Span,
        answered: Result<Answered, Refusal>,
    ) -> Result<(), Refusal> {
        let answered = answered.and_then(|answered| self.follow_up(&after, &part, answered));
        part.set("credence.outcome", || answered.as_ref().map_or_else(|refusal| kind_name(refusal.kind), |_| "ok"));
        match answered {
            Ok(Some(message)) => self.send(message).await,
            Ok(None) => Ok(()),
            Err(refusal) => self.refuse(after, &refusal).await,
        }
    }

    /// What the node is told after a report that was granted.
    fn follow_up(&self, after: &After, part: &Span, answered: Answered) -> Result<Option<to_node::Message>, Refusal> {
        Ok(match after {
            After::Nothing | After::KeysOffered(_) => None,
            After::Heartbeat(number) => Some(to_node::Message::HeartbeatAck(wire::HeartbeatAck {
                number: *number,
                mark: Some(self.app.mark()),
                // Delegations begin and end by the journal's clock, which this machine's may be behind.
                now_ms: answered.at.0,
            })),
            After::X509 { binding, spki } => {
                let x509_svid = self.app.signer.x509(x509_order(&answered)?, spki)?;
                Some(to_node::Message::X509Svid(wire::X509Svid { binding: binding.clone(), x509_svid, refused: None }))
            }
            After::NodeSvid { spki } => {
                let x509_svid = self.app.signer.x509(x509_order(&answered)?, spki)?;
                Some(to_node::Message::NodeSvid(wire::NodeSvid { x509_svid, refused: None }))
            }
            After::Jwt { request } => {
                let order = jwt_order(&answered)?;
                let svid = part.trace().doing("sign", || self.app.signer.jwt(order))?;
                Some(to_node::Message::JwtSvid(wire::JwtSvid { request: *request, svid, refused: None }))
            }
            After::Recorded { request } => {
                Some(to_node::Message::Recorded(wire::Recorded { request: *request, refused: None }))
            }
            After::BindProcess { request } => match answered.answer {
                Answer::Actor { binding: Some(binding), .. } => {
                    let result = bind_process_result::Result::Binding(binding.to_string());
                    Some(bind_process_result(*request, result))
                }
                _ => return Err(Refusal::new(Kind::Bug, "binding a process tree was answered with something else")),
            },
        })
    }

    /// A refusal goes back where the node waits for it.
    async fn refuse(&mut self, after: After, refusal: &Refusal) -> Result<(), Refusal> {
        let refused = problem::refused(refusal);
        self.app.meters.refused(refusal.kind);
        let message = match after {
            After::Jwt { request } => {
                to_node::Message::JwtSvid(wire::JwtSvid { request, svid: String::new(), refused: Some(refused) })
            }
            After::BindProcess { request } => {
                bind_process_result(request, bind_process_result::Result::Refused(refused))
            }
            After::X509 { binding, .. } => {
                to_node::Message::X509Svid(wire::X509Svid { binding, x509_svid: Vec::new(), refused: Some(refused) })
            }
            After::NodeSvid { .. } => {
                to_node::Message::NodeSvid(wire::NodeSvid { x509_svid: Vec::new(), refused: Some(refused) })
            }
            After::KeysOffered(keys) => {
                keys.iter().for_each(|key| {
                    self.keys.remove(key);
                });
                to_node::Message::Refused(refused)
            }
            After::Recorded { request } => {
                to_node::Message::Recorded(wire::Recorded { request, refused: Some(refused) })
            }
            After::Nothing | After::Heartbeat(_) => to_node::Message::Refused(refused),
        };
        self.send(message).await
    }
}

fn bind_process_result(request: u64, result: bind_process_result::Result) -> to_node::Message {
    to_node::Message::BindProcessResult(wire::BindProcessResult { request, result: Some(result) })
}

fn x509_order(answered: &Answered) -> Result<&X509Order, Refusal> {
    let order = answered.orders.iter().find_map(|order| match order {
        Directive::X509 { order, .. } | Directive::NodeSvid { order, .. } => Some(order),
        _ => None,
    });
    order.ok_or_else(|| Refusal::new(Kind::Bug, "the report was granted and nothing was ordered"))
}

fn jwt_order(answered: &Answered) -> Result<&JwtOrder, Refusal> {
    let order = answered.orders.iter().find_map(|order| match order {
        Directive::Jwt { order, .. } => Some(order),
        _ => None,
    });
    order.ok_or_else(|| Refusal::new(Kind::Bug, "the report was granted and nothing was ordered"))
}
