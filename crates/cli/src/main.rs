//! `credence`: the one binary. It reads its command line and its surroundings, does what was asked through the control
//! API (or becomes a server or node itself), and says in one line what did not work.
//!
//! INVARIANT: no secret is taken from an argument or an environment variable, and none is printed but the join token that
//! was asked for.

mod args;
mod bench;
mod child;
mod client;
mod clock;
mod context;
mod daemon;
mod demo;
mod doctor;
mod environment;
mod failure;
#[cfg(test)]
mod golden;
mod kind;
mod login;
mod output;
mod passphrase;
mod pem;
mod run;
mod session;
mod takeover;
mod token;
mod verb;
mod view;

use args::{CommandLine, Format};
use clap::Parser;
use clap::error::ErrorKind;
use credence_model::refusal::Kind;
use environment::Environment;
use failure::Failure;
use session::Session;
use std::process::ExitCode;

/// The verb by which a node starts the process that keeps an actor's process tree together. Nobody types it, and it comes
/// before everything else: that process must have one thread and nothing of ours in it.
const ACTOR_INIT: &str = "actor-init";

/// The control plane allocates more than it computes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == ACTOR_INIT) {
        return credence_node::runtime::supervisor::main();
    }
    let environment = Environment::read();
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return misused(&error),
    };
    let session = Session::new(line.global, environment);
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("the runtime cannot start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(verb::execute(line.verb, &session));
            // A blocking read of standard input must not hold the end of the program.
            runtime.shutdown_background();
            result
        });
    result.unwrap_or_else(|failure| tell(&failure, session.out.format))
}

/// Help and version are asked for and go to standard output; everything else is a wrong command line.
fn misused(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nothing can be told to a person whose terminal is gone.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // The whole help, on standard error: nothing was asked for.
        let _ = error.print();
        return ExitCode::from(2);
    }
    tell(&Failure::used_wrongly(args::misuse::one_line(&error.to_string())), args::misuse::format(std::env::args()))
}

fn tell(failure: &Failure, format: Format) -> ExitCode {
    if !failure.is_silent() {
        if matches!(format, Format::Json) {
            eprintln!("{}", failure.to_json());
        } else {
            eprintln!("error: {}", output::table::printable(&failure.to_string()));
        }
    }
    failure.exit_code()
}
