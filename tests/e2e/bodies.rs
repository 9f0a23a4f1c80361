//! Bodies of a gibibyte through interception: the right bytes, and memory that does not grow with them.

use crate::support::agent::push;
use crate::support::*;
use aws_lc_rs::digest::{Context, SHA256};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

const HOST: &str = "tls.exeat.test";
const BLOCK: usize = 1 << 20;
const BLOCKS: u64 = 1024;
/// What a flow may add to the resident memory, whatever its length.
const GROWTH: u64 = 16 << 20;

/// A megabyte of words with noise at its end, as agents' uploads are, and its number at its start.
struct Blocks(Vec<u8>);

impl Blocks {
    fn new() -> Self {
        let mut block: Vec<u8> =
            b"plain words, and nothing that is held back. ".iter().copied().cycle().take(BLOCK).collect();
        aws_lc_rs::rand::fill(&mut block[BLOCK / 8 * 7..]).unwrap();
        Self(block)
    }

    fn numbered(&mut self, number: u64) -> &[u8] {
        self.0[..8].copy_from_slice(&number.to_be_bytes());
        &self.0
    }

    fn checksum(&mut self, blocks: u64) -> Vec<u8> {
        let mut digest = Context::new(&SHA256);
        (0..blocks).for_each(|number| digest.update(self.numbered(number)));
        digest.finish().as_ref().to_vec()
    }
}

fn checksum(mut from: impl Read, mut length: u64) -> std::io::Result<Vec<u8>> {
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; 256 << 10]);
    while length > 0 {
        let wanted = usize::try_from(length.min(buffer.len() as u64)).unwrap();
        let count = from.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        digest.update(&buffer[..count]);
        length -= count as u64;
    }
    Ok(digest.finish().as_ref().to_vec())
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(world: &World, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Forgets the highest memory so far, and tells the present one.
fn baseline(world: &World) -> u64 {
    std::fs::write(format!("/proc/{}/clear_refs", world.pid()), "5").unwrap();
    memory(world, "VmRSS:")
}

#[track_caller]
fn assert_small_growth(world: &World, before: u64) {
    let peak = memory(world, "VmHWM:");
    let growth = peak.saturating_sub(before);
    eprintln!("resident memory: {} KiB before, {} KiB at its peak", before >> 10, peak >> 10);
    assert!(growth < GROWTH, "resident memory grew by {} KiB", growth >> 10);
}

#[test]
fn a_gibibyte_goes_up_whole_in_little_memory() {
    let length = BLOCKS * BLOCK as u64;
    let got = Arc::new(Mutex::new(Vec::new()));
    let sums = got.clone();
    let origin = Origin::tls().raw(move |peer| {
        while let Some(head) = peer.request_head()? {
            let length = head.field("content-length").unwrap_or("0").parse().unwrap();
            sums.lock().unwrap().push(checksum(&mut *peer, length)?);
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let world = World::start(Setup::new().origin(HOST, &origin));
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.post(HOST, "/warm", &Blocks::new().0.repeat(4)).status, 200);
    let before = baseline(&world);
    push(&mut tls, format!("PUT /up HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    let mut blocks = Blocks::new();
    for number in 0..BLOCKS {
        tls.write_all(blocks.numbered(number)).unwrap();
    }
    tls.flush().unwrap();
    assert_eq!(tls.response_to("PUT").unwrap().status, 200);
    assert_small_growth(&world, before);
    assert_eq!(got.lock().unwrap()[1], blocks.checksum(BLOCKS));
    drop(tls);
    let records = world.into_records();
    let up = records.requests().iter().filter_map(|record| record.number("/bytes/up")).max();
    assert!(up.is_some_and(|up| (length..length + 4096).contains(&up)), "{up:?}");
}

#[test]
fn a_gibibyte_comes_down_whole_in_little_memory() {
    let length = BLOCKS * BLOCK as u64;
    let shared = Arc::new(Mutex::new(Blocks::new()));
    let source = shared.clone();
    let origin = Origin::tls().raw(move |peer| {
        while let Some(head) = peer.request_head()? {
            let blocks = if head.target == "/warm" { 4 } else { BLOCKS };
            let length = blocks * BLOCK as u64;
            peer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
            let mut source = source.lock().unwrap();
            for number in 0..blocks {
                peer.write_all(source.numbered(number))?;
            }
            peer.flush()?;
        }
        Ok(())
    });
    let world = World::start(Setup::new().origin(HOST, &origin));
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.get(HOST, "/warm").body.len(), 4 * BLOCK);
    let before = baseline(&world);
    push(&mut tls, format!("GET /down HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
    assert_eq!(tls.response_head("GET").unwrap().field("content-length"), Some(length.to_string().as_str()));
    let got = checksum(&mut tls, length).unwrap();
    assert_small_growth(&world, before);
    assert_eq!(got, shared.lock().unwrap().checksum(BLOCKS));
}

#[test]
fn a_reader_that_is_slow_holds_the_origin_back_and_no_memory() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let chunk = [&b"10000\r\n"[..], &[b'd'; 65536], b"\r\n"].concat();
        (0..1024).try_for_each(|_| peer.write_all(&chunk))?;
        peer.write_all(b"0\r\n\r\n")?;
        Ok(())
    });
    let world = World::start(Setup::new().origin("plain.exeat.test", &origin));
    let agent = world.agent();
    let before = baseline(&world);
    let mut wire = agent.send(agent.head("GET", "http://plain.exeat.test/", ""));
    assert_eq!(wire.response_head("GET").unwrap().status, 200);
    // Nothing is read: all that is under way sits in sockets.
    std::thread::park_timeout(std::time::Duration::from_millis(500));
    assert_small_growth(&world, before);
    let mut total = 0;
    while let Some(chunk) = wire.chunk().unwrap() {
        total += chunk.len();
    }
    assert_eq!(total, 1024 * 65536);
}
