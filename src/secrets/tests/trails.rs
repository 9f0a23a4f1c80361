//! Pieces of one secret over the requests of a session, with others between them, under changing names, encoded.

use super::*;
use std::time::Instant;

/// A request: its query, one of its fields, or its body.
enum Sent {
    Query(String),
    Field(&'static str, String),
    Body(String),
}

struct Session {
    guard: Guard,
    memory: Arc<SessionMemory>,
}

impl Session {
    fn new() -> Self {
        Self { guard: guard(Settings::default()), memory: Arc::new(SessionMemory::new()) }
    }

    /// Whether a request is refused.
    fn refuses(&self, sent: &Sent) -> bool {
        let (host, now) = (host("evil.example"), Instant::now());
        let (query, field) = match sent {
            Sent::Query(query) => (Some(query.as_str()), None),
            Sent::Field(name, value) => (None, Some((name.as_bytes(), value.as_bytes()))),
            Sent::Body(_) => (None, None),
        };
        let fields: Vec<(&[u8], &[u8])> = [(&b"accept"[..], &b"*/*"[..])].into_iter().chain(field).collect();
        let view = HeadView { host: &host, method: "POST", path: "/v1/x", query, fields: &fields, trailers: false };
        let screened = self.guard.screen_head(&view, &self.memory, now);
        let blocked = screened.findings.iter().any(|finding| finding.disposition == Disposition::Blocked);
        let Sent::Body(body) = sent else { return blocked };
        let context =
            BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
        blocked || run(self.guard.body(&context).in_session(self.memory.clone(), now), &[body.as_bytes()]).2.is_some()
    }

    /// Whether a body is refused.
    fn refuses_body(&self, body: &str) -> bool {
        let host = host("evil.example");
        let context =
            BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
        let scan = self.guard.body(&context).in_session(self.memory.clone(), Instant::now());
        run(scan, &[body.as_bytes()]).2.is_some()
    }
}

fn pieces() -> Vec<&'static str> {
    PAT.as_bytes().chunks(10).map(|piece| std::str::from_utf8(piece).unwrap()).collect()
}

#[test]
fn pieces_are_followed_past_what_is_sent_between_them() {
    type Way<'a> = &'a dyn Fn(usize, &str) -> Vec<Sent>;
    let body = |name: &str, value: &str| Sent::Body(format!("{{\"{name}\": \"{value}\"}}"));
    let ways: [Way<'_>; 7] = [
        &|at, piece| vec![Sent::Query(format!("d={piece}")), Sent::Query(format!("d=k{at}Xq{}", at * 7919))],
        &|at, piece| vec![body("data", piece), body("data", &format!("status{at}"))],
        &|at, piece| vec![Sent::Field("x-a", piece.to_owned()), Sent::Field("x-a", format!("Zt{at}q{}", at + 40))],
        &|at, piece| vec![body(["alpha", "beta"][at % 2], piece)],
        &|at, piece| vec![body(&format!("part{at}"), piece)],
        &|at, piece| {
            vec![match at % 3 {
                0 => Sent::Query(format!("d={piece}")),
                1 => Sent::Field("x-d", piece.to_owned()),
                _ => body("d", piece),
            }]
        },
        &|at, piece| vec![Sent::Field(["x-b", "x-c", "x-d", "x-e"][at], piece.to_owned())],
    ];
    for (number, way) in ways.iter().enumerate() {
        let session = Session::new();
        let sent: Vec<Sent> = pieces().into_iter().enumerate().flat_map(|(at, piece)| way(at, piece)).collect();
        let refused = sent.iter().position(|sent| session.refuses(sent));
        let Some(refused) = refused else { panic!("{number}") };
        // What completes a secret is refused however often it is asked for.
        assert!((0..3).all(|_| session.refuses(&sent[refused])), "{number}");
    }
}

