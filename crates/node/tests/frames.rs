//! HTTP/2 written by hand, for clients that say what they like and do not read: RFC 9113 §4.1, RFC 7541 §6.2.2.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client says first.
pub(crate) fn hello() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

/// A request of the metadata service, whole.
pub(crate) fn ask_identity(stream: u32) -> Vec<u8> {
    let fields = [(":method", "GET"), (":path", "/identity"), ("metadata", "true")];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields))
}

/// A request for the stream of X.509-SVIDs, whole.
pub(crate) fn fetch_x509_svid(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":path", "/SpiffeWorkloadAPI/FetchX509SVID"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("workload.spiffe.io", "true"),
    ];
    let asked = frame(HEADERS, END_HEADERS, stream, &block(&fields));
    // An empty message: not compressed, no bytes.
    [asked, frame(DATA, END_STREAM, stream, &[0; 5])].concat()
}

/// The number of a client's stream so many.
pub(crate) fn stream(index: u32) -> u32 {
    2 * index + 1
}

/// Reads to the end of a connection, and says that it is there whenever it is asked.
pub(crate) async fn there_until_its_end(mut connection: UnixStream) {
    let mut head = [0; 9];
    while connection.read_exact(&mut head).await.is_ok() {
        let [high, middle, low, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        if connection.read_exact(&mut payload).await.is_err() {
            return;
        }
        if kind == PING && flags != ACK {
            // The end may have come meanwhile.
            let _ = connection.write_all(&frame(PING, ACK, 0, &payload)).await;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literal fields that nobody is to remember.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat();
    let always = [(":scheme", "http"), (":authority", "x")];
    let all = always.iter().chain(fields).map(|(name, value)| [vec![0], text(name), text(value)].concat());
    all.collect::<Vec<_>>().concat()
}
