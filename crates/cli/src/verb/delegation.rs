//! `credence delegation grant|list|narrow|revoke`.

use crate::args::{DelegationVerb, GrantArgs, ListDelegationsArgs, NarrowArgs, RevokeArgs};
use crate::client::{Call, Client, escape};
use crate::clock;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::duration::{moment, since};
use crate::output::table::{Cell, Table, printable};
use crate::session::Session;
use credence_model::delegation::{Grantee, Terms};
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_server::api::delegation::{DelegationView, GrantBody, NarrowBody, RevokeBody};
use credence_server::api::list::Listed;
use credence_server::api::object::Done;

pub(super) async fn run(verb: DelegationVerb, session: &Session) -> Result<(), Failure> {
    let login = session.logged_in().await?;
    if let Some(login) = &login {
        eprintln!("{}", printable(&format!("as {}", login.user)));
    }
    let client = session.client_as(login)?;
    match verb {
        DelegationVerb::Grant(args) => grant(args, session, &client).await,
        DelegationVerb::List(args) => list(&args, session, &client).await,
        DelegationVerb::Narrow(args) => narrow(args, session, &client).await,
        DelegationVerb::Revoke(args) => revoke(args, session, &client).await,
    }
}

async fn grant(args: GrantArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let to = grantee(&args.to, &args)?;
    let GrantArgs { allow, user, session: of_session, purpose, ttl, uses, .. } = args;
    let user = user.as_deref().map(parse_user).transpose()?;
    let body = GrantBody {
        to,
        allow,
        authorization_details: Vec::new(),
        user,
        session: of_session,
        purpose,
        not_before: None,
        ttl_secs: ttl,
        uses,
    };
    let granted: DelegationView = client.send(Call::post("/v1/delegations", &body)).await?;
    let said = &granted.delegation;
    session.out.answer(&granted, || {
        format!("delegation {}: {} delegated to {} until {}", said.id, said.by, said.to, moment(said.terms.expires_at))
    })
}

fn grantee(text: &str, args: &GrantArgs) -> Result<Grantee, Failure> {
    let wrong = || Failure::used_wrongly(format!("`{}` is neither actor/ID nor class/NAME", text.escape_debug()));
    let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
    match Object::named(Kind::parse(kind)?, name, &args.namespace.namespace)? {
        Object::Actor(actor) => Ok(Grantee::Actor(actor)),
        Object::Class(class) => Ok(Grantee::Class(class)),
        _ => Err(wrong()),
    }
}

/// `NAME@ISSUER`; a name may have an `@`, an issuer has none.
pub(super) fn parse_user(text: &str) -> Result<User, Failure> {
    let wrong = || {
        let message = format!("`{}` is no user", text.escape_debug());
        Failure::used_wrongly(message).hint("Write NAME@ISSUER, e.g. ada@https://login.example.org")
    };
    let (subject, issuer) = text.rsplit_once('@').ok_or_else(wrong)?;
    if subject.is_empty() || issuer.is_empty() {
        return Err(wrong());
    }
    Ok(User { issuer: issuer.to_owned(), subject: subject.to_owned() })
}

async fn list(args: &ListDelegationsArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let mut query = format!("in_force={}", !args.all);
    if let Some(user) = &args.user {
        let User { issuer, subject } = parse_user(user)?;
        query.push_str(&format!("&issuer={}&subject={}", escape(&issuer), escape(&subject)));
    }
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = Call::get(format!("/v1/delegations?{query}{after}"));
        let page: Listed<DelegationView> = client.send(page).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => after = format!("&after={}", escape(&next)),
            None => break,
        }
    }
    if session.out.is_object() {
        return session.out.object(&all);
    }
    session.out.line(table(&all, clock::now()).render(session.out.style))
}

fn table(all: &[DelegationView], now: Timestamp) -> Table {
    let mut table = Table::new(vec!["DELEGATION", "BY", "TO", "ALLOWS", "USED", "ENDS", ""]);
    for DelegationView { delegation, lapse, .. } in all {
        let Terms { allow, uses, expires_at, .. } = &delegation.terms;
        let used = uses.map_or_else(String::new, |uses| format!("{} of {uses}", delegation.used));
        let allow = allow.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        table.push(vec![
            Cell::from(delegation.id),
            Cell::from(&delegation.by),
            Cell::from(&delegation.to),
            Cell::from(allow),
            Cell::from(used),
            Cell::from(format!("in {}", since(now, *expires_at))),
            Cell::from(lapse.map(|lapse| lapse.to_string()).unwrap_or_default()),
        ]);
    }
    table
}

async fn narrow(args: NarrowArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let NarrowArgs { id, allow, session: of_session, uses } = args;
    let allow = (!allow.is_empty()).then_some(allow);
    let body = NarrowBody { allow, authorization_details: None, session: of_session, expires_at: None, uses };
    let narrowed: DelegationView = client.send(Call::post(format!("/v1/delegations/{id}/narrow"), &body)).await?;
    session.out.answer(&narrowed, || {
        let allow: Vec<_> = narrowed.delegation.terms.allow.iter().map(ToString::to_string).collect();
        format!("delegation {id}: allows {} from now on", allow.join("; "))
    })
}

async fn revoke(args: RevokeArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let RevokeArgs { id, reason } = args;
    let done: Done = client.send(Call::post(format!("/v1/delegations/{id}/revoke"), &RevokeBody { reason })).await?;
    session.out.answer(&done, || format!("delegation {id}: revoked"))
}
