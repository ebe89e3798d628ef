//! `credence authority list|prepare|activate|taint|retire|rotate`.

use crate::args::{ActivateArgs, AuthorityVerb, RetireArgs, RotateArgs, TaintArgs};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::duration::moment;
use crate::output::table::{Cell, Table};
use crate::session::Session;
use credence_model::authority::AuthorityState;
use credence_model::refusal::Kind;
use credence_server::api::authority::{AuthorityChanged, AuthorityList, AuthorityView, ForceBody, TaintBody};
use serde::Serialize;
use std::time::Duration;

/// How often it is looked whether every node has the new authority, in milliseconds.
const LOOK_EVERY_MS: u64 = 200;

#[derive(Serialize)]
struct PrepareBody {}

pub(super) async fn run(verb: AuthorityVerb, session: &Session) -> Result<(), Failure> {
    let client = session.client()?;
    match verb {
        AuthorityVerb::List => {
            let list = list(&client).await?;
            if session.out.is_object() {
                return session.out.object(&list);
            }
            session.out.line(table(&list).render(session.out.style))
        }
        AuthorityVerb::Prepare => {
            let changed = prepare(&client).await?;
            session.out.answer(&changed, || sentence(&changed, "everybody learns to believe it; it signs nothing yet"))
        }
        AuthorityVerb::Activate(ActivateArgs { id, force }) => {
            let id = match id {
                Some(id) => id,
                None => prepared(&client).await?,
            };
            let changed = activate(&client, &id, force).await?;
            session.out.answer(&changed, || sentence(&changed, "it signs from now on"))
        }
        AuthorityVerb::Taint(TaintArgs { id, reason }) => {
            let call = Call::post(format!("/v1/authorities/{id}/taint"), &TaintBody { reason });
            let changed: AuthorityChanged = client.send(call).await?;
            session.out.answer(&changed, || sentence(&changed, "what it signed is being replaced"))
        }
        AuthorityVerb::Retire(RetireArgs { id, force }) => {
            let call = Call::post(format!("/v1/authorities/{id}/retire"), &ForceBody { force });
            let changed: AuthorityChanged = client.send(call).await?;
            session.out.answer(&changed, || sentence(&changed, "nobody believes it any more, and its keys are removed"))
        }
        AuthorityVerb::Rotate(args) => rotate(&args, &client, session).await,
    }
}

/// Prepares, waits until every connected node has the bundle, gives workloads time to take it, and activates.
async fn rotate(args: &RotateArgs, client: &Client, session: &Session) -> Result<(), Failure> {
    let prepared = prepare(client).await?;
    let mut left_ms = args.timeout.saturating_mul(1000);
    loop {
        let list = list(client).await?;
        let found = list.authorities.iter().find(|authority| authority.id == prepared.id);
        let waiting = found.map(|authority| authority.nodes_waiting.clone()).unwrap_or_default();
        if waiting.is_empty() {
            break;
        }
        if left_ms == 0 {
            let nodes: Vec<_> = waiting.iter().map(ToString::to_string).collect();
            let message = format!("after {} s still without the new authority: {}", args.timeout, nodes.join(", "));
            return Err(Failure::new(Kind::Unavailable, message)
                .hint("It stays prepared. Look after these nodes, then run this again"));
        }
        let pause_ms = LOOK_EVERY_MS.min(left_ms);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        left_ms -= pause_ms;
    }
    tokio::time::sleep(Duration::from_secs(args.overlap)).await;
    let changed = activate(client, &prepared.id.to_string(), false).await?;
    session.out.answer(&changed, || {
        sentence(
            &changed,
            "it signs from now on; the old one is believed until you retire it (credence authority list)",
        )
    })
}

async fn list(client: &Client) -> Result<AuthorityList, Failure> {
    client.send(Call::get("/v1/authorities")).await
}

async fn prepare(client: &Client) -> Result<AuthorityChanged, Failure> {
    client.send(Call::post("/v1/authorities", &PrepareBody {})).await
}

async fn activate(client: &Client, id: &str, force: bool) -> Result<AuthorityChanged, Failure> {
    client.send(Call::post(format!("/v1/authorities/{id}/activate"), &ForceBody { force })).await
}

async fn prepared(client: &Client) -> Result<String, Failure> {
    let list = list(client).await?;
    let found = list.authorities.iter().find(|authority| authority.state == AuthorityState::Prepared);
    found.map(|authority| authority.id.to_string()).ok_or_else(|| {
        Failure::new(Kind::NotFound, "no authority is prepared").hint("Prepare one: credence authority prepare")
    })
}

fn sentence(changed: &AuthorityChanged, what: &str) -> String {
    let AuthorityChanged { id, state, changed } = changed;
    match changed {
        true => format!("authority {} is {state}: {what}", id.short()),
        false => format!("authority {} is {state} already", id.short()),
    }
}

fn table(list: &AuthorityList) -> Table {
    let mut table = Table::new(vec!["ID", "STATE", "SINCE", "SIGNED UNTIL", "WAITS FOR"]);
    for AuthorityView { id, state, since, signed_until, nodes_waiting, .. } in &list.authorities {
        let nodes: Vec<_> = nodes_waiting.iter().map(ToString::to_string).collect();
        table.push(vec![
            Cell::from(id.short()),
            Cell::from(state),
            Cell::from(moment(*since)),
            Cell::from(signed_until.map(moment).unwrap_or_default()),
            Cell::from(nodes.join(", ")),
        ]);
    }
    table
}
