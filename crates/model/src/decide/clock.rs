//! What the start of the control plane and the passing of time lead to.

use super::{Decision, authority, delegation, resume};
use crate::actor::Outcome;
use crate::event::Event;
use crate::node::NodeState;
use crate::refusal::{Kind, Refusal};
use crate::settings::Settings;
use crate::state::State;
use crate::time::Timestamp;

/// Most events of one expiry; the rest follow in the next.
const EXPIRED_MAX: usize = 1_000;

pub(super) fn start(state: &State, settings: &Settings) -> Result<Decision, Refusal> {
    let mut decision = configure(state, settings)?;
    decision.events.push(Event::CellStarted {});
    Ok(decision)
}

/// Nodes go by the lease that they were told until they are told another, see [`crate::node::Node::lease_ms`].
pub(super) fn configure(state: &State, settings: &Settings) -> Result<Decision, Refusal> {
    settings.validate()?;
    if state.last_index > 0 {
        let (old, new) = (&state.settings, settings);
        if old.trust_domain != new.trust_domain {
            let message =
                format!("this journal belongs to trust domain {}, not to {}", old.trust_domain, new.trust_domain);
            return Err(Refusal::new(Kind::Conflict, message).field("trustDomain").hint("Use another data directory"));
        }
        if old.templates != new.templates {
            let message = "the path templates of a trust domain cannot change: every identity would get another name";
            return Err(Refusal::new(Kind::Conflict, message).field("templates"));
        }
    }
    let is_new = state.last_index == 0 || state.settings != *settings;
    let changed = is_new.then(|| Event::SettingsChanged { settings: settings.clone() });
    Ok(Decision::done(changed.into_iter().collect()))
}

pub(super) fn expire(state: &State, now: Timestamp) -> Decision {
    let mut events: Vec<_> = authority::withdraw(state, now).chain(delegation::forget(state, now)).collect();
    for node in state.nodes.values() {
        if node.state == NodeState::Connected && node.believes_until() <= now {
            events.push(Event::NodeLost { node: node.name.clone() });
        }
        if node.state != NodeState::Lost || state.lease_ends_at(node) > now {
            continue;
        }
        for worker in node.workers.iter().filter_map(|worker| state.workers.get(worker)) {
            if let Some((actor, _)) = &worker.holds
                && let Some(actor) = state.actors.active(actor)
            {
                events.extend(resume::end_binding(state, actor, Outcome::LeaseOver, None, now));
            }
        }
        if events.len() >= EXPIRED_MAX {
            return Decision::done(events);
        }
    }
    // Who waits while the control plane is held does not lose that time.
    let is_held = state.hold.is_some();
    for actor in state.waiting.actors().filter(|_| !is_held).filter_map(|actor| state.actors.active(actor)) {
        let over = actor.wait.as_ref().is_some_and(|wait| wait.until <= now);
        if over {
            let reason = "no worker became free in time".to_owned();
            events.push(Event::ActorUnqueued { actor: actor.actor.clone(), reason });
        }
        if events.len() >= EXPIRED_MAX {
            break;
        }
    }
    Decision::done(events)
}
