//! What the black-box tests stand on: the `credence` program as real processes in a directory of their own.
//!
//! Nothing here sleeps or tries again: a test waits for a line that a process prints, for a process to end, or for a
//! command that itself waits. Every wait has a limit after which the test fails with what the process said.

mod house;
mod process;
mod program;
mod provider;

pub(crate) use house::{Dev, House, Node};
pub(crate) use process::{Process, ends_within};
pub(crate) use program::{Ran, credence, python, python_script, workload};

pub(crate) use provider::{Provider, forged};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A class whose identities live as long as they may, and are never seen to change in a test.
pub(crate) const STEADY: &str = "steady";
/// A class whose identities live as short as they may: they change after about five seconds.
pub(crate) const BRIEF: &str = "brief";
/// A class whose program counts its runs in its home directory and says the number.
pub(crate) const COUNTER: &str = "counter";

/// What the program of [`COUNTER`] does.
const COUNT: &str = r#"runs=$(cat "$HOME/runs" 2>/dev/null || echo 0); runs=$((runs + 1))
echo $runs > "$HOME/runs"; echo "run $runs"; exec sleep 1000"#;

/// The classes of the tests, and the pool of a house.
fn objects() -> String {
    let class = |name: &str, ttl_secs: u32, command: &str| {
        format!(
            "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {{namespace: default, name: {name}}}\n\
             spec:\n  owner: tests@example.org\n  purpose: is tested\n  runtime:\n    command: {command}\n    \
             stopGraceSecs: 1\n  credentials: {{x509TtlSecs: {ttl_secs}}}\n---\n"
        )
    };
    let idle = "[/bin/sh, -c, 'exec sleep 1000']";
    let count = Value::from(vec!["/bin/sh", "-c", COUNT]).to_string();
    [class(STEADY, 900, idle), class(BRIEF, 10, idle), class(COUNTER, 900, &count)].concat()
}

const POOL: &str = "apiVersion: credence.dev/v1alpha1\nkind: Pool\nmetadata: {namespace: default, name: default}\n\
                    spec: {shareWithAll: true, direct: true}\n";

/// The command line of one installation: its home is a directory of the test, its server is found without flags.
#[derive(Clone)]
pub(crate) struct Cli {
    pub(crate) home: PathBuf,
    pub(crate) server: Option<String>,
    node_socket: Option<String>,
}

impl Cli {
    fn new(home: &Path, server: Option<String>) -> Self {
        Self { home: home.to_owned(), server, node_socket: None }
    }

    /// The same, with `credence run` on this node.
    pub(crate) fn on(&self, node: &Node) -> Self {
        Self { node_socket: Some(node.socket.clone()), ..self.clone() }
    }

    /// Somebody else on the same machine, with a home of their own, who finds the server there.
    pub(crate) fn of(&self, name: &str, server: String) -> Self {
        let home = self.home.join(name);
        std::fs::create_dir(&home).expect("a directory can be made");
        Self { home, server: Some(server), ..self.clone() }
    }

    /// Where it keeps things.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// `credence` with these arguments, in an environment with nothing of the caller's but the search path.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program::credence());
        command.args(arguments).current_dir(&self.home);
        command.env_clear().env("HOME", &self.home).env("CREDENCE_HOME", &self.home);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.server.as_ref().map(|server| ("CREDENCE_SERVER", server)));
        command.envs(self.node_socket.as_ref().map(|socket| ("CREDENCE_NODE_SOCKET", socket)));
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        program::run(self.command(arguments), "")
    }

    /// Runs a verb that must succeed; what it printed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        self.fed(arguments, "")
    }

    /// The same with standard input.
    pub(crate) fn fed(&self, arguments: &[&str], stdin: &str) -> String {
        let ran = program::run(self.command(arguments), stdin);
        assert!(ran.code == 0, "credence {arguments:?} ended with {}: {}{}", ran.code, ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs a verb that must succeed and print one object.
    pub(crate) fn object(&self, arguments: &[&str]) -> Value {
        let printed = self.done(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("credence {arguments:?}: {error}: {printed}"))
    }

    /// Starts a verb that stays, and whose lines a test reads.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(&arguments.join(" "), self.command(arguments), &self.home)
    }

    /// The log from its beginning, entry by entry, as it grows.
    pub(crate) fn log(&self) -> Process {
        self.start(&["log", "tail", "--from", "1", "--follow", "-o", "json"])
    }

    /// Runs a program as an actor of a class: `credence run`.
    pub(crate) fn actor(&self, class: &str, actor: Option<&str>, program: &[&str]) -> Process {
        let class = format!("default/{class}");
        let mut arguments = vec!["run", "--class", &class];
        arguments.extend(actor.iter().flat_map(|actor| ["--actor", actor]));
        arguments.push("--");
        arguments.extend(program);
        self.start(&arguments)
    }

    /// Runs a command beside an actor, which must succeed and print one object.
    pub(crate) fn beside(&self, actor: &str, command: &[&str]) -> Value {
        let printed = self.done(&[&["actor", "exec", actor, "--"], command].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{command:?}: {error}: {printed}"))
    }

    /// What the online check says of a certificate.
    pub(crate) fn verdict(&self, certificates: &str) -> Value {
        let ran = program::run(self.command(&["verify", "-", "-o", "json"]), certificates);
        let verdict: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no verdict: {}", ran.stderr));
        assert_eq!(ran.code == 0, verdict["live"] == true, "the exit code says what the verdict says: {verdict}");
        verdict
    }

    /// A file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }
}

/// A text member of an object.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {member} in {value}"))
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("a path of the tests is UTF-8")
}
