//! What the first and every later TLS connection to a host costs in certificates.

#![allow(clippy::expect_used, reason = "a bench that can't be set up has nothing to measure")]

use criterion::{Criterion, criterion_group, criterion_main};
use exeat::ca::{CertificateAuthority, Leaves, Settings};
use exeat::net::Host;
use std::sync::Arc;

fn mint(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let directory = tempfile::TempDir::new().expect("a directory");
    let settings = Settings::in_directory(directory.path());
    let authority = Arc::new(CertificateAuthority::open_or_create(&settings).expect("a CA"));
    let leaves = Leaves::new(authority).expect("a leaf key");

    let mut number = 0u64;
    criterion.bench_function("mint/new host", |bencher| {
        bencher.iter(|| {
            number += 1;
            let host = Host::parse(format!("h{number}.example.com").as_bytes()).expect("a host");
            runtime.block_on(leaves.server_config(&host, false)).expect("a leaf")
        });
    });
    let host = Host::parse(b"api.example.com").expect("a host");
    criterion.bench_function("mint/known host", |bencher| {
        bencher.iter(|| runtime.block_on(leaves.server_config(&host, false)).expect("a leaf"));
    });
}

criterion_group!(benches, mint);
criterion_main!(benches);
