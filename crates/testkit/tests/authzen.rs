//! The certification scenario of the OpenID AuthZEN working group (Authorization API 1.0, `certification/` in its repository):
//! its fixture as two actors of a class, and its requests as they are published.
//!
//! The scenario's subjects are of the type `user`. The server is configured to take those for the actors of a namespace; nothing
//! in a request or an answer is translated.

use crate::harness::House;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// Subjects of the type `user` are the actors of this namespace.
const SUBJECT_TYPES: &str = "[authzen.subject_types]\nuser = 'people'\n";

/// The fixture's policy. What is said of record-1 without its status counts as not archived; that record-2 is archived is known
/// only to whoever asks, but that administrators write it is known here.
const CLASS: &str = r#"
apiVersion: credence.dev/v1alpha1
kind: Class
metadata: {namespace: people, name: person}
spec:
  owner: tests@example.org
  permissions:
    allow:
      - read record/record-1
      - read record/record-2
      - delete record/* when action.soft = true and label role = member
      - write record/** when subject.role = admin and resource.status = archived
      - write record/record-2 when label role = admin
    cedar: |
      @id("members write what is not archived")
      permit (principal, action == Action::"write", resource == Resource::"record/record-1")
      when {
        principal.hasTag("role") && principal.getTag("role") == "member"
        && !(resource.hasTag("status") && resource.getTag("status") == "archived")
      };
"#;

fn house() -> House {
    let house = House::start(SUBJECT_TYPES);
    house.cli.fed(&["apply", "-f", "-"], CLASS);
    house.cli.done(&["class", "consent", "people/person"]);
    for (id, role) in [("alice", "role=member"), ("bob", "role=admin")] {
        house.cli.done(&["actor", "create", "--class", "people/person", id, "--label", role]);
    }
    house
}

/// The status, the head and the body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl House {
    /// One request as it is, on a connection of its own.
    fn said(&self, line: &str, headers: &str, body: &str) -> Answer {
        let socket = self.cli.server.as_deref().and_then(|server| server.strip_prefix("unix:"));
        let mut stream = UnixStream::connect(socket.expect("an admin socket")).expect("the server listens");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: pdp.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        Answer::read(&answer)
    }

    fn asked(&self, path: &str, body: &Value) -> Answer {
        self.said(&format!("POST /access/v1/{path}"), "Content-Type: application/json\r\n", &body.to_string())
    }

    /// A request that is answered; the answer.
    #[track_caller]
    fn answers(&self, path: &str, body: &Value) -> Value {
        let Answer { status, head, body: answer } = self.asked(path, body);
        assert_eq!(status, 200, "{body}: {answer}");
        assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
        answer
    }

    /// A request that is no question.
    #[track_caller]
    fn refuses(&self, path: &str, body: &Value) {
        let answer = self.asked(path, body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
    }

    fn decides(&self, subject: &Value, action: &Value, resource: &Value) -> bool {
        let answer = self.answers("evaluation", &question(subject, action, resource));
        answer["decision"].as_bool().expect("a decision")
    }

    /// What a search finds: ids of the type, or names of actions.
    #[track_caller]
    fn finds(&self, what: &str, body: &Value) -> Vec<String> {
        let answer = self.answers(&format!("search/{what}"), body);
        let results = answer["results"].as_array().expect("results");
        let name = |one: &Value| match what {
            "action" => one["name"].as_str().expect("a name").to_owned(),
            _ => {
                assert_eq!(one["type"], body[what]["type"]);
                one["id"].as_str().expect("an id").to_owned()
            }
        };
        results.iter().map(name).collect()
    }
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_owned(), body: serde_json::from_str(body).expect("JSON") }
    }
}

fn question(subject: &Value, action: &Value, resource: &Value) -> Value {
    json!({ "subject": subject, "action": action, "resource": resource })
}

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn admin() -> Value {
    json!({ "type": "user", "id": "bob", "properties": { "role": "admin" } })
}

fn action(name: &str) -> Value {
    json!({ "name": name })
}

fn delete(soft: bool) -> Value {
    json!({ "name": "delete", "properties": { "soft": soft } })
}

fn record(id: &str) -> Value {
    json!({ "type": "record", "id": id })
}

fn with_status(id: &str, status: &str) -> Value {
    json!({ "type": "record", "id": id, "properties": { "status": status } })
}

/// The moment and address that the scenario sends along.
fn context() -> Value {
    json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" })
}

fn basic(house: &House) {
    for (rule, (subject, action, resource), expected) in [
        (1, (user("alice"), action("read"), record("record-1")), true),
        (2, (user("alice"), action("write"), record("record-1")), true),
        (3, (user("bob"), action("read"), record("record-1")), true),
        (4, (user("bob"), action("write"), record("record-1")), false),
        (5, (user("alice"), action("write"), with_status("record-2", "archived")), false),
        (5, (user("alice"), action("write"), with_status("record-1", "archived")), false),
        (6, (admin(), action("write"), with_status("record-2", "archived")), true),
        (7, (user("alice"), delete(true), record("record-1")), true),
        (8, (user("alice"), delete(false), record("record-1")), false),
        (8, (user("alice"), action("delete"), record("record-1")), false),
    ] {
        // Each is asked several times: the same question has the same answer.
        for _ in 0..3 {
            assert_eq!(house.decides(&subject, &action, &resource), expected, "rule {rule}");
        }
        let mut with_context = question(&subject, &action, &resource);
        with_context["context"] = context();
        assert_eq!(house.answers("evaluation", &with_context)["decision"], expected, "rule {rule} with a context");
    }
    let mut with_more = question(
        &json!({ "type": "user", "id": "alice", "properties": { "department": "Sales", "role": "manager" } }),
        &json!({ "name": "read", "properties": { "method": "GET" } }),
        &json!({ "type": "record", "id": "record-1", "properties": { "status": "active", "owner": "bob" } }),
    );
    with_more["foo"] = json!("bar");
    with_more["futureField"] = json!({ "nested": true });
    assert_eq!(house.answers("evaluation", &with_more)["decision"], true, "more than is known");
    // Being an administrator is a property of the subject, not something that a context passes on.
    let mut forged = question(&user("alice"), &action("write"), &with_status("record-2", "archived"));
    forged["context"] = json!({ "subject": { "role": "admin" } });
    assert_eq!(house.answers("evaluation", &forged)["decision"], false);
}

fn errors(house: &House) {
    let whole = question(&user("alice"), &action("read"), &record("record-1"));
    for member in ["/subject", "/action", "/resource"] {
        let without = |path: &str| {
            let mut body = whole.clone();
            let (parent, name) = path.rsplit_once('/').expect("a path");
            body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name);
            body
        };
        house.refuses("evaluation", &without(member));
        let parts: &[&str] = if member == "/action" { &["name"] } else { &["type", "id"] };
        parts.iter().for_each(|part| house.refuses("evaluation", &without(&format!("{member}/{part}"))));
    }
    for (path, wrong) in
        [("/subject", json!("alice")), ("/action/name", json!(123)), ("/subject/properties", json!([1]))]
    {
        let mut body = whole.clone();
        match body.pointer_mut(path) {
            Some(member) => *member = wrong,
            None => body["subject"]["properties"] = wrong,
        }
        house.refuses("evaluation", &body);
    }
    let json = "Content-Type: application/json\r\n";
    for path in ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"] {
        let line = format!("POST /access/v1/{path}");
        for (headers, body) in
            [("Content-Type: text/plain\r\n", whole.to_string().as_str()), (json, "{"), (json, ""), ("", "")]
        {
            assert_eq!(house.said(&line, headers, body).status, 400, "{path} {headers:?} {body:?}");
        }
        let named = house.said(&line, &format!("{json}X-Request-ID: bfe9eb29 any text\r\n"), &whole.to_string());
        assert!(named.head.contains("x-request-id: bfe9eb29 any text"), "{path}: {}", named.head);
    }
    let refused = house.said("POST /access/v1/evaluation", &format!("{json}X-Request-ID: r-1\r\n"), "{}");
    assert!(refused.status == 400 && refused.head.contains("x-request-id: r-1"), "{}", refused.head);
    assert!(!house.asked("evaluation", &whole).head.to_lowercase().contains("x-request-id"));
}

fn batch(house: &House) {
    let decisions = |body: Value| {
        let answer = house.answers("evaluations", &body);
        assert!(answer.get("decision").is_none(), "{answer}");
        let all = answer["evaluations"].as_array().expect("evaluations");
        all.iter().map(|one| one["decision"].as_bool().expect("a decision")).collect::<Vec<_>>()
    };
    let both = json!([{ "resource": record("record-1") }, { "resource": record("record-2") }]);
    let read = json!({ "subject": user("alice"), "action": action("read"), "evaluations": both });
    assert_eq!(decisions(read), [true, true]);
    let twice = json!([{ "action": action("read") }, { "action": action("write") }]);
    assert_eq!(
        decisions(json!({ "subject": user("bob"), "resource": record("record-1"), "evaluations": twice })),
        [true, false]
    );
    let by_status =
        json!([{ "resource": with_status("record-1", "active") }, { "resource": with_status("record-2", "archived") }]);
    assert_eq!(
        decisions(json!({ "subject": user("alice"), "action": action("write"), "evaluations": by_status })),
        [true, false]
    );
    let by_subject = json!({
        "action": action("write"), "resource": with_status("record-2", "archived"),
        "evaluations": [{ "subject": user("alice") }, { "subject": admin() }],
    });
    assert_eq!(decisions(by_subject), [false, true]);
    let whole = [
        question(&user("alice"), &action("read"), &record("record-1")),
        question(&user("bob"), &action("write"), &record("record-1")),
    ];
    assert_eq!(decisions(json!({ "evaluations": whole })), [true, false]);
    let own_context = json!({ "resource": record("record-2"), "context": { "time": "2025-06-27T19:00-07:00", "source": "batch-override" } });
    let inherited = json!({
        "subject": user("alice"), "action": action("read"), "context": { "time": "2025-06-27T18:03-07:00" },
        "evaluations": [{ "resource": record("record-1") }, own_context],
    });
    assert_eq!(decisions(inherited), [true, true]);
    let defaults = json!({
        "subject": user("alice"), "action": action("write"), "resource": with_status("record-1", "active"),
        "evaluations": [{}, { "resource": with_status("record-2", "archived") }],
    });
    assert_eq!(decisions(defaults), [true, false]);
    // One that is wrong is denied, and the others are answered.
    for wrong in [json!({}), json!({ "resource": { "type": "record" } }), json!({ "resource": "record-1" }), json!(7)] {
        let body = json!({
            "subject": user("alice"), "action": action("read"), "options": { "evaluations_semantic": "execute_all" },
            "evaluations": [{ "resource": record("record-1") }, wrong],
        });
        assert_eq!(decisions(body), [true, false]);
    }
    let mut single = question(&user("alice"), &action("read"), &record("record-1"));
    assert_eq!(house.answers("evaluations", &single)["decision"], true);
    single["evaluations"] = json!([]);
    assert_eq!(house.answers("evaluations", &single)["decision"], true);
}

fn search(house: &House) {
    let readers = json!({ "subject": { "type": "user" }, "action": action("read"), "resource": record("record-1") });
    let readable = json!({ "subject": user("alice"), "action": action("read"), "resource": { "type": "record" } });
    let doable = json!({ "subject": user("alice"), "resource": record("record-1") });
    for (what, body, expected) in [
        ("subject", &readers, vec!["alice", "bob"]),
        ("resource", &readable, vec!["record-1", "record-2"]),
        ("action", &doable, vec!["read", "write"]),
    ] {
        assert_eq!(house.finds(what, body), expected);
        let mut with_context = body.clone();
        with_context["context"] = context();
        assert_eq!(house.finds(what, &with_context), expected);
    }
    for (what, mut body, id) in [("subject", readers.clone(), "alice"), ("resource", readable.clone(), "record-1")] {
        let expected = house.finds(what, &body);
        body[what]["id"] = json!(id);
        assert_eq!(house.finds(what, &body), expected, "the id of what is searched for is ignored");
    }
    let archived = with_status("record-2", "archived");
    let writers = json!({ "subject": { "type": "user" }, "action": action("write"), "resource": archived });
    assert_eq!(house.finds("subject", &writers), ["bob"], "S4");
    let writable = json!({ "subject": admin(), "action": action("write"), "resource": { "type": "record" } });
    assert_eq!(house.finds("resource", &writable), ["record-2"], "S5");
    assert_eq!(house.finds("action", &json!({ "subject": admin(), "resource": archived })), ["read", "write"], "S6");

    let mut page = readers.clone();
    page["page"] = json!({ "limit": 1 });
    let first = house.answers("search/subject", &page);
    assert_eq!((&first["results"][0]["id"], &first["page"]["count"]), (&json!("alice"), &json!(1)));
    page["page"] = json!({ "token": first["page"]["next_token"] });
    let second = house.answers("search/subject", &page);
    assert_eq!(second["results"][0]["id"], "bob");
    assert!(second["page"]["next_token"].is_string());

    let nobody = user("nonexistent-user");
    let of_nobody = json!({ "subject": nobody, "resource": record("record-1") });
    assert_eq!(house.finds("action", &of_nobody), [""; 0]);
    for (what, path, body) in [
        ("subject", "/subject/type", &readers),
        ("resource", "/resource/type", &readable),
        ("action", "/subject/type", &doable),
    ] {
        let mut body = body.clone();
        *body.pointer_mut(path).expect("a type") = json!("spaceship");
        assert_eq!(house.finds(what, &body), [""; 0], "{what}");
    }
    for (what, body) in [
        ("subject", json!({ "subject": { "type": "user" }, "resource": record("record-1") })),
        ("resource", json!({ "action": action("read"), "resource": { "type": "record" } })),
        ("action", json!({ "subject": user("alice") })),
        (
            "subject",
            json!({ "subject": { "type": "user" }, "action": action("read"), "resource": { "type": "record" } }),
        ),
        (
            "resource",
            json!({ "subject": { "type": "user" }, "action": action("read"), "resource": { "type": "record" } }),
        ),
        ("action", json!({ "subject": { "type": "user" }, "resource": record("record-1") })),
    ] {
        house.refuses(&format!("search/{what}"), &body);
    }
}

/// Over TLS, as anybody finds it.
fn discovery(house: &House) {
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &house.addr])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let request =
        format!("GET /.well-known/authzen-configuration HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", house.addr);
    openssl.stdin.as_mut().expect("a pipe").write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    openssl.stdout.take().expect("a pipe").read_to_string(&mut text).expect("it answers");
    openssl.wait().expect("it ends");
    let Answer { status, head, body } = Answer::read(&text);
    assert!(status == 200 && head.to_lowercase().contains("content-type: application/json"), "{head}");
    let base = format!("https://{}", house.addr);
    assert_eq!(body["policy_decision_point"], json!(base), "the URL that it was found under");
    for (member, path) in [
        ("access_evaluation_endpoint", "evaluation"),
        ("access_evaluations_endpoint", "evaluations"),
        ("search_subject_endpoint", "search/subject"),
        ("search_resource_endpoint", "search/resource"),
        ("search_action_endpoint", "search/action"),
    ] {
        assert_eq!(body[member], json!(format!("{base}/access/v1/{path}")), "{member}");
    }
}

#[test]
fn the_certification_scenario_of_authzen_is_met_on_every_level() {
    let house = house();
    basic(&house);
    errors(&house);
    batch(&house);
    search(&house);
    discovery(&house);
}
