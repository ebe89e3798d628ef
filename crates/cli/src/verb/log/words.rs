//! What happened, as a sentence.

use crate::output::duration::moment;
use crate::view::{outcome_words, worker_name};
use credence_model::actor::UnbindMode;
use credence_model::delegation::Delegation;
use credence_model::event::{Event, PermissionEvent};
use credence_model::hold::HoldCause;
use credence_model::id::{ActorRef, WorkerRef};
use credence_model::lineage::Lineage;
use credence_model::node::PoolGrant;
use credence_model::worker::WorkerKind;

/// What happens all the time and tells a person nothing.
pub(super) fn is_routine(event: &Event) -> bool {
    matches!(
        event,
        Event::NodeHeard { .. } | Event::KeysOffered { .. } | Event::BundleHeld { .. } | Event::CommandAnswered { .. }
    )
}

/// One event in words.
pub(super) fn sentence(event: &Event) -> String {
    match event {
        Event::CellStarted {} => "the control plane started".into(),
        Event::CellHeld { cause } => match cause {
            HoldCause::Restored { last_index, .. } => {
                format!("the control plane is held: it was restored from a backup that ends at entry {last_index}")
            }
            HoldCause::Behind { by, seen } => {
                format!("the control plane is held: {by} has seen entry {} and epoch {}", seen.index, seen.epoch)
            }
        },
        Event::CellReleased { release } => {
            format!("an operator released the control plane; epochs go on above {}", release.epoch_floor)
        }
        Event::SettingsChanged { settings } => format!("settings of trust domain {} were set", settings.trust_domain),
        Event::CommandAnswered { .. } => "a command was answered; a retry gets the same answer".into(),
        Event::ClassRevised { .. }
        | Event::ClassLabelled { .. }
        | Event::ClassEnabled { .. }
        | Event::RevisionAllowed { .. }
        | Event::ClassDeleted { .. } => class_sentence(event),
        Event::Permission(event) => permission_sentence(event),
        Event::PoolApplied { pool, .. } => format!("pool {pool} was applied"),
        Event::PoolDeleted { pool } => format!("pool {pool} was deleted"),
        Event::WorkerRegistered { worker, node, kind } => {
            format!(
                "worker {worker} came up on node {node}{}",
                if *kind == WorkerKind::Process { ", a process tree" } else { "" }
            )
        }
        Event::WorkerDraining { worker } => format!("worker {worker} takes no further actor"),
        Event::WorkerGone { worker } => format!("worker {worker} is gone"),
        Event::AuthorityPrepared { authority, .. } => format!("authority {} was prepared", authority.short()),
        Event::AuthorityActivated { authority, forced } => {
            let by_force = if *forced { ", by force: connected nodes did not know it yet" } else { "" };
            format!("authority {} signs from now on{by_force}", authority.short())
        }
        Event::AuthorityTainted { authority, reason } => {
            let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("authority {} was tainted, and what it signed is replaced{because}", authority.short())
        }
        Event::AuthorityWithdrawn { authority, reissued } => {
            let why = if *reissued { "everything it signed was replaced" } else { "the time to replace was over" };
            format!("tainted authority {} left the bundle: {why}", authority.short())
        }
        Event::AuthorityRetired { authority, forced } => {
            let by_force = if *forced { ", by force: credentials that it signed were valid" } else { "" };
            format!("authority {} was retired{by_force}", authority.short())
        }
        Event::JoinTokenCreated { .. }
        | Event::BundleHeld { .. }
        | Event::NodeAttested { .. }
        | Event::NodeRenewed { .. }
        | Event::NodeAttached { .. }
        | Event::NodeHeard { .. }
        | Event::NodeLost { .. }
        | Event::NodeDeleted { .. }
        | Event::KeysOffered { .. } => node_sentence(event),
        _ => actor_sentence(event),
    }
}

fn class_sentence(event: &Event) -> String {
    match event {
        Event::ClassRevised { class, revision, .. } => format!("class {class} got revision {revision}"),
        Event::ClassLabelled { class, .. } => format!("class {class} got other labels"),
        Event::ClassEnabled { class, enabled } => {
            format!("class {class} was {}", if *enabled { "enabled" } else { "disabled" })
        }
        Event::RevisionAllowed { class, revision, allowed } => {
            format!("revision {revision} of class {class} was {}", if *allowed { "allowed" } else { "forbidden" })
        }
        Event::ClassDeleted { class } => format!("class {class} was deleted"),
        _ => String::new(),
    }
}

