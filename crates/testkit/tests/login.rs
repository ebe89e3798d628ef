//! Users who log in at a real OpenID provider and delegate by themselves; and tokens that are no good, a provider that
//! changes its keys, and one that is away.

use crate::harness::{Cli, House, Provider, Ran, arg, forged, text};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

const ALLOW: &str = "tool expenses/submit when amount <= 200 EUR";
const NARROWER: &str = "tool expenses/submit when amount <= 100 EUR";
const CLASS: &str = "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {namespace: finance, name: expenses}\n\
    spec:\n  owner: finance@example.org\n  runtime: {command: [agent]}\n  permissions:\n    \
    allow: [tool expenses/submit when amount <= 500 EUR]\n    delegation: {required: true}\n";

/// A server that believes the provider, with an actor of Ada and one of Bob.
fn house(provider: &Provider) -> House {
    let house = House::start(&provider.configuration());
    let cli = &house.cli;
    cli.fed(&["apply", "-f", "-"], CLASS);
    cli.done(&["class", "consent", "finance/expenses"]);
    for name in ["ada", "bob"] {
        let (id, user) = (format!("{name}-1"), format!("{name}@{}", provider.issuer));
        cli.done(&["actor", "create", "--class", "finance/expenses", &id, "--user", &user]);
    }
    house
}

/// What a verb says that is refused, as an object; and its exit code.
#[track_caller]
fn refused(ran: &Ran) -> (Value, i32) {
    assert_ne!(ran.code, 0, "it was granted: {}", ran.stdout);
    let said = ran.stderr.find('{').map(|at| &ran.stderr[at..]).unwrap_or_default();
    (serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr)), ran.code)
}

#[track_caller]
fn is_refused(ran: &Ran, kind: &str, message: &str) {
    let (said, _) = refused(ran);
    assert_eq!(said["kind"], kind, "{said}");
    assert!(text(&said, "message").contains(message), "{said}");
}

fn may_submit(house: &House, actor: &str, amount: u32) -> bool {
    let amount = format!("amount={amount}");
    let can = ["can", actor, "tool", "expenses/submit", "-c", &amount, "-c", "currency=EUR"];
    house.cli.run(&can).code == 0
}

