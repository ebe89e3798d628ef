//! Says again and again which binding serves it, into a file that outlives the program: a test compares the times.

use crate::Failure;
use crate::say::{now_ms, pem};
use spiffe::WorkloadApiClient;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Time between two questions, in milliseconds.
const EVERY_MS: u64 = 50;

/// For ever: one line for each answer, with the milliseconds before the question and after the answer. The file is named
/// after the actor and the socket, which is the binding's; beside it lies the first certificate.
pub(crate) async fn beacon(into: &Path) -> Result<(), Failure> {
    let endpoint = std::env::var_os("SPIFFE_ENDPOINT_SOCKET").ok_or("there is no endpoint")?;
    let endpoint = endpoint.to_string_lossy().into_owned();
    let socket = endpoint.rsplit('/').next().unwrap_or_default();
    let binding = socket.trim_start_matches("id@").trim_end_matches(".sock").to_owned();
    let (mut file, mut every) = (None, tokio::time::interval(Duration::from_millis(EVERY_MS)));
    loop {
        every.tick().await;
        let before = now_ms();
        if let Ok(svid) = fetch().await {
            let actor = svid.spiffe_id().path().rsplit('/').next().unwrap_or_default().to_owned();
            if file.is_none() {
                let path = into.join(format!("{actor}.{binding}"));
                let chain = pem(svid.cert_chain().iter().map(|certificate| certificate.as_bytes()));
                fs::write(path.with_extension(format!("{binding}.pem")), chain)?;
                file = Some(OpenOptions::new().create(true).append(true).open(path)?);
            }
            if let Some(file) = &mut file {
                file.write_all(format!("{before} {}\n", now_ms()).as_bytes())?;
            }
        }
    }
}

/// On a connection of its own, so that no old stream answers.
async fn fetch() -> Result<spiffe::X509Svid, Failure> {
    Ok(WorkloadApiClient::connect_env().await?.fetch_x509_svid().await?)
}
