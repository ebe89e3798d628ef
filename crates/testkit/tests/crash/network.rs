//! Two ways from a node to the server that can be cut: a relay, and a network of their own.

use crate::harness::Process;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:00";
/// A node's end of the link.
const NODE_END: &str = "eth0";

/// A network namespace for a node, joined to this one by a pair of virtual interfaces. It has no name: it is gone with
/// the last process in it, and with it both interfaces, even after SIGKILL to the test.
pub(super) struct Link {
    /// Lives in the namespace until its standard input closes.
    holder: Process,
    server_end: String,
    /// Of the server.
    pub(super) server_ip: Ipv4Addr,
    node_ip: Ipv4Addr,
}

impl Link {
    pub(super) fn open(dir: &Path) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", "echo made && exec cat"]);
        let mut holder = Process::start("the holder of a namespace", unshare, dir);
        assert_eq!(holder.line(), "made", "no network namespace");
        // Of the addresses for benchmarks (RFC 2544), four for each test process.
        let own = std::process::id();
        let [_, high, middle, low] = (own.wrapping_mul(4) % (1 << 17)).to_be_bytes();
        let (server_ip, node_ip) =
            (Ipv4Addr::new(198, 18 + high, middle, low + 1), Ipv4Addr::new(198, 18 + high, middle, low + 2));
        let link = Self { holder, server_end: format!("cr{own}"), server_ip, node_ip };
        let pid = link.holder.pid().to_string();
        let end = link.server_end.as_str();
        ip(&["link", "add", end, "type", "veth", "peer", "name", NODE_END, "netns", &pid]);
        ip(&["address", "add", &format!("{server_ip}/30"), "dev", end]);
        ip(&["link", "set", end, "up"]);
        link.inside(&["address", "add", &format!("{node_ip}/30"), "dev", NODE_END]);
        link.inside(&["link", "set", "lo", "up"]);
        link.inside(&["link", "set", NODE_END, "up"]);
        link
    }

    pub(super) fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.pid()).into()
    }

    /// Whether a new connection to an address comes about from inside.
    pub(super) fn passes(&self, addr: &str, within: Duration) -> bool {
        let addr = addr.parse().expect("an address");
        let namespace = File::open(self.namespace()).expect("its holder lives");
        // Only this thread goes there, and it ends at once.
        let probe = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            TcpStream::connect_timeout(&addr, within).is_ok()
        });
        probe.join().expect("a connection is made or not")
    }

    /// Takes the node's interface down, or up again. No connection is told.
    pub(super) fn set_down(&self, is_down: bool) {
        self.inside(&["link", "set", NODE_END, if is_down { "down" } else { "up" }]);
    }

    /// Whether packets of the node go to a hardware address that nobody has, which nothing answers.
    pub(super) fn lose_to_server(&self, is_lost: bool) {
        let server_ip = self.server_ip.to_string();
        self.inside(&mislead(is_lost, &server_ip, NODE_END));
    }

    /// The same of packets to the node.
    pub(super) fn lose_to_node(&self, is_lost: bool) {
        let node_ip = self.node_ip.to_string();
        ip(&mislead(is_lost, &node_ip, &self.server_end));
    }

    fn inside(&self, arguments: &[&str]) {
        let namespace = format!("--net={}", self.namespace().display());
        run("nsenter", &[&[&namespace, "--", "ip"], arguments].concat());
    }
}

fn mislead<'a>(is_lost: bool, ip: &'a str, interface: &'a str) -> Vec<&'a str> {
    match is_lost {
        true => vec!["neighbour", "replace", ip, "lladdr", NOBODY, "dev", interface, "nud", "permanent"],
        false => vec!["neighbour", "delete", ip, "dev", interface],
    }
}

fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("util-linux and iproute2 are there");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
}

/// A TCP relay that can swallow everything.
pub(super) struct Relay {
    pub(super) addr: String,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn open(to: &str) -> Self {
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

    pub(super) fn cut(&self, is_cut: bool) {
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
