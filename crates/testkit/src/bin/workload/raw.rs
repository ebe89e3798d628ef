//! Requests by hand, for what a well-behaved client never sends.

use crate::Failure;
use crate::say::say;
use credence_wire::workload::X509svidRequest;
use credence_wire::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use tonic::Request;
use tonic::transport::Endpoint;

/// Asks for an X.509-SVID with these values of the security header.
pub(super) async fn knock(values: &[String]) -> Result<(), Failure> {
    let channel = Endpoint::from_shared(own("SPIFFE_ENDPOINT_SOCKET")?)?.connect().await?;
    let mut request = Request::new(X509svidRequest {});
    for value in values {
        request.metadata_mut().append("workload.spiffe.io", value.parse()?);
    }
    let answer = SpiffeWorkloadApiClient::new(channel).fetch_x509svid(request).await;
    let (code, message) = match answer {
        Err(status) => (status.code(), status.message().to_owned()),
        Ok(stream) => match stream.into_inner().message().await {
            Ok(_) => (tonic::Code::Ok, String::new()),
            Err(status) => (status.code(), status.message().to_owned()),
        },
    };
    say(&json!({ "code": format!("{code:?}"), "message": message }))?;
    Ok(())
}

/// One HTTP/1.1 request over the socket.
pub(super) fn metadata(method: &str, path: &str, headers: &[String]) -> Result<(), Failure> {
    let socket = own("CREDENCE_METADATA")?;
    let mut stream = UnixStream::connect(socket.strip_prefix("unix://").ok_or("not a Unix socket")?)?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end of its headers")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).ok_or("no status")?;
    let body: Value = serde_json::from_str(body)?;
    say(&json!({ "status": status, "body": body, "head": head }))?;
    Ok(())
}

fn own(name: &str) -> Result<String, Failure> {
    let value = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
    Ok(value.into_string().map_err(|_| format!("{name} is not text"))?)
}
