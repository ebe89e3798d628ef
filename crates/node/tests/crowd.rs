//! An actor whose processes open as many streams as they may, and more, and never read.

use crate::door::Door;
use crate::frames::{fetch_x509_svid, hello, stream};
use crate::identity::{ACTOR, served};
use crate::limits::ends;
use credence_node::endpoint::Served;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// Most streams of a connection.
const STREAMS_MAX: u32 = 64;
/// Enough connections for ten thousand streams.
const CONNECTIONS: u32 = 160;
/// What each connection opens beyond what it may.
const BEYOND: u32 = 6;
/// What a stream that nobody reads may cost the endpoint, in bytes, its share of its connection and of the kernel's
/// buffers in this process included: three times what it costs when this is written.
const STREAM_BYTES_MAX: u64 = 32 * 1024;

/// Resident memory of this process, in bytes: proc(5).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// A connection on which more streams are open than may be, and that is not read.
async fn crowded(door: &Door) -> UnixStream {
    let mut connection = door.connect().await;
    let asked: Vec<_> = (0..STREAMS_MAX + BEYOND).flat_map(|index| fetch_x509_svid(stream(index))).collect();
    connection.write_all(&[hello(), asked].concat()).await.expect("it listens");
    connection
}

/// Whoever waits for news at an endpoint holds a receiver.
async fn wait_for_streams(served: &watch::Sender<Served>, count: usize) {
    while served.receiver_count() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ten_thousand_streams_that_nobody_reads_cost_a_bounded_amount_and_end_with_the_binding() {
    // Other tests run beside this one, and both ends of each connection are here.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("as many as are allowed");
    let door = Door::own().await;
    let (before, idle) = (resident_bytes(), door.served.receiver_count());
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(crowded(&door).await);
    }
    let streams = usize::try_from(CONNECTIONS * STREAMS_MAX).expect("a small number");
    wait_for_streams(&door.served, idle + streams).await;
    // Whoever asks now is answered, and everything that was asked before has had its turn by then.
    assert!(door.get("/identity").await.contains(ACTOR));
    assert_eq!(door.served.receiver_count(), idle + streams, "no connection has more than {STREAMS_MAX}");
    let each = resident_bytes().saturating_sub(before) / u64::try_from(streams).expect("a number");
    assert!(each < STREAM_BYTES_MAX, "{each} bytes a stream");

    // News reach each of them, and hold nothing up.
    door.served.send_replace(served(2));
    assert!(door.get("/identity").await.contains(ACTOR));

    let Door { endpoint, served, .. } = door;
    endpoint.close().await;
    assert_eq!(served.receiver_count(), 0, "somebody still holds an identity");
    for connection in connections {
        ends(connection).await;
    }
}
