//! `credence actor logs|exec`: what a program wrote.

use crate::args::{ExecArgs, LogsArgs};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::table::printable;
use crate::session::Session;
use credence_server::api::actor::{ExecBody, ExecResult, LOG_PAGE_BYTES_MAX, LogsPage};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How often `logs --follow` asks for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

pub(super) async fn logs(args: LogsArgs, session: &Session, client: &Client) -> Result<(), Failure> {
    let actor = Object::named(Kind::Actor, &args.actor, &args.namespace.namespace)?;
    let mut offset = 0;
    loop {
        let path = format!("{}/logs?offset={offset}&limit={LOG_PAGE_BYTES_MAX}", actor.path());
        let page: LogsPage = client.send(Call::get(path)).await?;
        // The program wrote these lines: on a terminal its control characters stay text.
        for line in page.text.lines() {
            let line = if session.environment.terminal { printable(line) } else { line.to_owned() };
            session.out.line(line)?;
        }
        let at_end = page.text.is_empty() || page.next_offset <= offset;
        offset = page.next_offset;
        match (at_end, args.follow) {
            (true, false) => return Ok(()),
            (true, true) => tokio::time::sleep(FOLLOW_INTERVAL).await,
            (false, _) => {}
        }
    }
}

pub(super) async fn exec(args: ExecArgs, session: &Session, client: &Client) -> Result<ExitCode, Failure> {
    let actor = Object::named(Kind::Actor, &args.actor, &args.namespace.namespace)?;
    let timeout_ms = args.timeout.saturating_mul(1000);
    let body = ExecBody { command: args.command, timeout_ms };
    let call = Call::post(format!("{}/exec", actor.path()), &body).wait_ms(timeout_ms);
    let result: ExecResult = client.send(call).await?;
    if session.out.is_object() {
        session.out.object(&result)?;
    } else {
        session.out.text(&result.stdout)?;
        // Whoever closed standard error does not want it.
        let _ = std::io::stderr().write_all(result.stderr.as_bytes());
    }
    Ok(ExitCode::from(u8::try_from(result.exit_code).unwrap_or(u8::MAX)))
}
