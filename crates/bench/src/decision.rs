//! Decisions: what an actor may do, explanation included, among few and among many classes; and what classes and delegations cost
//! in memory.

use crate::BenchError;
use crate::measure::{Measured, Promise, quantile, resident_bytes};
use crate::world::World;
use credence_model::class::ClassSpec;
use credence_model::command::Command;
use credence_model::delegation::{Grantee, Grantor, Terms};
use credence_model::id::{ActorRef, ClassRef};
use credence_model::label::Labels;
use credence_model::lineage::Lineage;
use credence_model::permission::Permission;
use credence_model::permission::decimal::Decimal;
use credence_model::permission::question::{Fact, Facts, Question};
use credence_model::permission::target::{Name, Resource};
use credence_model::state::State;
use credence_model::user::User;
use credence_policy::brief::Brief;
use credence_policy::decision::decide;
use std::path::Path;
use std::time::Instant;

/// Classes among which decisions are measured.
const FEW: usize = 100;
const MANY: usize = 10_000;
/// Permissions of each class.
const PERMISSIONS: usize = 20;
/// Decisions that are measured, and before that made for warmth.
const DECISIONS: usize = 50_000;
const WARM_UP: usize = 5_000;
/// Delegations whose memory is measured: so many of so many users.
const USERS: usize = 100;
const DELEGATIONS_OF_USER: usize = 1_000;
/// Changes that are recorded at once.
const BATCH: usize = 500;

/// Decisions by one core.
pub(crate) fn measure(dir: &Path) -> Result<Vec<Measured>, BenchError> {
    // All registries stay until the end: what one gave back would be memory that the next one takes unseen.
    let mut delegating = World::open(&dir.join("delegations"))?;
    fill(&mut delegating, USERS)?;
    let before = resident_bytes("self")?;
    delegate(&mut delegating)?;
    let delegations = (USERS * DELEGATIONS_OF_USER) as f64;
    let delegation_bytes = resident_bytes("self")?.saturating_sub(before) as f64 / delegations;
    let mut some = World::open(&dir.join("few"))?;
    fill(&mut some, FEW)?;
    let few = decisions(&some, FEW)?;
    let mut world = World::open(&dir.join("many"))?;
    let before = resident_bytes("self")?;
    fill(&mut world, MANY)?;
    let class_bytes = resident_bytes("self")?.saturating_sub(before) as f64 / MANY as f64;
    let many = decisions(&world, MANY)?;
    let of = |classes: usize| format!("decision in process, p99, {classes} classes of {PERMISSIONS} permissions");
    Ok(vec![
        Measured::new("decision", of(MANY), many, "µs", Some(Promise::AtMost(25.0))),
        Measured::new("decision-few", of(FEW), few, "µs", Some(Promise::AtMost(25.0))),
        Measured::new(
            "class-memory",
            format!("memory for each class of {PERMISSIONS} permissions, and an actor and a delegation"),
            class_bytes,
            "B",
            Some(Promise::AtMost(64.0 * 1024.0)),
        ),
        Measured::new(
            "delegation-memory",
            "memory for each delegation",
            delegation_bytes,
            "B",
            Some(Promise::AtMost(512.0)),
        ),
    ])
}

fn class(nth: usize) -> Result<ClassRef, BenchError> {
    Ok(format!("bench/class-{nth}").parse()?)
}

fn actor(nth: usize) -> Result<ActorRef, BenchError> {
    Ok(format!("bench/actor-{nth}").parse()?)
}

fn user(nth: usize) -> User {
    User { issuer: "https://login.bench.internal".into(), subject: format!("user-{nth}") }
}

