//! A server, two nodes behind relays that can be cut, and what can happen to them.

use super::load::Record;
use super::misfortune::{Kind, Seed};
use super::pass;
use super::verdict::{Evidence, Sighting, newest};
use crate::harness::{Cli, House, Node, text, workload};
use credence_journal::{FileJournal, FileOptions, Index, Journal as _};
use credence_model::event::Entry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Short, because leases are waited for.
const SETTINGS: &str = "lease_ms = 2000\nheartbeat_ms = 400\nclock_margin_ms = 200\nwait_ms = 10000";
/// Longer than lease and margin, in milliseconds.
const OVER_MS: u64 = 2_600;
/// How long a stopped server is stopped, and a disk is ill, in milliseconds: less and more than a lease.
const SERVER_STOPPED_MS: u64 = 1_200;
const DISK_ILL_MS: u64 = 800;
/// How long it may take until nobody is on the way any more, in seconds.
const CALM_SECS_MAX: u64 = 90;
const WORKERS: u32 = 5;
/// Size of the disk that can be full.
const DISK: &str = "size=48m";

pub(super) struct Town {
    house: House,
    nodes: Vec<Quarter>,
    beacons: PathBuf,
    /// Where the server's data is mounted, if it is.
    mounted: Option<PathBuf>,
    kept: tempfile::TempDir,
}

/// A node and the way to it.
struct Quarter {
    name: String,
    node: Node,
    relay: Relay,
}

impl Town {
    pub(super) fn build(with_mounts: bool) -> Self {
        let kept = tempfile::tempdir().expect("a directory");
        let mut mounted = None;
        let house = House::start_in(SETTINGS, |data_dir| {
            if with_mounts {
                fs::create_dir(data_dir).expect("a directory");
                mount(&["-t", "tmpfs", "-o", DISK, "tmpfs"], data_dir);
                mounted = Some(data_dir.to_owned());
            }
        });
        let beacons = kept.path().to_owned();
        let command = serde_json::json!([workload(), "beacon", "--into", beacons]);
        let class = format!(
            "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {{namespace: default, name: beacon}}\n\
             spec: {{owner: tests@example.org, runtime: {{command: {command}, stopGraceSecs: 1}}}}\n"
        );
        house.cli.fed(&["apply", "-f", "-"], &class);
        let nodes = ["alpha", "beta"].map(|name| {
            let relay = Relay::open(&house.addr);
            let node = house.node_at(name, WORKERS, &relay.addr);
            Quarter { name: name.to_owned(), node, relay }
        });
        Self { house, nodes: nodes.into(), beacons, mounted, kept }
    }

    pub(super) fn cli(&self) -> Cli {
        self.house.cli.clone()
    }

    /// Lets something happen, and mends what has to be mended from outside.
    pub(super) fn strike(&mut self, kind: Kind, chance: &mut Seed) {
        let one = chance.below(self.nodes.len());
        match kind {
            Kind::ServerKilled => {
                self.house.kill_server();
                self.house.restart_server();
            }
            Kind::ServerStopped => {
                self.house.server.signal(Signal::STOP);
                pass(Duration::from_millis(SERVER_STOPPED_MS));
                self.house.server.signal(Signal::CONT);
            }
            Kind::NodeKilled => {
                let quarter = &mut self.nodes[one];
                quarter.node.process.kill();
                quarter.node = self.house.node_at(&quarter.name, WORKERS, &quarter.relay.addr);
            }
            Kind::NodeStopped => {
                self.nodes[one].node.process.signal(Signal::STOP);
                pass(Duration::from_millis(OVER_MS));
                self.nodes[one].node.process.signal(Signal::CONT);
            }
            Kind::NodeCutOff => {
                self.nodes[one].relay.cut(true);
                pass(Duration::from_millis(OVER_MS));
                self.nodes[one].relay.cut(false);
            }
            Kind::SupervisorKilled => {
                let supervisors = children(self.nodes[one].node.process.pid());
                if let Some(pid) = supervisors.get(chance.below(supervisors.len())).copied().and_then(Pid::from_raw) {
                    // It may have ended meanwhile.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            Kind::DiskFull => self.fill_the_disk(),
            Kind::DiskReadOnly => {
                let Some(disk) = self.mounted.clone() else { return };
                // Files that are open for writing hold a remount up, so the server is killed first.
                self.house.kill_server();
                mount(&["-o", "remount,ro"], &disk);
                let refused = self.house.refused_server();
                assert!(refused.contains("read-only"), "it does not say what is wrong: {refused}");
                mount(&["-o", "remount,rw"], &disk);
                self.house.restart_server();
            }
        }
    }

    fn fill_the_disk(&mut self) {
        let Some(disk) = &self.mounted else { return };
        let path = disk.join("ballast");
        let mut ballast = fs::File::create(&path).expect("a file");
        for bytes in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![0; bytes]).is_ok() {}
        }
        pass(Duration::from_millis(DISK_ILL_MS));
        fs::remove_file(path).expect("it is there");
        self.revive_the_server();
    }

