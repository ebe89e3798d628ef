use super::*;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A process tree of one shape. Whoever is to be judged connects to the socket and waits there; the root waits for the
/// end of its standard input.
const SCRIPT: &str = r#"
import ctypes, os, socket, sys
path, shape = sys.argv[1:]
def connect():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.recv(1)
    os._exit(0)
def orphan():
    middle = os.fork()
    if middle == 0:
        middle = os.getpid()
        if os.fork() == 0:
            while os.getppid() == middle:
                os.sched_yield()
            connect()
        os._exit(0)
    os.waitpid(middle, 0)
if shape == "session":
    os.setsid()
if shape == "subreaper":
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
if shape == "odd name":
    PR_SET_NAME = 15
    ctypes.CDLL(None).prctl(PR_SET_NAME, b") R 1 (x", 0, 0, 0)
print("ready", flush=True)
sys.stdin.readline()
if shape == "root":
    connect()
if shape in ("child", "odd name") and os.fork() == 0:
    connect()
if shape == "grandchild" and os.fork() == 0:
    if os.fork() == 0:
        connect()
    os.wait()
    os._exit(0)
if shape in ("orphan", "session", "subreaper"):
    orphan()
sys.stdin.readline()
"#;

struct Tree {
    root: Child,
    peer: UnixStream,
    captured: TreeRoot,
    _dir: TempDir,
}

impl Tree {
    fn grow(shape: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let mut root = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(&path)
            .arg(shape)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let stdout = root.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let captured = TreeRoot::of(root.id()).expect("it runs");
        root.stdin.as_mut().expect("its input").write_all(b"go\n").expect("it reads");
        let (peer, _) = listener.accept().expect("a peer");
        Self { root, peer, captured, _dir: dir }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.peer.shutdown(std::net::Shutdown::Both);
        let _ = self.root.kill();
        let _ = self.root.wait();
    }
}

#[test]
fn every_descendant_belongs_to_its_tree_and_to_no_other() {
    let stranger = Tree::grow("child");
    for shape in ["root", "child", "odd name", "grandchild", "session", "subreaper"] {
        let tree = Tree::grow(shape);
        let peer = peer_of(&tree.peer).expect("a peer");
        assert!(tree.captured.contains(&peer).expect("an answer"), "{shape}");
        assert!(!stranger.captured.contains(&peer).expect("an answer"), "{shape} belongs to a stranger");
        let own = rustix::process::getuid().as_raw();
        assert_eq!(peer.uid, own);
    }
}

#[test]
fn an_orphan_that_left_tree_and_session_does_not_belong() {
    let tree = Tree::grow("orphan");
    let peer = peer_of(&tree.peer).expect("a peer");
    assert!(!tree.captured.contains(&peer).expect("an answer"));
}

#[test]
fn an_ancestor_does_not_belong_to_the_tree_of_its_descendant() {
    let tree = Tree::grow("root");
    let (here, _there) = UnixStream::pair().expect("a pair");
    let own = peer_of(&here).expect("this process");
    assert_eq!(own.pid, std::process::id());
    assert!(!tree.captured.contains(&own).expect("an answer"));
}

#[test]
fn a_root_whose_id_was_used_again_holds_nobody() {
    let tree = Tree::grow("child");
    let peer = peer_of(&tree.peer).expect("a peer");
    let former = TreeRoot { start_ticks: tree.captured.start_ticks - 1, ..tree.captured };
    assert!(!former.contains(&peer).expect("an answer"));
}

#[test]
fn a_peer_that_ended_is_refused_even_though_its_connection_is_still_open() {
    let mut tree = Tree::grow("root");
    let peer = peer_of(&tree.peer).expect("a peer");
    assert!(peer.is_alive().expect("an answer"));
    tree.root.kill().expect("killed");
    // The end of the stream says that the process has gone; it stays a zombie, so its id still leads to /proc.
    let _ = tree.peer.read(&mut [0]);
    let mut gone = [PollFd::new(&peer.pidfd, PollFlags::IN)];
    poll(&mut gone, None).expect("its end");
    assert!(!tree.captured.contains(&peer).expect("an answer"));
}

#[test]
fn a_stat_line_is_read_behind_the_last_parenthesis() {
    let fields = "S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0";
    let wanted = Stat { pid: 1, parent: 7, session: 9, start_ticks: 4242 };
    for command in ["sh", "a b", ") S 1 1 1 (", "\u{1F600}"] {
        assert_eq!(Stat::parse(1, format!("1 ({command}) {fields}").as_bytes()), Some(wanted), "{command}");
    }
    for bad in ["", "1 (sh", "1 (sh) S 7", "1 (sh) S x 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242"] {
        assert_eq!(Stat::parse(1, bad.as_bytes()), None, "{bad}");
    }
}
