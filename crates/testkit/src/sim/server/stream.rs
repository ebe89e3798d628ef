//! What a server hears from nodes and tells them.

use super::super::network::ToServer;
use super::{Fault, Outside, Server, Session, Signed, ToNode};
use credence_control::{Answered, Opening};
use credence_model::authority::Authorities;
use credence_model::caller::Caller;
use credence_model::command::{Answer, Command, Held, Report, Request};
use credence_model::directive::{Bind, Directive};
use credence_model::refusal::Refusal;
use credence_model::time::Timestamp;
use credence_node::core::message::{BindNotice, FromNodeMessage};

impl Server {
    pub(in super::super) fn hear(&mut self, outside: &mut Outside, node: usize, stream: u64, message: ToServer) {
        let Some(name) = outside.names.get(node).cloned() else { return };
        let caller = Caller::Node { name: name.clone() };
        if let ToServer::Core(FromNodeMessage::Hello { workers, held }) = message {
            return self.hello(outside, (node, stream), Command::AttachNode { node: name, workers, held });
        }
        let Some(session) = self.sessions.get(&node).copied().filter(|open| open.stream == stream) else { return };
        let number = match &message {
            ToServer::Core(FromNodeMessage::Heartbeat { number }) => Some(*number),
            _ => None,
        };
        let report = match message {
            ToServer::Core(message) => message.report(),
            ToServer::Keys(keys) => Some(Report::KeysOffered(keys)),
            ToServer::Renew(held, key) => Some(Report::RenewX509 { held, key }),
            ToServer::Mint(held) => Some(Report::MintJwt { held, audience: vec!["tool".into()] }),
            ToServer::BindProcess(class, actor) => Some(Report::BindProcess { class, actor }),
            ToServer::BundleHeld { sequence, reissued } => Some(Report::BundleHeld { sequence, reissued }),
            ToServer::RenewNode(key) => {
                self.ask(outside, caller, Command::RenewNode { node: name, key });
                return;
            }
        };
        let Some(report) = report else { return };
        let answered = self.ask(outside, caller, Command::Report { node: name, session: session.number, report });
        match (number, answered) {
            (Some(number), Some(Ok(_))) => self.send(outside, node, stream, ToNode::Ack(number)),
            // A heartbeat is refused only when the stream is over.
            (Some(_), _) => self.close(outside, node),
            (None, _) => {}
        }
    }

    fn hello(&mut self, outside: &mut Outside, (node, stream): (usize, u64), command: Command) {
        if self.sessions.get(&node).is_some_and(|open| open.stream == stream) {
            outside.ground.noted.push("second hello refused");
            return self.close(outside, node);
        }
        let Command::AttachNode { node: name, .. } = &command else { return };
        let name = name.clone();
        let known = self.registry.as_ref().and_then(|registry| registry.state().nodes.get(&name));
        if outside.fault == Some(Fault::NewStreamsRefused) && known.is_some_and(|node| node.session > 0) {
            return self.close(outside, node);
        }
        // Streams are numbered as they are opened, and a node says nothing before the server answered that.
        if outside.fault != Some(Fault::OldWordsBelieved) && self.openings.admit(&name, Opening(stream)).is_err() {
            outside.ground.noted.push("old hello refused");
            return;
        }
        match self.ask(outside, Caller::Node { name: name.clone() }, command) {
            Some(Ok(Answered { answer: Answer::Attached { session, unbind }, .. })) => {
                let Some(state) = self.registry.as_ref().map(|registry| registry.state()) else { return };
                let lease_ms = state.nodes.get(&name).map_or(state.settings.lease_ms, |node| node.lease_ms);
                let heartbeat_ms = state.settings.heartbeat_ms;
                self.sessions.insert(node, Session { stream, number: session, bundle: 0 });
                self.send(outside, node, stream, ToNode::Welcome { session, lease_ms, heartbeat_ms, unbind });
                self.spread(outside);
            }
            _ => self.close(outside, node),
        }
    }

    pub(in super::super) fn broken(&mut self, outside: &mut Outside, node: usize, stream: u64) {
        let Some(session) = self.sessions.get(&node).copied().filter(|open| open.stream == stream) else { return };
        self.sessions.remove(&node);
        let Some(name) = outside.names.get(node).cloned() else { return };
        let command = Command::Report { node: name.clone(), session: session.number, report: Report::Detached };
        self.ask(outside, Caller::Node { name }, command);
    }

