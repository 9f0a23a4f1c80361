//! The secret scanner with the whole catalogue: bodies of several kinds, a head, and the catalogue's start.
#![allow(clippy::unwrap_used)] // what a bench writes itself is right, or the bench is wrong

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use exeat::net::Host;
use exeat::secrets::{Action, BodyContext, FingerprintKey, Guard, HeadView, Scanner, SessionMemory, Settings};
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

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

/// Rust, YAML and lock files of this repository.
fn source() -> Vec<u8> {
    let own = [
        include_str!("scan.rs"),
        include_str!("../src/secrets/stream/mod.rs"),
        include_str!("../src/secrets/stream/literals.rs"),
        include_str!("../src/secrets/stream/settle.rs"),
        include_str!("../src/secrets/decode/fold.rs"),
        include_str!("../src/net/host.rs"),
        include_str!("../src/net/address.rs"),
        include_str!("../src/http1/head.rs"),
        include_str!("../src/policy/decide.rs"),
        include_str!("../src/ca/mod.rs"),
        include_str!("../src/config/mod.rs"),
        include_str!("../src/cli/mod.rs"),
        include_str!("../src/app.rs"),
        include_str!("../config/exeat.yaml"),
        include_str!("../config/presets/npm.yaml"),
    ];
    own.concat().into_bytes().into_iter().cycle().take(SIZE).collect()
}

/// A chat with a model about source code, as agents send it.
fn chat() -> Vec<u8> {
    let file = String::from_utf8(source()).unwrap();
    let messages: Vec<_> = file
        .lines()
        .collect::<Vec<_>>()
        .chunks(300)
        .map(|lines| serde_json::json!({"role": "user", "content": [{"type": "text", "text": lines.join("\n")}]}))
        .collect();
    serde_json::to_vec(&serde_json::json!({"model": "m", "max_tokens": 4096, "messages": messages})).unwrap()
}

/// An upload: a field and a binary file.
fn multipart(numbers: &mut Numbers) -> Vec<u8> {
    let mut out = b"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b\r\n".to_vec();
    out.extend_from_slice(b"Content-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n");
    out.extend_from_slice(&numbers.bytes(SIZE));
    out.extend_from_slice(b"\r\n--b--\r\n");
    out
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

fn scan(guard: &Guard, host: &Host, body: &Bytes, content_type: &[u8], coding: Option<&[u8]>) -> usize {
    let content_type = Some(content_type);
    let context = BodyContext { host, method: "POST", path: "/", content_type, content_encoding: coding };
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
    let json_type = &b"application/json"[..];
    for (name, content_type, body) in [
        ("clean json", json_type, json(&mut numbers)),
        ("chat with source", json_type, chat()),
        ("source code", b"text/plain", source()),
        ("minified js", b"text/javascript", minified(&mut numbers)),
        ("base64", json_type, base64(&mut numbers)),
        ("random", b"application/octet-stream", numbers.bytes(SIZE)),
        ("multipart", b"multipart/form-data; boundary=b", multipart(&mut numbers)),
    ] {
        let body = Bytes::from(body);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group
            .bench_function(name, |bencher| bencher.iter(|| scan(&guard, &host, black_box(&body), content_type, None)));
    }
    let plain = json(&mut numbers);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&plain).unwrap();
    let packed = Bytes::from(packed.finish().unwrap());
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("gzip of json", |bencher| {
        bencher.iter(|| scan(&guard, &host, black_box(&packed), json_type, Some(b"gzip")))
    });
    group.finish();
}

/// What differs from request to request: a path, a page, two fields.
struct Ids {
    path: String,
    query: String,
    request: String,
    trace: String,
}

impl Ids {
    fn new(numbers: &mut Numbers) -> Self {
        let id = numbers.next();
        let (a, b, c) = (id as u32, (id >> 32) as u16, id >> 16);
        Self {
            path: format!("/repos/acme/widgets/pulls/{}/files", 1000 + id % 9000),
            query: format!("per_page=100&page={}&sort=updated&direction=desc", id % 90),
            request: format!("{a:08x}-{b:04x}-4{:03x}-8{:03x}-{c:012x}", id & 0xfff, id >> 20 & 0xfff),
            trace: format!("00-{:016x}{:016x}-{:016x}-01", numbers.next(), numbers.next(), numbers.next()),
        }
    }
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
    let plain: Vec<_> = fields.iter().copied().filter(|(name, _)| *name != b"authorization").collect();
    let mut group = criterion.benchmark_group("head of 1 KiB");
    for (name, fields) in [("authorised", &fields[..]), ("plain", &plain)] {
        let view = HeadView {
            host: &host,
            method: "GET",
            path: "/repos/acme/widgets/pulls/1234/files",
            query: Some("per_page=100&page=2&sort=updated&direction=desc"),
            fields,
            trailers: false,
        };
        group.bench_function(name, |bencher| bencher.iter(|| guard.scan_head(black_box(&view))));
        let now = Instant::now();
        group.bench_function(format!("{name}, a session's first"), |bencher| {
            bencher.iter_batched(
                SessionMemory::new,
                |memory| guard.screen_head(black_box(&view), &memory, now),
                BatchSize::SmallInput,
            )
        });
        let memory = SessionMemory::new();
        group.bench_function(format!("{name}, again"), |bencher| {
            bencher.iter(|| guard.screen_head(black_box(&view), &memory, now))
        });
        let mut numbers = Numbers(88_172_645_463_325_252);
        group.bench_function(format!("{name}, again with other ids"), |bencher| {
            bencher.iter_batched(
                || Ids::new(&mut numbers),
                |ids| {
                    let query = Some(ids.query.as_str());
                    let mut fields = fields.to_vec();
                    let last = fields.len() - 2;
                    fields.splice(
                        last..,
                        [(&b"x-request-id"[..], ids.request.as_bytes()), (b"traceparent", ids.trace.as_bytes())],
                    );
                    let view = HeadView { path: &ids.path, query, fields: &fields, ..view };
                    guard.screen_head(black_box(&view), &memory, now)
                },
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
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
