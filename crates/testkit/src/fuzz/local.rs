//! What comes from the same machine: the supervisor's frames, key files, the kernel's lines, what an earlier life left.

use super::{refused_alike, scratch};
use credence_attest::process_tree::Stat;
use credence_credential::key::KeyPair;
use credence_credential::key_file::{self, Passphrase};
use credence_credential::pem::{self, Label};
use credence_node::handover::{Handover, Inherited};
use credence_node::mark::Marks;
use credence_node::runtime::control::{self, FRAME_BYTES_MAX, Notice, Order};
use credence_telemetry::trace::TraceContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::fs;
use std::fs::File;
use zeroize::Zeroizing;

/// The passphrase of the encrypted keys in the corpus.
const PASSPHRASE: &str = "correct horse battery staple";

/// Frames between a node and its supervisor: the same messages however the bytes arrive, and each is written to a frame
/// that is read as the same. The first byte says who speaks.
pub fn control_frame(bytes: &[u8]) {
    match bytes.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => frames::<Order>(rest),
        Some((_, rest)) => frames::<Notice>(rest),
        None => {}
    }
}

fn frames<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let at_once = taken::<T>(std::iter::once(bytes));
    assert_eq!(taken::<T>(bytes.chunks(1)), at_once, "other messages in pieces");
    for message in at_once.0 {
        let frame = control::encode(&message).expect("a message that came in a frame fits into one");
        assert!(frame.len() <= FRAME_BYTES_MAX + 4);
        assert_eq!(taken(std::iter::once(frame.as_slice())), (vec![message], None));
    }
}

/// The messages, and the error that ended them.
fn taken<'b, T: DeserializeOwned>(pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<T>, Option<String>) {
    let (mut inbox, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            match control::take(&mut inbox) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error.to_string())),
            }
        }
    }
    (messages, None)
}

/// A key file: the same answer twice, and a key that is read is written to a file in which the same one is read. The first
/// byte says whether the rest is a file, or the content of an encrypted key.
///
/// What a file may cost is the parser's affair: one that asks for more is refused before any work.
pub fn key_file(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let text = match mode % 2 {
        0 => Zeroizing::new(rest.to_vec()),
        _ => Zeroizing::new(pem::write(Label::EncryptedPrivateKey, rest).as_bytes().to_vec()),
    };
    let passphrase = Passphrase::new(Zeroizing::new(PASSPHRASE.as_bytes().to_vec())).expect("a passphrase");
    let locked = key_file::read(&text, None);
    let opened = key_file::read(&text, Some(&passphrase));
    match (locked, opened) {
        (Ok((one, false)), Ok((two, false))) => {
            assert_eq!(one.pkcs8(), two.pkcs8());
            is_written_again(&one);
        }
        (Err(key_file::KeyFileError::Locked), Ok((key, true))) => is_written_again(&key),
        (Err(key_file::KeyFileError::Locked), Err(refusal)) => assert!(!refusal.to_string().is_empty()),
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("read in two ways: {:?} and {:?}", one.map(|key| key.1), two.map(|key| key.1)),
    }
}

/// In the clear: to encrypt it is meant to be slow.
fn is_written_again(key: &KeyPair) {
    let written = key_file::write(key, None).expect("a key that was read can be written");
    let (again, encrypted) = key_file::read(written.as_bytes(), None).expect("reads what it wrote");
    assert!(!encrypted && again.pkcs8() == key.pkcs8());
}

/// A `traceparent`: what is read is written to the text of version 00 that means the same, and names the same request.
pub fn traceparent(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = TraceContext::parse(text);
    assert_eq!(read, TraceContext::parse(text), "read in two ways");
    let Some(read) = read else { return };
    let written = read.to_string();
    assert_eq!(TraceContext::parse(&written), Some(read));
    assert_eq!(written.len(), 55);
    // Version and flags may be another's; the ids between them are not.
    assert_eq!(written.get(2..53), text.get(2..53));
    assert!(text.contains(&read.id()) && read.next([7; 8]).id() == read.id());
}

/// A line of `/proc/<pid>/stat`: what it says does not depend on the name that the process gave itself.
pub fn process_stat(bytes: &[u8]) {
    let read = Stat::parse(1, bytes);
    assert_eq!(read, Stat::parse(1, bytes), "read in two ways");
    let Some(behind) = bytes.iter().rposition(|byte| *byte == b')') else { return assert_eq!(read, None) };
    for name in [&b"sh"[..], b"a) R 4242 0 4242 (b", b"\xff\n) S 1 1 1 0"] {
        let renamed = [b"1 (", name, &bytes[behind..]].concat();
        assert_eq!(Stat::parse(1, &renamed), read, "a process can choose what is read of it");
    }
    if let Some(Stat { parent, session, start_ticks, .. }) = read {
        let zeros = ["0"; 15].join(" ");
        let written = format!("1 (sh) S {parent} 0 {session} {zeros} {start_ticks} 0\n");
        assert_eq!(Stat::parse(1, written.as_bytes()), read, "written and read again it is another");
    }
}

/// What an earlier life of a node left: its estate (the first byte is even; the second says how many files come with it) or
/// its last mark. Understood or refused, the same twice; what is understood and left again is the same.
pub fn left_behind(bytes: &[u8]) {
    match bytes.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => {
            let Some((files, state)) = rest.split_first() else { return };
            estate(state, usize::from(files % 16));
        }
        Some((_, rest)) => mark(rest),
        None => {}
    }
}

fn estate(state: &[u8], files: usize) {
    let given = |state: &[u8], files: usize| {
        let files = (0..files).map(|_| File::open("/dev/null").expect("it is there").into());
        Handover::new(Zeroizing::new(state.to_vec()), files.collect())
    };
    match (Inherited::take(given(state, files)), Inherited::take(given(state, files))) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one.in_use(), two.in_use());
            let (bindings, left) = (one.in_use(), one.leave().expect("what was taken can be left"));
            assert_eq!(left.files.len(), files, "a file was lost or made");
            let again = Inherited::take(given(&left.state, files)).expect("takes what it left");
            assert_eq!(again.in_use(), bindings);
            assert_eq!(again.leave().expect("left again").state, left.state, "two ways to leave the same");
        }
        (Err(one), Err(two)) => refused_alike(one, two),
        (one, two) => panic!("taken in two ways: {:?} and {:?}", one.is_ok(), two.is_ok()),
    }
}

fn mark(bytes: &[u8]) {
    let dir = scratch();
    fs::write(dir.path().join("mark"), bytes).expect("a file");
    let mut marks = Marks::open(dir.path());
    let read = marks.last().cloned();
    assert_eq!(Marks::open(dir.path()).last().cloned(), read, "read in two ways");
    marks.keep(read.clone());
    assert_eq!(Marks::open(dir.path()).last().cloned(), read, "written and read again it is another");
}
