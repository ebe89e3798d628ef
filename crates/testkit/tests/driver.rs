//! The process driver with the real supervisor: a tree ends as a whole, begins with what was promised and nothing else, and
//! its state goes on elsewhere.

use crate::harness::{credence, ends_within};
use credence_model::id::{ActorRef, BindingId};
use credence_model::time::Timestamp;
use credence_node::runtime::archive::digest;
use credence_node::runtime::log;
use credence_node::runtime::process::{ProcessDriver, ProcessSettings};
use credence_node::runtime::{Archive, Driver as _, EXECS_MAX, Running, RuntimeError, StartSpec};
use futures_util::future::{join_all, select_all};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any test takes: what waits for it to pass fails.
const LONG: Duration = Duration::from_secs(50);

/// A node's directories and environment.
struct Host {
    dir: TempDir,
    driver: ProcessDriver,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let environment = [("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("PASSED", "on"), ("SECRET", "of the node")];
        let settings = ProcessSettings {
            supervisor: credence().to_owned(),
            supervisor_args: vec!["actor-init".into()],
            state_dir: dir.path().join("state"),
            log_dir: dir.path().join("logs"),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            now: || Timestamp(1_767_268_800_000),
        };
        Self { driver: ProcessDriver::new(settings).expect("a driver"), dir }
    }

    fn spec(&self, binding: u8, command: &[&str]) -> StartSpec {
        StartSpec {
            binding: BindingId::generate(Timestamp(1), [binding; 10]),
            actor: actor(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![("FIXED".into(), "value".into()), ("HOME".into(), "/somewhere/else".into())],
            pass_env: vec!["PASSED".into(), "ABSENT".into()],
            endpoint: self.dir.path().join("x.sock"),
            archive: None,
        }
    }

    async fn start(&self, spec: StartSpec) -> Result<Arc<dyn Running>, RuntimeError> {
        self.driver.prepare(spec).await?.go().await
    }

    /// A tree whose program does nothing and goes on.
    async fn idle(&self) -> Arc<dyn Running> {
        self.start(self.spec(1, &["sleep", "1000"])).await.expect("it starts")
    }

    /// A tree whose program is this script, once it has said `ready` into the pipe that `$READY` names.
    async fn ready(&self, script: &str) -> Arc<dyn Running> {
        let fifo = self.dir.path().join("ready");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).expect("a pipe");
        let mut spec = self.spec(1, &["/bin/sh", "-c", script]);
        spec.env.push(("READY".into(), fifo.display().to_string()));
        let running = self.start(spec).await.expect("it starts");
        let said = tokio::task::spawn_blocking(move || std::fs::read_to_string(fifo)).await.expect("no panic");
        assert_eq!(said.expect("the pipe is read"), "ready\n");
        running
    }

    fn left(&self, dir: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join(dir)).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    fn log(&self) -> String {
        let path = log::path(&self.dir.path().join("logs"), &actor());
        let page = log::read(&path, 0, log::PAGE_BYTES_MAX).expect("a log");
        String::from_utf8(page.bytes).expect("UTF-8")
    }
}

fn actor() -> ActorRef {
    "finance/a1".parse().expect("an actor")
}

/// What a command in the tree said; it must succeed.
async fn said(running: &dyn Running, script: &str) -> String {
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let output = running.exec(command, LONG).await.expect("it runs");
    assert_eq!(output.exit_code, 0, "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A process, whatever becomes of its number.
struct Watched(OwnedFd);

impl Watched {
    /// The process with this number, unless it is gone.
    fn find(pid: &str) -> Option<Self> {
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    fn is_gone(&self) -> bool {
        ends_within(&self.0, Duration::ZERO)
    }
}

/// Starts a daemon in the tree as daemons do it: forked twice, in a session of its own, with its parents gone, its standard
/// streams closed, and deaf to polite signals.
async fn daemon(running: &dyn Running) -> Watched {
    let deaf = r#"trap "" TERM HUP INT; echo $$; exec 1>/dev/null; while :; do sleep 1000; done"#;
    let fork_twice = r#"setsid --fork /bin/sh -c '/bin/sh -c "$0" </dev/null 2>/dev/null &' "$deaf""#;
    // The pipe is read until the daemon has closed it.
    let pid = said(running, &format!("deaf='{deaf}'; {fork_twice} | cat")).await;
    Watched::find(&pid).expect("the daemon is alive")
}

#[tokio::test]
async fn a_daemon_that_forked_twice_does_not_outlive_a_stop() {
    let host = Host::new();
    let running = host.idle().await;
    let daemon = daemon(&*running).await;
    assert!(!daemon.is_gone());
    assert_eq!(running.stop(LONG).await, 128 + 15, "the program took the polite signal");
    assert!(daemon.is_gone());
}

#[tokio::test]
async fn a_daemon_that_forked_twice_does_not_outlive_a_kill() {
    let host = Host::new();
    let running = host.idle().await;
    let daemon = daemon(&*running).await;
    assert_eq!(running.kill().await, 128 + 9);
    assert!(daemon.is_gone());
}

#[tokio::test]
async fn a_daemon_that_forked_twice_does_not_outlive_the_program() {
    let host = Host::new();
    let running = host.ready("echo ready > $READY; read word < $READY; exit 3").await;
    let daemon = daemon(&*running).await;
    let fifo = host.dir.path().join("ready");
    tokio::task::spawn_blocking(move || std::fs::write(fifo, "end\n")).await.expect("no panic").expect("it reads");
    assert_eq!(running.wait().await, 3);
    assert!(daemon.is_gone());
}

#[tokio::test]
async fn a_tree_whose_supervisor_is_killed_is_ended_from_outside() {
    let host = Host::new();
    let running = host.idle().await;
    let daemon = daemon(&*running).await;
    let root = i32::try_from(running.tree_root().pid()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(root, Signal::KILL).expect("it is alive");
    assert_eq!(running.wait().await, 128 + 9);
    assert!(daemon.is_gone());
    assert!(matches!(running.exec(vec!["true".into()], LONG).await, Err(RuntimeError::Gone)));
}

#[tokio::test]
async fn a_tree_whose_supervisor_was_stopped_by_its_program_ends_all_the_same() {
    let host = Host::new();
    let running = host.idle().await;
    let daemon = daemon(&*running).await;
    let root = i32::try_from(running.tree_root().pid()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(root, Signal::STOP).expect("it is alive");
    assert_eq!(running.stop(std::time::Duration::ZERO).await, 128 + 9);
    assert!(daemon.is_gone());
}

#[tokio::test]
async fn a_tree_that_nobody_holds_any_more_ends() {
    let host = Host::new();
    let running = host.idle().await;
    let (daemon, gone) = (daemon(&*running).await, running.wait());
    drop(running);
    gone.await;
    assert!(daemon.is_gone());
}

#[tokio::test]
async fn a_program_may_end_in_its_own_way_within_its_grace() {
    let host = Host::new();
    let running = host.ready("trap 'exit 5' TERM; sleep 1000 & echo ready > $READY; wait").await;
    assert_eq!(running.stop(LONG).await, 5);
}

#[tokio::test]
async fn a_program_that_ignores_the_polite_signal_is_killed_after_its_grace() {
    let host = Host::new();
    let running = host.ready("trap '' TERM; echo ready > $READY; while :; do sleep 1000; done").await;
    assert_eq!(running.stop(Duration::from_millis(10)).await, 128 + 9);
}

#[tokio::test]
async fn a_program_has_the_environment_and_the_descriptors_that_are_promised_and_no_other() {
    let host = Host::new();
    let running = host.idle().await;
    let output = running.exec(vec!["env".into()], LONG).await.expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let found: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let socket = format!("unix://{}", host.dir.path().join("x.sock").display());
    let home = host.left("state").pop().expect("a state directory");
    let promised = [
        ("CREDENCE_METADATA", socket.as_str()),
        ("FIXED", "value"),
        ("HOME", home.to_str().expect("UTF-8")),
        ("LANG", "C.UTF-8"),
        ("PASSED", "on"),
        ("PATH", "/usr/bin:/bin"),
        ("SPIFFE_ENDPOINT_SOCKET", socket.as_str()),
        ("TZ", "UTC"),
    ];
    assert_eq!(found, promised.into());
    assert_eq!(said(&*running, "stat -c %a $HOME; pwd").await, format!("700\n{}\n", home.display()));
    let (few, most) = (said(&*running, "ulimit -Sn").await, said(&*running, "ulimit -Hn").await);
    let few: u64 = few.trim().parse().expect("a number");
    assert!(few <= 1024 && few.to_string() != most.trim(), "{few} of {most}: it may allow itself more");
}

#[tokio::test]
async fn a_program_and_a_command_beside_it_have_their_standard_streams_and_no_other_descriptor() {
    let host = Host::new();
    // The last one is the listing's own.
    assert_eq!(said(&*host.idle().await, "exec ls /proc/self/fd").await, "0\n1\n2\n3\n");
    let running = host.start(host.spec(2, &["ls", "/proc/self/fd"])).await.expect("it starts");
    assert_eq!(running.wait().await, 0);
    let log = host.log();
    let found: Vec<_> = log.lines().filter_map(|line| Some(line.split_once(" out ")?.1)).collect();
    assert_eq!(found, ["0", "1", "2", "3"]);
}

/// Ends a tree and packs what it leaves.
async fn ended(running: &dyn Running) -> Archive {
    running.kill().await;
    running.archive().await.expect("it is packed")
}

#[tokio::test]
async fn state_and_log_go_on_in_the_next_binding_on_another_host() {
    let (here, there) = (Host::new(), Host::new());
    let running = here.ready("echo one; echo two >&2; echo ready > $READY; exec sleep 1000").await;
    said(
        &*running,
        "mkdir -p a/b; echo kept > a/b/file; chmod 755 a/b/file; ln -s a/b/file link; ln -s /etc/passwd out",
    )
    .await;
    let archive = ended(&*running).await;
    assert_eq!(archive.skipped, 1, "the link that leads outside stays behind");
    assert_eq!(archive.digest, digest(&archive.path).expect("a file"));
    let first_log = here.log();
    assert!(first_log.contains(" out one\n") && first_log.contains(" err two\n"), "{first_log}");

    let mut spec = there.spec(2, &["/bin/sh", "-c", "cat link; exec sleep 1000"]);
    spec.archive = Some(archive.path.clone());
    let again = there.start(spec).await.expect("it starts");
    assert_eq!(said(&*again, "cat a/b/file link; stat -c %a a/b/file; ls").await, "kept\nkept\n700\na\nlink\n");
    said(&*again, "rm link").await;
    let changed = ended(&*again).await;
    assert_ne!(changed.digest, archive.digest);
    assert_eq!(there.log(), format!("{first_log}2026-01-01T12:00:00.000Z out kept\n"));

    running.discard().await;
    again.discard().await;
    assert!(here.left("state").is_empty() && there.left("state").is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn a_damaged_archive_starts_nothing_and_leaves_nothing() {
    let host = Host::new();
    let damaged = host.dir.path().join("damaged.tar");
    std::fs::write(&damaged, [7; 2000]).expect("a file");
    let spec = StartSpec { archive: Some(damaged), ..host.spec(1, &["true"]) };
    assert!(matches!(host.start(spec).await.err(), Some(RuntimeError::Archive(_))));
    assert!(host.left("state").is_empty());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_and_leaves_nothing() {
    let host = Host::new();
    for program in ["no-such-program", "/etc/passwd", "/"] {
        let failed = host.start(host.spec(1, &[program])).await.err().expect("it cannot start").to_string();
        assert!(failed.contains(program), "{failed}");
        assert!(host.left("state").is_empty());
    }
    assert!(matches!(host.start(host.spec(1, &[])).await.err(), Some(RuntimeError::NoCommand)));
}

#[tokio::test]
async fn what_an_earlier_run_of_the_node_left_behind_is_removed() {
    let host = Host::new();
    let stale = host.dir.path().join("state").join("stale");
    std::fs::create_dir_all(stale.join("deep")).expect("a directory");
    std::fs::write(stale.join("deep/file"), "secret").expect("a file");
    host.driver.clean(&Default::default()).expect("cleaned");
    assert!(host.left("state").is_empty());
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed() {
    let host = Host::new();
    let running = host.ready("echo ready > $READY; exec sleep 1000").await;
    let fifo = host.dir.path().join("ready").display().to_string();
    let pid = tokio::task::spawn_blocking({
        let fifo = fifo.clone();
        move || std::fs::read_to_string(fifo)
    });
    let script = format!("echo $$ > {fifo}; exec sleep 1000");
    let late = running.exec(vec!["/bin/sh".into(), "-c".into(), script], Duration::from_millis(300)).await;
    assert!(matches!(late, Err(RuntimeError::TimedOut(300))), "{late:?}");
    let pid = pid.await.expect("no panic").expect("the pipe is read");
    // If there is no such process it was reaped already; else it is about to be.
    if let Some(left) = Watched::find(&pid) {
        assert!(ends_within(&left.0, LONG), "it was not killed");
    }
    assert_eq!(said(&*running, "echo still here").await, "still here\n");
}

#[tokio::test]
async fn only_so_many_commands_run_at_once_and_they_end_with_the_tree() {
    let host = Host::new();
    let running = host.idle().await;
    let before = hits("actor_commands");
    let exec = |_| running.exec(vec!["sleep".into(), "1000".into()], LONG);
    let (first, _, others) = select_all((0..=EXECS_MAX).map(exec)).await;
    assert!(matches!(first, Err(RuntimeError::Busy)), "{first:?}");
    assert!(hits("actor_commands") > before);
    let (_, others) = tokio::join!(running.kill(), join_all(others));
    assert_eq!(others.len(), EXECS_MAX);
    assert!(others.iter().all(|ended| matches!(ended, Err(RuntimeError::Gone))), "{others:?}");
}

/// How often a limit of the node was reached.
fn hits(limit: &str) -> u64 {
    credence_node::observe::limits().iter().find(|found| found.name == limit).expect("such a limit").hits()
}

#[tokio::test]
async fn orders_to_a_tree_that_come_all_at_once_wait_for_their_turn() {
    let host = Host::new();
    let running = host.idle().await;
    let before = hits("actor_orders");
    // All of them are made before the one task that passes them on has a turn.
    let answers = join_all((0..100).map(|_| running.exec(vec!["true".into()], LONG))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(RuntimeError::Busy))), "{answers:?}");
    assert!(hits("actor_orders") > before);
    running.kill().await;
}

#[tokio::test]
async fn what_a_command_says_beyond_the_limit_is_dropped_and_does_not_hold_it_up() {
    let host = Host::new();
    let running = host.idle().await;
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 100 /dev/zero | tr '\\0' y >&2; exit 4";
    let output = running.exec(vec!["/bin/sh".into(), "-c".into(), script.into()], LONG).await.expect("it ends");
    assert_eq!((output.exit_code, output.stderr.as_slice()), (4, [b'y'; 100].as_slice()));
    assert_eq!(output.stdout, vec![b'x'; credence_node::runtime::EXEC_OUTPUT_BYTES_MAX]);
}

#[test]
fn the_supervisor_without_a_node_ends_at_once() {
    let mut command = std::process::Command::new(credence());
    command.arg("actor-init").stdin(std::process::Stdio::null());
    let status = command.status().expect("it starts");
    assert_eq!(status.code(), Some(125));
    assert!(Path::new(credence()).is_absolute());
}
