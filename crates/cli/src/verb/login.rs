//! `credence login`, `logout` and `whoami`.

use crate::args::LoginArgs;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::login::device;
use crate::login::{Login, Provider, forget, keep, user_of};
use crate::output::duration::moment;
use crate::output::table::{Cell, Table, printable};
use crate::session::Session;
use crate::view::word;
use credence_model::caller::Caller;
use credence_model::refusal::Kind;
use credence_model::user::User;
use credence_server::api::identity_provider::IdentityProviderView;
use credence_server::api::list::Listed;
use credence_server::api::me::{MeView, OwnActorView};
use serde::Serialize;
use std::process::ExitCode;

/// What the person has to do.
#[derive(Serialize)]
struct Shown<'s> {
    verification_uri: &'s str,
    user_code: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_uri_complete: Option<&'s str>,
    expires_in: u64,
}

pub(super) async fn run(args: LoginArgs, session: &Session) -> Result<(), Failure> {
    let server = session.server()?;
    let listed: Listed<IdentityProviderView> = session.client()?.send(Call::get("/v1/identity-providers")).await?;
    let at = choose(listed.items, args.issuer.as_deref())?;
    let provider = Provider::find(&at.issuer, args.ca_file.as_deref()).await?;
    let begun = provider.begin(&at.client_id, &at.scope, &at.audience).await?;
    let shown = Shown {
        verification_uri: &begun.verification_uri,
        user_code: &begun.user_code,
        verification_uri_complete: begun.verification_uri_complete.as_deref(),
        expires_in: begun.expires_in,
    };
    if session.out.is_object() {
        session.out.stream_object(&shown)?;
    } else {
        session.out.line(words(&shown))?;
    }
    let tokens = device::wait(&provider, &at.client_id, &begun).await?;
    let token = tokens.shown(&at.audience, &at.client_id)?;
    let me: MeView = session.client_with(Some(token.clone()))?.send(Call::get("/v1/me")).await?;
    let user = user_of(&at.issuer, me)?;
    let login = device::login(&server, at, (tokens, token), user, args.ca_file);
    keep(&login, &session.environment)?;
    let Login { user, expires_at, .. } = &login;
    if session.out.is_object() {
        return session.out.stream_object(user);
    }
    session.out.line(printable(&format!("logged in as {user}; the token is good until {}", moment(*expires_at))))?;
    session.out.line("`credence delegation` and `credence whoami` act as this user, until `credence logout`.")
}

fn choose(all: Vec<IdentityProviderView>, issuer: Option<&str>) -> Result<IdentityProviderView, Failure> {
    let issuers: Vec<_> = all.iter().map(|provider| provider.issuer.clone()).collect();
    let mut meant = all.into_iter().filter(|provider| issuer.is_none_or(|issuer| provider.issuer == issuer));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (None, _) if issuers.is_empty() => {
            let failure = Failure::new(Kind::NotFound, "the server has no identity provider, so no user logs in there");
            Err(failure.hint("An administrator names one in the server's configuration: [[identity_providers]]"))
        }
        (found, _) => {
            let message = match found {
                Some(_) => "the server has several identity providers",
                None => "the server has no such identity provider",
            };
            Err(Failure::used_wrongly(message).hint(format!("Choose one with --issuer: {}", issuers.join(", "))))
        }
    }
}

fn words(shown: &Shown<'_>) -> String {
    let mut lines =
        vec![format!("Open {} in a browser and enter the code {}", shown.verification_uri, shown.user_code)];
    lines.extend(shown.verification_uri_complete.map(|address| format!("  or open {address}")));
    lines.push(format!("Waiting until you have, for {} s at most …", shown.expires_in));
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

pub(super) fn logout(session: &Session) -> Result<(), Failure> {
    let user = forget(&session.environment)?;
    let words =
        user.as_ref().map_or_else(|| "nobody is logged in any more".to_owned(), |user| format!("{user} is logged out"));
    session.out.answer(&user, || printable(&words))
}

/// Who one is, and the actors that act for one.
#[derive(Serialize)]
struct Who {
    #[serde(flatten)]
    me: MeView,
    actors: Vec<OwnActorView>,
}

pub(super) async fn whoami(session: &Session) -> Result<ExitCode, Failure> {
    let client = session.client_as(session.logged_in().await?)?;
    let me: MeView = client.send(Call::get("/v1/me")).await?;
    let actors = if me.user.is_some() { own_actors(&client).await? } else { Vec::new() };
    let who = Who { me, actors };
    session.out.answer(&who, || {
        let table = (!who.actors.is_empty()).then(|| table(&who.actors).render(session.out.style));
        [Some(said(&who.me)), table].into_iter().flatten().collect::<Vec<_>>().join("\n")
    })?;
    Ok(if who.me.caller.is_some() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Whoever may not delegate has no actors to be shown.
async fn own_actors(client: &Client) -> Result<Vec<OwnActorView>, Failure> {
    match client.list("/v1/me/actors").await {
        Err(failure) if failure.refusal.kind == Kind::Denied => Ok(Vec::new()),
        listed => listed,
    }
}

fn said(me: &MeView) -> String {
    let line = match (&me.caller, &me.user) {
        (Some(Caller::User { user }), _) => format!("{user}"),
        (Some(caller), Some(User { issuer, subject })) => format!("{caller}; as a user: {subject} of {issuer}"),
        (Some(caller), None) => format!("{caller}"),
        (None, _) => "nobody: nothing was shown that says who asks. Log in with `credence login`".to_owned(),
    };
    printable(&line)
}

fn table(actors: &[OwnActorView]) -> Table {
    let mut table = Table::new(vec!["NAMESPACE", "CLASS", "ACTOR", "STATE", "SESSION", "CHILD OF"]);
    for actor in actors {
        table.push(vec![
            Cell::from(&actor.namespace),
            Cell::from(&actor.class),
            Cell::from(&actor.id),
            Cell::from(word(&actor.state)),
            Cell::from(actor.session.clone().unwrap_or_default()),
            Cell::from(actor.parent.as_ref().map(ToString::to_string).unwrap_or_default()),
        ]);
    }
    table
}