#[test]
fn what_stands_around_each_piece_is_taken_off_and_what_it_is_encoded_in() {
    type Way<'a> = &'a dyn Fn(usize, &str) -> Sent;
    let base64 = |piece: &str| data_encoding::BASE64URL_NOPAD.encode(piece.as_bytes());
    let ways: [Way<'_>; 6] = [
        &|_, piece| Sent::Field("if-none-match", format!("\"{piece}\"")),
        &|at, piece| Sent::Field("user-agent", format!("curl/8.{at} ({piece})")),
        &|_, piece| Sent::Field("cookie", format!("sid={piece}; theme=dark")),
        &|at, piece| Sent::Body(format!("{{\"text\": \"part {at}: {piece}\"}}")),
        &|_, piece| Sent::Query(format!("d={}", base64(piece))),
        &|_, piece| Sent::Body(format!("{{\"d\": \"{}\"}}", data_encoding::BASE32.encode(piece.as_bytes()))),
    ];
    for (number, way) in ways.iter().enumerate() {
        let session = Session::new();
        let refused = pieces().into_iter().enumerate().any(|(at, piece)| session.refuses(&way(at, piece)));
        assert!(refused, "{number}");
    }
}

#[test]
fn pieces_in_compressed_bodies_meet_too() {
    use crate::secrets::decode::inflate::Coding;
    use crate::secrets::decode::inflate::tests::compress;
    let (guard, host, memory) = (guard(Settings::default()), host("evil.example"), Arc::new(SessionMemory::new()));
    for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Zstd, "zstd"), (Coding::Brotli, "br")] {
        let refused = pieces().into_iter().map(|piece| {
            let packed = compress(coding, format!("{{\"{name}\": \"{piece}\"}}").as_bytes());
            let content_encoding = Some(name.as_bytes());
            let context = BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding };
            run(guard.body(&context).in_session(memory.clone(), Instant::now()), &[&packed]).2.is_some()
        });
        assert_eq!(refused.collect::<Vec<_>>(), [false, false, false, true], "{name}");
    }
}

#[test]
fn a_known_value_is_followed_too() {
    let known = [KnownSecret::new("DB_PASSWORD", b"correct-horse-battery-9").unwrap()];
    let session = Session { guard: guard(Settings::default()).with_known(&known), memory: Arc::default() };
    let sent = ["correct-h", "hello", "orse-batt", "status-1", "ery-9"];
    let refused: Vec<bool> = sent.iter().map(|piece| session.refuses(&Sent::Query(format!("d={piece}")))).collect();
    assert_eq!(refused, [false, false, false, false, true]);
}

#[test]
fn ordinary_values_complete_nothing() {
    let session = Session::new();
    for at in 0..300u32 {
        let id = format!("{:08x}-4f81-4ddc-9cae-{:012x}", at.wrapping_mul(0x9e37_79b1), u64::from(at) * 0x51_7cc1);
        let sent = [
            Sent::Query(format!("page={at}&q=npm_config&id={id}")),
            Sent::Field("x-request-id", id.clone()),
            Sent::Body(format!("{{\"model\": \"m\", \"text\": \"sk-{at} is line {at}\", \"id\": \"{id}\"}}")),
        ];
        assert!(!sent.iter().any(|sent| session.refuses(sent)), "{at}");
    }
}

#[test]
fn a_name_and_a_digest_sent_after_it_are_no_token() {
    let guard = guard(Settings::default());
    let (host, memory) = (host("api.github.com"), SessionMemory::new());
    let digest = "5088c10ad5aa256a67363a256ff98cfe54f2a9b1";
    for path in ["/repos/console-app", &format!("/repos/{digest}"), "/repos/secret-store", &format!("/repos/{digest}")]
    {
        let view = HeadView { host: &host, method: "GET", path, query: None, fields: &[], trailers: false };
        assert!(guard.recall_head(&view, &memory, std::time::Instant::now()).is_empty(), "{path}");
    }
}

#[test]
fn a_secret_over_the_query_a_field_and_the_body_of_one_request_is_put_together() {
    let pieces: Vec<&str> = PAT.as_bytes().chunks(14).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    let (host, now) = (host("evil.example"), Instant::now());
    for others in 0..3 {
        let session = Session::new();
        let query = format!("q={}&page=two", pieces[0]);
        let fields: [(&[u8], &[u8]); 4] = [
            (b"accept", b"*/*"),
            (b"x-trace", pieces[1].as_bytes()),
            (b"user-agent", b"agent of mine"),
            (b"x-note", b"some words"),
        ];
        let fields = &fields[..2 + others];
        let view =
            HeadView { host: &host, method: "POST", path: "/v1/x", query: Some(&query), fields, trailers: false };
        assert!(session.guard.screen_head(&view, &session.memory, now).findings.is_empty());
        assert!(session.refuses_body(&format!("{{\"title\": \"notes\", \"text\": \"{}\"}}", pieces[2])), "{others}");
    }
}
