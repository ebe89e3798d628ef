//! The metadata service: the same identity for programs that speak plain HTTP.
//!
//! - `GET /identity` → `{spiffe_id, class, revision: {number, digest}, epoch, worker, binding, trust_domain, expires_at}`
//! - `GET /token?audience=A[&audience=B…]` → `{token, expires_at, token_type: "JWT"}`
//!
//! Times are milliseconds since the Unix epoch. Every request needs the header `Metadata: true` and must not have been
//! forwarded: a server that is tricked into fetching a URL sends neither the one nor leaves out the other (threat T18).
//! There are no redirects, and `Host` means nothing.

use crate::endpoint::desk::Desk;
use crate::endpoint::status;
use credence_credential::jwt_svid;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::trace::TraceContext;
use http::header::{ALLOW, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::body::Body;

/// Most pairs in a query.
const QUERY_PAIRS_MAX: usize = 32;

/// Answers one request.
pub(super) async fn answer(desk: &Desk, request: &http::request::Parts) -> Response<Body> {
    let path = request.uri.path();
    if !matches!(path, "/identity" | "/token") {
        let hint = "GET /identity and GET /token?audience=… are what there is";
        return status::http(&Refusal::new(Kind::NotFound, "there is nothing here").hint(hint));
    }
    if request.method != Method::GET {
        let mut response = status::http(&Refusal::new(Kind::Malformed, "only GET is answered here"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let answered = match guard(&request.headers) {
        Err(refusal) => Err(refusal),
        Ok(()) if path == "/identity" => identity(desk),
        Ok(()) => token(desk, request).await,
    };
    match answered {
        Ok(value) => status::json_answer(StatusCode::OK, &value),
        Err(refusal) => status::http(&refusal),
    }
}

fn guard(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key("x-forwarded-for") {
        return Err(Refusal::new(Kind::Denied, "the request was forwarded; ask from inside the actor"));
    }
    let mut values = headers.get_all("metadata").iter();
    if values.next().is_some_and(|value| value == "true") && values.next().is_none() {
        Ok(())
    } else {
        Err(Refusal::new(Kind::Malformed, "the header Metadata is missing").hint("send Metadata: true"))
    }
}

fn identity(desk: &Desk) -> Result<Value, Refusal> {
    let (identity, _) = desk.live()?;
    let claims = &identity.claims;
    Ok(json!({
        "spiffe_id": identity.spiffe_id,
        "class": claims.class,
        "revision": claims.revision,
        "epoch": claims.epoch,
        "worker": claims.worker,
        "binding": claims.binding,
        "trust_domain": identity.spiffe_id.trust_domain().as_str(),
        "expires_at": identity.not_after,
    }))
}

async fn token(desk: &Desk, request: &http::request::Parts) -> Result<Value, Refusal> {
    let audiences = audiences(request.uri.query().unwrap_or_default())?;
    let token = desk.mint(audiences, TraceContext::said(&request.headers)).await?;
    let said = jwt_svid::inspect(&token).map_err(|error| Refusal::new(Kind::Bug, error.to_string()))?;
    Ok(json!({ "token": token, "expires_at": said.expires_at, "token_type": "JWT" }))
}

/// The values of `audience`; any other parameter is refused, so that a typing error is not silently left out.
fn audiences(query: &str) -> Result<Vec<String>, Refusal> {
    let malformed = |why: String| Refusal::new(Kind::Malformed, why).hint("ask GET /token?audience=…");
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut audiences = Vec::new();
    for (count, pair) in pairs.enumerate() {
        if count >= QUERY_PAIRS_MAX {
            return Err(malformed(format!("more than {QUERY_PAIRS_MAX} parameters")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "audience" {
            let shown: String = name.chars().take(40).collect();
            return Err(malformed(format!("there is no parameter {shown:?}")));
        }
        let value = decoded(value).ok_or_else(|| malformed("an audience is not percent-encoded UTF-8".to_owned()))?;
        audiences.push(value);
    }
    Ok(audiences)
}

/// Undoes form encoding (WHATWG URL §5.1): `+` is a space, `%XX` a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_are_read_from_a_query_or_refused() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[])),
            ("audience=a", Some(&["a"])),
            ("audience=a&audience=b+c", Some(&["a", "b c"])),
            ("audience=https%3A%2F%2Fapi.example%2F%C3%A9", Some(&["https://api.example/é"])),
            ("audience=", Some(&[""])),
            ("audience", Some(&[""])),
            ("audience=%", None),
            ("audience=%4", None),
            ("audience=%+1", None),
            ("audience=%zz", None),
            ("audience=%ff", None),
            ("audiences=a", None),
            ("audience=a&x=y", None),
        ];
        for (query, expected) in cases {
            let found = audiences(query).ok();
            let expected = expected.map(|values| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{query}");
        }
        assert!(audiences(&"audience=a&".repeat(QUERY_PAIRS_MAX + 1)).is_err());
    }
}
