use super::{Login, current, file, forget, user_of};
use crate::context::ServerAddress;
use crate::environment::Environment;
use crate::token::Token;
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use credence_model::user::User;
use credence_server::api::me::MeView;
use std::os::unix::fs::PermissionsExt as _;

fn login() -> Login {
    Login {
        server: "unix:/run/a.sock".into(),
        issuer: "https://login.example.org".into(),
        user: User { issuer: "https://login.example.org".into(), subject: "ada".into() },
        token: Token::new("secret-token"),
        expires_at: Timestamp::from_secs(1_800_000_000),
        refresh_token: Some(Token::new("secret-renewal")),
        client_id: "credence".into(),
        audience: "credence".into(),
        ca_file: None,
    }
}

#[test]
fn a_login_is_kept_where_nobody_else_reads_it_and_forgotten_when_asked() {
    let home = tempfile::tempdir().expect("a directory");
    let environment = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
    let path = file::write(home.path(), &login()).expect("written");
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(file::read(home.path()), Ok(Some(login())));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let failure = file::read(home.path()).expect_err("others can read it").to_string();
    assert!(failure.contains("others can read it"), "{failure}");
    assert_eq!(forget(&environment), Ok(None), "it is removed, whoever it was");
    assert!(!path.exists());
    file::write(home.path(), &login()).expect("written");
    assert_eq!(forget(&environment), Ok(Some(login().user)));
    assert_eq!((forget(&environment), file::read(home.path())), (Ok(None), Ok(None)));
}

#[test]
fn a_login_that_cannot_be_read_is_not_repeated() {
    let home = tempfile::tempdir().expect("a directory");
    let path = file::write(home.path(), &login()).expect("written");
    std::fs::write(&path, r#"{"token":7,"refresh_token":"secret-renewal"}"#).expect("written");
    let failure = file::read(home.path()).expect_err("no login").to_string();
    assert!(!failure.contains("secret"), "{failure}");
    assert!(!format!("{:?}", login()).contains("secret"));
}

#[test]
fn a_token_is_for_the_server_for_which_it_was_got() {
    let at = |text: &str| login().is_at(&ServerAddress::parse(text).expect("an address"));
    assert!(at("unix:/run/a.sock") && at("/run/a.sock"));
    assert!(!at("unix:/run/b.sock") && !at("https://a:1"));
}

#[test]
fn logging_out_waits_for_whoever_renews_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("a directory");
    let environment = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
    let path = file::write(home.path(), &login()).expect("written");
    let (aside, lock) = (home.path().join("login.json.4711"), home.path().join("login.lock"));
    std::fs::write(&aside, "secret-renewal").expect("written");
    std::fs::create_dir(&lock).expect("nobody can lock it");
    let failure = forget(&environment).expect_err("not without the lock").to_string();
    assert!(failure.contains("login.lock") && path.exists(), "{failure}");
    std::fs::remove_dir(&lock).expect("removed");
    assert_eq!(forget(&environment), Ok(Some(login().user)));
    assert!(!path.exists() && !aside.exists());
}

#[test]
fn the_user_is_one_of_the_provider_where_the_person_logged_in() {
    let me = |user: Option<User>| MeView { caller: None, user };
    let User { issuer, .. } = login().user;
    assert_eq!(user_of(&issuer, me(Some(login().user))), Ok(login().user));
    let other = User { issuer: "https://login.example.net".into(), ..login().user };
    for user in [Some(other), None] {
        assert_eq!(user_of(&issuer, me(user)).expect_err("refused").refusal.kind, Kind::Denied);
    }
}

#[tokio::test]
async fn a_login_is_renewed_where_the_person_logged_in() {
    let home = tempfile::tempdir().expect("a directory");
    let environment = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
    // What is no address is not asked, and the user's own issuer, which is one, is not either.
    let over = Login { issuer: "nowhere".into(), expires_at: Timestamp::from_secs(1), ..login() };
    file::write(home.path(), &over).expect("written");
    let server = ServerAddress::parse("/run/a.sock").expect("an address");
    let failure = current(&server, &environment).await.expect_err("it cannot be renewed");
    assert_eq!(failure.refusal.kind, Kind::Malformed, "{failure}");
}

#[test]
fn what_renews_is_kept_even_if_the_rest_of_an_answer_is_of_no_use() {
    let tokens = r#"{"access_token":"a","refresh_token":"the-next"}"#;
    let mut renewed = login();
    let failure = renewed.take(serde_json::from_str(tokens).expect("tokens")).expect_err("there is no ID token");
    assert_eq!(failure.refusal.kind, Kind::Malformed);
    assert_eq!(renewed, Login { refresh_token: Some(Token::new("the-next")), ..login() });
}

#[test]
fn a_login_that_could_not_be_read_again_is_not_written() {
    let home = tempfile::tempdir().expect("a directory");
    let large = Login { token: Token::new("t".repeat(64 * 1024)), ..login() };
    let failure = file::write(home.path(), &large).expect_err("too large").to_string();
    assert!(failure.contains("more than 65536 bytes"), "{failure}");
    assert_eq!(file::read(home.path()), Ok(None));
}
