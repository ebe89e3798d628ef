//! `credence completion`: the shell's own script, generated from the command line's definition.

use crate::args::{CommandLine, CompletionArgs};
use crate::failure::Failure;
use crate::session::Session;
use clap::CommandFactory;

pub(super) fn run(args: &CompletionArgs, session: &Session) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "credence", &mut script);
    session.out.text(&String::from_utf8_lossy(&script))
}
