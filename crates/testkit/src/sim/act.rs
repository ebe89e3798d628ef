//! Misfortune: what goes wrong with servers, nodes, the network, clocks and disks.

use super::check::Broken;
use super::disk::Disk;
use super::network::Cut;
use super::node::Node;
use super::world::World;

/// How far the clock of a node is set wrong at most, in milliseconds.
const WALL_OFF_MS_MAX: u64 = 7_200_000;

impl World {
    /// Somebody does something, or misfortune does. Says whether a server started.
    pub(super) fn act(&mut self) -> Result<bool, Broken> {
        self.connect()?;
        if self.servers.iter().all(|server| server.registry.is_none()) {
            if !self.random.one_in(8) {
                return Ok(false);
            }
            self.ground.store.disk().into_iter().for_each(Disk::make_room);
            let next = self.random.below(self.servers.len() as u64) as usize;
            return self.start_server(next);
        }
        match self.random.below(100) {
            0 if self.random.one_in(2) => return self.rival(),
            0 => self.crash_server(),
            1 => self.crash_node(),
            2..=4 => self.break_stream(),
            5 => self.partition(),
            6 => self.set_clocks(),
            7 => self.end_node(),
            8 => self.snapshot()?,
            9 => self.suspend_machine(),
            10 => self.disturb_disk(),
            11..=17 => self.of_node(),
            18..=22 => self.operate()?,
            _ if self.options.permissions && self.random.one_in(3) => self.permit()?,
            _ => self.command()?,
        }
        Ok(false)
    }

    fn snapshot(&mut self) -> Result<(), Broken> {
        let Some(server) = self.some_server() else { return Ok(()) };
        if self.with_server(server, |server, outside| server.snapshot(outside)) == Some(true) {
            self.note("snapshot", String::new());
        }
        self.read_journal(server)
    }

    /// Another server starts, beside the one that has the journal. Often that one seems to be gone, and wakes later.
    fn rival(&mut self) -> Result<bool, Broken> {
        let down: Vec<_> = self.servers.iter().filter(|server| server.registry.is_none()).map(|s| s.index).collect();
        let Some(rival) = down.get(self.random.below(down.len() as u64) as usize).copied() else { return Ok(false) };
        if let Some(owner) = self.ground.owner.filter(|_| self.random.one_in(2)) {
            let (now_ms, pause_ms) = (self.now_ms, self.random.between(100, 30_000));
            self.note("server suspended", format!("{owner} for {pause_ms} ms"));
            self.with_server(owner, |server, _| server.suspend(now_ms, pause_ms, false));
        }
        self.note("rival server", format!("{rival}"));
        self.start_server(rival)
    }

    fn suspend_machine(&mut self) {
        let pause_ms = self.random.between(100, 40_000);
        let index = self.random.below(self.nodes.len() as u64 + 1) as usize;
        let (now_ms, fault) = (self.now_ms, self.options.fault);
        if let Some(node) = self.nodes.get_mut(index) {
            node.pause(now_ms, pause_ms, fault);
            return self.note("node suspended", format!("{index} for {pause_ms} ms"));
        }
        let Some(server) = self.some_server() else { return };
        let stands = self.random.one_in(2);
        self.with_server(server, |server, _| server.suspend(now_ms, pause_ms, stands));
        let what = if stands { "server suspended, its clock stands" } else { "server suspended" };
        self.note(what, format!("{server} for {pause_ms} ms"));
    }

    /// Somebody sets the time of day of a machine whose programs run.
    fn set_clocks(&mut self) {
        let index = self.random.below(self.nodes.len() as u64 + 1) as usize;
        if self.nodes.get(index).is_some() {
            let off_ms =
                self.random.below(2 * WALL_OFF_MS_MAX).checked_signed_diff(WALL_OFF_MS_MAX).unwrap_or_default();
            // It is put right as often.
            let off_ms = if self.random.one_in(2) { 0 } else { off_ms };
            let Some(node) = self.nodes.get_mut(index) else { return };
            let before_ms = std::mem::replace(&mut node.wall_off_ms, off_ms);
            if before_ms != off_ms {
                let what = if off_ms < before_ms { "node's clock set back" } else { "node's clock set forward" };
                self.note(what, format!("{index} to {off_ms} ms off"));
            }
            return;
        }
        let Some(server) = self.some_server() else { return };
        let off_ms = self.random.below(100_000_000);
        let is_back = self.with_server(server, |server, _| server.set_wall(off_ms)) == Some(true);
        let what = if is_back { "running server's clock set back" } else { "running server's clock set forward" };
        self.note(what, format!("{server}"));
    }

    fn disturb_disk(&mut self) {
        if let Some(disk) = self.ground.store.disk() {
            disk.misfortune();
        }
    }

    fn crash_server(&mut self) {
        let up: Vec<_> = self.servers.iter().filter(|server| server.registry.is_some()).map(|s| s.index).collect();
        let Some(server) = up.get(self.random.below(up.len() as u64) as usize).copied() else { return };
        self.with_server(server, |server, outside| server.crash(outside));
    }

    pub(super) fn start_server(&mut self, index: usize) -> Result<bool, Broken> {
        self.note("server started", format!("{index}"));
        let started = self.with_server(index, |server, outside| server.start(outside));
        started.unwrap_or(Ok(false)).map_err(Broken::Refused)
    }

    fn crash_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("node crashed", format!("{index}"));
        self.nodes.get_mut(index).into_iter().for_each(Node::crash);
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn end_node(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes.get(index).is_none_or(|node| node.paused(self.now_ms).is_some()) {
            return;
        }
        self.note("node told to end", format!("{index}"));
        self.with_node(index, |node, around| node.end(around));
    }

    fn break_stream(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.note("stream cut", format!("{index}"));
        self.network.cut_stream(self.now_ms, &mut self.random, index);
    }

    fn partition(&mut self) {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        if self.network.cut.remove(&index).is_some() {
            return self.note("partition ends", format!("{index}"));
        }
        let nth = self.random.below(Cut::ALL.len() as u64) as usize;
        let Some(cut) = Cut::ALL.get(nth) else { return };
        self.network.cut.insert(index, *cut);
        let name = if *cut == Cut::Both { "partition begins" } else { "one-way partition begins" };
        self.note(name, format!("{index} {cut:?}"));
    }
}
