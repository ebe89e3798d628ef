//! How the parts of a request are read: strictly, within limits, and naming what was wrong.

mod members;

use crate::caller::Standing;
use crate::limits::{BODY_BYTES, BODY_BYTES_MAX, BODY_TIME, Limits, STRANGER_BODY_BYTES, STRANGER_BODY_BYTES_MAX};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts as _, Query, RawPathParams};
use credence_model::command::IDEMPOTENCY_KEY_BYTES_MAX;
use credence_model::refusal::{Kind, Refusal};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Uri, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::error::Error as _;

/// The header that names a retry of the same command.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The parameters of the path, percent-decoded once.
pub(crate) async fn path(parts: &mut Parts) -> Result<Vec<(String, String)>, Refusal> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|error| malformed("path", error.body_text()))?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The query.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| {
        let message = error.source().map_or_else(|| error.body_text(), ToString::to_string);
        match message.split_once(": ") {
            Some((field, message)) if field.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                malformed(field, message)
            }
            _ => malformed("query", message),
        }
    })
}

/// The whole of a body, of a bounded size and in time. Of somebody who has not proved who it is, little is kept.
pub(crate) async fn whole(body: Body, from: &Standing, limits: &Limits) -> Result<Bytes, Refusal> {
    let (most, limit) = match from.caller {
        Some(_) => (BODY_BYTES_MAX, &BODY_BYTES),
        None => (STRANGER_BODY_BYTES_MAX, &STRANGER_BODY_BYTES),
    };
    let collect = Limited::new(body, most).collect();
    let late = |_| {
        BODY_TIME.hit();
        malformed("body", format!("it did not arrive within {} s", limits.body_time.as_secs()))
    };
    let collected = tokio::time::timeout(limits.body_time, collect).await.map_err(late)?;
    let collected = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => {
            limit.hit();
            Refusal::new(Kind::Limited, format!("the body is larger than {most} bytes")).field("body")
        }
        None => malformed("body", "it broke off"),
    })?;
    Ok(collected.to_bytes())
}

/// What a body says; an empty one counts as an object without members.
pub(crate) fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, Refusal> {
    if bytes.is_empty() {
        return json(b"{}");
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(malformed("Content-Type", "the body must be application/json"));
    }
    json(bytes)
}

/// Reads JSON: unknown and repeated members are refused, and the path to the wrong one is named.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if let Some(value) = read_quickly(bytes) {
        return Ok(value);
    }
    // Once more, because to know what is wrong, and where, takes longer than reading it.
    let members::Members = read(bytes)?;
    if !is_object(bytes) {
        return Err(malformed("body", "invalid type: expected a JSON object"));
    }
    read(bytes)
}

/// What it says, if nothing can be wrong with it.
fn read_quickly<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    // What nobody asks for is not read, and so would not be found to be no text.
    let text = str::from_utf8(bytes).ok().filter(|_| is_object(bytes))?;
    serde_json::from_str(text).ok().filter(|_| !members::may_repeat(bytes))
}

/// Derived shapes would take an array for an object, member by member.
fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| misread(&error))?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// A value that is wrong has a path; text that is not JSON has none worth naming.
fn misread(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    if !error.inner().is_data() {
        return not_json(error.inner());
    }
    let path = error.path().to_string();
    let path = path.trim_end_matches(['.', '?']);
    malformed(if path.is_empty() { "body" } else { path }, plain(error.inner()))
}

fn not_json(error: &serde_json::Error) -> Refusal {
    malformed("body", format!("it is not JSON: {}", plain(error)))
}

/// The message without the position in the text, which nobody sees who did not write it by hand; the field is named.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => {
            let message = format!("it is one value of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
            Err(malformed("Idempotency-Key", message))
        }
    }
}

/// The version in `If-Match`: a number, with or without the quotes of an entity tag (RFC 9110 §8.8.3).
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match (number.parse(), values.next()) {
        (Ok(version), None) => Ok(Some(version)),
        _ => Err(malformed("If-Match", "it is not the one version of an object, a number")),
    }
}

