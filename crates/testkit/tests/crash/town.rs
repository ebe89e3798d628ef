//! A server, two nodes behind ways that can be cut, and what can happen to them.

use super::disk::Disk;
use super::load::Record;
use super::misfortune::{Kind, Means, Seed};
use super::network::{Link, Relay};
use super::pass;
use super::tool::{Holder, Watch, Watched, ask, now_ms, socket};
use super::verdict::{Evidence, Outage, Sighting, newest};
use crate::harness::{Cli, House, Node, text, workload};
use credence_journal::{FileJournal, FileOptions, Index, Journal as _};
use credence_model::event::Entry;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Short, because leases are waited for.
const SETTINGS: &str = "lease_ms = 2000\nheartbeat_ms = 400\nclock_margin_ms = 200\nwait_ms = 10000";
/// Longer than lease and margin, in milliseconds.
const OVER_MS: u64 = 2_600;
/// How long a stopped server is stopped, and a disk is ill, in milliseconds: less than a lease.
const SERVER_STOPPED_MS: u64 = 1_200;
const DISK_ILL_MS: u64 = 800;
/// How long it may take until nobody is on the way any more, or the server says how it is, in seconds.
const CALM_SECS_MAX: u64 = 90;
const WORKERS: u32 = 5;
/// How long a new connection may take on a way that is there, and after how long it is believed that there is none.
const PASSES_WITHIN: Duration = Duration::from_secs(10);
const LOST_AFTER: Duration = Duration::from_millis(300);
/// What a server says that cannot open its journal.
const NOT_RECOVERED: &str = "the journal is not recovered";

pub(super) struct Town {
    house: House,
    quarters: Vec<Quarter>,
    beacons: PathBuf,
    disk: Option<Disk>,
    watched: Vec<Watched>,
    outages: Vec<Outage>,
    /// How many processes were sent SIGKILL.
    pub(super) kills: usize,
    kept: tempfile::TempDir,
}

/// A node and the way to it.
struct Quarter {
    name: String,
    node: Node,
    way: Way,
}

enum Way {
    Relay(Relay),
    Link(Link),
}

impl Town {
    /// With network namespaces, the second node lives in one; the first is behind a relay anyway.
    pub(super) fn build(means: Means) -> Self {
        let kept = tempfile::tempdir().expect("a directory");
        let link = means.netns.then(|| Link::open(kept.path()));
        let ip = link.as_ref().map_or("127.0.0.1".to_owned(), |link| link.server_ip.to_string());
        let mut disk = None;
        let house = House::start_at(&ip, SETTINGS, |data_dir| disk = means.mounts.then(|| Disk::mount(data_dir)));
        let beacons = kept.path().join("beacons");
        fs::create_dir(&beacons).expect("a directory");
        let command = serde_json::json!([workload(), "beacon", "--into", beacons]);
        let class = format!(
            "apiVersion: credence.dev/v1alpha1\nkind: Class\nmetadata: {{namespace: default, name: beacon}}\n\
             spec: {{owner: tests@example.org, runtime: {{command: {command}, stopGraceSecs: 1}}}}\n"
        );
        house.cli.fed(&["apply", "-f", "-"], &class);
        let ways = [("alpha", None), ("beta", link)];
        let quarters = ways.map(|(name, link)| {
            let way = link.map_or_else(|| Way::Relay(Relay::open(&house.addr)), Way::Link);
            Quarter { name: name.to_owned(), node: way.start(&house, name), way }
        });
        let (watched, outages) = (Vec::new(), Vec::new());
        Self { house, quarters: quarters.into(), beacons, disk, watched, outages, kills: 0, kept }
    }

    pub(super) fn cli(&self) -> Cli {
        self.house.cli.clone()
    }

    /// Lets something happen, and mends what has to be mended from outside.
    pub(super) fn strike(&mut self, kind: Kind, chance: &mut Seed) {
        let one = chance.below(self.quarters.len());
        match kind {
            Kind::ServerKilled => {
                self.kill_server();
                self.house.restart_server();
            }
            Kind::ServerStopped => self.stop_server(SERVER_STOPPED_MS),
            Kind::ServerStoppedLong => self.stop_server(OVER_MS),
            Kind::NodeKilled => self.watching(one, |town| {
                let quarter = &mut town.quarters[one];
                quarter.node.process.kill();
                quarter.node = quarter.way.start(&town.house, &quarter.name);
                town.kills += 1;
            }),
            Kind::NodeStopped => self.watching(one, |town| {
                town.quarters[one].node.process.signal(Signal::STOP);
                pass(Duration::from_millis(OVER_MS));
                town.quarters[one].node.process.signal(Signal::CONT);
            }),
            Kind::NodeCutOff
            | Kind::LinkDown
            | Kind::PacketsLost
            | Kind::PacketsToServerLost
            | Kind::PacketsToNodeLost => self.cut(kind, chance),
            Kind::SupervisorKilled => {
                let supervisors = children(self.quarters[one].node.process.pid());
                if let Some(pid) = supervisors.get(chance.below(supervisors.len())).copied().and_then(Pid::from_raw) {
                    // It may have ended meanwhile.
                    self.kills += usize::from(kill_process(pid, Signal::KILL).is_ok());
                }
            }
            Kind::DiskFull => self.fill_the_disk(),
            Kind::DiskReadOnly => self.start_on_a_read_only_disk(),
            Kind::DiskReadOnlyRunning => self.run_on_a_read_only_disk(),
        }
    }

    fn kill_server(&mut self) {
        self.house.kill_server();
        self.kills += 1;
    }

