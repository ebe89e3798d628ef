//! What requests come to, as tables, and laws that hold for any of them.

use super::message::BODY_BYTES_MAX;
use super::rpc::BATCH_MAX;
use super::{Wanted, read};
use crate::fixture::hits;
use credence_model::refusal::Kind;
use credence_wire::envoy::config::core::v3::{HeaderMap, HeaderValue};
use credence_wire::envoy::service::auth::v3::AttributeContext;
use credence_wire::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

const MCP: &[(&str, &str)] = &[("mapping", "mcp"), ("server", "expenses")];
const A2A: &[(&str, &str)] = &[("mapping", "a2a"), ("agent", "finance/clerk")];
const HTTP: &[(&str, &str)] = &[("mapping", "http"), ("service", "reports"), ("action.GET", "read")];

fn map(pairs: &[(&str, &str)]) -> std::collections::HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn attributes(extensions: &[(&str, &str)], http: HttpRequest) -> AttributeContext {
    let request = Some(Request { http: Some(http) });
    AttributeContext { request, context_extensions: map(extensions), ..AttributeContext::default() }
}

fn plain(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    HttpRequest { method: method.into(), path: path.into(), headers: map(headers), ..HttpRequest::default() }
}

fn post(path: &str, body: &[u8]) -> HttpRequest {
    let headers = [("content-type", "application/json"), ("x-envoy-auth-partial-body", "false")];
    HttpRequest { raw_body: body.to_vec(), ..plain("POST", path, &headers) }
}

/// `ACTION KIND/ID CONTEXT`, or `-` for what could not be denied.
fn told(wanted: &Wanted) -> String {
    wanted
        .wish
        .as_ref()
        .map_or("-".to_owned(), |wish| format!("{} {}/{} {}", wish.action, wish.kind, wish.id, wish.context))
}

fn all(extensions: &[(&str, &str)], http: HttpRequest) -> Result<Vec<String>, Kind> {
    let wanted = read(&attributes(extensions, http)).map_err(|refusal| refusal.kind)?;
    Ok(wanted.iter().map(told).collect())
}

fn mcp(body: &Value) -> Result<Vec<String>, Kind> {
    all(MCP, post("/mcp", body.to_string().as_bytes()))
}

