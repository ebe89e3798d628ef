//! `credence release`: a held server goes on.

use crate::args::ReleaseArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::session::Session;
use credence_server::api::hold::{HoldView, ReleaseBody};

pub(super) async fn run(args: ReleaseArgs, session: &Session) -> Result<(), Failure> {
    let client = session.client()?;
    let body = ReleaseBody { reason: args.reason };
    let view: HoldView = client.send(Call::post("/v1/hold/release", &body)).await?;
    session.out.answer(&view, || {
        format!(
            "released: every later epoch is above {}, so whoever holds an earlier one is refused\n\
             Nodes connect by themselves; one that attested after the backup needs a new join token. (credence get nodes)",
            view.epoch_floor
        )
    })
}
