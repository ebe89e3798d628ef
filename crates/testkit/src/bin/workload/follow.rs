//! Follows what is believed, and holds tokens against it.

use crate::Failure;
use crate::say::say;
use futures_util::StreamExt as _;
use serde_json::json;
use spiffe::{JwtBundleSet, JwtSvid, WorkloadApiClient};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Time between two tokens, in milliseconds.
const EVERY_MS: u64 = 100;

/// Each token is validated by the endpoint and by itself, with the newest bundle of the stream. For each line of standard
/// input it says how many bundles and tokens there were, and how many failed.
pub(super) async fn follow(audience: &str) -> Result<(), Failure> {
    let client = WorkloadApiClient::connect_env().await?;
    let (mut x509, mut jwt) = (client.stream_x509_bundles().await?, client.stream_jwt_bundles().await?);
    let mut believed = jwt.next().await.ok_or("a stream ended")??;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut every = tokio::time::interval(Duration::from_millis(EVERY_MS));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut x509_bundles, mut jwt_bundles, mut met, mut failed, mut why) = (0_u64, 1_u64, 0_u64, 0_u64, String::new());
    loop {
        tokio::select! {
            biased;
            line = lines.next_line() => {
                if line?.is_none() {
                    return Ok(());
                }
                let bundles = x509_bundles + jwt_bundles;
                say(&json!({ "met": met, "failed": failed, "why": why, "bundles": bundles }))?;
            }
            bundle = x509.next() => {
                bundle.ok_or("a stream ended")??;
                x509_bundles += 1;
            }
            bundle = jwt.next() => {
                believed = bundle.ok_or("a stream ended")??;
                jwt_bundles += 1;
            }
            _ = every.tick() => match token(&client, &believed, audience).await {
                Ok(()) => met += 1,
                Err(error) => (failed, why) = (failed + 1, error.to_string()),
            }
        }
    }
}

async fn token(client: &WorkloadApiClient, believed: &JwtBundleSet, audience: &str) -> Result<(), Failure> {
    let svid = client.fetch_jwt_svid([audience], None).await?;
    client.validate_jwt_token(audience, svid.token()).await?;
    JwtSvid::parse_and_validate(svid.token(), believed, &[audience])?;
    Ok(())
}