    fn stop_server(&self, for_ms: u64) {
        self.house.server.signal(Signal::STOP);
        pass(Duration::from_millis(for_ms));
        self.house.server.signal(Signal::CONT);
    }

    /// Something happens to a node, and a tool server goes on asking about those who are there until they are refused.
    fn watching(&mut self, one: usize, happens: impl FnOnce(&mut Self)) {
        let watch = Watch::over(&socket(&self.house.cli), self.holders(one));
        happens(self);
        self.watched.extend(watch.end());
    }

    /// Who runs on a node and has written down its certificate.
    fn holders(&self, one: usize) -> Vec<Holder> {
        let (_, views) = self.views();
        let here = views.iter().filter(|view| view["state"] == "running" && view["node"] == self.quarters[one].name);
        let holder = |view: &Value| {
            let (actor, binding) = (text(view, "id").to_owned(), text(view, "binding").to_owned());
            let certificates = fs::read_to_string(self.beacons.join(format!("{actor}.{binding}.pem"))).ok()?;
            certificates.ends_with("-----END CERTIFICATE-----\n").then_some(Holder { actor, binding, certificates })
        };
        here.filter_map(holder).collect()
    }

    /// Cuts a node whose way can be cut so.
    fn cut(&mut self, kind: Kind, chance: &mut Seed) {
        let fit = |quarter: &Quarter| matches!(quarter.way, Way::Relay(_)) == (kind == Kind::NodeCutOff);
        let places: Vec<_> = (0..self.quarters.len()).filter(|place| fit(&self.quarters[*place])).collect();
        let one = places[chance.below(places.len())];
        self.watching(one, |town| {
            town.quarters[one].way.cut(kind, true, &town.house.addr);
            pass(Duration::from_millis(OVER_MS));
            town.quarters[one].way.cut(kind, false, &town.house.addr);
        });
    }

    fn fill_the_disk(&mut self) {
        let Some(disk) = &self.disk else { return };
        let ballast = disk.fill();
        pass(Duration::from_millis(DISK_ILL_MS));
        ballast.set_len(0).expect("a file can be cut");
        self.revive_the_server();
    }

    /// A server that could not write may have ended; it is not to be mended by anybody but its starter.
    fn revive_the_server(&mut self) {
        if self.house.server.has_ended() {
            self.house.restart_server();
        }
    }

    fn start_on_a_read_only_disk(&mut self) {
        self.kill_server();
        let Some(disk) = &self.disk else { return };
        disk.set_read_only(true);
        let refused = self.house.refused_server();
        assert!(refused.contains("read-only"), "it does not say what is wrong: {refused}");
        disk.set_read_only(false);
        self.house.restart_server();
    }

    /// Files that the server has open stay writable, so it is made to open them again: by an append for which there is no
    /// room. When there is room again, the disk is still read-only.
    fn run_on_a_read_only_disk(&mut self) {
        let Some(disk) = &self.disk else { return };
        let cover = disk.cover();
        let ballast = disk.fill();
        self.await_readiness(503, NOT_RECOVERED);
        ballast.set_len(0).expect("a file can be cut");
        let from_ms = now_ms();
        pass(Duration::from_millis(OVER_MS));
        self.await_readiness(503, NOT_RECOVERED);
        self.outages.push(Outage { from_ms, until_ms: now_ms() });
        drop(cover);
        self.await_readiness(200, "ok");
    }

    fn readiness(&self) -> Option<(u16, Value)> {
        ask(&socket(&self.house.cli), "GET", "/readyz", "")
    }

    /// Waits until `/readyz` answers this and says that.
    fn await_readiness(&self, wanted: u16, says: &str) {
        let until = Instant::now() + Duration::from_secs(CALM_SECS_MAX);
        let is_so = |(status, said): (u16, Value)| status == wanted && said.to_string().contains(says);
        while !self.readiness().is_some_and(is_so) {
            assert!(Instant::now() < until, "/readyz does not say {wanted} and {says}: {:?}", self.readiness());
            pass(Duration::from_millis(20));
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
        let (watched, outages) = (std::mem::take(&mut self.watched), std::mem::take(&mut self.outages));
        Evidence { views, sightings, verdicts, entries, watched, outages }
    }

    /// Leaves everything where it is, to be looked at.
    pub(super) fn keep(&mut self) {
        self.kept.disable_cleanup(true);
        if let Some(disk) = &self.disk {
            disk.keep();
        }
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
        // Before the directory that it is mounted in.
        drop(self.disk.take());
    }
}

impl Way {
    fn start(&self, house: &House, name: &str) -> Node {
        match self {
            Self::Relay(relay) => house.node_at(name, WORKERS, &relay.addr),
            Self::Link(link) => {
                assert!(link.passes(&house.addr, PASSES_WITHIN), "there is no way from {name} to the server");
                house.node_in(name, WORKERS, &house.addr, Some(&link.namespace()))
            }
        }
    }

    fn cut(&self, kind: Kind, is_cut: bool, addr: &str) {
        match (self, kind) {
            (Self::Relay(relay), _) => relay.cut(is_cut),
            (Self::Link(link), Kind::LinkDown) => link.set_down(is_cut),
            (Self::Link(link), _) => {
                if kind != Kind::PacketsToNodeLost {
                    link.lose_to_server(is_cut);
                }
                if kind != Kind::PacketsToServerLost {
                    link.lose_to_node(is_cut);
                }
            }
        }
        if let (Self::Link(link), true) = (self, is_cut) {
            assert!(!link.passes(addr, LOST_AFTER), "{kind:?} cuts nothing");
        }
    }
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
