use super::{Login, file, forget};
use crate::context::ServerAddress;
use crate::environment::Environment;
use crate::token::Token;
use credence_model::time::Timestamp;
use credence_model::user::User;
use std::os::unix::fs::PermissionsExt as _;

fn login() -> Login {
    Login {
        server: "unix:/run/a.sock".into(),
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