/// Classes of so many permissions, each with consent, an actor and what its user delegated to that.
fn fill(world: &mut World, classes: usize) -> Result<(), BenchError> {
    let mut commands = Vec::new();
    for nth in 0..classes {
        let mut spec = ClassSpec { owner: "bench@example.org".into(), ..ClassSpec::default() };
        for tool in 0..PERMISSIONS {
            let text =
                format!("tool server-{nth}/tool-{tool} when amount <= {} EUR and team in (red, blue)", 100 + tool);
            spec.permissions.allow.push(Permission::parse(&text)?);
        }
        spec.permissions.delegation.required = true;
        let (class, labels) = (class(nth)?, Labels::new());
        commands.push(Command::ApplyClass { class: class.clone(), labels, spec, if_version: None });
        commands.push(Command::ConsentRevision { class: class.clone(), revision: None, only: Vec::new() });
        let lineage = Lineage { user: Some(user(nth)), ..Lineage::default() };
        let id = Some(actor(nth)?.actor);
        commands.push(Command::SpawnActor { class, id, labels: Labels::new(), lineage });
        commands.push(grant(world, user(nth), Grantee::Actor(actor(nth)?), &format!("tool server-{nth}/*"))?);
    }
    record(world, commands)
}

fn grant(world: &World, by: User, to: Grantee, allow: &str) -> Result<Command, BenchError> {
    let not_before = world.registry.state().last_at;
    let terms = Terms {
        allow: vec![Permission::parse(&format!("{allow} when amount <= 105 EUR"))?],
        session: None,
        purpose: "measuring".into(),
        not_before,
        expires_at: not_before.plus_secs(3600),
        uses: None,
    };
    Ok(Command::GrantDelegation { by: Grantor::User(by), to, offer: terms.into() })
}

fn delegate(world: &mut World) -> Result<(), BenchError> {
    for nth in 0..USERS {
        let mut commands = Vec::new();
        for _ in 0..DELEGATIONS_OF_USER {
            commands.push(grant(world, user(MANY + nth), Grantee::Class(class(nth)?), "tool server/tool")?);
        }
        record(world, commands)?;
    }
    Ok(())
}

fn record(world: &mut World, mut commands: Vec<Command>) -> Result<(), BenchError> {
    while !commands.is_empty() {
        let rest = commands.split_off(commands.len().min(BATCH));
        world.admin(commands)?;
        commands = rest;
    }
    Ok(())
}

/// The 99th percentile in microseconds, of questions about one actor after the other, every other one denied.
fn decisions(world: &World, classes: usize) -> Result<f64, BenchError> {
    let state = world.registry.state();
    let mut taken = Vec::with_capacity(DECISIONS);
    for nth in 0..WARM_UP + DECISIONS {
        // A step that shares no divisor with the number of classes comes to all of them.
        let of = nth * 7_919 % classes;
        let (actor, question) = (actor(of)?, question(state, of, nth)?);
        let begin = Instant::now();
        let brief = Brief::of(state, &actor, &|_| None).ok_or(BenchError::Unexpected("there is no such actor"))?;
        let decision = decide(&brief, &question, &state.guards, &|_, _, _| Decimal::default());
        let micros = begin.elapsed().as_secs_f64() * 1e6;
        if decision.allowed != nth.is_multiple_of(2) || decision.layers.len() != 4 {
            return Err(BenchError::Unexpected("a decision came out otherwise"));
        }
        if nth >= WARM_UP {
            taken.push(micros);
        }
    }
    Ok(quantile(&mut taken, 0.99))
}

fn question(state: &State, of: usize, nth: usize) -> Result<Question, BenchError> {
    let amount = Decimal::whole(if nth.is_multiple_of(2) { 100 } else { 110 });
    let mut context = Facts::default();
    context.insert("amount", amount.map_or(Fact::Other, Fact::Number));
    context.insert("currency", Fact::Word("EUR".into()));
    context.insert("team", Fact::Word("red".into()));
    Ok(Question {
        action: Name::parse("call")?,
        resource: Resource::new(Name::parse("tool")?, &format!("server-{of}/tool-{}", nth % PERMISSIONS))?,
        context,
        properties: Facts::default(),
        at: state.last_at,
    })
}
