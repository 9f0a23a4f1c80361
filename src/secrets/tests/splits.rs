//! However a body is cut, the findings and the bytes that flow on are the same; no byte of a secret flows on.

use super::*;
use crate::secrets::decode::inflate::Coding;
use crate::secrets::decode::inflate::tests::compress;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Secrets of several makes: in one run, with points, in lines, with a name before them.
const SECRETS: [&str; 6] = [
    PAT,
    "AKIAEWCGRBFAS73QNT3Y",
    "DB_PASSWORD=x8Kq2mZp9LwR4tVb",
    "datadog_api_key: 4f81ddc9caec3751d2223c2d9e7ac250",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4MjM3NDY1MCIsInJvbGUiOiJhZG1pbiIsImlhdCI6MTc2MDAwMDAwMH0.\
     Zx3kq9TtV1mB7wPz0cR5yLh2NfJd8uSaE6gQoXiKvWs",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n",
];

/// One disguise of a secret.
fn disguised(secret: &str, way: usize) -> Vec<u8> {
    let escaped = |show: fn(u8) -> String| secret.bytes().map(show).collect::<String>().into_bytes();
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes).into_bytes();
    let lines = |text: Vec<u8>| text.chunks(16).collect::<Vec<_>>().join(&b"\n"[..]);
    match way {
        0 => base64(secret.as_bytes()),
        1 => base64(&compress(Coding::Gzip, secret.as_bytes())),
        2 => data_encoding::HEXLOWER.encode(secret.as_bytes()).into_bytes(),
        3 => data_encoding::BASE32.encode(secret.as_bytes()).into_bytes(),
        4 => escaped(|byte| format!("%{byte:02x}")),
        5 => escaped(|byte| format!("%25{byte:02x}")),
        6 => escaped(|byte| format!("\\u{byte:04x}")),
        7 => escaped(|byte| format!("{byte},")),
        8 => escaped(|byte| format!("{}\0", byte as char)),
        9 => secret.chars().rev().collect::<String>().into_bytes(),
        10 => compress(Coding::Gzip, format!("a {secret} b").as_bytes()),
        11 => compress(Coding::Zstd, format!("a {secret} b").as_bytes()),
        12 => [&compress(Coding::Gzip, secret.as_bytes())[..], &compress(Coding::Zlib, secret.as_bytes())].concat(),
        13 => lines(base64(format!("xx {secret} and more of the same, and more {secret}").as_bytes())),
        14 => base64(&base64(secret.as_bytes())),
        15 => escaped(|byte| if byte.is_ascii_digit() { format!("%{byte:02x}") } else { (byte as char).to_string() }),
        16 => escaped(|byte| format!("{}\u{200b}", byte as char)),
        17 => [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), compress(Coding::Gzip, secret.as_bytes())].concat(),
        18 => compress(Coding::Gzip, secret.as_bytes()).split_last().map(|(_, head)| head.to_vec()).unwrap_or_default(),
        19 => bodies::zip_entry(&compress(Coding::Deflate, secret.as_bytes())),
        20 => [b"PACK\0\0\0\x02\0\0\0\x02".to_vec(), bodies::object(3, 0, secret.as_bytes()).repeat(2)].concat(),
        _ => secret.into(),
    }
}

/// A piece of a body: text of every kind, and secrets in every disguise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<Vec<u8>> = [
        "{\"name\": \"value\", ",
        "plain words and more of them, ",
        "\n",
        "\"",
        "\": \"",
        "\", \"b\": \"",
        " = ",
        "https://x.example/a?b=c%20d&e=",
        "postgres://u:",
        "ghp_",
        "eyJ",
        "-eyJ",
        "=\r\n",
        "\\n",
        "\\",
        "\\\\\\\\u0067",
        "привет, мир ",
        "\u{200b}",
        "%",
        "&#",
        "67 68 70 ",
        "0x67,",
        "550e8400-e29b-41d4-a716-446655440000",
        "-----BEGIN ",
        "--------------------------------------------------------------------------------",
        "\x1f",
        "\x1f\u{b}\x08",
        "PK\x03\x04",
        "PACK\0\0\0\x02",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    prop_oneof![
        3 => (0..SECRETS.len(), 0..24usize).prop_map(|(secret, way)| disguised(SECRETS[secret], way)),
        5 => proptest::sample::select(texts),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => "[A-Za-z0-9+/]{0,5000}".prop_map(String::into_bytes),
        1 => "[a-z0-9=&,.;]{0,1500}".prop_map(String::into_bytes),
        1 => ("[Aa0/=-]", 1..3000usize).prop_map(|(letter, count)| letter.repeat(count).into_bytes()),
        1 => ("[0-9]{1,3}, {0,1}", 1..3000usize).prop_map(|(number, count)| number.repeat(count).into_bytes()),
    ]
}

