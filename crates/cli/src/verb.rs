//! The verbs, one module each: what was typed becomes a call, and its answer is printed.

mod actor;
mod apply;
mod authority;
mod backup;
mod bundle;
mod can;
mod class;
mod completion;
mod delegation;
mod delete;
mod describe;
mod dev;
mod explain;
mod get;
mod log;
mod login;
mod node;
mod release;
mod server;
mod svid;
mod token;
mod verify;
mod worker;

use crate::args::Verb;
use crate::bench;
use crate::demo;
use crate::doctor;
use crate::failure::Failure;
use crate::run;
use crate::session::Session;
use credence_model::id::Namespace;
use std::process::ExitCode;

/// Does what was asked.
pub(crate) async fn execute(verb: Verb, session: &Session) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Demo(args) => return demo::run(args, session).await,
        Verb::Run(args) => return run::run(args, session).await,
        Verb::Doctor(args) => return doctor::run(args, session).await,
        Verb::Bench(args) => return bench::run(args, session).await,
        Verb::Dev(args) => dev::run(args, session).await?,
        Verb::Server(args) => server::run(args, session).await?,
        Verb::Node(args) => node::run(args, session).await?,
        Verb::Apply(args) => apply::run(args, session).await?,
        Verb::Get(args) => get::run(args, session).await?,
        Verb::Describe(args) => describe::run(args, session).await?,
        Verb::Login(args) => login::run(args, session).await?,
        Verb::Logout => login::logout(session)?,
        Verb::Whoami => return login::whoami(session).await,
        Verb::Can(args) => return can::run(args, session).await,
        Verb::Delegation(verb) => delegation::run(verb, session).await?,
        Verb::Explain(args) => return explain::run(args, session).await,
        Verb::Delete(args) => delete::run(args, session).await?,
        Verb::Class(verb) => return class::run(verb, session).await,
        Verb::Actor(verb) => return actor::run(verb, session).await,
        Verb::Worker(verb) => worker::run(verb, session).await?,
        Verb::Token(verb) => token::run(verb, session).await?,
        Verb::Authority(verb) => authority::run(verb, session).await?,
        Verb::Bundle(verb) => bundle::run(verb, session).await?,
        Verb::Svid(verb) => return svid::run(verb, session),
        Verb::Verify(args) => return verify::run(args, session).await,
        Verb::Log(verb) => log::run(verb, session).await?,
        Verb::Backup(args) => backup::run(&args, session)?,
        Verb::Release(args) => release::run(args, session).await?,
        Verb::Restore(args) => backup::run_restore(&args, session)?,
        Verb::Completion(args) => completion::run(&args, session)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The namespace of objects that are named without one.
fn namespace_or_default(namespace: Option<&Namespace>) -> Result<Namespace, Failure> {
    namespace.cloned().map_or_else(|| Ok(Namespace::parse("default")?), Ok)
}
