//! However a body is cut, the findings and the bytes that flow on are the same; no byte of a secret flows on.

use super::*;
use crate::secrets::decode::inflate::Coding;
use crate::secrets::decode::inflate::tests::compress;
use proptest::prelude::*;

/// A piece of a body: text of every kind, and secrets in every disguise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let escaped = |show: fn(u8) -> String| PAT.bytes().map(show).collect::<String>().into_bytes();
    let disguises: Vec<Vec<u8>> = vec![
        PAT.into(),
        "AKIAEWCGRBFAS73QNT3Y".into(),
        "DB_PASSWORD=x8Kq2mZp9LwR4tVb".into(),
        "datadog_api_key: 4f81ddc9caec3751d2223c2d9e7ac250".into(),
        data_encoding::BASE64.encode(PAT.as_bytes()).into_bytes(),
        data_encoding::BASE64.encode(&compress(Coding::Gzip, PAT.as_bytes())).into_bytes(),
        data_encoding::HEXLOWER.encode(PAT.as_bytes()).into_bytes(),
        data_encoding::BASE32.encode(PAT.as_bytes()).into_bytes(),
        escaped(|byte| format!("%{byte:02x}")),
        escaped(|byte| format!("%25{byte:02x}")),
        escaped(|byte| format!("\\u{byte:04x}")),
        escaped(|byte| format!("{byte},")),
        escaped(|byte| format!("{}\0", byte as char)),
        PAT.chars().rev().collect::<String>().into_bytes(),
        compress(Coding::Gzip, format!("a {PAT} b").as_bytes()),
    ];
    let texts: Vec<Vec<u8>> = [
        "{\"name\": \"value\", ",
        "plain words and more of them, ",
        "\n",
        "\"",
        " = ",
        "https://x.example/a?b=c%20d&e=",
        "ghp_",
        "eyJ",
        "=\r\n",
        "\\n",
        "привет, мир ",
        "\u{200b}",
        "%",
        "\\",
        "&#",
        "67 68 70 ",
        "0x67,",
        "550e8400-e29b-41d4-a716-446655440000",
        "-----BEGIN ",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    prop_oneof![
        2 => proptest::sample::select(disguises),
        5 => proptest::sample::select(texts),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => "[A-Za-z0-9+/]{0,5000}".prop_map(String::into_bytes),
    ]
}

/// What must not depend on the cuts: which secrets are told. Inside a compressed member the offset is known to a
/// chunk only, and where two decodings lead to one secret either may be told.
fn told(findings: &[Finding]) -> std::collections::BTreeSet<(&str, [u8; 8])> {
    findings.iter().map(|finding| (&*finding.rule, finding.fingerprint.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_body_cut_anywhere_gives_the_same(
        pieces in proptest::collection::vec(piece(), 1..14),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        json in any::<bool>(),
    ) {
        let body = pieces.concat();
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        let evil = host("evil.example");
        let content_type = json.then_some(&b"application/json"[..]);
        let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
        let (expected, out, stopped) = run(guard.body(&context), &[&body]);
        prop_assert_eq!(stopped, None);
        prop_assert!(out == body);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        at.push(0);
        at.push(body.len());
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let (found, out, _) = run(guard.body(&context), &chunks);
        prop_assert!(out == body);
        prop_assert_eq!(told(&found), told(&expected), "{:?}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(body in proptest::collection::vec(any::<u8>(), 0..3000), size in 1..200usize) {
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        let chunks: Vec<&[u8]> = body.chunks(size).collect();
        let (_, out, _) = body_of(&guard, &host("evil.example"), &chunks);
        prop_assert_eq!(out, body);
    }
}