#[test]
fn a_user_logs_in_and_delegates_and_nobody_else_sees_or_touches_it() {
    let provider = Provider::start();
    let house = house(&provider);
    // Ada is elsewhere; Bob is on the server's machine, even as its administrator: his token says who he is.
    let bundle = house.cli.file("bundle.json", &house.cli.done(&["bundle", "show", "--form", "spiffe"]));
    let elsewhere = ["--bundle", arg(&bundle)];
    let ada = house.cli.of("ada", format!("https://{}", house.addr));
    let bob = house.cli.of("bob", house.cli.server.clone().expect("a server"));
    let as_ada = |arguments: &[&str]| ada.object(&[arguments, &elsewhere].concat());
    let of_bob = |arguments: &[&str]| bob.run(&[arguments, &["-o", "json"]].concat());

    let nobody = ada.run(&[&["delegation", "list", "-o", "json"], &elsewhere[..]].concat());
    is_refused(&nobody, "unauthenticated", "this is for users");
    assert_eq!(provider.log_in(&ada, &elsewhere, "ada"), json!({ "issuer": provider.issuer, "subject": "ada" }));
    assert_eq!(provider.log_in(&bob, &[], "bob")["subject"], "bob");
    let kept = ada.home().join("login.json").metadata().expect("a file");
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
    let who = as_ada(&["whoami"]);
    assert_eq!((&who["user"]["subject"], &who["actors"][0]["id"]), (&json!("ada"), &json!("ada-1")), "{who}");
    assert_eq!(who["actors"].as_array().map(Vec::len), Some(1), "{who}");

    assert!(!may_submit(&house, "finance/ada-1", 150));
    let granted = as_ada(&["delegation", "grant", "actor/finance/ada-1", "--allow", ALLOW]);
    let id = text(&granted, "id");
    assert_eq!(granted["by"]["user"], json!({ "issuer": provider.issuer, "subject": "ada" }), "{granted}");
    assert!(may_submit(&house, "finance/ada-1", 150) && !may_submit(&house, "finance/ada-1", 300));
    assert_eq!(as_ada(&["delegation", "list"])[0]["id"], id);

    let of_ada = format!("ada@{}", provider.issuer);
    let listed = of_bob(&["delegation", "list", "--all", "--user", &of_ada]);
    assert_eq!((listed.code, listed.stdout.trim()), (0, "[]"));
    assert!(listed.stderr.contains("as bob of"), "it says as whom it acts: {}", listed.stderr);
    is_refused(&of_bob(&["delegation", "narrow", id, "--allow", NARROWER]), "not_found", "there is no delegation");
    is_refused(&of_bob(&["delegation", "revoke", id]), "not_found", "there is no delegation");
    let to_adas = ["delegation", "grant", "actor/finance/ada-1", "--allow", ALLOW];
    is_refused(&of_bob(&to_adas), "denied", "does not act for bob");
    is_refused(&of_bob(&[&to_adas[..], &["--user", &of_ada]].concat()), "denied", "delegate in no other name");
    let token = token_of(&bob);
    is_refused(&of_bob(&["get", "classes", "--token-file", &token]), "denied", "this is for administrators; bob of");

    as_ada(&["delegation", "narrow", id, "--allow", NARROWER]);
    assert!(may_submit(&house, "finance/ada-1", 100) && !may_submit(&house, "finance/ada-1", 150));
    as_ada(&["delegation", "revoke", id, "--reason", "over"]);
    assert!(!may_submit(&house, "finance/ada-1", 100));
    let mut log = house.cli.log();
    let entry = log.find("who revoked", |entry| entry["event"]["type"] == "delegation_revoked");
    assert_eq!(entry["caller"]["user"]["user"]["subject"], "ada", "{entry}");

    assert_eq!(as_ada(&["logout"])["subject"], "ada");
    is_refused(
        &ada.run(&[&["delegation", "list", "-o", "json"], &elsewhere[..]].concat()),
        "unauthenticated",
        "this is for users",
    );
}

