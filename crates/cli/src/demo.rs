//! `credence demo`: the whole way of an identity on this machine.

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::session::Session;
use std::process::ExitCode;

/// Shows it.
pub(crate) async fn run(args: DemoArgs, _: &Session) -> Result<ExitCode, Failure> {
    Err(Failure::used_wrongly(format!("the demo is not there yet (stay: {})", args.stay)))
}