    /// A server that could not write may have ended; it is not to be mended by anybody but its starter.
    fn revive_the_server(&mut self) {
        if self.house.server.has_ended() {
            self.house.restart_server();
        }
    }

    /// Waits until nobody is on the way from one state to another.
    pub(super) fn calm(&mut self) {
        let until = Instant::now() + Duration::from_secs(CALM_SECS_MAX);
        loop {
            let (settled, views) = self.views();
            if settled {
                return;
            }
            assert!(Instant::now() < until, "no calm after {CALM_SECS_MAX} s: {views:?}");
            pass(Duration::from_millis(100));
        }
    }

    fn views(&self) -> (bool, Vec<Value>) {
        let listed = self.house.cli.object(&["get", "actors"]);
        let views = listed["items"].as_array().expect("a list").clone();
        let settled = views.iter().all(|view| matches!(text(view, "state"), "running" | "suspended" | "created"));
        (settled, views)
    }

    /// Everything that can be known afterwards. The server is stopped for it.
    pub(super) fn evidence(&mut self, records: &[Record]) -> Evidence {
        let (_, views) = self.views();
        let sightings = sightings(&self.beacons);
        let mut actors: Vec<_> = records.iter().map(|record| record.actor.clone()).collect();
        actors.sort();
        actors.dedup();
        let verdicts = newest(&sightings, &actors).into_iter().map(|sighting| {
            let pem = fs::read_to_string(&sighting.certificates).expect("a certificate");
            (sighting.binding.clone(), self.house.cli.verdict(&pem)["live"] == true)
        });
        let verdicts = verdicts.collect();
        self.house.kill_server();
        let journal = self.house.data_dir().join("journal");
        let mut journal = FileJournal::open(&journal, FileOptions::default()).expect("the journal is whole");
        let last = journal.recover().expect("the journal is whole").last;
        let mut entries = Vec::new();
        while (entries.len() as u64) < last.0 {
            let page = journal.read(Index(entries.len() as u64 + 1), 1000).expect("the journal can be read");
            entries.extend(page.iter().map(|(_, bytes)| Entry::decode(bytes).expect("an entry")));
        }
        Evidence { views, sightings, verdicts, entries }
    }

    /// Leaves everything where it is, to be looked at.
    pub(super) fn keep(&mut self) {
        self.kept.disable_cleanup(true);
        println!("kept: {} {}", self.house.keep().display(), self.kept.path().display());
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the server said: {}", self.house.server.complaints());
            self.keep();
        }
        self.house.kill_server();
        if let Some(disk) = &self.mounted {
            // Lazily: a node may still look at it.
            let _ = Command::new("umount").arg("-l").arg(disk).status();
        }
    }
}

fn mount(options: &[&str], on: &Path) {
    let status = Command::new("mount").args(options).arg(on).status().expect("mount runs");
    assert!(status.success(), "mount {options:?} {} failed; leave mounts out, or be root", on.display());
}

/// The processes that this one started and that were not waited for.
fn children(pid: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let children = tasks.flatten().map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    children.flat_map(|line| line.split_whitespace().flat_map(str::parse).collect::<Vec<i32>>()).collect()
}

/// What the programs saw.
fn sightings(dir: &Path) -> Vec<Sighting> {
    let mut sightings = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((actor, binding)) = name.split_once('.').filter(|(_, rest)| !rest.contains('.')) else { continue };
        let lines = fs::read_to_string(entry.path()).expect("text");
        let mut times = lines.lines().filter_map(|line| {
            let (before, after) = line.split_once(' ')?;
            Some((before.parse::<u64>().ok()?, after.parse::<u64>().ok()?))
        });
        let Some(first) = times.next() else { continue };
        let (mut last, mut answers) = (first, 1);
        times.for_each(|time| (last, answers) = (time, answers + 1));
        sightings.push(Sighting {
            actor: actor.to_owned(),
            binding: binding.to_owned(),
            first_answered_ms: first.1,
            last_asked_ms: last.0,
            answers,
            certificates: dir.join(format!("{name}.pem")),
        });
    }
    sightings
}

/// A TCP relay that can swallow everything.
struct Relay {
    addr: String,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    fn open(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address").to_string();
        let (is_cut, to) = (Arc::new(AtomicBool::new(false)), to.to_owned());
        let cut = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&to) else { continue };
                let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { continue };
                let (one, other) = (Arc::clone(&cut), Arc::clone(&cut));
                std::thread::spawn(move || pump(near, far, &one));
                std::thread::spawn(move || pump(far_too, near_too, &other));
            }
        });
        Self { addr, is_cut }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// A connection of which something was swallowed is of no use any more.
fn pump(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let (mut bytes, mut has_lost) = ([0; 16 * 1024], false);
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        has_lost |= is_cut.load(Ordering::SeqCst);
        let passes = !has_lost;
        if passes && to.write_all(&bytes[..count]).is_err() {
            break;
        }
        if has_lost && !is_cut.load(Ordering::SeqCst) {
            break;
        }
    }
    // Either side may be gone already.
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
