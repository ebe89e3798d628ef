//! The request that a gateway asks about, and what of it can be relied on: what its own parser and that of whoever gets the
//! request cannot read in two ways.

use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::limit::Limit;
use credence_wire::envoy::service::auth::v3::attribute_context::HttpRequest;

/// Longest body that is decided about, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// A body is longer.
pub(crate) static BODY: Limit =
    Limit::new("gateway_body", BODY_BYTES_MAX as u64, "bytes of a request's body at a gateway", "refused: limited");

/// Says whether the gateway passed on only a part of the body.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// Headers by which some services let a request be another one.
const OVERRIDING: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// One request.
pub(super) struct Message<'a>(pub(super) &'a HttpRequest);

pub(super) fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::Malformed, why)
}

/// The gateway is not configured as it has to be.
fn misconfigured(why: &str, hint: &str) -> Refusal {
    Refusal::new(Kind::Unavailable, format!("this request cannot be decided: {why}")).hint(hint)
}

impl<'a> Message<'a> {
    pub(super) fn method(&self) -> &'a str {
        &self.0.method
    }

    /// The path and the query as they came.
    pub(super) fn target(&self) -> (&'a str, Option<&'a str>) {
        let target = self.0.path.as_str();
        target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
    }

    /// The value of a header, whose name is in small letters. It may be there once.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let twice = || malformed(format!("the header {name} is there more than once"));
        let mut found = self.0.headers.get(name).map(String::as_str);
        let raw = self.0.header_map.iter().flat_map(|map| &map.headers);
        for header in raw.filter(|header| header.key.eq_ignore_ascii_case(name)) {
            let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
            let value = std::str::from_utf8(value).map_err(|_| malformed(format!("the header {name} is not UTF-8")))?;
            if found.replace(value).is_some() {
                return Err(twice());
            }
        }
        Ok(found)
    }

    /// Refuses what a service may take for another request than it is.
    pub(super) fn is_itself(&self) -> Result<(), Refusal> {
        for name in OVERRIDING {
            if self.header(name)?.is_some() {
                return Err(malformed(format!("the header {name} makes another request of this one")));
            }
        }
        Ok(())
    }

    /// Refuses a body where none is looked at.
    pub(super) fn has_no_body(&self) -> Result<(), Refusal> {
        let is_said = self.header("content-length")?.is_some_and(|length| length.trim() != "0");
        if is_said || !self.0.raw_body.is_empty() || !self.0.body.is_empty() {
            return Err(malformed("a request of this method has no body"));
        }
        Ok(())
    }

    /// Refuses every path but this one, with a query too.
    pub(super) fn is_at(&self, path: &str) -> Result<(), Refusal> {
        if self.0.path == path {
            return Ok(());
        }
        let shown: String = self.0.path.chars().take(80).collect();
        Err(Refusal::new(Kind::Denied, format!("nothing is served at {shown:?} here, only at {path}")))
    }

    /// The whole body, which has to be JSON that nobody has to unpack first.
    pub(super) fn json(&self) -> Result<&'a [u8], Refusal> {
        if !self.header("content-type")?.is_some_and(is_json) {
            return Err(malformed("the body has to be application/json in UTF-8").field("content-type"));
        }
        if self.header("content-encoding")?.is_some_and(|encoding| encoding != "identity") {
            return Err(malformed("a body that is compressed cannot be decided about").field("content-encoding"));
        }
        let too_long = || {
            BODY.hit();
            Refusal::new(Kind::Limited, format!("the body is longer than {BODY_BYTES_MAX} bytes"))
        };
        match self.header(PARTIAL)? {
            Some("false") => {}
            Some(_) => return Err(too_long()),
            None => return Err(misconfigured("the gateway does not pass on the body", "set with_request_body")),
        }
        if !self.0.body.is_empty() {
            // A text was made of it, and what was no text was changed.
            return Err(misconfigured("the gateway passes on the body as a text", "set pack_as_bytes: true"));
        }
        if self.0.raw_body.len() > BODY_BYTES_MAX {
            return Err(too_long());
        }
        Ok(&self.0.raw_body)
    }
}

/// RFC 8259 §8.1: JSON is in UTF-8. A charset beside it may only say so.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_utf8 = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) && parts.all(is_utf8)
}
