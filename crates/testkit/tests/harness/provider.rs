//! A real OpenID provider (npm: `oidc-provider`), and tokens as it signs them.

use super::{Cli, Process, arg, program, python, python_script, text};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A provider that runs.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    process: Process,
    dir: TempDir,
}

impl Provider {
    /// On a free port, with a new key.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (process, issuer) = serve(dir.path(), "0");
        Self { issuer, process, dir }
    }

    /// It is away.
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }

    /// It comes back where it was, with another key.
    pub(crate) fn rotate(&mut self) {
        self.stop();
        std::fs::remove_file(self.dir.path().join("signing.json")).expect("its key");
        let port = self.issuer.rsplit_once(':').expect("a port").1.to_owned();
        let (process, issuer) = serve(self.dir.path(), &port);
        assert_eq!(issuer, self.issuer);
        self.process = process;
    }

    /// What a server's configuration says of it.
    pub(crate) fn configuration(&self) -> String {
        format!("[[identity_providers]]\nissuer = '{}'\naudience = 'credence'\n", self.issuer)
    }

    /// `kid` of its key.
    pub(crate) fn key_id(&self) -> String {
        let key = std::fs::read(self.dir.path().join("signing.json")).expect("its key");
        let key: Value = serde_json::from_slice(&key).expect("a JWK");
        text(&key, "kid").to_owned()
    }

    /// A token of this header and payload, signed by its key whatever they say.
    pub(crate) fn signed(&self, header: &str, payload: &str) -> String {
        let key = std::fs::read(self.dir.path().join("signing.der")).expect("its key");
        let key = EncodingKey::from_rsa_der(&key);
        forged(header, payload, |message| sign(message, &key, Algorithm::RS256).expect("a signature"))
    }

    /// Logs somebody in, who uses a browser for it.
    pub(crate) fn log_in(&self, cli: &Cli, options: &[&str], name: &str) -> Value {
        let mut login = cli.start(&[&["login", "-o", "json"], options].concat());
        let shown = login.object();
        let mut browser = Command::new(python());
        browser.args([&python_script("approve.py"), text(&shown, "verification_uri_complete"), name]);
        let approved = program::run(browser, "");
        assert!(approved.stdout.contains("Sign-in Success"), "{}{}", approved.stdout, approved.stderr);
        let user = login.object();
        assert_eq!(login.ended(), 0);
        user
    }
}

/// A token of this header and payload; `sign` writes its last part.
pub(crate) fn forged(header: &str, payload: &str, sign: impl FnOnce(&[u8]) -> String) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{signature}")
}

fn serve(dir: &Path, port: &str) -> (Process, String) {
    let mut command = Command::new("node");
    command.arg(format!("{}/tests/node/provider.mjs", env!("CARGO_MANIFEST_DIR")));
    command.args([arg(&packages()), arg(dir), port]);
    let mut process = Process::start("provider", command, dir);
    let issuer = text(&process.object(), "issuer").to_owned();
    (process, issuer)
}

/// Where `cargo xtask test` installs what Node runs.
fn packages() -> PathBuf {
    let packages = std::env::var_os("CREDENCE_TEST_NODE").map(PathBuf::from);
    packages.expect("CREDENCE_TEST_NODE names no Node packages; run the tests with `cargo xtask test`")
}
