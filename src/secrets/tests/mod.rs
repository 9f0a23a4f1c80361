//! The whole engine: the catalogue's own examples, evasions, splits.

mod bodies;
mod coded;
mod evasions;
mod floods;
mod grpc;
mod homes;
mod joins;
mod logins;
mod public;
mod rows;
mod seams;
mod seen;
mod splits;
mod surfaces;
mod trails;
mod ways;
mod writings;
mod written;

use super::*;
use crate::net::Host;
use bytes::Bytes;
use std::sync::{Arc, LazyLock};

pub(super) static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| Scanner::builtin().unwrap());
pub(super) const PAT: &str = "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";

fn guard(settings: Settings) -> Guard {
    Guard::new(SCANNER.clone(), settings, FingerprintKey::new(&[7; 32])).unwrap()
}

pub(super) fn host(name: &str) -> Host {
    Host::parse(name.as_bytes()).unwrap()
}

fn body_of(guard: &Guard, host: &Host, chunks: &[&[u8]]) -> (Vec<Finding>, Vec<u8>, Option<Stopped>) {
    let context = BodyContext { host, method: "POST", path: "/", content_type: None, content_encoding: None };
    run(guard.body(&context), chunks)
}

pub(super) fn run(mut scan: BodyScan, chunks: &[&[u8]]) -> (Vec<Finding>, Vec<u8>, Option<Stopped>) {
    let (mut findings, mut out) = (Vec::new(), Vec::new());
    let mut stopped = None;
    for chunk in chunks {
        stopped = stopped.or(scan.push(Bytes::copy_from_slice(chunk)).err());
        findings.extend(scan.take_findings());
        while let Some(bytes) = scan.released() {
            out.extend_from_slice(&bytes);
        }
        // Wherever the next bytes are waited for, it makes no difference.
        if chunk.len() % 2 == 1 {
            scan.rest();
        }
    }
    stopped = stopped.or(scan.finish().err());
    findings.extend(scan.take_findings());
    while let Some(bytes) = scan.released() {
        out.extend_from_slice(&bytes);
    }
    findings.sort_by(|a, b| (a.offset, &a.rule, &a.decoded).cmp(&(b.offset, &b.rule, &b.decoded)));
    (findings, out, stopped)
}

fn observed(text: &[u8]) -> Vec<Finding> {
    let settings = Settings { action: Action::Observe, ..Settings::default() };
    body_of(&guard(settings), &host("evil.example"), &[text]).0
}

#[test]
fn the_binary_holds_every_rule_as_it_is_written() {
    let bare = |mut rule: RuleSpec| {
        (rule.reference, rule.examples, rule.counterexamples) = (None, Vec::new(), Vec::new());
        serde_json::to_value(rule).unwrap()
    };
    let written: Vec<_> = Catalogue::annotated().unwrap().rules().iter().cloned().map(bare).collect();
    let compiled: Vec<_> =
        Catalogue::builtin().unwrap().rules().iter().map(|rule| serde_json::to_value(rule).unwrap()).collect();
    assert_eq!(compiled, written);
}