    pub(super) fn deliver(&mut self, outside: &mut Outside, directive: Directive, signed: Option<Signed>) {
        let Some(node) = outside.names.iter().position(|name| name == directive.node()) else { return };
        let Some(session) = self.sessions.get(&node).copied() else { return };
        let stream = session.stream;
        let message = match (directive, signed) {
            (Directive::Bind(bind), Some(signed)) if bind.session == session.number => {
                if outside.fault == Some(Fault::ToldTwice) {
                    self.tell_another(outside, node, &bind, &signed);
                }
                ToNode::Bind(Box::new(BindNotice::from_directive(&bind, signed.chain())))
            }
            (Directive::Unbind { unbind, .. }, _) => ToNode::Unbind(unbind),
            (Directive::EndSessions { before, .. }, _) if session.number < before => return self.close(outside, node),
            (Directive::X509 { binding, .. }, Some(signed)) => ToNode::X509(binding, Box::new(signed)),
            (Directive::Jwt { .. } | Directive::NodeSvid { .. }, Some(_)) => ToNode::Other,
            _ => return,
        };
        self.send(outside, node, stream, message);
    }

    /// Whoever does not know the newest bundle is told.
    pub(super) fn spread(&mut self, outside: &mut Outside) {
        let Some(authorities) = self.registry.as_ref().map(|registry| &registry.state().authorities) else { return };
        let Authorities { sequence, .. } = *authorities;
        let behind: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, open)| open.bundle < sequence)
            .map(|(node, open)| (*node, *open))
            .collect();
        if behind.is_empty() {
            return;
        }
        let tainted: Vec<_> = authorities.tainted().map(|tainted| tainted.id).collect();
        for (node, session) in behind {
            self.sessions.insert(node, Session { bundle: sequence, ..session });
            let message = ToNode::Bundle { sequence, tainted: tainted.clone() };
            self.send(outside, node, session.stream, message);
        }
    }

    /// A planted fault: a second node holds the binding, too.
    fn tell_another(&mut self, outside: &mut Outside, node: usize, bind: &Bind, signed: &Signed) {
        let Some((other, session)) = self.sessions.iter().find(|(other, _)| **other != node).map(|(o, s)| (*o, *s))
        else {
            return;
        };
        let Some(name) = outside.names.get(other) else { return };
        let Ok(worker) = format!("ns/pool/{name}-w1").parse() else { return };
        let mut notice = BindNotice::from_directive(bind, signed.chain());
        notice.worker = worker;
        self.send(outside, other, session.stream, ToNode::Bind(Box::new(notice)));
    }

    /// A planted fault: the key that a node wants certified is, though the registry refused it.
    pub(super) fn sign_refused(
        &self,
        outside: &mut Outside,
        request: &Request,
        answer: Option<&Result<Answered, Refusal>>,
    ) {
        let Command::Report { report: Report::RenewX509 { held: Held { binding, epoch }, key }, .. } = &request.command
        else {
            return;
        };
        let Some(state) = self.registry.as_ref().map(|registry| registry.state()) else { return };
        if outside.fault != Some(Fault::SignsRefused) || !matches!(answer, Some(Err(_))) {
            return;
        }
        outside.ground.signed.push(Signed {
            subject: state.settings.templates.server_id(&state.settings.trust_domain),
            key: Some(*key),
            held: Some((*binding, *epoch)),
            not_before: state.last_at,
            not_after: Timestamp(u64::MAX),
            authority: state.authorities.active().map(|active| active.id),
        });
    }

    fn send(&mut self, outside: &mut Outside, node: usize, stream: u64, message: ToNode) {
        outside.network.send_to_node(outside.now_ms, outside.random, node, stream, message);
    }

    fn close(&mut self, outside: &mut Outside, node: usize) {
        if let Some(session) = self.sessions.remove(&node)
            && outside.network.open.get(&node) != Some(&session.stream)
        {
            return;
        }
        self.cut(outside, node);
    }

    pub(super) fn drop_streams(&mut self, outside: &mut Outside) {
        self.sessions.clear();
        for node in 0..outside.names.len() {
            self.cut(outside, node);
        }
    }

    /// Cuts the open stream of a node, if it is with this server.
    fn cut(&self, outside: &mut Outside, node: usize) {
        let with = outside.network.open.get(&node).and_then(|stream| outside.network.with.get(stream));
        if with.is_some_and(|(server, _)| *server == self.index) {
            outside.network.cut_stream(outside.now_ms, outside.random, node);
        }
    }
}
