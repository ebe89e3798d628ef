//! Private keys on disk: in the open, or under a passphrase from a pipe or a credential directory.

use crate::program::{Ran, run_with};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "a passphrase that nobody guesses";

/// A home with a credential directory.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a home"));
        fs::create_dir(home.path("credentials")).expect("a directory");
        home.credential("keys", &format!("{PASSPHRASE}\n"), 0o600);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn credential(&self, name: &str, text: &str, mode: u32) {
        let path = self.path("credentials").join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("changed");
    }

    /// Starts a server, which ends at once because its standard input is over.
    fn server(&self, more: &[&str]) -> Ran {
        let arguments = ["server", "--trust-domain", "td.internal", "--listen", "127.0.0.1:0", "--until-stdin-closes"];
        let data_dir = self.path("data");
        let data_dir = ["--data-dir", data_dir.to_str().expect("UTF-8")];
        let credentials = self.path("credentials");
        run_with(self.0.path(), &[arguments.as_slice(), &data_dir, more].concat(), "", |command| {
            command.env("CREDENTIALS_DIRECTORY", credentials);
        })
    }

    fn key(&self, name: &str) -> String {
        fs::read_to_string(self.path("data/authority").join(name)).expect("a key")
    }
}

fn openssl(arguments: &[&OsStr]) -> bool {
    let ran = Command::new("openssl").args(arguments).output().expect("openssl runs");
    ran.status.success()
}

#[test]
fn keys_are_encrypted_under_the_passphrase_of_a_credential_directory_and_nothing_else_opens_them() {
    let home = Home::new();
    assert_eq!(home.server(&[]).code, 0);
    let root = fs::read(home.path("data/authority/root.cert.pem")).expect("a certificate");
    assert!(home.key("root.key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));

    let ran = home.server(&["--key-passphrase-credential", "keys"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for name in ["root.key.pem", "jwt.key.pem"] {
        assert!(home.key(name).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{name} is in the open");
    }
    assert!(!format!("{ran:?}").contains(PASSPHRASE));
    let again = home.server(&["--key-passphrase-credential", "keys"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(fs::read(home.path("data/authority/root.cert.pem")).expect("a certificate"), root, "another authority");

    let ran = home.server(&[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(".key.pem: its key is encrypted; give the passphrase with"), "{ran:?}");
    home.credential("others", "another passphrase of good length", 0o600);
    let ran = home.server(&["--key-passphrase-credential", "others"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("encrypted under another passphrase, or damaged"), "{ran:?}");
}

#[test]
fn openssl_opens_what_was_encrypted_here_and_what_it_encrypted_is_opened_here() {
    let home = Home::new();
    assert_eq!(home.server(&["--key-passphrase-credential", "keys"]).code, 0);
    let (key, passphrase) = (home.path("data/authority/jwt.key.pem"), home.path("credentials/keys"));
    let pass = |option: &str| [OsStr::new(option).to_owned(), format!("file:{}", passphrase.display()).into()];
    let [passin, from] = pass("-passin");
    let plain = home.path("plain.pem");
    let out = OsStr::new("-out");
    assert!(openssl(&[OsStr::new("pkey"), OsStr::new("-in"), key.as_os_str(), &passin, &from, out, plain.as_os_str()]));

    let [passout, to] = pass("-passout");
    let topk8 = ["pkcs8", "-topk8", "-in"].map(OsStr::new);
    let written = [topk8.as_slice(), &[plain.as_os_str(), &passout, &to, out, key.as_os_str()]].concat();
    assert!(openssl(&written), "openssl encrypts");
    assert!(home.key("jwt.key.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let ran = home.server(&["--key-passphrase-credential", "keys"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_passphrase_comes_from_an_open_pipe_and_from_nothing_that_others_could_read_again() {
    let home = Home::new();
    let script = format!(
        "exec {} server --trust-domain td.internal --listen 127.0.0.1:0 --until-stdin-closes --data-dir data \
         --key-passphrase-fd 3 \"$@\" </dev/null",
        env!("CARGO_BIN_EXE_credence")
    );
    let started = |redirected: &str| {
        let script = format!("{script} {redirected}");
        Command::new("bash").args(["-c", &script]).env("HOME", home.0.path()).current_dir(home.0.path()).output()
    };
    let ran = started("3< <(cat credentials/keys)").expect("bash runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(home.key("root.key.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert_eq!(home.server(&["--key-passphrase-credential", "keys"]).code, 0, "it is the same passphrase");
    for redirected in ["3< credentials/keys", "3<&-"] {
        let ran = started(redirected).expect("bash runs");
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("file descriptor 3 is not an open pipe"), "{stderr}");
    }
}

#[test]
fn a_program_that_takes_over_opens_the_keys_without_being_given_the_passphrase_again() {
    let home = Home::new();
    let script = format!(
        "exec {} server --trust-domain td.internal --listen 127.0.0.1:0 --until-stdin-closes --data-dir data -o json \
         --key-passphrase-fd 3 3< <(cat credentials/keys)",
        env!("CARGO_BIN_EXE_credence")
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("HOME", home.0.path()).current_dir(home.0.path());
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash runs");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let mut started =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let first = started();
    let signalled = Command::new("kill").args(["-USR2", &server.id().to_string()]).status().expect("kill runs");
    assert!(signalled.success());
    let second = started();
    assert_eq!((&first["pid"], &first["addr"]), (&second["pid"], &second["addr"]));
    assert!(home.key("root.key.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    drop(server.stdin.take());
    assert!(server.wait().expect("it ends").success());
}

#[test]
fn a_passphrase_that_cannot_be_one_is_refused_with_what_to_do() {
    let home = Home::new();
    home.credential("short", "secret\n", 0o600);
    home.credential("long", &"x".repeat(5000), 0o600);
    home.credential("open", PASSPHRASE, 0o644);
    for (name, expected) in [
        ("short", "the passphrase has 6 bytes, which is too short; make one with"),
        ("long", "is larger than 1025 bytes"),
        ("open", "others can read"),
        ("missing", "cannot be read"),
        ("../data", "is not the name of a file in the credential directory"),
    ] {
        let ran = home.server(&["--key-passphrase-credential", name]);
        assert_ne!(ran.code, 0, "{name}");
        assert!(ran.stderr.contains(expected), "{name}: {}", ran.stderr);
        assert!(!home.path("data/authority/root.key.pem").exists(), "{name}: a key was made");
    }
}
