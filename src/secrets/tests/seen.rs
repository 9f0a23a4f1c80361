//! What is not scanned again because it held nothing: verdicts are the same as if it were.

use super::*;
use proptest::prelude::*;
use std::time::Instant;

type Fields<'a> = [(&'a str, &'a str)];

fn screen(guard: &Guard, memory: &SessionMemory, to: &str, path: &str, fields: &Fields<'_>) -> Screened {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let host = host(to);
    let view = HeadView { host: &host, method: "GET", path, query, fields: &fields, trailers: false };
    guard.screen_head(&view, memory, Instant::now())
}

#[test]
fn a_secret_is_found_in_every_request_whatever_was_clean_before() {
    let (guard, memory) = (guard(Settings::default()), SessionMemory::new());
    let clean = [("accept", "*/*"), ("x-a", "1"), ("x-b", "two")];
    for _ in 0..3 {
        let screened = screen(&guard, &memory, "a.test", "/v1", &clean);
        assert!(screened.is_clean && screened.findings.is_empty());
        let leaking = [("accept", "*/*"), ("x-a", PAT), ("x-b", "two")];
        let screened = screen(&guard, &memory, "a.test", "/v1", &leaking);
        assert!(!screened.is_clean);
        assert_eq!(screened.findings.len(), 1);
        let screened = screen(&guard, &memory, "a.test", &format!("/v1?q={PAT}"), &clean);
        assert_eq!(screened.findings[0].surface, Surface::Query);
    }
}

#[test]
fn what_was_let_home_is_not_clean_elsewhere() {
    let (guard, memory) = (guard(Settings::default()), SessionMemory::new());
    let bearer = format!("Bearer {PAT}");
    let fields = [("authorization", bearer.as_str())];
    for (to, disposition) in [
        ("api.github.com", Disposition::CredentialUsed),
        ("evil.example", Disposition::Blocked),
        ("api.github.com", Disposition::CredentialUsed),
        ("evil.example", Disposition::Blocked),
    ] {
        let screened = screen(&guard, &memory, to, "/user", &fields);
        assert_eq!(screened.findings.iter().map(|finding| finding.disposition).collect::<Vec<_>>(), [disposition]);
    }
}

#[test]
fn what_was_clean_is_looked_at_again_once_it_is_known_for_a_secret() {
    let (base, memory) = (guard(Settings::default()), SessionMemory::new());
    let fields = [("x-note", "correct-horse-battery")];
    assert!(screen(&base, &memory, "a.test", "/", &fields).is_clean);
    let known = KnownSecret::new("note", b"correct-horse-battery").unwrap();
    let guard = base.with_known(&[known]);
    assert_eq!(screen(&guard, &memory, "a.test", "/", &fields).findings.len(), 1);
}

#[test]
fn pieces_over_fields_and_segments_are_joined_in_every_request() {
    let (guard, memory) = (guard(Settings::default()), SessionMemory::new());
    let (a, b) = PAT.split_at(17);
    for _ in 0..2 {
        assert!(!screen(&guard, &memory, "a.test", &format!("/{a}/{b}"), &[]).findings.is_empty());
        assert!(!screen(&guard, &memory, "a.test", "/", &[("x-a", a), ("x-b", b)]).findings.is_empty());
    }
}

proptest! {
    /// A session's memory changes no verdict but by what it completes.
    #[test]
    fn a_head_is_judged_as_if_it_were_the_first(
        heads in proptest::collection::vec(
            (0..3usize, 0..4usize, proptest::collection::vec((0..4usize, 0..6usize), 0..5)), 1..8,
        ),
    ) {
        let guard = guard(Settings::default());
        let memory = SessionMemory::new();
        let (first, second) = PAT.split_at(20);
        let encoded = data_encoding::BASE64.encode(PAT.as_bytes());
        let values = ["*/*", "abc", PAT, first, second, encoded.as_str()];
        let paths = ["/".to_owned(), "/v1/x?a=1".to_owned(), format!("/x/{PAT}"), format!("/x?a={first}&b={second}")];
        for (to, path, fields) in heads {
            let to = ["a.test", "api.github.com", "b.test"][to];
            let names = ["accept", "authorization", "x-a", "x-b"];
            let fields: Vec<_> = fields.into_iter().map(|(name, value)| (names[name], values[value])).collect();
            let screened = screen(&guard, &memory, to, &paths[path], &fields);
            let alone = screen(&guard, &SessionMemory::new(), to, &paths[path], &fields);
            // How its pieces came together may be told otherwise: a memory knows more ways.
            let verdict = |finding: &Finding| {
                (finding.rule.clone(), finding.surface, finding.fingerprint, finding.disposition)
            };
            let screened_as: Vec<_> = screened.findings.iter().map(verdict).collect();
            for finding in &alone.findings {
                prop_assert!(screened_as.contains(&verdict(finding)), "{to} {} {fields:?}", paths[path]);
            }
            prop_assert_eq!(screened.is_clean, alone.is_clean);
        }
    }
}
