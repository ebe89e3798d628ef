//! HTTP/2 by hand: what a program says to begin a call, and the messages in what either side said (RFC 9113 §4.1).

use std::collections::BTreeMap;

const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// Bytes of a frame before its payload, and of a message of gRPC before it.
const HEAD_BYTES: usize = 9;
const PREFIX_BYTES: usize = 5;
/// Largest payload that everybody takes.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// What opens a connection and begins the call `Run` on its first stream.
pub(super) fn call() -> Vec<u8> {
    let fields = [
        (":scheme", "http"),
        (":authority", "node"),
        (":method", "POST"),
        (":path", "/credence.local.v1.LocalService/Run"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let text = |text: &str| [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat();
    // Literal fields that nobody is to remember: RFC 7541 §6.2.2.
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect();
    [HELLO.to_vec(), frame(SETTINGS, 0, 0, &[]), frame(HEADERS, END_HEADERS, 1, &block)].concat()
}

/// Bytes of the call's body.
pub(super) fn data(body: &[u8]) -> Vec<u8> {
    body.chunks(PAYLOAD_BYTES_MAX).flat_map(|chunk| frame(DATA, 0, 1, chunk)).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The messages on each stream in what a client said.
pub(super) fn said(bytes: &[u8]) -> BTreeMap<u32, Vec<Vec<u8>>> {
    bytes.strip_prefix(HELLO).map(heard).unwrap_or_default()
}

/// The messages on each stream in what a server said, but for a last one that is not whole.
pub(super) fn heard(bytes: &[u8]) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut bodies = BTreeMap::<u32, Vec<u8>>::new();
    for (_, flags, stream, payload) in frames(bytes).into_iter().filter(|(kind, ..)| *kind == DATA) {
        let payload = if flags & PADDED == 0 { payload } else { unpadded(payload) };
        bodies.entry(stream).or_default().extend_from_slice(payload);
    }
    bodies.into_iter().map(|(stream, body)| (stream, messages(&body))).collect()
}

/// Whether a server has said something about a call.
pub(super) fn is_answered(bytes: &[u8]) -> bool {
    frames(bytes).iter().any(|(kind, ..)| matches!(*kind, DATA | HEADERS))
}

/// Kind, flags, stream and payload of each.
fn frames(mut rest: &[u8]) -> Vec<(u8, u8, u32, &[u8])> {
    let mut found = Vec::new();
    while let Some((&[high, middle, low, kind, flags, s1, s2, s3, s4], behind)) = rest.split_first_chunk::<HEAD_BYTES>()
    {
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let Some((payload, behind)) = behind.split_at_checked(length) else { break };
        found.push((kind, flags, u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]), payload));
        rest = behind;
    }
    found
}

fn unpadded(payload: &[u8]) -> &[u8] {
    let Some((padding, rest)) = payload.split_first() else { return &[] };
    &rest[..rest.len().saturating_sub(usize::from(*padding))]
}

fn messages(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((&[_, l1, l2, l3, l4], behind)) = rest.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes([l1, l2, l3, l4]) as usize;
        let Some((message, behind)) = behind.split_at_checked(length) else { break };
        found.push(message.to_vec());
        rest = behind;
    }
    found
}
