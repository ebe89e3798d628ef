//! A real server on a disk that takes no more: it says so, refuses what it cannot record, and goes on when there is room.

use crate::house::{House, actor};
use crate::observe::{observe, page};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::{Command, Stdio};

/// Set in the process that has a disk of its own.
const ALONE: &str = "CREDENCE_TEST_FULL_DISK";

/// Files may have so many bytes from now on, or as many as they like.
fn files_may_have(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).expect("a lower limit");
}

/// Not a test of its own: with the variable it is the process that runs out of room, which would be everybody's.
#[tokio::test]
async fn full_disk_child() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let house = House::furnished_with(observe).await;
    let addr = house.server.observed_at().expect("an address");
    files_may_have(Some(0));
    let refused = house.admin().post("/v1/actors", &actor("a-1")).await.refused();
    assert_eq!(refused["kind"], "unavailable", "{refused}");
    let ready = page(addr, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    for client in [house.admin(), house.anonymous()] {
        assert_eq!(client.get("/readyz").await.status, 503);
        assert_eq!(client.get("/healthz").await.status, 200);
    }
    assert!(page(addr, "/healthz").await.starts_with("HTTP/1.1 200"), "it is ill and not dead");
    files_may_have(None);
    while house.admin().post("/v1/actors", &actor("a-2")).await.status != 200 {}
    assert!(page(addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert_eq!(house.admin().get("/v1/actors/finance/a-1").await.status, 404, "what was refused is not there");
    house.restart().await.close().await;
    println!("it went on");
}

#[test]
fn a_server_whose_disk_is_full_is_not_ready_until_there_is_room_again() {
    // A write beyond the limit is a signal, which ends the process unless it was told to ignore it by who started it.
    let ran = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("a program knows itself"))
        .args(["--exact", "disk::full_disk_child", "--nocapture"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("it went on"), "{said}");
}
