//! HTTP/2 frames by hand, for what no library would send.

use super::agent::Hello;
use super::world::World;
use super::{Tls, Wire};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const HAS_PRIORITY: u8 = 0x20;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Literal fields without indexing (RFC 7541 §6.2.2), names and values as they are.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name.as_bytes(), value] {
            assert!(text.len() < 127);
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text);
        }
    }
    out
}

/// The header block of a request to `/`.
pub fn request_block(host: &str, method: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut fields: Vec<(&str, &[u8])> =
        vec![(":method", method.as_bytes()), (":scheme", b"https"), (":authority", host.as_bytes()), (":path", b"/")];
    fields.extend_from_slice(more);
    block(&fields)
}

/// TLS to the host with HTTP/2 agreed on, and nothing said yet.
#[track_caller]
pub fn agree(world: &World, host: &str) -> Wire<Tls> {
    let mut hello = Hello::to(world, host);
    hello.alpn = vec![b"h2".to_vec()];
    world.agent().https_with(&format!("{host}:443"), &hello)
}
