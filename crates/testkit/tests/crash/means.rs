//! What this machine lets a campaign do, beside signals.

use super::misfortune::Means;
use std::io::Write as _;
use std::process::Command;

/// Programs to try, in namespaces of their own, where they leave nothing behind.
const MOUNT: [&str; 5] = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /tmp"];
const NETNS: [&str; 5] = [
    "unshare",
    "--net",
    "sh",
    "-c",
    "ip link add veth0 type veth peer name veth1 && ip address add 198.18.0.1/30 dev veth0 && ip link set veth0 up \
     && ip neighbour replace 198.18.0.2 lladdr 02:00:00:00:00:00 dev veth0 nud permanent",
];

impl Means {
    /// Each means that is wanted must be there; if nothing is said of one, it is used where it is there, and what was left
    /// out is said.
    pub(super) fn find(mounts: Option<bool>, netns: Option<bool>) -> Self {
        let mounts = find("mounts", mounts, &MOUNT, "a full and a read-only disk");
        let netns = find("network namespaces", netns, &NETNS, "real cuts of the network");
        Self { mounts, netns }
    }
}

fn find(what: &str, wanted: Option<bool>, program: &[&str], without: &str) -> bool {
    if wanted == Some(false) {
        return false;
    }
    let complaint = match Command::new(program[0]).args(&program[1..]).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("{}: {error}", program[0]),
    };
    assert!(wanted.is_none(), "{what} cannot be made here ({complaint}): be root with util-linux and iproute2");
    // Not with `println`, which nobody sees of a test that passes.
    let _ = writeln!(std::io::stderr(), "crash: left out for want of {what}: {without} ({complaint})");
    false
}
