//! `credence backup` and `credence restore`: copies of a server's data directory.

use crate::args::{BackupArgs, RestoreArgs};
use crate::clock;
use crate::context;
use crate::failure::Failure;
use crate::output::duration::moment;
use crate::session::Session;
use credence_model::refusal::Kind;
use credence_server::backup::{BackedUp, BackupError, back_up, restore};
use std::path::PathBuf;

pub(super) fn run(args: &BackupArgs, session: &Session) -> Result<(), Failure> {
    let data_dir = data_dir(args.data_dir.clone(), session)?;
    let made = back_up(&data_dir, &args.file, args.with_keys, clock::now()).map_err(|error| told(&error))?;
    session.out.answer(&made, || {
        let BackedUp { files, bytes, left_out } = &made;
        let keys = if left_out.is_empty() {
            "It holds the authority's private keys as they lie on disk: unless they are encrypted there, whoever has it\nhas the authority.".to_owned()
        } else {
            format!("Not in it, and needed to restore: {}", left_out.join(", "))
        };
        format!("backed up {} to {}: {files} files, {bytes} bytes\n{keys}", data_dir.display(), args.file.display())
    })
}

pub(super) fn run_restore(args: &RestoreArgs, session: &Session) -> Result<(), Failure> {
    let restored = restore(&args.file, &args.data_dir, args.keys.as_deref()).map_err(|error| told(&error))?;
    session.out.answer(&restored, || {
        format!(
            "restored trust domain {} to {}: {} journal entries, the last of {}\n\
             What happened after that is not known to it: its server is held until you decide. (credence release)",
            restored.trust_domain,
            args.data_dir.display(),
            restored.last_index,
            moment(restored.last_at)
        )
    })
}

fn data_dir(typed: Option<PathBuf>, session: &Session) -> Result<PathBuf, Failure> {
    if let Some(dir) = typed {
        return Ok(dir);
    }
    let known = context::read(&session.environment)?.map(|context| context.data_dir.join("server"));
    known.ok_or_else(|| Failure::used_wrongly("no data directory is known").hint("Name the server's with --data-dir"))
}

fn told(error: &BackupError) -> Failure {
    let kind = if matches!(error, BackupError::Io { .. }) { Kind::Unavailable } else { Kind::Conflict };
    Failure::caused(kind, error)
}
