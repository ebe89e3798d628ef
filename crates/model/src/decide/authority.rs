//! What commands about authorities lead to.

use super::Decision;
use crate::authority::{AUTHORITIES_MAX, Authority, AuthorityKeys, AuthorityState, REISSUE_SECS_MAX, ROOT_BYTES_MAX};
use crate::command::{Answer, REASON_BYTES_MAX};
use crate::event::Event;
use crate::id::{Digest, NodeName};
use crate::refusal::{Kind, Refusal};
use crate::state::State;
use crate::time::Timestamp;

/// Most nodes that a refusal names.
const NAMED_MAX: usize = 5;

/// The keys that a data directory began with become its first authority. Nothing happens if there is one.
pub(super) fn adopt(state: &State, keys: &AuthorityKeys, now: Timestamp) -> Result<Decision, Refusal> {
    if let Some(active) = state.authorities.active() {
        return Ok(unchanged(active));
    }
    check(state, keys, now)?;
    let authority = keys.id();
    let events = vec![
        Event::AuthorityPrepared { authority, keys: keys.clone() },
        Event::AuthorityActivated { authority, forced: false },
    ];
    Ok(Decision { events, answer: answer(authority, AuthorityState::Active, true) })
}

/// One at a time: whoever asks again is told of the one that is prepared.
pub(super) fn prepare(state: &State, keys: &AuthorityKeys, now: Timestamp) -> Result<Decision, Refusal> {
    if let Some(prepared) = state.authorities.prepared() {
        return Ok(unchanged(prepared));
    }
    check(state, keys, now)?;
    let authority = keys.id();
    let events = vec![Event::AuthorityPrepared { authority, keys: keys.clone() }];
    Ok(Decision { events, answer: answer(authority, AuthorityState::Prepared, true) })
}

pub(super) fn activate(state: &State, id: &Digest, force: bool) -> Result<Decision, Refusal> {
    let found = find(state, id)?;
    match found.state {
        AuthorityState::Active => return Ok(unchanged(found)),
        AuthorityState::Prepared => {}
        other => {
            let message = format!("authority {} is {other}; only a prepared one is activated", id.short());
            return Err(Refusal::new(Kind::Conflict, message).hint("Prepare a new one: credence authority prepare"));
        }
    }
    let without: Vec<_> = state.nodes_without_bundle(found.sequence).collect();
    if !force && !without.is_empty() {
        let message = format!(
            "{} not been given authority {} yet; their actors would refuse what it signs",
            have(&without),
            id.short()
        );
        return Err(Refusal::new(Kind::Conflict, message).hint(
            "Wait a moment and try again, or pass --force and let handshakes with them fail until they have it",
        ));
    }
    let event = Event::AuthorityActivated { authority: *id, forced: force && !without.is_empty() };
    Ok(Decision { events: vec![event], answer: answer(*id, AuthorityState::Active, true) })
}

pub(super) fn taint(state: &State, id: &Digest, reason: Option<&String>) -> Result<Decision, Refusal> {
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let message = format!("a reason has at most {REASON_BYTES_MAX} bytes");
        return Err(Refusal::new(Kind::Malformed, message).field("reason"));
    }
    let found = find(state, id)?;
    let hint = match found.state {
        AuthorityState::Tainted | AuthorityState::Withdrawn => return Ok(unchanged(found)),
        AuthorityState::Old => {
            let event = Event::AuthorityTainted { authority: *id, reason: reason.cloned() };
            return Ok(Decision { events: vec![event], answer: answer(*id, AuthorityState::Tainted, true) });
        }
        AuthorityState::Prepared => "It has signed nothing: retire it",
        _ => "Put another in its place first: credence authority rotate",
    };
    let message = format!("authority {} is {}; only an old one is tainted", id.short(), found.state);
    Err(Refusal::new(Kind::Conflict, message).hint(hint))
}