/// Cuts a body: at some places, or all along in small pieces.
fn cut<'a>(body: &'a [u8], cuts: &[proptest::sample::Index], small: usize) -> Vec<&'a [u8]> {
    if small > 0 && body.len() < 6000 {
        return body.chunks(small).collect();
    }
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// The same cases at every run; `CASES=N` tries N new ones.
fn config() -> ProptestConfig {
    match std::env::var("CASES").ok().and_then(|count| count.parse().ok()) {
        Some(count) => ProptestConfig::with_cases(count),
        None => ProptestConfig { rng_seed: RngSeed::Fixed(7), ..ProptestConfig::with_cases(200) },
    }
}

#[test]
fn what_can_become_no_match_flows_on_at_once() {
    let guard = guard(Settings::default());
    let evil = host("evil.example");
    let events = "{\"event\": \"tick\", \"on\": true}\n".repeat(9);
    // The last value of a structure may be the first piece of something.
    let value = events.rfind("tick").unwrap();
    for (text, flows) in [("a line of text\n".repeat(600), 9000), ("\n".repeat(8192), 8192), (events, value)] {
        let context = BodyContext {
            host: &evil,
            method: "POST",
            path: "/",
            content_type: Some(b"text/plain"),
            content_encoding: None,
        };
        let mut scan = guard.body(&context);
        scan.push(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let out: usize = std::iter::from_fn(|| scan.released()).map(|bytes| bytes.len()).sum();
        assert_eq!(out, flows, "{text:.30}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_body_cut_anywhere_gives_the_same(
        pieces in proptest::collection::vec(piece(), 1..12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        small in 0..4usize,
        kind in 0..4usize,
    ) {
        let body = pieces.concat();
        let known = vec![KnownSecret::new("X", b"words and more of them").unwrap()];
        let guard = guard(Settings { action: Action::Observe, known, ..Settings::default() });
        let evil = host("evil.example");
        let content_type: Option<&[u8]> =
            [None, Some(&b"application/json"[..]), Some(b"application/x-www-form-urlencoded"), Some(b"multipart/form-data")][kind];
        let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
        let (expected, out, stopped) = run(guard.body(&context), &[&body]);
        prop_assert_eq!(stopped, None);
        prop_assert!(out == body);
        let (found, out, _) = run(guard.body(&context), &cut(&body, &cuts, small));
        prop_assert!(out == body);
        prop_assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn no_byte_of_a_secret_flows_on_however_it_is_cut_and_disguised(
        before in proptest::collection::vec(piece(), 0..4),
        secret in 0..SECRETS.len(),
        way in 0..24usize,
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        small in 0..4usize,
        mask in any::<bool>(),
    ) {
        let mut body = before.concat();
        body.push(b'\n');
        let start = body.len();
        body.extend(disguised(SECRETS[secret], way));
        let end = body.len();
        body.extend_from_slice(b"\nand more\n");
        let observed = observed(&body);
        prop_assume!(observed.iter().any(|finding| (start..end).contains(&(finding.offset as usize))));
        // Of what is compressed the stream's start is told, which says nothing yet.
        let compressed = |step: &std::borrow::Cow<'_, str>| ["gzip", "zlib", "deflate", "zstd", "git-pack"].contains(&&**step);
        // What is told of the body as a whole has no place.
        let placed = observed.iter().filter(|finding| finding.length > 0);
        let plain = placed.filter(|finding| !finding.decoded.iter().any(compressed));
        let first = plain.map(|finding| finding.offset as usize).min().unwrap_or(end - 1);
        let action = if mask { Action::Mask } else { Action::Block };
        let guard = guard(Settings { action, ..Settings::default() });
        let evil = host("evil.example");
        let (found, out, stopped) = body_of(&guard, &evil, &cut(&body, &cuts, small));
        if stopped.is_some() {
            prop_assert!(out.len() <= first || found.iter().any(|f| f.disposition == Disposition::Masked), "{} {first}", out.len());
            prop_assert!(!out.ends_with(&body[..end]));
        } else {
            prop_assert_eq!(out.len(), body.len());
            let (again, ..) = body_of(&guard, &evil, &[&out]);
            prop_assert!(again.is_empty(), "{again:?}");
            prop_assert_eq!(&out, &body_of(&guard, &evil, &[&body]).1);
        }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(body in proptest::collection::vec(any::<u8>(), 0..3000), size in 1..200usize) {
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        let chunks: Vec<&[u8]> = body.chunks(size).collect();
        let (_, out, _) = body_of(&guard, &host("evil.example"), &chunks);
        prop_assert_eq!(out, body);
    }
}