/// What the caller calls this server; empty if it does not say it, or not as it is written.
pub(crate) fn authority(parts: &Parts) -> String {
    let host = || parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()?.parse().ok());
    parts.uri.authority().cloned().or_else(host).map(|authority: Authority| authority.to_string()).unwrap_or_default()
}

fn malformed(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(Kind::Malformed, message).field(field)
}

#[cfg(test)]
mod tests {
    use super::{if_match, json, query};
    use crate::api::actor::{CreateActorBody, ResumeBody};
    use crate::api::object::ObjectBody;
    use credence_model::class::ClassSpec;
    use http::{HeaderMap, HeaderValue};
    use serde::Deserialize;

    #[test]
    fn what_is_wrong_in_a_body_is_named_by_its_path() {
        let class = json::<ObjectBody<ClassSpec>>;
        let wrong = |text: &str| class(text.as_bytes()).expect_err(text);
        for (text, field, message) in [
            ("{", "body", "EOF"),
            ("[]", "body", "invalid"),
            (r#"{"metadata":{"namespace":"a","name":"b"}}"#, "body", "missing field `spec`"),
            (
                r#"{"metadata":{"namespace":"a","name":"b"},"spec":{"modles":[]}}"#,
                "spec.modles",
                "unknown field `modles`",
            ),
            (r#"{"metadata":{"namespace":7,"name":"b"},"spec":{}}"#, "metadata.namespace", "expected a string"),
            (
                r#"{"metadata":{"namespace":"a","name":"b","labels":{"x":"1","x":"2"}},"spec":{}}"#,
                "metadata.labels",
                "`x` appears twice",
            ),
            (
                r#"{"metadata":{"namespace":"a","name":"b","labels":{"x":"1","\u0078":"2"}},"spec":{}}"#,
                "metadata.labels",
                "`x` appears twice",
            ),
            (
                r#"{"metadata":{"namespace":"a","name":"b"},"spec":{"models":[{"model":1}]}}"#,
                "spec.models[0].model",
                "invalid type",
            ),
            (r#"{"metadata":{"namespace":"a","name":"b"},"spec":{}} x"#, "body", "trailing characters"),
        ] {
            let refusal = wrong(text);
            assert_eq!(refusal.field.as_deref(), Some(field), "{text}: {refusal}");
            assert!(refusal.message.contains(message), "{text}: {refusal}");
            assert!(!refusal.message.contains(" at line "), "{refusal}");
        }
    }

    #[test]
    fn identifiers_are_checked_where_they_are_read() {
        for id in ["a/b", "..", "a%2fb", "A", "a\\u0000", ""] {
            let text = format!(r#"{{"namespace":"finance","class":"c","id":"{id}"}}"#);
            let refusal = json::<CreateActorBody>(text.as_bytes()).expect_err(id);
            assert_eq!(refusal.field.as_deref(), Some("id"), "{refusal}");
        }
        let refusal = json::<ResumeBody>(br#"{"worker":"a/b"}"#).expect_err("too short");
        assert_eq!(refusal.field.as_deref(), Some("worker"));
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Paging {
        #[expect(dead_code, reason = "only its reading is tested")]
        limit: Option<usize>,
    }

    #[test]
    fn what_is_wrong_in_a_query_is_named() {
        for (uri, field) in
            [("/?limit=x", "limit"), ("/?limit=-1", "limit"), ("/?colour=red", "query"), ("/?limit=1&limit=2", "query")]
        {
            let refusal = query::<Paging>(&uri.parse().expect("a URI")).expect_err(uri);
            assert!(
                refusal.field.as_deref() == Some(field) || refusal.message.contains("colour"),
                "{uri}: {refusal:?}"
            );
        }
        assert!(query::<Paging>(&"/?limit=5".parse().expect("a URI")).is_ok());
    }

    #[test]
    fn a_version_may_stand_in_quotes() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("if-match", HeaderValue::from_static(text));
            if_match(&headers).map_err(|refusal| refusal.field)
        };
        assert_eq!(read("\"7\""), Ok(Some(7)));
        assert_eq!(read("7"), Ok(Some(7)));
        assert_eq!(read("*"), Err(Some("If-Match".into())));
    }
}