pub(super) fn retire(state: &State, id: &Digest, force: bool, now: Timestamp) -> Result<Decision, Refusal> {
    if state.authorities.retired.contains(id) {
        return Ok(Decision { events: Vec::new(), answer: answer(*id, AuthorityState::Retired, false) });
    }
    let found = find(state, id)?;
    let conflict = |message: String| Err(Refusal::new(Kind::Conflict, message));
    let obstacle = match found.state {
        AuthorityState::Active => {
            let refused = conflict(format!("authority {} is active: nothing could be signed without it", id.short()));
            return refused
                .map_err(|refusal| refusal.hint("Put another in its place first: credence authority rotate"));
        }
        AuthorityState::Old if found.signed_until > now => {
            let left_secs = found.signed_until.ms_since(now).div_ceil(1000);
            Some(format!("credentials that authority {} signed are valid for {left_secs} s more", id.short()))
        }
        AuthorityState::Tainted => {
            Some(format!("what tainted authority {} signed is still being replaced", id.short()))
        }
        _ => None,
    };
    if let (Some(obstacle), false) = (&obstacle, force) {
        let hint = "Wait until then, or taint it to have them replaced at once; --force retires it now, and they are \
                    refused by everybody from then on";
        return conflict(obstacle.clone()).map_err(|refusal| refusal.hint(hint));
    }
    let event = Event::AuthorityRetired { authority: *id, forced: obstacle.is_some() };
    Ok(Decision { events: vec![event], answer: answer(*id, AuthorityState::Retired, true) })
}

/// Tainted authorities leave the bundle when everybody connected has replaced what they signed, or has had the time to.
pub(super) fn withdraw(state: &State, now: Timestamp) -> impl Iterator<Item = Event> {
    state.authorities.tainted().filter_map(move |tainted| {
        let reissued = state.nodes_to_reissue(tainted.sequence).next().is_none();
        let late = tainted.since.plus_secs(REISSUE_SECS_MAX) <= now;
        (reissued || late).then_some(Event::AuthorityWithdrawn { authority: tainted.id, reissued })
    })
}

/// A node holds a bundle, and says whether nothing of a tainted authority is left with it. What it says of a sequence that
/// was never given out is not believed.
pub(super) fn hold_bundle(state: &State, node: &NodeName, sequence: u64, reissued: bool) -> Result<Decision, Refusal> {
    if sequence > state.authorities.sequence {
        let message = format!("bundle {sequence} was never given out; the newest is {}", state.authorities.sequence);
        return Err(Refusal::new(Kind::Conflict, message).field("bundle_held.sequence"));
    }
    let known = state.nodes.get(node);
    if known.is_some_and(|node| node.bundle_held >= sequence && (!reissued || node.reissued >= sequence)) {
        return Ok(Decision::done(Vec::new()));
    }
    Ok(Decision::done(vec![Event::BundleHeld { node: node.clone(), sequence, reissued }]))
}

fn check(state: &State, keys: &AuthorityKeys, now: Timestamp) -> Result<(), Refusal> {
    if state.authorities.all.len() >= AUTHORITIES_MAX {
        let message = format!("there are {AUTHORITIES_MAX} authorities already, which is the limit");
        return Err(Refusal::new(Kind::Limited, message).hint("Retire old ones first: credence authority retire"));
    }
    let id = keys.id();
    if state.authorities.find(&id).is_some() || state.authorities.retired.contains(&id) {
        return Err(Refusal::new(Kind::Conflict, format!("authority {} was there before", id.short())));
    }
    if keys.root.0.is_empty() || keys.root.0.len() > ROOT_BYTES_MAX || keys.jwt_key_id.is_empty() {
        return Err(Refusal::new(Kind::Malformed, "an authority has a root certificate and a key for tokens"));
    }
    if keys.not_after <= now {
        return Err(Refusal::new(Kind::Conflict, format!("authority {} has expired", id.short())));
    }
    Ok(())
}

fn find<'s>(state: &'s State, id: &Digest) -> Result<&'s Authority, Refusal> {
    state.authorities.find(id).ok_or_else(|| {
        Refusal::new(Kind::NotFound, format!("there is no authority {} (any more)", id.short()))
            .hint("See `credence authority list`")
    })
}

fn have(nodes: &[&NodeName]) -> String {
    let named: Vec<_> = nodes.iter().take(NAMED_MAX).map(|node| node.to_string()).collect();
    let others = nodes.len() - named.len();
    match (nodes.len(), others) {
        (1, _) => format!("node {} has", named.join(", ")),
        (_, 0) => format!("nodes {} have", named.join(", ")),
        _ => format!("nodes {} and {others} more have", named.join(", ")),
    }
}

fn unchanged(authority: &Authority) -> Decision {
    Decision { events: Vec::new(), answer: answer(authority.id, authority.state, false) }
}

fn answer(authority: Digest, state: AuthorityState, changed: bool) -> Answer {
    Answer::Authority { authority, state, changed }
}
