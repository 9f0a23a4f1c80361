//! The secret scanner with the whole catalogue: bodies of several kinds, a head, and the catalogue's start.
#![allow(clippy::unwrap_used)] // what a bench writes itself is right, or the bench is wrong

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use exeat::net::Host;
use exeat::secrets::{Action, BodyContext, FingerprintKey, Guard, HeadView, Scanner, Settings};
use std::hint::black_box;
use std::io::Write as _;

const SIZE: usize = 4 << 20;
const CHUNK: usize = 16 * 1024;

/// Numbers that look random and are the same at every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 16] = [
            "account", "build", "request", "value", "index", "update", "status", "number", "result", "message",
            "owner", "branch", "commit", "release", "review", "label",
        ];
        WORDS[self.next() as usize % WORDS.len()]
    }
}

fn json(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = b"[".to_vec();
    while out.len() < SIZE {
        let (a, b, c) = (numbers.word(), numbers.word(), numbers.word());
        let (n, m) = (numbers.next() % 100_000, numbers.next() % 60);
        let id = numbers.next();
        let _ = write!(
            out,
            "{{\"id\":{n},\"{a}\":\"the {b} of the {c} and another {a}\",\"at\":\"2026-11-22T13:{m:02}:07Z\",\"uuid\":\
             \"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}\",\"url\":\"https://api.example.com/v1/{b}/{n}\",\"on\":true}},",
            id as u32,
            (id >> 32) as u16,
            id & 0xfff,
            id >> 20 & 0xfff,
            id >> 16
        );
    }
    out
}

fn source() -> Vec<u8> {
    let own =
        concat!(include_str!("scan.rs"), include_str!("../src/secrets/stream.rs"), include_str!("../src/net/host.rs"));
    own.bytes().cycle().take(SIZE).collect()
}

fn minified(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < SIZE {
        let (a, b, n) = (numbers.word(), numbers.word(), numbers.next() % 100);
        let _ =
            write!(out, "function e(t,n){{return t.{a}?n.{b}(t[{n}]):void 0}}var r={{{b}:{n},{a}:!0}};e(r,\"{a}\");");
    }
    out
}

fn base64(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = b"{\"images\":[".to_vec();
    while out.len() < SIZE {
        let image = data_encoding::BASE64.encode(&numbers.bytes(200_000));
        let _ = write!(out, "{{\"type\":\"image/png\",\"data\":\"{image}\"}},");
    }
    out
}

fn guard() -> Guard {
    let scanner = Scanner::builtin().unwrap();
    let settings = Settings { action: Action::Observe, ..Settings::default() };
    Guard::new(scanner, settings, FingerprintKey::new(&[7; 32])).unwrap()
}

fn scan(guard: &Guard, host: &Host, body: &Bytes, coding: Option<&[u8]>) -> usize {
    let context = BodyContext { host, method: "POST", path: "/", content_type: None, content_encoding: coding };
    let mut scan = guard.body(&context);
    let mut released = 0;
    for start in (0..body.len()).step_by(CHUNK) {
        scan.push(body.slice(start..body.len().min(start + CHUNK))).unwrap();
        while let Some(bytes) = scan.released() {
            released += bytes.len();
        }
    }
    scan.finish().unwrap();
    released
}

fn bodies(criterion: &mut Criterion) {
    let guard = guard();
    let host = Host::parse(b"api.example.com").unwrap();
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut group = criterion.benchmark_group("body");
    group.sample_size(20);
    for (name, body) in [
        ("clean json", json(&mut numbers)),
        ("source code", source()),
        ("minified js", minified(&mut numbers)),
        ("base64", base64(&mut numbers)),
        ("random", numbers.bytes(SIZE)),
    ] {
        let body = Bytes::from(body);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| scan(&guard, &host, black_box(&body), None)));
    }
    let plain = json(&mut numbers);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&plain).unwrap();
    let packed = Bytes::from(packed.finish().unwrap());
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("gzip of json", |bencher| {
        bencher.iter(|| scan(&guard, &host, black_box(&packed), Some(b"gzip")))
    });
    group.finish();
}

fn head(criterion: &mut Criterion) {
    let guard = guard();
    let host = Host::parse(b"api.github.com").unwrap();
    let fields: [(&[u8], &[u8]); 12] = [
        (
            b"user-agent",
            b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
        (b"accept", b"application/vnd.github+json, application/json;q=0.9, text/html;q=0.8, */*;q=0.5"),
        (b"accept-encoding", b"gzip, deflate, br, zstd"),
        (b"accept-language", b"en-GB,en;q=0.9,de;q=0.8"),
        (b"authorization", b"Bearer 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"),
        (b"cache-control", b"no-cache"),
        (b"content-type", b"application/json; charset=utf-8"),
        (b"if-none-match", b"W/\"5f1c8e0a7b3d4e2f9a6b8c1d0e3f5a7b\""),
        (b"referer", b"https://github.com/acme/widgets/pull/1234/files?diff=split&w=1"),
        (b"x-github-api-version", b"2022-11-28"),
        (b"x-request-id", b"7f9c2ba4-e88f-4271-9f5d-3c6e1a2b4d50"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let view = HeadView {
        host: &host,
        method: "GET",
        path: "/repos/acme/widgets/pulls/1234/files",
        query: Some("per_page=100&page=2&sort=updated&direction=desc"),
        fields: &fields,
        trailers: false,
    };
    criterion.bench_function("head of 1 KiB", |bencher| bencher.iter(|| guard.scan_head(black_box(&view))));
}

fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("catalogue");
    group.sample_size(10);
    group.bench_function("start", |bencher| {
        bencher.iter_batched(|| (), |()| Scanner::builtin().unwrap(), BatchSize::PerIteration)
    });
    group.finish();
}

criterion_group!(benches, bodies, head, start);
criterion_main!(benches);
