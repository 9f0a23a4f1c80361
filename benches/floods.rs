//! What the worst bodies cost: CPU time of one core for each, the dearest first. Run it by hand.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // what a bench writes itself is right, or the bench is wrong

#[path = "../src/secrets/tests/bodies.rs"]
mod bodies;

use bytes::Bytes;
use exeat::net::Host;
use exeat::secrets::{Action, BodyContext, Catalogue, FingerprintKey, Guard, Scanner, Settings};

fn main() {
    let size = if std::env::args().any(|argument| argument == "--test") { 1 << 14 } else { 1 << 20 };
    let settings = Settings { action: Action::Observe, ..Settings::default() };
    let guard = Guard::new(Scanner::builtin().unwrap(), settings, FingerprintKey::new(&[7; 32])).unwrap();
    let prefixes: Vec<Vec<u8>> = Catalogue::builtin()
        .unwrap()
        .rules()
        .iter()
        .flat_map(|rule| rule.examples.first())
        .map(|example| example.bytes().take(12).collect())
        .collect();
    for (title, all) in [("dull", bodies::dull(size)), ("floods", bodies::floods(&prefixes, size))] {
        let mut rows: Vec<_> = all
            .iter()
            .map(|(name, body)| {
                let (whole, stopped) = measure(&guard, body, 16 * 1024);
                let (small, _) = measure(&guard, &body[..body.len().min(size / 8)], 16);
                (whole, small, stopped, name, body.len())
            })
            .collect();
        rows.sort_by(|a, b| b.0.max(b.1).total_cmp(&a.0.max(a.1)));
        println!("{title}: ms in chunks of 16 KiB, of an eighth in chunks of 16 bytes, bytes, outcome");
        for (whole, small, stopped, name, length) in rows {
            println!("{whole:8.1} {small:8.1} {length:9} {stopped:?} {name}");
        }
    }
}

fn measure(guard: &Guard, body: &[u8], chunk: usize) -> (f64, Option<&'static str>) {
    let host = Host::parse(b"evil.example").unwrap();
    let context = BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
    let start = cpu();
    let mut scan = guard.body(&context);
    let mut stopped = None;
    for chunk in body.chunks(chunk) {
        if scan.push(Bytes::copy_from_slice(chunk)).is_err() {
            stopped = Some("stopped");
            break;
        }
        while scan.released().is_some() {}
    }
    if stopped.is_none() && scan.finish().is_err() {
        stopped = Some("stopped at the end");
    }
    (cpu() - start, stopped)
}

/// Milliseconds that this thread ran, whoever else wanted the core.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}
