//! WebSocket as raw bytes: frames as they are told, right or wrong, and an origin that shakes hands.

use super::agent::{Agent, push};
use super::message::{Fault, Request, Response, Wire};
use super::origin::{Listen, Origin, Peer};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;
use std::io::{Read, Write};

pub const HOST: &str = "ws.exeat.test";
pub const URL: &str = "http://ws.exeat.test/chat";
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub const FIN: u8 = 0x80;
pub const RSV1: u8 = 0x40;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The fields that ask for a WebSocket, and more.
pub fn asking(more: &str) -> String {
    format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}"
    )
}

pub fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

/// A 101 to the key, and more fields.
pub fn switching(key: &str, more: &str) -> String {
    let accept = accept(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// A frame as a client sends it.
pub fn masked(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(first, payload.len(), 0x80);
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The same with a key like any other.
pub fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    masked(first, payload, [0x37, 0xfa, 0x21, 0x3d])
}

/// A frame as a server sends it.
pub fn server(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len(), 0), payload.to_vec()].concat()
}

pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

fn header(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | u8::try_from(length).unwrap()),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub is_masked: bool,
    /// Unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn opcode(&self) -> u8 {
        self.first & 15
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The code and reason of a close frame.
    #[track_caller]
    pub fn closing(&self) -> (u16, String) {
        assert_eq!(self.first, FIN | CLOSE, "{self:?}");
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        (code, String::from_utf8(self.payload[2..].to_vec()).unwrap())
    }
}

impl<S: Read> Wire<S> {
    /// One frame.
    pub fn frame(&mut self) -> Result<Frame, Fault> {
        let head = self.exact(2)?;
        let length = match head[1] & 127 {
            126 => u64::from(u16::from_be_bytes(self.exact(2)?.try_into().unwrap())),
            127 => u64::from_be_bytes(self.exact(8)?.try_into().unwrap()),
            short => u64::from(short),
        };
        let is_masked = head[1] & 128 != 0;
        let key = if is_masked { self.exact(4)? } else { vec![0] };
        let payload = self.exact(usize::try_from(length).unwrap())?;
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Ok(Frame { first: head[0], is_masked, payload })
    }

    /// The payload of one message, and its first frame's first byte; control frames between are left out.
    pub fn message(&mut self) -> Result<(u8, Vec<u8>), Fault> {
        let (mut first, mut all) = (None, Vec::new());
        loop {
            let frame = self.frame()?;
            if frame.opcode() < CLOSE {
                first.get_or_insert(frame.first);
                all.extend_from_slice(&frame.payload);
                if frame.first & FIN != 0 {
                    return Ok((first.unwrap(), all));
                }
            } else if frame.opcode() == CLOSE {
                return Err(Fault::Malformed(format!("closed: {:?}", frame.closing())));
            }
        }
    }
}

impl Listen {
    /// Shakes hands with each client, with these fields more, and then does this.
    pub fn websocket(
        self,
        more: &'static str,
        behaviour: impl Fn(&mut Wire<Peer>) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Origin {
        self.raw(move |peer| {
            let Some(request) = peer.request_head()? else { return Ok(()) };
            answer(peer, &request, more)?;
            behaviour(peer)
        })
    }

    /// Sends every frame back, answers pings, and closes with the code that it got.
    pub fn websocket_echo(self, more: &'static str) -> Origin {
        self.websocket(more, echo)
    }
}

fn answer(peer: &mut Wire<Peer>, request: &Request, more: &str) -> Result<(), Fault> {
    peer.stream.keep(request.clone());
    let key = request.field("sec-websocket-key").unwrap_or_default();
    peer.write_all(switching(key, more).as_bytes())?;
    peer.flush()?;
    Ok(())
}

pub fn echo(peer: &mut Wire<Peer>) -> Result<(), Fault> {
    loop {
        let frame = peer.frame()?;
        assert!(frame.is_masked, "a client's frame came without a mask");
        let first = if frame.opcode() == PING { FIN | PONG } else { frame.first };
        if frame.opcode() != PONG {
            peer.write_all(&server(first, &frame.payload))?;
            peer.flush()?;
        }
        if frame.opcode() == CLOSE {
            return Ok(());
        }
    }
}

/// Asks for a WebSocket over plain HTTP, with these fields more.
#[track_caller]
pub fn ask(agent: &Agent<'_>, more: &str) -> (Wire<std::net::TcpStream>, Response) {
    let mut wire = agent.send(agent.head("GET", URL, &asking(more)));
    let response = wire.response_to("GET").unwrap_or_else(|fault| panic!("{fault:?}"));
    (wire, response)
}

/// An open WebSocket over plain HTTP, with these fields more.
#[track_caller]
pub fn open_with(agent: &Agent<'_>, more: &str) -> Wire<std::net::TcpStream> {
    let (wire, response) = ask(agent, more);
    assert_eq!(response.status, 101, "{}", response.text());
    wire
}

#[track_caller]
pub fn open(agent: &Agent<'_>) -> Wire<std::net::TcpStream> {
    open_with(agent, "")
}

impl<S: Read + Write> Wire<S> {
    /// Sends frames and waits for the gateway's close frame: its code and reason.
    #[track_caller]
    pub fn closed_by(&mut self, frames: &[u8]) -> (u16, String) {
        push(self, frames);
        loop {
            let frame = self.frame().unwrap_or_else(|fault| panic!("{fault:?}"));
            if frame.opcode() == CLOSE {
                return frame.closing();
            }
        }
    }
}
