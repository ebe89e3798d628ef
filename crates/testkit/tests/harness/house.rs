//! Installations: everything in one process (`credence dev`), and a server with nodes.

use super::{Cli, POOL, Process, arg, objects, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a node has in its environment, for tests of what an actor has in its own.
const OF_THE_NODE: (&str, &str) = ("A_SECRET_OF_THE_NODE", "not for actors");

fn home() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn daemon(cli: &Cli, arguments: &[&str]) -> (Process, Value) {
    daemon_in(cli, arguments, None)
}

fn daemon_in(cli: &Cli, arguments: &[&str], namespace: Option<&Path>) -> (Process, Value) {
    let mut command = cli.command(&[arguments, &["-o", "json", "--until-stdin-closes"]].concat());
    if let Some(namespace) = namespace {
        command = within(namespace, &command);
    }
    command.env(OF_THE_NODE.0, OF_THE_NODE.1);
    let mut process = Process::start(arguments[0], command, &cli.home);
    let started = process.object();
    (process, started)
}

/// The same command in a network namespace. It is the same process, too: its children and signals are as without.
fn within(namespace: &Path, command: &Command) -> Command {
    let mut nsenter = Command::new("nsenter");
    nsenter.arg(format!("--net={}", namespace.display())).arg("--").arg(command.get_program()).args(command.get_args());
    nsenter.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nsenter.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    if let Some(dir) = command.get_current_dir() {
        nsenter.current_dir(dir);
    }
    nsenter
}

/// `credence dev` with the classes of the tests.
pub(crate) struct Dev {
    pub(crate) cli: Cli,
    // Fields are dropped in this order: the process before its directory.
    pub(crate) process: Process,
    _home: TempDir,
}

impl Dev {
    pub(crate) fn start() -> Self {
        let home = home();
        let cli = Cli::new(home.path(), None);
        let data_dir = home.path().join("d");
        let (process, _) = daemon(&cli, &["dev", "--data-dir", arg(&data_dir)]);
        cli.fed(&["apply", "-f", "-"], &objects());
        Self { cli, process, _home: home }
    }
}

/// A server, to which nodes may be added.
pub(crate) struct House {
    pub(crate) cli: Cli,
    /// HOST:PORT of the server.
    pub(crate) addr: String,
    config: PathBuf,
    /// What server and nodes are told besides.
    flags: &'static [&'static str],
    pub(crate) server: Process,
    home: TempDir,
}

impl House {
    /// A server with these settings, in TOML, and the classes and the pool of the tests.
    pub(crate) fn start(settings: &str) -> Self {
        Self::start_with("127.0.0.1", settings, &[], |_| {})
    }

    /// The same at another address, with a data directory that is prepared first.
    pub(crate) fn start_at(ip: &str, settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::start_with(ip, settings, &[], prepare)
    }

    /// The same whose server and nodes write their logs as JSON.
    pub(crate) fn start_logging() -> Self {
        Self::start_with("127.0.0.1", "", &["--log-format", "json"], |_| {})
    }

    fn start_with(ip: &str, settings: &str, flags: &'static [&'static str], prepare: impl FnOnce(&Path)) -> Self {
        let home = home();
        prepare(&home.path().join("server"));
        let config = home.path().join("server.toml");
        configure(&config, "", settings);
        let (server, started) = Self::serve(&Cli::new(home.path(), None), &config, &format!("{ip}:0"), flags);
        let cli = Cli::new(home.path(), Some(format!("unix:{}", text(&started, "admin_socket"))));
        cli.fed(&["apply", "-f", "-"], &format!("{}{POOL}", objects()));
        Self { cli, addr: text(&started, "addr").to_owned(), config, flags, server, home }
    }

    /// Writes its configuration anew, with more fields before its settings.
    pub(crate) fn configure(&self, fields: &str, settings: &str) {
        configure(&self.config, fields, settings);
    }

    fn serve(cli: &Cli, config: &Path, listen: &str, flags: &[&str]) -> (Process, Value) {
        daemon(cli, &[&["server", "--config", arg(config), "--listen", listen], flags].concat())
    }

    /// Where the server keeps everything.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join("server")
    }

    /// SIGKILL to the server.
    pub(crate) fn kill_server(&mut self) {
        self.server.kill();
    }

    /// Starts the server again, on its data and where its nodes look for it.
    pub(crate) fn restart_server(&mut self) {
        (self.server, _) = Self::serve(&self.cli, &self.config, &self.addr, self.flags);
    }

    /// Starts the server, which must not come up; what it says.
    pub(crate) fn refused_server(&self) -> String {
        let ran =
            self.cli.run(&["server", "--config", arg(&self.config), "--listen", &self.addr, "--until-stdin-closes"]);
        assert_ne!(ran.code, 0, "it came up");
        ran.stderr
    }

    /// Leaves its directory behind.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.home.disable_cleanup(true);
        self.home.path().to_owned()
    }

    /// Adds a node with so many workers, named after it: `NAME-1` and so on.
    pub(crate) fn node(&self, name: &str, workers: u32) -> Node {
        self.node_at(name, workers, &self.addr)
    }

    /// The same, or starts it again, with another address for the server.
    pub(crate) fn node_at(&self, name: &str, workers: u32, addr: &str) -> Node {
        self.node_in(name, workers, addr, None)
    }

    /// The same, in a network namespace if one is named.
    pub(crate) fn node_in(&self, name: &str, workers: u32, addr: &str, namespace: Option<&Path>) -> Node {
        self.node_as(name, workers, addr, namespace, &[])
    }

    /// The same with further options.
    pub(crate) fn node_with(&self, name: &str, workers: u32, addr: &str, options: &[&str]) -> Node {
        self.node_as(name, workers, addr, None, options)
    }

    fn node_as(&self, name: &str, workers: u32, addr: &str, namespace: Option<&Path>, options: &[&str]) -> Node {
        let (token, data_dir) = (self.token(name, workers), self.home.path().join(name));
        let workers = format!("default/default={workers}");
        let arguments = ["node", "--name", name, "--connect", addr, "--worker", &workers];
        let places = ["--join-token-file", arg(&token), "--data-dir", arg(&data_dir)];
        let all = [&arguments[..], &places, self.flags, options].concat();
        let (process, started) = daemon_in(&self.cli, &all, namespace);
        Node { process, socket: text(&started, "socket").to_owned() }
    }

    /// Adds a node that is configured by a file.
    pub(crate) fn node_configured(&self, name: &str, workers: u32, config: &Path) -> Node {
        let token = self.token(name, workers);
        let arguments = ["node", "--config", arg(config), "--join-token-file", arg(&token)];
        let (process, started) = daemon(&self.cli, &[&arguments[..], self.flags].concat());
        Node { process, socket: text(&started, "socket").to_owned() }
    }

    fn token(&self, name: &str, workers: u32) -> PathBuf {
        let token = self.home.path().join(format!("{name}.token"));
        if !token.exists() {
            let pool = format!("default={workers}");
            self.cli.done(&["token", "create", "--node", name, "--pool", &pool, "--out", arg(&token)]);
        }
        token
    }
}

fn configure(config: &Path, fields: &str, settings: &str) {
    let data_dir = config.with_file_name("server");
    let data_dir = data_dir.display();
    let text = format!("trust_domain = 'test.internal'\ndata_dir = '{data_dir}'\n{fields}\n[settings]\n{settings}\n");
    std::fs::write(config, text).expect("a file can be written");
}

/// A node of a house.
pub(crate) struct Node {
    pub(crate) process: Process,
    /// Where `credence run` finds it.
    pub(crate) socket: String,
}
