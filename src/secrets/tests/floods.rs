//! What a scan costs: dull bodies pass whatever their size, floods and bombs are given up early.

use super::bodies::{dull, floods};
use super::*;

/// What a body's scan counted: work, bytes that came out of compressed ones, bytes taken, and whether it was stopped.
struct Cost {
    spent: u64,
    inflated: u64,
    given: u64,
    stopped: Option<Stopped>,
}

fn cost(guard: &Guard, body: &[u8], chunk: usize) -> Cost {
    let evil = host("evil.example");
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type: None, content_encoding: None };
    let mut scan = guard.body(&context);
    let mut stopped = None;
    for chunk in body.chunks(chunk) {
        stopped = stopped.or(scan.push(Bytes::copy_from_slice(chunk)).err());
        while scan.released().is_some() {}
    }
    stopped = stopped.or(scan.finish().err());
    let work = &scan.work;
    Cost { spent: work.spent, inflated: work.inflated, given: work.given, stopped }
}

/// The rules of what a body holds.
fn body_findings(body: &str) -> Vec<String> {
    let evil = host("evil.example");
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type: None, content_encoding: None };
    let mut scan = observing().body(&context);
    scan.push(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    scan.finish().unwrap();
    scan.take_findings().iter().map(|finding| finding.rule.to_string()).collect()
}

fn observing() -> Guard {
    guard(Settings { action: Action::Observe, ..Settings::default() })
}

/// What a rule's shape needs before it can fail.
fn prefixes() -> Vec<Vec<u8>> {
    let catalogue = Catalogue::annotated().unwrap();
    let examples = catalogue.rules().iter().filter_map(|rule| rule.examples.first());
    examples.map(|example| example.bytes().take(12).collect()).collect()
}

#[test]
fn a_dull_body_of_any_kind_passes_and_costs_little() {
    let guard = observing();
    let mut dear = Vec::new();
    for (name, body) in dull(64 << 10) {
        let cost = cost(&guard, &body, 16 << 10);
        if cost.stopped.is_some() || cost.spent > 44 * (cost.given + cost.inflated) {
            dear.push((name, cost.spent / cost.given.max(1)));
        }
    }
    assert!(dear.is_empty(), "{dear:?}");
}

#[test]
fn files_that_begin_in_texts_that_end_are_no_bomb() {
    // A gzip whose text goes on for 64 KiB, which no text with an escape in it does.
    let head = r"\u001f\u008b\u0008\u0000\u0000\u0000\u0000\u0000\u0000\u0003\u0000\u00ff\u00ff\u0000\u0000";
    let body = format!("{head} {}\n", "some words of a text ".repeat(20)).repeat(300);
    let cost = cost(&observing(), body.as_bytes(), 16 << 10);
    assert_eq!((cost.stopped, cost.spent < 44 * cost.given), (None, true));
}

#[test]
fn what_the_neighbours_of_a_match_rule_out_is_charged_the_same_however_long_it_is() {
    // The longest that the rule takes, and a letter behind it.
    let body = format!("sl.{}\n", "x-7_".repeat(400)).repeat(40);
    let cost = cost(&observing(), body.as_bytes(), 16 << 10);
    assert!(cost.spent < 8 * cost.given, "{} {}", cost.spent, cost.given);
}

#[test]
fn a_token_that_begins_in_a_row_of_one_letter_is_found_however_long_the_row_is() {
    let tail = "4MhTsWDYPbRAn70VnVy4Lq6%2F7dMia1U0LZrCp4ClEOKfoo4TzpMSFyt0b2LYqJAMkTvUW9iIFaRI2BM3CfN9Xb";
    let missed = |own: usize| {
        (0..45).filter(move |more| {
            let body = format!("{{\"bearer\": \"{}{tail}\"}}", "A".repeat(own + more));
            !body_findings(&body).iter().any(|rule| rule.starts_with("twitter-bearer"))
        })
    };
    let missed: Vec<_> = (19..=22).flat_map(|own| missed(own).map(move |more| (own, more))).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_flood_or_a_bomb_is_given_up_before_it_costs_much() {
    let guard = observing();
    let mut dear = Vec::new();
    for (name, body) in floods(&prefixes(), 64 << 10) {
        let cost = cost(&guard, &body, 16 << 10);
        let most = (20 << 20) + cost.given * 48 + cost.inflated * 4;
        if cost.spent > most || cost.inflated > (9 << 20) + cost.given * 128 {
            dear.push((name, cost.spent, cost.inflated));
        }
    }
    assert!(dear.is_empty(), "{dear:?}");
}

#[test]
fn a_key_that_comes_byte_by_byte_costs_what_it_costs_at_once() {
    let guard = observing();
    let lines = |line: &str, count: usize| format!("{line}\n").repeat(count);
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    for body in [
        format!("-----BEGIN PRIVATE KEY-----\n{}", lines(line, 120)),
        format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", lines(line, 26)),
        format!("eyJhbGciOiJIUzI1NiJ9.{}", line.repeat(100)),
        format!("{} ", "eyJhbGciOiJIUzI1NiJ9".repeat(100)),
        format!("https://user:{}", line.repeat(10)),
        format!("[{}]", "103, ".repeat(3000)),
    ] {
        let (whole, bytes) = (cost(&guard, body.as_bytes(), body.len()), cost(&guard, body.as_bytes(), 1));
        let (name, given) = (&body[..40], body.len() as u64);
        assert!(bytes.spent <= 2 * whole.spent + 64 * given, "{name}: {} {} {given}", bytes.spent, whole.spent);
    }
}
