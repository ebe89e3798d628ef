//! A real Envoy as an actor, in front of a real MCP server and a real A2A agent, asked by real clients of both that are actors: what
//! passes, what does not, and who is believed to be whom.

use crate::harness::{Cli, Dev, House, Process, arg, python, python_script, text};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is written for users, unchanged.
const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/envoy/run.sh");

/// The class of those who call, of the gateway, and of a gateway whose certificate changes every five seconds.
const CUSTOMER: &str = "customer";
const GATEWAY: &str = "gateway";
const CLASSES: &str = "apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: default, name: customer}
spec:
  owner: tests@example.org
  runtime: {command: [/bin/sh, -c, 'exec sleep 1000'], stopGraceSecs: 1}
  permissions:
    allow:
      - tool expenses/list
      - tool expenses/headers
      - tool expenses/submit when amount <= 500 EUR
      - tool expenses/delete with step-up, budget 1 calls per life
      - tool expenses/approve with budget 2 calls per life
      - agent default/clerk when method = SendMessage
      - read http/files/reports/2026/* when query.team = red
---
apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: default, name: gateway}
spec:
  owner: tests@example.org
  runtime: {command: [/bin/sh, -c, 'exec sleep 1000'], stopGraceSecs: 1}
  permissions: {allow: [decide agent/default/customer]}
---
apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: default, name: brief-gateway}
spec:
  owner: tests@example.org
  runtime: {command: [/bin/sh, -c, 'exec sleep 1000'], stopGraceSecs: 1}
  credentials: {x509TtlSecs: 10}
  permissions: {allow: [decide agent/default/customer]}
";

const MCP_SERVER: &str = "mcp_server.py";

/// Leases are so long that none ends in a test, and with it the binding.
const LASTING: &str = "lease_ms = 60000\nheartbeat_ms = 1000";
/// Longer than a node may decide without its server, and shorter than its lease.
const DECIDES_FOR_MAX: Duration = Duration::from_secs(30);

/// A gateway and what is behind it.
struct Gateway {
    url: String,
    spiffe_id: String,
    // Fields are dropped in this order: Envoy before what it asks.
    _envoy: Process,
    _server: Process,
}

impl Gateway {
    fn start(cli: &Cli) -> Self {
        Self::start_as(cli, GATEWAY, "ROOTCA", MCP_SERVER)
    }

    /// One of a class, with the bundle under this name, before this server.
    fn start_as(cli: &Cli, class: &str, bundle: &str, server: &str) -> Self {
        let mut command = Command::new(python());
        command.arg(python_script(server));
        let mut server = Process::start(server, command, &cli.home);
        let port = server.object()["port"].as_u64().expect("a port");
        let (dir, envoy) = (cli.home.join("envoy"), Path::new(&python()).with_file_name("envoy"));
        std::fs::create_dir(&dir).expect("a directory");
        let set = [
            format!("DIR={}", arg(&dir)),
            format!("ENVOY={}", arg(&envoy)),
            format!("SERVER_PORT={port}"),
            "PORT=0".to_owned(),
            format!("BUNDLE={bundle}"),
        ];
        let program: Vec<_> =
            ["/usr/bin/env"].into_iter().chain(set.iter().map(String::as_str)).chain(["/bin/sh", RUN]).collect();
        let mut envoy = cli.actor(class, Some("gateway"), &program);
        while !envoy.line().contains("starting workers") {}
        let url = format!("https://127.0.0.1:{}", port_of(&dir.join("admin.sock")));
        let trust_domain = if cli.server.is_some() { "test.internal" } else { "dev.internal" };
        let spiffe_id = format!("spiffe://{trust_domain}/ns/default/agent/{class}/actor/gateway");
        Self { url, spiffe_id, _envoy: envoy, _server: server }
    }

    fn customer(&self, cli: &Cli, actor: &str) -> Client {
        self.client(cli, actor, "mcp_client.py", "/mcp")
    }

    /// A customer with this client, which is told of this path.
    fn client(&self, cli: &Cli, actor: &str, client: &str, path: &str) -> Client {
        let url = format!("{}{path}", self.url);
        Client::open(cli.actor(CUSTOMER, Some(actor), &[&python(), &python_script(client), &url]))
    }

    /// Somebody who has the files of another one, and is no actor.
    fn copy(&self, cli: &Cli, of: &Client) -> Client {
        let mut command = Command::new(python());
        command.arg(python_script("mcp_client.py")).arg(format!("{}/mcp", self.url)).arg(&of.files);
        Client::open(Process::start("a copy", command, &cli.home))
    }
}

/// Where Envoy listens.
fn port_of(admin: &Path) -> u64 {
    let mut stream = UnixStream::connect(admin).expect("Envoy's own socket");
    stream
        .write_all(b"GET /listeners?format=json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("it listens");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    // There is one listener, and the answer comes in parts.
    let (_, port) = said.split_once("\"port_value\": ").unwrap_or_else(|| panic!("no port in {said}"));
    port.split(|c: char| !c.is_ascii_digit()).next().and_then(|port| port.parse().ok()).expect("a port")
}

/// A client with an open connection.
struct Client {
    process: Process,
    opened: Value,
    spiffe_id: String,
    files: PathBuf,
}

impl Client {
    fn open(mut process: Process) -> Self {
        let opened = process.object();
        let (spiffe_id, files) = (text(&opened, "opened").to_owned(), PathBuf::from(text(&opened, "files")));
        Self { process, opened, spiffe_id, files }
    }

    fn ask(&mut self, what: Value) -> Value {
        self.process.feed(&format!("{what}\n"));
        self.process.object()
    }

    /// A call with the SDK, over the open connection.
    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask(json!({ "call": tool, "arguments": arguments }))
    }

    fn submit(&mut self, amount: u32, currency: &str) -> Value {
        self.call("submit", json!({ "amount": amount, "currency": currency }))
    }

    /// A request as it is, over a connection of its own, with its certificate.
    fn post(&mut self, body: &Value, headers: Value) -> Value {
        self.post_with(body, Some("client.pem"), headers)
    }

    /// The same with the certificate of another file, or without any.
    fn post_with(&mut self, body: &Value, certificate: Option<&str>, headers: Value) -> Value {
        self.ask(json!({ "post": body.to_string(), "with": certificate, "headers": headers }))
    }

    /// Headers with a JWT-SVID.
    fn token_for(&mut self, audience: &str) -> Value {
        let fetched = self.ask(json!({ "audience": audience }));
        json!({ "authorization": format!("Bearer {}", text(&fetched, "token")) })
    }
}

fn a_call(id: u32, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

/// The entry of a decision, once it is in the log.
fn recorded(dev: &Dev, decision: &str) -> String {
    dev.cli.log().find("that decision", |entry| entry.to_string().contains(decision)).to_string()
}

fn a_dev() -> Dev {
    let dev = Dev::start();
    declare(&dev.cli);
    dev
}

fn declare(cli: &Cli) {
    cli.fed(&["apply", "-f", "-"], CLASSES);
    for class in ["default/customer", "default/gateway", "default/brief-gateway"] {
        cli.done(&["class", "consent", class]);
    }
}

#[test]
fn calls_within_the_limits_pass_and_those_beyond_are_denied_with_what_is_missing() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let mut client = gateway.customer(&dev.cli, "clerk");
    assert_eq!(client.opened["tools"], json!(["submit", "list", "headers", "delete"]), "{}", client.opened);
    assert_eq!(client.submit(300, "EUR")["text"], "submitted 300 EUR");
    let denied = client.submit(600, "EUR");
    let error = &denied["error"];
    assert_eq!(error["code"], -32001, "{denied}");
    assert!(text(error, "message").starts_with("denied: "), "{denied}");
    assert_eq!(error["data"]["missing"], "tool expenses/submit when amount <= 600 EUR", "{denied}");
    assert!(error["data"]["who"].is_string(), "{denied}");
    assert_eq!(client.submit(300, "USD")["error"]["code"], -32001);
    // A name that only looks like it.
    assert_eq!(client.call("Submit", json!({ "amount": 1, "currency": "EUR" }))["error"]["code"], -32001);
    // Nobody here can let a person confirm: it is not done, and so not used up.
    for _ in 0..2 {
        let person = client.call("delete", json!({}));
        assert!(text(&person["error"], "message").contains("a person has to confirm"), "{person}");
    }
    assert_eq!(client.submit(500, "EUR")["text"], "submitted 500 EUR", "the connection goes on");
    // A denial is recorded under the id that was told.
    let recorded = recorded(&dev, text(&error["data"], "decision"));
    assert!(recorded.contains("default/clerk") && recorded.contains("tool/expenses/submit"), "{recorded}");
}

#[test]
fn a_batch_passes_only_as_a_whole() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let mut client = gateway.customer(&dev.cli, "clerk");
    let list = a_call(1, "list", &json!({}));
    let mixed = json!([list, a_call(2, "submit", &json!({ "amount": 600, "currency": "EUR" }))]);
    let answer = client.post(&mixed, json!({}));
    assert_eq!(answer["status"], 403, "{answer}");
    let errors = answer["body"].as_array().expect("one for each");
    assert_eq!(errors.len(), 2, "{answer}");
    assert_eq!((&errors[0]["id"], &errors[0]["error"]["code"]), (&json!(1), &json!(-32001)));
    assert!(text(&errors[0]["error"], "message").starts_with("not done: "), "{answer}");
    assert!(text(&errors[1]["error"], "message").starts_with("denied: "), "{answer}");
    // The server of this SDK takes no batches, which it says itself: this one has reached it.
    let has_passed =
        |answer: &Value| (&answer["status"], &answer["body"]["error"]["code"]) == (&json!(400), &json!(-32602));
    let allowed = client.post(&json!([list, a_call(2, "list", &json!({}))]), json!({}));
    assert!(has_passed(&allowed), "{allowed}");
    // Of what is counted, what is left has to be enough for all of it, and nothing is taken if it is not.
    let approve = |id| a_call(id, "approve", &json!({}));
    let with_denied = json!([approve(1), a_call(2, "submit", &json!({ "amount": 600, "currency": "EUR" }))]);
    assert_eq!(client.post(&with_denied, json!({}))["status"], 403);
    let three = client.post(&json!([approve(1), approve(2), approve(3)]), json!({}));
    let messages: Vec<_> = three["body"].as_array().expect("one for each").iter().map(|of| &of["error"]).collect();
    let is_third = |(nth, error): (usize, &&Value)| text(error, "message").starts_with("denied: 2 of 2 ") == (nth == 2);
    assert!(messages.iter().enumerate().all(is_third), "{three}");
    let two = client.post(&json!([approve(1), approve(2)]), json!({}));
    assert!(has_passed(&two), "{two}");
    assert_eq!(client.post(&approve(1), json!({}))["status"], 403);
}

#[test]
fn an_agent_is_called_and_a_plain_service_read_as_far_as_the_class_says() {
    let dev = a_dev();
    let gateway = Gateway::start_as(&dev.cli, GATEWAY, "ROOTCA", "a2a_agent.py");
    let mut client = gateway.client(&dev.cli, "caller", "a2a_client.py", "");
    assert_eq!(client.opened["card"], "clerk", "an actor reads the card");
    assert_eq!(client.ask(json!({ "send": "pay" }))["text"], json!(["done: pay"]));
    // A method of the agent that the class does not name.
    let denied = client.ask(json!({ "get": "t1" }));
    let error = &denied["body"]["error"];
    assert_eq!((&denied["status"], &error["code"]), (&json!(403), &json!(-32001)), "{denied}");
    assert_eq!(error["data"]["missing"], "agent default/clerk when method = GetTask", "{denied}");
    for (method, path, status, said) in [
        ("GET", "/reports/2026/q3?team=red", 200, "GET /reports/2026/q3"),
        ("GET", "/reports/2026/q3?team=blue", 403, ""),
        ("GET", "/reports/2026/q3?team=red&team=blue", 403, ""),
        ("GET", "/reports/2026/q3", 403, ""),
        ("GET", "/reports/2025/q3?team=red", 403, ""),
        ("DELETE", "/reports/2026/q3?team=red", 403, ""),
        // Nothing is decided on what Envoy and the service could read in two ways.
        ("GET", "/reports/2025/../2026/q3?team=red", 200, "GET /reports/2026/q3"),
        ("GET", "/reports/2026%2Fq3?team=red", 400, ""),
        ("GET", "/other", 404, ""),
    ] {
        let answer = client.ask(json!({ "method": method, "path": path }));
        assert_eq!(answer["status"], status, "{method} {path}: {answer}");
        let is_told = if status == 200 { answer["body"] == said } else { !answer.to_string().contains("GET /reports") };
        assert!(is_told, "{method} {path}: {answer}");
    }
    let denied = client.ask(json!({ "method": "DELETE", "path": "/reports/2026/q3" }));
    let error = &denied["body"]["error"];
    assert_eq!((&error["kind"], &error["missing"]), (&json!("denied"), &json!("delete http/files/reports/2026/q3")));
    assert!(recorded(&dev, text(error, "decision")).contains("default/caller"), "{denied}");
}

#[test]
fn nobody_is_who_a_header_says() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let mut other = gateway.customer(&dev.cli, "other");
    let mut client = gateway.customer(&dev.cli, "clerk");
    let list = a_call(1, "list", &json!({}));
    let claims = json!({
        "x-forwarded-client-cert": format!("By={};URI={}", gateway.spiffe_id, other.spiffe_id),
        "x-spiffe-id": other.spiffe_id,
        "x-envoy-external-address": "127.0.0.1",
        "credence-actor": other.spiffe_id,
    });
    let nobody = client.post_with(&list, None, claims.clone());
    assert_eq!(
        (&nobody["status"], &nobody["body"]["error"]["data"]["kind"]),
        (&json!(401), &json!("unauthenticated")),
        "{nobody}"
    );
    // Denied as who it is, and not as who it says.
    let beyond = a_call(1, "submit", &json!({ "amount": 600, "currency": "EUR" }));
    let denied = client.post(&beyond, claims);
    let recorded = recorded(&dev, text(&denied["body"]["error"]["data"], "decision"));
    assert!(recorded.contains("default/clerk") && !recorded.contains("default/other"), "{recorded}");
    // Nobody but us says what was decided.
    let forged = json!({ "credence-decision": "mine", "credence-obligations": "none" });
    let seen = client.post(&a_call(1, "headers", &json!({})), forged);
    let seen: Value = serde_json::from_str(text(&seen["body"]["result"]["content"][0], "text")).expect("headers");
    let names: Vec<_> = seen.as_array().expect("pairs").iter().map(|pair| pair[0].clone()).collect();
    assert_eq!(names, ["credence-decision"], "{seen}");
    assert_ne!(seen[0][1], "mine");

    // A token says it, if it is for this gateway, and goes no further.
    let token = client.token_for(&gateway.spiffe_id);
    let seen = client.post_with(&a_call(1, "headers", &json!({})), None, token.clone());
    assert_eq!(seen["status"], 200, "{seen}");
    assert!(!text(&seen["body"]["result"]["content"][0], "text").contains("authorization"), "{seen}");
    assert_eq!(client.post(&list, token.clone())["status"], 200, "both say the same");
    assert_eq!(other.post(&list, token)["status"], 401, "they say different things");
    let elsewhere = client.token_for("somebody else");
    assert_eq!(client.post_with(&list, None, elsewhere)["status"], 401);
    let foreign = client.post(&list, json!({ "authorization": "Bearer of-another-kind" }));
    assert_eq!(foreign["status"], 200, "what somebody else made is for who is behind the gateway: {foreign}");
}

#[test]
fn a_certificate_of_another_authority_ends_the_handshake() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let mut client = gateway.customer(&dev.cli, "clerk");
    let foreign = dev.cli.home.join("foreign.pem");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/",
        ])
        .args(["-addext", &format!("subjectAltName=critical,URI:{}", client.spiffe_id)])
        .args(["-keyout", arg(&foreign), "-out", arg(&dev.cli.home.join("foreign.crt"))])
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let chain = std::fs::read_to_string(dev.cli.home.join("foreign.crt")).expect("a certificate");
    let key = std::fs::read_to_string(&foreign).expect("a key");
    std::fs::write(&foreign, chain + &key).expect("a file");
    let answer = client.post_with(&a_call(1, "list", &json!({})), Some(arg(&foreign)), json!({}));
    assert!(answer["failed"].is_string(), "{answer}");
}

#[test]
fn a_certificate_whose_binding_is_over_is_refused_at_the_next_call_of_a_connection_that_is_still_open() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let client = gateway.customer(&dev.cli, "clerk");
    let mut copy = gateway.copy(&dev.cli, &client);
    assert_eq!(copy.submit(1, "EUR")["text"], "submitted 1 EUR");
    dev.cli.done(&["actor", "suspend", "clerk"]);
    let refused = copy.submit(1, "EUR");
    assert_eq!(refused["error"]["code"], -32001, "{refused}");
    // Somewhere else, under another epoch, it goes on; the copy does not.
    drop(client);
    let mut again = gateway.customer(&dev.cli, "clerk");
    assert_eq!(again.submit(1, "EUR")["text"], "submitted 1 EUR");
    assert_eq!(copy.submit(1, "EUR")["error"]["code"], -32001);
    let harmless = copy.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }), json!({}));
    assert_eq!(harmless["body"]["error"]["code"], -32001, "{harmless}");
    dev.cli.done(&["actor", "terminate", "clerk"]);
    assert_eq!(copy.submit(1, "EUR")["error"]["code"], -32001);
}

#[test]
fn nothing_passes_while_nobody_can_be_asked() {
    let dev = a_dev();
    let gateway = Gateway::start(&dev.cli);
    let mut client = gateway.customer(&dev.cli, "clerk");
    dev.process.signal(Signal::STOP);
    let unanswered = client.post(&a_call(1, "list", &json!({})), json!({}));
    dev.process.signal(Signal::CONT);
    assert_eq!(unanswered["status"], 503, "{unanswered}");
    assert_eq!(client.submit(1, "EUR")["text"], "submitted 1 EUR");
}

#[test]
fn a_node_without_its_server_decides_for_as_long_as_it_may_and_then_lets_nothing_pass() {
    let mut house = House::start(LASTING);
    declare(&house.cli);
    let node = house.node("alpha", 1);
    let cli = house.cli.on(&node);
    let gateway = Gateway::start(&cli);
    let mut client = gateway.customer(&cli, "clerk");
    assert_eq!(client.submit(1, "EUR")["text"], "submitted 1 EUR");
    house.kill_server();
    let begun = Instant::now();
    let mut answer = client.submit(1, "EUR");
    while answer.get("text").is_some() {
        assert!(begun.elapsed() < DECIDES_FOR_MAX, "it still lets pass what it cannot know");
        answer = client.submit(1, "EUR");
    }
    assert_eq!(answer["error"]["code"], -32603, "{answer}");
}

#[test]
fn a_rotation_reaches_the_proxy_and_no_handshake_fails() {
    let dev = a_dev();
    let gateway = Gateway::start_as(&dev.cli, "brief-gateway", "ALL", MCP_SERVER);
    let mut client = gateway.customer(&dev.cli, "clerk");
    let seen = client.ask(json!({ "rotations": 2 }));
    assert_eq!(seen["shown"], 3, "{seen}");
    assert_eq!(client.submit(1, "EUR")["text"], "submitted 1 EUR", "over the connection that was opened before");
}
