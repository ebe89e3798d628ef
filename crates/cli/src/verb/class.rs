//! `credence class enable|disable|consent|withdraw|diff|test`.

mod case;
mod rehearsal;
mod test;

use crate::args::{ClassVerb, ConsentArgs, DiffArgs, EnableArgs};
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::style::{Style, Tone};
use crate::session::Session;
use credence_model::class::diff::{Difference, Direction, differences};
use credence_model::class::permissions::Permissions;
use credence_model::refusal::Kind as RefusalKind;
use credence_server::api::class::{ClassView, ConsentBody, EnableBody, RevisionSpec};
use credence_server::api::object::Applied;
use std::process::ExitCode;

pub(super) async fn run(verb: ClassVerb, session: &Session) -> Result<ExitCode, Failure> {
    match verb {
        ClassVerb::Enable(args) => switch("enable", &args, session).await?,
        ClassVerb::Disable(args) => switch("disable", &args, session).await?,
        ClassVerb::Consent(args) => consent(args, session).await?,
        ClassVerb::Withdraw(args) => withdraw(&args, session).await?,
        ClassVerb::Diff(args) => diff(&args, session).await?,
        ClassVerb::Test(args) => return test::run(&args, session),
    }
    Ok(ExitCode::SUCCESS)
}

async fn switch(word: &str, args: &EnableArgs, session: &Session) -> Result<(), Failure> {
    let class = Object::named(Kind::Class, &args.class, &args.namespace.namespace)?;
    let call = Call::post(format!("{}/{word}", class.path()), &EnableBody { revision: args.revision });
    let answer: serde_json::Value = session.client()?.send(call).await?;
    session.out.answer(&answer, || match args.revision {
        Some(revision) => format!("{class}: revision {revision} {word}d"),
        None => format!("{class}: {word}d"),
    })
}

async fn consent(args: ConsentArgs, session: &Session) -> Result<(), Failure> {
    let class = Object::named(Kind::Class, &args.class, &args.namespace.namespace)?;
    let is_limited = !args.only.is_empty();
    let body = ConsentBody { revision: args.revision, only: args.only };
    let applied: Applied = session.client()?.send(Call::post(format!("{}/consent", class.path()), &body)).await?;
    session.out.answer(&applied, || {
        let revision = args.revision.unwrap_or(applied.revision);
        let part = if is_limited { "a part of what it permits" } else { "what it permits" };
        match applied.changed {
            true => format!("{class}: you consented to revision {revision} and {part}"),
            false => format!("{class}: revision {revision} has that consent already"),
        }
    })
}

async fn withdraw(args: &EnableArgs, session: &Session) -> Result<(), Failure> {
    let class = Object::named(Kind::Class, &args.class, &args.namespace.namespace)?;
    let call = Call::post(format!("{}/withdraw", class.path()), &EnableBody { revision: args.revision });
    let applied: Applied = session.client()?.send(call).await?;
    let which = args
        .revision
        .map_or_else(|| "the newest consent".to_owned(), |revision| format!("the consent to revision {revision}"));
    session.out.answer(&applied, || match applied.changed {
        true => format!("{class}: {which} was withdrawn"),
        false => format!("{class}: there is no consent to withdraw"),
    })
}

async fn diff(args: &DiffArgs, session: &Session) -> Result<(), Failure> {
    let (class, client) = (Object::named(Kind::Class, &args.class, &args.namespace.namespace)?, session.client()?);
    let view: ClassView = client.send(Call::get(class.path())).await?;
    let read = async |number: u32| -> Result<Permissions, Failure> {
        let path = format!("{}/revisions/{number}", class.path());
        Ok(client.send::<RevisionSpec>(Call::get(path)).await?.spec.permissions)
    };
    let (new, old) = (args.revision.unwrap_or(view.revision), args.with.or(view.in_force));
    if args.revision.is_none() && args.with.is_none() && old == Some(new) {
        return session
            .out
            .answer(&Vec::<Difference>::new(), || format!("{class}: revision {new}, the newest, is in force"));
    }
    let before = match old {
        Some(old) if old == new => return Err(same(new)),
        Some(old) => read(old).await?,
        None => Permissions::default(),
    };
    let all = differences(&before, &read(new).await?);
    session.out.answer(&all, || {
        let with = old.map_or_else(|| "nothing, for none is in force".to_owned(), |old| format!("revision {old}"));
        words(&format!("{class}: revision {new} compared with {with}"), &all, session.out.style)
    })
}

fn same(number: u32) -> Failure {
    Failure::new(RefusalKind::Malformed, format!("revision {number} is compared with itself"))
        .hint("Name another with --with")
}

fn words(title: &str, all: &[Difference], style: Style) -> String {
    let line = |difference: &Difference| {
        let (word, tone) = match difference.direction {
            Direction::Wider => ("wider   ", Tone::Bad),
            Direction::Narrower => ("narrower", Tone::Good),
        };
        format!("  {}  {}", style.paint(tone, word), difference.what)
    };
    let lines: Vec<_> = all.iter().map(line).collect();
    match lines.is_empty() {
        true => format!("{title}\n  permits the same"),
        false => format!("{title}\n{}", lines.join("\n")),
    }
}
