//! What a WebSocket costs: frames taken apart and unmasked, and a message looked through.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // a bench fails by panicking

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use exeat::net::Host;
use exeat::secrets::{FingerprintKey, Guard, Scanner, SessionMemory, Settings};
use exeat::websocket::{Decoder, Header, Opcode, Sender, copy_masked};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// As many frames of this size as make a good piece.
fn frames(size: usize) -> BytesMut {
    let (mut out, key, payload) = (BytesMut::new(), Some([1, 2, 3, 4]), vec![b'x'; size]);
    while out.len() < 256 * 1024 {
        Header { fin: true, rsv1: false, opcode: Opcode::Text, length: size as u64, key }.encode(&mut out);
        copy_masked(&mut out, &payload, key);
    }
    out
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for size in [100, 4096, 65_536] {
        let bytes = frames(size);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("frames of {size} bytes"), |b| {
            b.iter_batched(
                || bytes.clone(),
                |mut bytes| {
                    let mut decoder = Decoder::new(Sender::Client, false);
                    while let Some(event) = decoder.next(&mut bytes, 65_536).unwrap() {
                        black_box(event);
                    }
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn message(c: &mut Criterion) {
    let guard = Guard::new(Scanner::builtin().unwrap(), Settings::default(), FingerprintKey::new(&[7; 32])).unwrap();
    let host = Host::parse(b"realtime.example.com").unwrap();
    let memory = Arc::new(SessionMemory::new());
    let mut group = c.benchmark_group("message");
    let line = r#"{"type":"response.create","event":{"text":"words that nobody minds, one after another"}}"#;
    for size in [88, 1024, 65_536] {
        let text = Bytes::from(line.repeat(size / line.len() + 1).into_bytes()).slice(..size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} bytes of JSON"), |b| {
            b.iter(|| {
                let mut scan = guard.message(&host).in_session(memory.clone(), Instant::now());
                scan.push(text.clone()).unwrap();
                scan.finish().unwrap();
                while let Some(bytes) = scan.released() {
                    black_box(bytes);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, message);
criterion_main!(benches);