fn permission_sentence(event: &PermissionEvent) -> String {
    match event {
        PermissionEvent::ConsentWanted { class, revision } => {
            format!("revision {revision} of class {class} permits more, and waits for consent")
        }
        PermissionEvent::RevisionConsented { class, revision, only } => {
            let part = if only.is_empty() { "" } else { " and a part of what it permits" };
            format!("an administrator consented to revision {revision} of class {class}{part}")
        }
        PermissionEvent::ConsentWithdrawn { class, revision } => {
            format!("the consent to revision {revision} of class {class} was withdrawn")
        }
        PermissionEvent::ActorDescends { actor, lineage } => descent(actor, lineage),
        PermissionEvent::DelegationGranted { delegation: Delegation { id, by, to, terms, .. } } => {
            let what = count(terms.allow.len(), "permission");
            format!("{by} delegated {what} to {to} until {}, delegation {id}", moment(terms.expires_at))
        }
        PermissionEvent::DelegationNarrowed { delegation, .. } => format!("delegation {delegation} became narrower"),
        PermissionEvent::DelegationRevoked { delegation, reason } => {
            let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("delegation {delegation} was revoked{because}")
        }
        PermissionEvent::Used { actor, delegations, budgets } => {
            let (delegations, budgets) = (count(delegations.len(), "delegation"), count(budgets.len(), "budget"));
            format!("actor {actor} used {delegations} and took from {budgets}")
        }
        PermissionEvent::Decided { decided } => {
            let answer = if decided.allowed { "may" } else { "may not" };
            format!("actor {} {answer} {} {}, decision {}", decided.actor, decided.action, decided.resource, decided.id)
        }
        PermissionEvent::DelegationsForgotten { delegations } => {
            format!("{} that were over are remembered no more", count(delegations.len(), "delegation"))
        }
        PermissionEvent::GuardApplied { guard, spec, .. } => {
            format!("guard {guard} of {} says what agents may do to {}", spec.owner, spec.resource)
        }
        PermissionEvent::GuardDeleted { guard } => format!("guard {guard} was deleted"),
    }
}

fn descent(actor: &ActorRef, lineage: &Lineage) -> String {
    let parent = lineage.parent.as_ref().map(|parent| format!("was spawned by {parent}"));
    let copied = lineage.forked_from.as_ref().map(|copied| format!("is a copy of {copied}"));
    let user = lineage.user.as_ref().map(|user| format!("acts for {user}"));
    let all: Vec<_> = [parent, copied, user].into_iter().flatten().collect();
    format!("actor {actor} {}", all.join(" and "))
}

fn node_sentence(event: &Event) -> String {
    match event {
        Event::JoinTokenCreated { node, grants, .. } => {
            let whom = node.as_ref().map_or_else(|| "any node".into(), |node| format!("node {node}"));
            format!("a join token was made for {whom}: {}", grants_text(grants))
        }
        Event::NodeAttested { node, grants, .. } => format!("node {node} proved its origin: {}", grants_text(grants)),
        Event::NodeRenewed { node, .. } => format!("node {node} renewed its own SVID"),
        Event::NodeAttached { node, session, workers, kept } => {
            let kept = if kept.is_empty() {
                String::new()
            } else {
                format!(", still holding {}", count(kept.len(), "binding"))
            };
            format!("node {node} opened stream {session} with {}{kept}", count(workers.len(), "worker"))
        }
        Event::NodeHeard { node } => format!("node {node} was heard from"),
        Event::NodeLost { node } => format!("node {node} was lost"),
        Event::NodeDeleted { node } => format!("node {node} was deleted"),
        Event::BundleHeld { node, sequence, reissued } => {
            let left = if *reissued { "" } else { ", and still has something of a tainted authority" };
            format!("node {node} holds bundle {sequence}{left}")
        }
        Event::KeysOffered { node, keys } => format!("node {node} has {} ready", count(keys.len(), "key")),
        _ => String::new(),
    }
}

fn actor_sentence(event: &Event) -> String {
    let because = |reason: &Option<String>| reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match event {
        Event::ActorCreated { actor, class, .. } => format!("actor {actor} was created, of class {class}"),
        Event::ActorQueued { actor, .. } => format!("actor {actor} was admitted and waits for a worker"),
        Event::ActorUnqueued { actor, reason } => format!("actor {actor} waits no longer: {reason}"),
        Event::ActorBound { actor, binding, epoch, worker, node, revision, .. } => {
            let place = place(worker);
            format!(
                "actor {actor} was bound to {place} on node {node}, epoch {epoch}, revision {revision}, binding {binding}"
            )
        }
        Event::ActorRunning { actor, .. } => format!("actor {actor} runs and its identity is served"),
        Event::ActorUnbinding { actor, mode, .. } => format!("actor {actor} is being {}", mode_word(*mode)),
        Event::BindingEnded { actor, epoch, outcome, .. } => {
            format!("actor {actor} left its worker, epoch {epoch} is over: {}", outcome_words(outcome))
        }
        Event::ActorTerminated { actor, reason } => format!("actor {actor} was terminated for ever{}", because(reason)),
        Event::ActorQuarantined { actor, reason } => format!("actor {actor} was quarantined{}", because(reason)),
        Event::ActorDeleted { actor } => format!("actor {actor} was deleted; its id stays used"),
        Event::X509SvidOrdered { actor, epoch, .. } => {
            format!("an X.509-SVID was ordered for actor {actor}, epoch {epoch}")
        }
        Event::JwtSvidOrdered { actor, epoch, audience, .. } => {
            format!("a JWT-SVID for {} was ordered for actor {actor}, epoch {epoch}", audience.join(", "))
        }
        _ => "something that this version has no words for".into(),
    }
}

fn place(worker: &WorkerRef) -> String {
    format!("worker {}", worker_name(worker))
}

fn mode_word(mode: UnbindMode) -> &'static str {
    match mode {
        UnbindMode::Suspend => "suspended",
        UnbindMode::Terminate => "ended",
        UnbindMode::Quarantine => "stopped and kept as evidence",
        UnbindMode::Drop => "dropped",
    }
}

fn grants_text(grants: &[PoolGrant]) -> String {
    let one = |grant: &PoolGrant| match grant.workers_max {
        0 => format!("process trees in {}", grant.pool),
        most => format!("at most {} in {}", count(most as usize, "worker"), grant.pool),
    };
    grants.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
