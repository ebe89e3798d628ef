//! `credence run`: a program as an actor of a class, in the caller's terminal.

use crate::args::RunArgs;
use crate::context;
use crate::failure::Failure;
use crate::session::Session;
use std::process::ExitCode;

/// Runs it.
pub(crate) async fn run(args: RunArgs, session: &Session) -> Result<ExitCode, Failure> {
    let socket = context::node_socket(args.node_socket.as_deref(), &session.environment)?;
    Err(Failure::used_wrongly(format!("run is not there yet (node at {})", socket.display())))
}
