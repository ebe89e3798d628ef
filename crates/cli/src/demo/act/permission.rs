//! What an actor may do: what its class allows, and of that what its user delegated, and of that what its parent passed on.

use super::run_on;
use crate::client::Call;
use crate::demo::house::{House, path};
use crate::demo::stage::Stage;
use crate::demo::unless;
use crate::failure::Failure;
use credence_model::id::ActorRef;
use credence_server::api::actor::{ActorView, ExecBody, ExecResult};
use credence_server::api::authzen::{AnswerContext, EvaluationAnswer};
use credence_server::api::class::ClassView;
use credence_server::api::delegation::DelegationView;
use credence_server::api::object::Applied;
use serde_json::{Value, json};

/// The class, and its path in the API.
const CLASS: &str = "/v1/classes/finance/expenses";
/// Who authenticates the users of the story.
const ISSUER: &str = "https://login.example.org";
/// How long creating a child may take, in milliseconds.
const EXEC_MS: u64 = 10_000;

pub(in crate::demo) async fn play(stage: &Stage, house: &House) -> Result<(), Failure> {
    stage.heading(8, "What may it do, and for whom?")?;
    let (ada, bob, child) = (actor("ada-1")?, actor("bob-1")?, actor("ada-1-child")?);
    apply(house, 500).await?;
    let _: Applied = house.client.send(Call::post(format!("{CLASS}/consent"), &json!({}))).await?;
    for (actor, user) in [(&ada, "ada"), (&bob, "bob")] {
        let body = json!({
            "namespace": actor.namespace, "class": "expenses", "id": actor.actor,
            "user": { "issuer": ISSUER, "subject": user },
        });
        let _: ActorView = house.client.send(Call::post("/v1/actors", &body)).await?;
    }
    let delegation = delegate(house, &ada, 200).await?;
    stage.line("   class finance/expenses may submit up to 500 EUR; Ada lets her actor ada-1 submit up to 200 EUR")?;
    for (actor, amount, denied_by) in [
        (&ada, 150, &[][..]),
        (&ada, 300, &["delegation"]),
        (&ada, 600, &["class", "delegation"]),
        (&bob, 150, &["delegation"]),
    ] {
        submit(stage, house, actor, amount, denied_by).await?;
    }
    spawn(house, &ada, &child).await?;
    stage.line("   ada-1 creates an actor below itself and lets it submit up to 50 EUR")?;
    submit(stage, house, &child, 50, &[]).await?;
    submit(stage, house, &child, 60, &["delegation"]).await?;
    narrow(house, &delegation, 20).await?;
    stage.line("   Ada makes it 20 EUR for ada-1, and the child's next call knows")?;
    submit(stage, house, &child, 50, &["delegation"]).await?;
    widen(stage, house, &bob).await
}

/// Asks as a gateway would, and holds the answer against what the story says: which layers deny.
async fn submit(
    stage: &Stage,
    house: &House,
    actor: &ActorRef,
    amount: u32,
    denied_by: &[&str],
) -> Result<(), Failure> {
    let question = json!({
        "subject": { "type": "actor", "id": actor.to_string() }, "action": { "name": "call" },
        "resource": { "type": "tool", "id": "expenses/submit" },
        "context": { "amount": amount, "currency": "EUR" },
    });
    let answer: EvaluationAnswer = house.client.send(Call::post("/access/v1/evaluation", &question)).await?;
    let AnswerContext::Decided(decided) = answer.context else {
        return unless(false, || format!("{actor} was not decided about"));
    };
    let denials: Vec<_> = decided.verdicts.iter().filter(|verdict| !verdict.allowed).collect();
    let layers: Vec<_> = denials.iter().map(|verdict| verdict.layer.to_string()).collect();
    let is_true = layers == denied_by && answer.decision == denied_by.is_empty();
    unless(is_true, || format!("{amount} EUR by {actor} is denied by {layers:?}"))?;
    let who = format!("   {:<12} submits {amount:>3} EUR", actor.actor);
    match denials.first() {
        None => stage.line(format!("{who}   {}", stage.good("allowed"))),
        Some(_) => {
            stage.line(format!("{who}   {} by {}", stage.bad("denied"), layers.join(" and ")))?;
            denials.iter().try_for_each(|denial| stage.line(stage.faint(&format!("      {}", denial.why))))
        }
    }
}

/// The class as a revision that permits submitting up to this.
async fn apply(house: &House, most: u32) -> Result<Applied, Failure> {
    let class = json!({
        "metadata": { "namespace": "finance", "name": "expenses" },
        "spec": {
            "owner": "finance@example.org",
            "runtime": { "command": ["sleep", "3600"] },
            "permissions": {
                "allow": [format!("tool expenses/submit when amount <= {most} EUR"), "spawn finance/expenses"],
                "delegation": { "required": true },
                "spawn": { "maxDepth": 1, "maxChildren": 4 },
            },
        },
    });
    house.client.send(Call::put(CLASS, &class)).await
}

async fn delegate(house: &House, to: &ActorRef, most: u32) -> Result<DelegationView, Failure> {
    let body = json!({
        "to": { "actor": { "namespace": to.namespace, "actor": to.actor } },
        "allow": allow(most), "purpose": "expenses of the trip to Vienna",
        "user": { "issuer": ISSUER, "subject": "ada" },
    });
    house.client.send(Call::post("/v1/delegations", &body)).await
}

async fn narrow(house: &House, delegation: &DelegationView, most: u32) -> Result<(), Failure> {
    let call = format!("/v1/delegations/{}/narrow", delegation.delegation.id);
    let narrowed: DelegationView = house.client.send(Call::post(call, &json!({ "allow": allow(most) }))).await?;
    unless(narrowed.lapse.is_none(), || "the delegation is over".into())
}

fn allow(most: u32) -> Value {
    json!([format!("tool expenses/submit when amount <= {most} EUR"), "spawn finance/expenses"])
}

/// The actor itself asks for it, with its own certificate, from where it runs.
async fn spawn(house: &House, parent: &ActorRef, child: &ActorRef) -> Result<(), Failure> {
    run_on(house, parent, None).await?;
    let wanted = json!({
        "namespace": child.namespace, "class": "expenses", "id": child.actor,
        "allow": ["tool expenses/submit when amount <= 50 EUR"],
    });
    let url = format!("https://{}/v1/children", house.server.said("addr")?);
    let command = vec!["expense-agent".into(), "spawn".into(), url, wanted.to_string()];
    let call = Call::post(format!("{}/exec", path(parent)), &ExecBody { command, timeout_ms: EXEC_MS });
    let result: ExecResult = house.client.send(call.wait_ms(EXEC_MS)).await?;
    unless(result.exit_code == 0, || format!("no child: {}{}", result.stdout, result.stderr))
}

/// A revision that permits more is not in force before somebody consents.
async fn widen(stage: &Stage, house: &House, actor: &ActorRef) -> Result<(), Failure> {
    let applied = apply(house, 5_000).await?;
    let class: ClassView = house.client.send(Call::get(CLASS)).await?;
    let is_waiting = applied.revision == 2 && class.in_force == Some(1);
    unless(is_waiting, || format!("revision {:?} of class {} is in force", class.in_force, class.name))?;
    stage.line(
        "   revision 2 of the class would permit 5000 EUR: it waits for consent, and revision 1 stays in force",
    )?;
    submit(stage, house, actor, 600, &["class", "delegation"]).await
}

fn actor(id: &str) -> Result<ActorRef, Failure> {
    Ok(format!("finance/{id}").parse()?)
}
