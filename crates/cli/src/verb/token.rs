//! `credence token create`: the token goes to standard output or into a file, and nowhere else.

use crate::args::{TokenArgs, TokenVerb};
use crate::client::Call;
use crate::failure::Failure;
use crate::kind::{Kind, Object};
use crate::output::duration::rough;
use crate::session::Session;
use credence_model::id::{Namespace, PoolRef};
use credence_model::refusal::Kind as RefusalKind;
use credence_server::api::join_token::{JoinTokenBody, JoinTokenCreated};
use credence_server::api::node::Grant;
use credence_server::api::text::Text;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) async fn run(verb: TokenVerb, session: &Session) -> Result<(), Failure> {
    let TokenVerb::Create(TokenArgs { node, pools, ttl, out, namespace }) = verb;
    let pools = pools.iter().map(|grant| parse_grant(grant, &namespace.namespace)).collect::<Result<_, _>>()?;
    let body = JoinTokenBody { node, pools, ttl_secs: ttl };
    let created: JoinTokenCreated = session.client()?.send(Call::post("/v1/join-tokens", &body)).await?;
    let left = rough(ttl.saturating_mul(1000));
    match out {
        Some(path) => {
            write_secret(&path, &created.token)?;
            eprintln!("a join token is in {}; it lets one node in, once, within {left}", path.display());
        }
        None if session.out.is_object() => session.out.object(&created)?,
        None => {
            session.out.line(&created.token)?;
            eprintln!("whoever holds this token can let one node in, once, within {left}");
        }
    }
    Ok(())
}

/// Reads `POOL=N` or `NS/POOL=N`.
pub(crate) fn parse_grant(text: &str, namespace: &Namespace) -> Result<Grant, Failure> {
    let wrong = || {
        let failure = Failure::used_wrongly(format!("`{}` does not grant workers in a pool", text.escape_debug()));
        failure.hint("Write POOL=N or NS/POOL=N, for instance standard=4")
    };
    let (pool, count) = text.split_once('=').ok_or_else(wrong)?;
    let workers_max = count.parse().map_err(|_| wrong())?;
    let pool: PoolRef = match Object::named(Kind::Pool, pool, namespace)? {
        Object::Pool(pool) => pool,
        _ => return Err(wrong()),
    };
    Ok(Grant { pool: Text(pool), workers_max })
}

/// A new file that only its owner may read; one that is there already is not overwritten.
fn write_secret(path: &Path, secret: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{secret}").and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let failure = Failure::new(RefusalKind::Denied, format!("{} cannot be written: {error}", path.display()));
        failure.hint("The token was made and is lost; it expires by itself")
    })
}
