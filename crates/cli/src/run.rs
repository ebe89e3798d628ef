//! `credence run`: a program as an actor of a class, in the caller's terminal.
//!
//! This process is the root of the tree that gets the identity. The program has the terminal, the signals and the exit
//! code as if it had been started directly; whatever it leaves behind is ended with it.

use crate::args::RunArgs;
use crate::context;
use crate::failure::Failure;
use crate::session::Session;
use credence_model::refusal::{Kind, Refusal};
use credence_node::run::Run;
use credence_node::runtime::RuntimeError;
use credence_node::runtime::foreground::{self, Foreground};
use credence_wire::local::Bound;
use rustix::termios::isatty;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// How long the node may take to suspend the actor after its program ended, in seconds.
const SUSPEND_SECS_MAX: u64 = 10;

/// Runs it.
pub(crate) async fn run(args: RunArgs, session: &Session) -> Result<ExitCode, Failure> {
    let socket = context::node_socket(args.node_socket.as_deref(), &session.environment)?;
    let mut run = Run::begin(&socket, &args.class, args.actor.as_ref(), session.environment.trace).await?;
    tell(&run.bound);
    let program = Foreground { command: args.command, env: environment(&run.bound) };
    let (stop, stopped) = UnixStream::pair()
        .map_err(|error| Failure::new(Kind::Unavailable, format!("no socket pair could be made: {error}")))?;
    // It blocks until the program ends.
    let mut program = tokio::task::spawn_blocking(move || foreground::run(&program, &stopped));
    let (identity_over, code) = tokio::select! {
        code = &mut program => (false, code),
        ended = run.ended() => {
            match ended {
                Ok(reason) => {
                    eprintln!("credence: the identity of this program is over, it is asked to end: {reason}");
                    // Closing it is the request.
                    drop(stop);
                }
                // It can renew nothing and ends as an actor with the lease; its work may still be worth finishing.
                Err(gone) => eprintln!("credence: {gone}; the program goes on without an identity"),
            }
            (true, program.await)
        }
    };
    let code = code.map_err(|error| Failure::new(Kind::Bug, format!("the program was lost: {error}")))?;
    let code = code.map_err(|error: RuntimeError| Failure::new(error.kind(), error.to_string()));
    if !identity_over {
        suspend(&mut run, code.as_ref().copied().unwrap_or(1)).await;
    }
    Ok(ExitCode::from(u8::try_from(code?).unwrap_or(u8::MAX)))
}

/// Only a person at a terminal is told; a program's streams belong to it.
fn tell(bound: &Bound) {
    if isatty(rustix::stdio::stderr()) {
        eprintln!("credence: {} (epoch {})", bound.spiffe_id, bound.epoch);
    }
}

fn environment(bound: &Bound) -> Vec<(String, String)> {
    ["SPIFFE_ENDPOINT_SOCKET", "CREDENCE_METADATA"].map(|name| (name.to_owned(), bound.endpoint.clone())).into()
}

/// Says that the program ended, and waits until its identity is taken away.
async fn suspend(run: &mut Run, code: i32) {
    run.exited(code).await;
    let ended = tokio::time::timeout(Duration::from_secs(SUSPEND_SECS_MAX), run.ended()).await;
    if !matches!(ended, Ok(Ok(_))) {
        let late = Refusal::new(Kind::Unavailable, "the node did not confirm that the actor is suspended");
        eprintln!("credence: {late}; it is lost until its lease is over");
    }
}