fn call(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[test]
fn a_call_of_a_tool_is_a_question_with_its_arguments() {
    let submit = call("tools/call", json!({ "name": "submit", "arguments": { "amount": 300 }, "_meta": {} }));
    assert_eq!(mcp(&submit), Ok(vec![r#"call tool/expenses/submit {"amount":300}"#.into()]));
    assert_eq!(mcp(&call("tools/call", json!({ "name": "a/b" }))), Ok(vec!["call tool/expenses/a/b null".into()]));
}

#[test]
fn names_of_tools_are_compared_byte_for_byte_and_what_is_no_name_is_refused() {
    let named = |name: &str| mcp(&call("tools/call", json!({ "name": name })));
    // Another tool, which nobody was permitted.
    assert_eq!(named("Submit"), Ok(vec!["call tool/expenses/Submit null".into()]));
    for name in [
        "s\u{443}bmit",
        "ｓubmit",
        "sub\u{200b}mit",
        "submit ",
        " submit",
        "sub\nmit",
        "submit\0",
        "../submit",
        "a//b",
        "a/./b",
        "*",
        "%73ubmit",
        "",
    ] {
        assert_eq!(named(name), Err(Kind::Malformed), "{name:?}");
    }
}

#[test]
fn what_does_nothing_needs_only_an_actor_and_any_other_method_is_asked_for() {
    for method in ["initialize", "server/discover", "ping", "tools/list"] {
        assert_eq!(mcp(&call(method, json!({}))), Ok(vec!["-".into()]), "{method}");
    }
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(mcp(&told), Ok(vec!["-".into()]));
    let asked = mcp(&call("notifications/initialized", json!({})));
    assert_eq!(asked, Ok(vec!["call mcp/expenses/notifications/initialized {}".into()]), "it wants an answer");
    let posting = [("accept", "text/event-stream"), ("x-http-method-override", "POST")];
    assert_eq!(all(MCP, plain("GET", "/mcp", &posting)), Err(Kind::Malformed));
    let with_body = [("accept", "text/event-stream"), ("content-length", "9")];
    assert_eq!(all(MCP, plain("GET", "/mcp", &with_body)), Err(Kind::Malformed));
    for (method, id) in
        [("resources/read", "resources/read"), ("Tools/Call", "Tools/Call"), ("tools/list/x", "tools/list/x")]
    {
        assert_eq!(
            mcp(&call(method, json!({ "uri": "x" }))),
            Ok(vec![format!(r#"call mcp/expenses/{id} {{"uri":"x"}}"#)])
        );
    }
    for method in ["", "tools//call", "tools/call ", "../x"] {
        assert_eq!(mcp(&call(method, json!({}))), Err(Kind::Malformed), "{method:?}");
    }
    let answer = json!({ "jsonrpc": "2.0", "id": 7, "result": { "action": "accept" } });
    assert_eq!(mcp(&answer), Ok(vec!["call mcp/expenses/response null".into()]));
    let stream = |accept: &str| all(MCP, plain("GET", "/mcp", &[("accept", accept)]));
    assert_eq!(stream("text/event-stream"), Ok(vec!["-".into()]));
    assert_eq!(stream("text/html"), Err(Kind::Malformed));
    assert_eq!(all(MCP, plain("DELETE", "/mcp", &[])), Ok(vec!["-".into()]));
    assert_eq!(all(MCP, plain("PUT", "/mcp", &[])), Err(Kind::Malformed));
    for path in ["/mcp/", "/mcp?x", "/MCP", "/admin", "/mcp/../admin", ""] {
        assert_eq!(all(MCP, plain("DELETE", path, &[])), Err(Kind::Denied), "{path}");
    }
}

#[test]
fn each_call_of_a_batch_is_a_question() {
    let both = json!([
        call("tools/call", json!({ "name": "list" })),
        { "jsonrpc": "2.0", "id": "b", "method": "tools/call", "params": { "name": "submit", "arguments": {} } },
        { "jsonrpc": "2.0", "method": "notifications/cancelled" },
    ]);
    let wanted = read(&attributes(MCP, post("/mcp", both.to_string().as_bytes()))).expect("a batch");
    let told: Vec<_> = wanted.iter().map(told).collect();
    assert_eq!(told, ["call tool/expenses/list null", "call tool/expenses/submit {}", "-"]);
    assert_eq!(
        wanted.iter().map(|wanted| wanted.id.clone()).collect::<Vec<_>>(),
        [Some(json!(1)), Some(json!("b")), None]
    );
    assert!(wanted.iter().all(|wanted| wanted.is_in_batch));
    let many = |count: usize| mcp(&Value::Array(vec![call("ping", json!({})); count]));
    assert_eq!(many(BATCH_MAX).map(|all| all.len()), Ok(BATCH_MAX));
    let before = hits("gateway_batch");
    assert_eq!(many(BATCH_MAX + 1), Err(Kind::Limited));
    assert!(hits("gateway_batch") > before);
    assert_eq!(many(0), Err(Kind::Malformed));
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"submit"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"submit"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","name":"submit"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","Name":"submit"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"submit","name":"list"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list","Arguments":{"a":1}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":{"amount":1,"Amount":600}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":{"k":1,"\u212a":600}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":{"x":[{"s":1,"\u017f":2}]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["submit"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"submit","arguments":[1]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1,"error":1}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
        r#"[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        "",
        "ping",
    ] {
        assert_eq!(all(MCP, post("/mcp", body.as_bytes())), Err(Kind::Malformed), "{body}");
    }
    let not_text = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"a\":\"\xff\"}}";
    assert_eq!(all(MCP, post("/mcp", not_text)), Err(Kind::Malformed));
}

#[test]
fn headers_that_say_what_a_call_is_have_to_agree_with_it() {
    let with = |headers: &[(&str, &str)]| {
        let mut http = post("/mcp", call("tools/call", json!({ "name": "list" })).to_string().as_bytes());
        http.headers.extend(map(headers));
        all(MCP, http)
    };
    assert!(with(&[("mcp-method", "tools/call"), ("mcp-name", "list")]).is_ok());
    assert_eq!(with(&[("mcp-method", "tools/list")]), Err(Kind::Malformed));
    assert_eq!(with(&[("mcp-name", "submit")]), Err(Kind::Malformed));
}

#[test]
fn a_body_is_whole_and_short_and_plain_json() {
    let body = call("ping", json!({})).to_string();
    let with = |name: &str, value: &str| {
        let mut http = post("/mcp", body.as_bytes());
        http.headers.insert(name.into(), value.into());
        all(MCP, http)
    };
    for good in ["application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\"", "application/json"] {
        assert!(with("content-type", good).is_ok(), "{good}");
    }
    for bad in ["text/json", "application/json; charset=utf-16", "application/json,text/plain", "application/jsonp", ""]
    {
        assert_eq!(with("content-type", bad), Err(Kind::Malformed), "{bad}");
    }
    assert_eq!(with("content-encoding", "gzip"), Err(Kind::Malformed));
    assert!(with("content-encoding", "identity").is_ok());
    assert_eq!(with("x-envoy-auth-partial-body", "true"), Err(Kind::Limited));
    let mut unsaid = post("/mcp", body.as_bytes());
    unsaid.headers.remove("x-envoy-auth-partial-body");
    assert_eq!(all(MCP, unsaid), Err(Kind::Unavailable), "the gateway is not configured to pass on bodies");
    let text = HttpRequest { body: body.clone(), raw_body: Vec::new(), ..post("/mcp", b"") };
    assert_eq!(all(MCP, text), Err(Kind::Unavailable), "a text may have been changed");
    let long = |count: usize| all(MCP, post("/mcp", format!("{body}{}", " ".repeat(count - body.len())).as_bytes()));
    assert!(long(BODY_BYTES_MAX).is_ok());
    let before = hits("gateway_body");
    assert_eq!(long(BODY_BYTES_MAX + 1), Err(Kind::Limited));
    assert!(hits("gateway_body") > before);
}

#[test]
fn headers_as_they_came_are_read_alike_and_not_twice() {
    let header =
        |key: &str, value: &str| HeaderValue { key: key.into(), raw_value: value.into(), ..HeaderValue::default() };
    let with = |more: &[(&str, &str)]| {
        let mut headers =
            vec![header("Content-Type", "application/json"), header("x-envoy-auth-partial-body", "false")];
        headers.extend(more.iter().map(|(key, value)| header(key, value)));
        let http = HttpRequest {
            header_map: Some(HeaderMap { headers }),
            headers: map(&[]),
            ..post("/mcp", call("ping", json!({})).to_string().as_bytes())
        };
        all(MCP, http)
    };
    assert_eq!(with(&[]), Ok(vec!["-".into()]));
    assert_eq!(with(&[("CONTENT-TYPE", "application/json")]), Err(Kind::Malformed));
}

#[test]
fn a_call_to_an_agent_is_a_question_about_its_class() {
    let send = all(A2A, post("/", call("message/send", json!({ "message": {} })).to_string().as_bytes()));
    assert_eq!(send, Ok(vec![r#"call agent/finance/clerk {"method":"message/send"}"#.into()]));
    assert_eq!(all(A2A, plain("GET", "/.well-known/agent-card.json", &[])), Ok(vec!["-".into()]));
    assert_eq!(all(A2A, plain("GET", "/", &[])), Err(Kind::Denied));
    assert_eq!(all(A2A, post("/other", b"{}")), Err(Kind::Denied));
    assert_eq!(all(A2A, plain("DELETE", "/", &[])), Err(Kind::Malformed));
}

#[test]
fn a_request_of_http_is_its_method_on_its_path() {
    for (method, path, expected) in [
        ("GET", "/", "read http/reports null"),
        ("GET", "/2026/q3", "read http/reports/2026/q3 null"),
        ("DELETE", "/2026", "delete http/reports/2026 null"),
        ("GET", "/a?team=finance&q=a+b%20c", r#"read http/reports/a {"query":{"team":"finance","q":"a b c"}}"#),
        ("GET", "/a?", r#"read http/reports/a {"query":{}}"#),
        ("GET", "/a?flag", r#"read http/reports/a {"query":{"flag":""}}"#),
    ] {
        assert_eq!(all(HTTP, plain(method, path, &[])), Ok(vec![expected.into()]), "{method} {path}");
    }
    let kinds = [("mapping", "http"), ("service", "reports"), ("kind", "api")];
    assert_eq!(all(&kinds, plain("PATCH", "/x", &[])), Ok(vec!["patch api/reports/x null".into()]));
}

#[test]
fn a_path_or_query_that_could_be_read_in_two_ways_is_refused() {
    for path in [
        "",
        "reports",
        "*",
        "//a",
        "/a//b",
        "/a/",
        "/./a",
        "/a/..",
        "/a/../b",
        "/a%2fb",
        "/a%2Fb",
        "/%2e%2e/a",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a\0",
        "/a\nb",
        "/a b",
        "/a;b",
        "/a#b",
        "/é",
        "/а",
        "http://x/a",
        "/a?b=1&b=2",
        "/a?b=1&B=2",
        "/a?b=1;b=2",
        "/a?b=%",
        "/a?b=%4",
        "/a?b=%zz",
        "/a?b=%ff",
        "/a?b=%00",
        "/a?b=%0a",
        "/a?=1",
        "/a?b[x]=1",
        "/a?b=1&&c=2",
        "/a?b=1#c",
        "/a?b%3d=1",
    ] {
        assert_eq!(all(HTTP, plain("GET", path, &[])), Err(Kind::Malformed), "{path:?}");
    }
    for method in ["get", "GeT", "", "M-SEARCH", "GET /"] {
        assert_eq!(all(HTTP, plain(method, "/a", &[])), Err(Kind::Malformed), "{method:?}");
    }
    for header in ["x-http-method-override", "x-original-url", "x-rewrite-url"] {
        assert_eq!(all(HTTP, plain("GET", "/a", &[(header, "DELETE")])), Err(Kind::Malformed), "{header}");
    }
}

#[test]
fn a_route_that_says_anything_wrong_lets_nothing_pass() {
    for wrong in [
        &[][..],
        &[("mapping", "MCP"), ("server", "expenses")],
        &[("mapping", "mcp")],
        &[("mapping", "mcp"), ("server", "")],
        &[("mapping", "mcp"), ("server", "a/b")],
        &[("mapping", "mcp"), ("server", "*")],
        &[("mapping", "mcp"), ("server", "a"), ("path", "mcp")],
        &[("mapping", "mcp"), ("server", "a"), ("service", "b")],
        &[("mapping", "mcp"), ("server", "a"), ("step-up", "yes")],
        &[("mapping", "mcp"), ("server", "a"), ("step_up", "upstream")],
        &[("mapping", "a2a"), ("agent", "clerk")],
        &[("mapping", "http")],
        &[("mapping", "http"), ("service", "a"), ("kind", "A")],
        &[("mapping", "http"), ("service", "a"), ("action.get", "read")],
        &[("mapping", "http"), ("service", "a"), ("action.GET", "Read")],
        &[("mapping", "http"), ("service", "a"), ("action", "read")],
    ] {
        assert_eq!(all(wrong, plain("GET", "/a", &[])), Err(Kind::Unavailable), "{wrong:?}");
    }
}

proptest! {
    /// Whatever passes as a path is in the resource as it came.
    #[test]
    fn a_path_is_never_changed(path in "(/[a-zA-Z0-9._~:@+%-]{0,6}){1,6}") {
        match all(HTTP, plain("GET", &path, &[])) {
            Ok(said) => prop_assert_eq!(said, vec![format!("read http/reports{} null", path.strip_suffix('/').filter(|rest| rest.is_empty()).unwrap_or(&path))]),
            Err(kind) => prop_assert_eq!(kind, Kind::Malformed),
        }
    }

    /// Whatever JSON is sent, there is a question for each message or a refusal; and no call is harmless that is none of the few.
    #[test]
    fn every_message_is_asked_about(method in "[a-zA-Z/]{0,16}", name in "\\PC{0,8}", count in 1_usize..5) {
        let body = Value::Array(vec![call(&method, json!({ "name": name })); count]);
        if let Ok(said) = mcp(&body) {
            prop_assert_eq!(said.len(), count);
            let is_harmless = super::mcp::HARMLESS.contains(&method.as_str()) || method.starts_with("notifications/");
            prop_assert_eq!(said.iter().all(|said| said == "-"), is_harmless);
        }
    }
}