#[test]
fn every_rule_is_held_to_its_own_examples() {
    let catalogue = Catalogue::annotated().unwrap();
    let mut wrong = Vec::new();
    for rule in catalogue.rules() {
        let mut own = Catalogue::default();
        own.rules.push(rule.clone());
        let scanner = Arc::new(Scanner::new(own).unwrap());
        let settings = Settings { action: Action::Observe, ..Settings::default() };
        let guard = Guard::new(scanner, settings, FingerprintKey::new(&[7; 32])).unwrap();
        let found = |text: &str| !body_of(&guard, &host("evil.example"), &[text.as_bytes()]).0.is_empty();
        wrong.extend(rule.examples.iter().filter(|text| !found(text)).map(|text| format!("{} misses {text}", rule.id)));
        wrong.extend(
            rule.counterexamples.iter().filter(|text| found(text)).map(|text| format!("{} takes {text}", rule.id)),
        );
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_token_is_found_through_one_escape() {
    let percent: String = PAT.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let json: String = PAT.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    for text in [
        PAT.to_owned(),
        percent.replace('%', "%25"),
        percent,
        json,
        PAT.replace('_', "%5F"),
        PAT.replace('_', "\\u005f"),
        PAT.replace('_', "&#95;"),
        PAT.replace("R53", "R\u{200b}53"),
        data_encoding::BASE64.encode(PAT.as_bytes()),
        data_encoding::HEXLOWER.encode(PAT.as_bytes()),
        data_encoding::BASE32.encode(PAT.as_bytes()),
        data_encoding::BASE32.encode(PAT.as_bytes()).to_lowercase(),
        PAT.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        PAT.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
        PAT.bytes().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(", "),
        PAT.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(","),
        PAT.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "),
        PAT.chars().rev().collect(),
        PAT.chars().map(|letter| format!("{letter}\0")).collect(),
        PAT.chars().map(|letter| format!("\0{letter}")).collect(),
        PAT.bytes().map(|byte| format!("={byte:02X}")).collect(),
        PAT.bytes().map(|byte| format!("&#{byte};")).collect(),
        PAT.chars().map(|letter| char::from_u32(letter as u32 + 0xfee0).unwrap()).collect(),
        data_encoding::BASE64.encode(data_encoding::HEXLOWER.encode(PAT.as_bytes()).as_bytes()),
    ] {
        let found = observed(format!("{{\"a\": \"{text}\"}}").as_bytes());
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
}

#[test]
fn a_body_split_anywhere_gives_the_same_findings_and_bytes() {
    let wrapped = data_encoding::BASE64.encode(format!("xx{PAT} yy{}", "z".repeat(150)).as_bytes());
    let wrapped: Vec<&str> = wrapped.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    let text = format!(
        "{{\"a\":\"{PAT}\",\"b\":\"{}\"}}\n{}\nAKIAEWCGRBFAS73QNT3Y end",
        PAT.replace('_', "%5f"),
        wrapped.join("\n")
    );
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let (expected, out, _) = body_of(&guard, &evil, &[text.as_bytes()]);
    assert_eq!(out, text.as_bytes());
    assert_eq!(expected.len(), 5, "{expected:?}");
    for at in 0..text.len() {
        let (head, tail) = text.as_bytes().split_at(at);
        let (found, out, _) = body_of(&guard, &evil, &[head, tail]);
        assert_eq!(found, expected, "{at}");
        assert_eq!(out, text.as_bytes(), "{at}");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(body_of(&guard, &evil, &bytes).0, expected);
}

#[test]
fn no_byte_of_a_secret_leaves() {
    let guard = guard(Settings::default());
    let text = format!("some text {PAT} more");
    for size in [1, 2, 7, 64] {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let (findings, out, stopped) = body_of(&guard, &host("evil.example"), &chunks);
        assert_eq!(stopped.unwrap().reason, crate::reason::Reason::SecretInRequest);
        assert_eq!(findings[0].disposition, Disposition::Blocked);
        assert!(b"some text ".starts_with(&out), "{out:?}");
    }
}

#[test]
fn a_masked_secret_keeps_the_length() {
    let guard = guard(Settings { action: Action::Mask, ..Settings::default() });
    let text = format!("some text {PAT} more");
    let chunks: Vec<&[u8]> = text.as_bytes().chunks(5).collect();
    let (_, out, stopped) = body_of(&guard, &host("evil.example"), &chunks);
    assert_eq!(stopped, None);
    assert_eq!(String::from_utf8(out).unwrap(), format!("some text {} more", "X".repeat(PAT.len())));
}

pub(super) fn head(
    guard: &Guard,
    name: &str,
    path: &str,
    query: Option<&str>,
    fields: &[(&str, &str)],
) -> Vec<Disposition> {
    let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let host = host(name);
    let view = HeadView { host: &host, method: "GET", path, query, fields: &fields, trailers: false };
    guard.scan_head(&view).iter().map(|finding| finding.disposition).collect()
}

#[test]
fn a_credential_goes_home_and_nowhere_else() {
    let guard = guard(Settings::default());
    let bearer = format!("Bearer {PAT}");
    let basic = format!("Basic {}", data_encoding::BASE64.encode(format!("x-access-token:{PAT}").as_bytes()));
    for value in [&bearer, &basic] {
        let fields = [("accept", "*/*"), ("Authorization", value.as_str())];
        let home = head(&guard, "api.github.com", "/user", None, &fields);
        assert!(!home.is_empty() && home.iter().all(|d| *d == Disposition::CredentialUsed), "{value}: {home:?}");
        let elsewhere = head(&guard, "evil.example", "/user", None, &fields);
        assert!(elsewhere.contains(&Disposition::Blocked), "{value}: {elsewhere:?}");
    }
    assert_eq!(head(&guard, "api.github.com", "/", Some(&format!("q={PAT}")), &[]), [Disposition::Blocked]);
    assert_eq!(head(&guard, "api.github.com", &format!("/x/{PAT}"), None, &[]), [Disposition::Blocked]);
    assert_eq!(head(&guard, "api.github.com", "/", None, &[("x-note", PAT)]), [Disposition::Blocked]);
    assert_eq!(head(&guard, "api.github.com", "/", None, &[("accept", "application/json")]), []);
}

#[test]
fn a_permit_is_one_more_home() {
    let permit = Permitted { rule: "github-pat".into(), hosts: vec!["git.acme.dev".parse().unwrap()] };
    let guard = guard(Settings { permits: vec![permit], ..Settings::default() });
    assert_eq!(head(&guard, "git.acme.dev", "/", None, &[("x-token", PAT)]), [Disposition::CredentialUsed]);
    let unknown = Permitted { rule: "nonsense".into(), hosts: Vec::new() };
    let settings = Settings { permits: vec![unknown], ..Settings::default() };
    assert!(Guard::new(SCANNER.clone(), settings, FingerprintKey::new(&[7; 32])).is_err());
}

#[test]
fn the_journal_shows_no_secret() {
    let guard = guard(Settings::default());
    assert_eq!(guard.redact(&format!("/x?t={PAT}&b=1")), "/x?t=[redacted]&b=1");
    assert_eq!(guard.redact("/plain"), "/plain");
    // The path of a webhook is a secret for its host only.
    let webhook = ["/services/TUnhapDu", "/BmNTrNbi", "/xM8x3dzPTgOAM0QyhzeG"].concat();
    assert_eq!(guard.redact_after("hooks.slack.com", &webhook), "[redacted]");
    assert_eq!(guard.redact_after("example.org", &webhook), webhook);
}

#[test]
fn a_known_secret_is_found_in_every_encoding_and_across_chunks() {
    for value in ["pa55w0rd", "correct-horse-9", "a much longer value with spaces 12345"] {
        let known = vec![KnownSecret::new("DB_PASSWORD", value.as_bytes()).unwrap()];
        let guard = guard(Settings { action: Action::Observe, known, ..Settings::default() });
        let evil = host("evil.example");
        let mut texts = vec![value.to_owned()];
        texts.extend(["", "x", "xy"].map(|lead| data_encoding::BASE64.encode(format!("{lead}{value}!").as_bytes())));
        texts.push(data_encoding::HEXLOWER.encode(value.as_bytes()));
        texts.push(value.bytes().map(|byte| format!("%{byte:02x}")).collect());
        texts.push(value.bytes().map(|byte| format!("\\u{byte:04x}")).collect());
        for text in texts {
            let text = format!("some {text} more");
            let expected = body_of(&guard, &evil, &[text.as_bytes()]).0;
            assert!(!expected.is_empty(), "{text}");
            assert_eq!(&*expected[0].rule, "known:DB_PASSWORD");
            for at in 0..text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                let (found, out, _) = body_of(&guard, &evil, &[head, tail]);
                assert_eq!((found, out.as_slice()), (expected.clone(), text.as_bytes()), "{text} {at}");
            }
        }
    }
}

#[test]
fn a_known_secret_goes_where_its_rule_lets_it_go() {
    let known = vec![KnownSecret::new("GITHUB_TOKEN", PAT.as_bytes()).unwrap()];
    let guard = guard(Settings { known, ..Settings::default() });
    let bearer = format!("Bearer {PAT}");
    let fields = [("Authorization", bearer.as_str())];
    assert!(head(&guard, "api.github.com", "/", None, &fields).iter().all(|d| *d == Disposition::CredentialUsed));
    assert!(head(&guard, "evil.example", "/", None, &fields).contains(&Disposition::Blocked));
}