/// The token that somebody's login keeps, in a file of its own.
fn token_of(cli: &Cli) -> String {
    let login = std::fs::read(cli.home().join("login.json")).expect("a login");
    let login: Value = serde_json::from_slice(&login).expect("an object");
    arg(&cli.file("token", text(&login, "token"))).to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a token is of now")]
fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn claims(provider: &Provider) -> Value {
    let now = now_secs();
    json!({ "iss": provider.issuer, "sub": "ada", "aud": "credence", "iat": now, "exp": now + 300 })
}

fn header(provider: &Provider) -> Value {
    json!({ "alg": "RS256", "kid": provider.key_id(), "typ": "JWT" })
}

/// Asks with a token, as an administrator of the server's machine would be heard without one.
fn with_token(house: &House, token: &str, arguments: &[&str]) -> Ran {
    let file = house.cli.file("token", token);
    house.cli.run(&[arguments, &["--token-file", arg(&file), "-o", "json"]].concat())
}

#[test]
fn a_token_that_is_no_good_is_refused_and_its_bearer_is_taken_for_nobody_else() {
    let provider = Provider::start();
    let house = house(&provider);
    let (good, header) = (claims(&provider), header(&provider));
    let signed = |payload: &Value| provider.signed(&header.to_string(), &payload.to_string());
    let ask = |token: &str| with_token(&house, token, &["delegation", "list"]);
    let fine = ask(&signed(&good));
    assert_eq!((fine.code, fine.stdout.trim()), (0, "[]"), "the unspoilt token is believed: {}", fine.stderr);

    let other = |member: &str, value: Value| {
        let mut payload = good.clone();
        payload[member] = value;
        signed(&payload)
    };
    let headed = |member: &str, value: Value| {
        let mut header = header.clone();
        header[member] = value;
        provider.signed(&header.to_string(), &good.to_string())
    };
    let stranger = EncodingKey::from_secret(b"the public key, as if it were a secret");
    let hmac = json!({ "alg": "HS256", "kid": provider.key_id() }).to_string();
    let unsigned = json!({ "alg": "none", "kid": provider.key_id() }).to_string();
    let another = Provider::start();
    let twice = good.to_string().replacen('{', r#"{"sub":"bob","#, 1);
    for (token, message) in [
        (other("aud", json!("another-program")), "not `credence` alone"),
        (other("aud", json!(["credence", "another-program"])), "not `credence` alone"),
        (other("exp", json!(now_secs() - 60)), "expired"),
        (other("iat", json!(now_secs() + 600)), "not valid yet"),
        (other("iss", json!(another.issuer)), "no identity provider of this trust domain"),
        (other("iss", json!(format!("{}/", provider.issuer))), "no identity provider of this trust domain"),
        (other("sub", json!(7)), "claim sub"),
        (another.signed(&header.to_string(), &good.to_string()), "signature does not match"),
        (forged(&unsigned, &good.to_string(), |_| String::new()), "alg is not accepted"),
        (
            forged(&hmac, &good.to_string(), |message| {
                sign(message, &stranger, Algorithm::HS256).expect("a signature")
            }),
            "alg is not accepted",
        ),
        (headed("jku", json!(format!("{}/jwks", another.issuer))), "a key of its own"),
        (headed("typ", json!("logout+jwt")), "a typ other"),
        (provider.signed(&header.to_string(), &twice), "payload cannot be read"),
        ("a.b.c".to_owned(), "cannot be read"),
    ] {
        let ran = ask(&token);
        is_refused(&ran, "unauthenticated", message);
        assert!(!ran.stderr.contains(&token), "the token is not repeated");
    }
    let (said, _) = refused(&with_token(&house, "a.b.c", &["get", "classes"]));
    assert_eq!(said["kind"], "unauthenticated", "an administrator who shows a bad token is none: {said}");
}

#[test]
fn a_provider_that_changes_its_keys_or_is_away_for_a_while_is_not_missed() {
    let mut provider = Provider::start();
    let house = house(&provider);
    let token = |provider: &Provider| provider.signed(&header(provider).to_string(), &claims(provider).to_string());
    let grant = ["delegation", "grant", "actor/finance/ada-1", "--allow", ALLOW];
    let before = token(&provider);
    assert_eq!(with_token(&house, &before, &grant).code, 0);
    provider.stop();
    assert_eq!(with_token(&house, &before, &grant).code, 0, "its keys are known");
    provider.rotate();
    let after = with_token(&house, &token(&provider), &grant);
    assert_eq!(after.code, 0, "{}", after.stderr);
    is_refused(&with_token(&house, &before, &grant), "unauthenticated", "no key with the token's kid");
}

#[test]
fn while_a_provider_is_away_whose_keys_are_not_known_nothing_is_granted_and_the_reason_is_told() {
    let mut provider = Provider::start();
    let token = provider.signed(&header(&provider).to_string(), &claims(&provider).to_string());
    provider.stop();
    let house = house(&provider);
    let ran = with_token(&house, &token, &["delegation", "grant", "actor/finance/ada-1", "--allow", ALLOW]);
    is_refused(&ran, "unavailable", &format!("the keys of {} cannot be had", provider.issuer));
    assert!(ran.stderr.contains("Connection refused"), "{}", ran.stderr);
    assert_eq!(refused(&ran).1, 3);
    assert_eq!(house.cli.object(&["delegation", "list", "--all"]), json!([]), "nothing was granted");
    let login = house.cli.run(&["login", "-o", "json"]);
    is_refused(&login, "unavailable", "the identity provider cannot be asked");
}
