//! Compressed bodies, archives, packs, bombs.

use super::*;
use crate::secrets::decode::inflate::Coding;
use crate::secrets::decode::inflate::tests::compress;

const CODINGS: [(Coding, &str); 5] = [
    (Coding::Gzip, "gzip"),
    (Coding::Zlib, "deflate"),
    (Coding::Deflate, "deflate"),
    (Coding::Zstd, "zstd"),
    (Coding::Brotli, "br"),
];

fn coded(guard: &Guard, coding: &str, chunks: &[&[u8]]) -> (Vec<Finding>, Vec<u8>, Option<Stopped>) {
    let host = host("evil.example");
    let content_encoding = Some(coding.as_bytes());
    let context = BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding };
    run(guard.body(&context), chunks)
}

#[test]
fn a_compressed_body_is_looked_into_and_goes_on_as_it_came() {
    let filler: String = (0..3000).map(|n| format!("line {n} of something\n")).collect();
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    for (coding, name) in CODINGS {
        let text = format!("{filler}{PAT}\n{filler}");
        let text = if coding == Coding::Brotli { format!("a {PAT} b") } else { text };
        let packed = compress(coding, text.as_bytes());
        let (expected, out, stopped) = coded(&guard, name, &[&packed]);
        assert_eq!(stopped, None, "{name}");
        assert_eq!(expected.len(), 1, "{name}");
        assert_eq!(out, packed, "{name}");
        for size in [1, 7, 1000] {
            let chunks: Vec<&[u8]> = packed.chunks(size).collect();
            let (found, out, _) = coded(&guard, name, &chunks);
            assert_eq!(out, packed, "{name}");
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].fingerprint, expected[0].fingerprint, "{name}");
        }
    }
}

#[test]
fn a_compressed_body_is_known_by_its_magic_too() {
    for coding in [Coding::Gzip, Coding::Zlib, Coding::Zstd] {
        let packed = compress(coding, format!("a {PAT} b").as_bytes());
        assert!(!observed(&packed).is_empty(), "{coding:?}");
        let twice = compress(Coding::Gzip, &packed);
        assert!(!observed(&twice).is_empty(), "{coding:?}");
        let text = format!("{{\"data\": \"{}\"}}", data_encoding::BASE64.encode(&packed));
        assert!(!observed(text.as_bytes()).is_empty(), "{coding:?}");
        let part = [&b"--b\r\nContent-Type: x/y\r\n\r\n"[..], &twice, b"\r\n--b--"].concat();
        assert!(!observed(&part).is_empty(), "{coding:?}");
    }
}

#[test]
fn what_cannot_be_looked_into_does_not_pass() {
    let guard = guard(Settings::default());
    let reason = |coding: &str, chunks: &[&[u8]]| coded(&guard, coding, chunks).2.map(|stopped| stopped.reason);
    let gzip = compress(Coding::Gzip, b"hello");
    let not_inspectable = Some(crate::reason::Reason::BodyNotInspectable);
    assert_eq!(reason("compress", &[b"x"]), not_inspectable);
    assert_eq!(reason("gzip", &[b"hello"]), not_inspectable);
    assert_eq!(reason("gzip", &[&gzip[..gzip.len() - 3]]), not_inspectable);
    assert_eq!(reason("gzip", &[&gzip, b"rest"]), not_inspectable);
    assert_eq!(reason("gzip", &[&gzip, &gzip]), None);
    assert_eq!(reason("br, gzip", &[&gzip]), not_inspectable);
    assert_eq!(reason("identity", &[b"hello"]), None);
    assert_eq!(reason("gzip", &[]), None);
}

#[test]
fn text_in_raw_deflate_is_known_without_a_magic() {
    let packed = compress(Coding::Deflate, format!("PORT=8080\nTOKEN={PAT}\nDEBUG=false\n").as_bytes());
    let base64 = data_encoding::BASE64.encode(&packed);
    let part = [&b"--b\r\nContent-Type: x/y\r\n\r\n"[..], &packed, b"\r\n--b--"].concat();
    let flushed = [&[0, 0, 0, 0xff, 0xff][..], &packed].concat();
    for text in
        [packed, part, format!("SAMLRequest={base64}&a=b").into_bytes(), format!("/sso/{base64}").into_bytes(), flushed]
    {
        let whole = observed(&text);
        assert!(!whole.is_empty(), "{text:?}");
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        for size in [1, 5, 100] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(body_of(&guard, &host("evil.example"), &chunks).0, whole, "{size}");
        }
    }
}

#[test]
fn members_that_stand_one_behind_the_other_are_one_text() {
    let (first, second) = PAT.split_at(20);
    for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Zstd, "zstd")] {
        let [first, second] = [first, second].map(|text| compress(coding, text.as_bytes()));
        let text = [&first[..], &second].concat();
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        for size in [1, 3, 50, text.len()] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            let (found, out, stopped) = coded(&guard, name, &chunks);
            assert_eq!((found.len(), stopped), (1, None), "{name} {size}");
            assert_eq!(out, text, "{name} {size}");
            assert_eq!(body_of(&guard, &host("evil.example"), &chunks).0.len(), 1, "{name} {size}");
        }
        let broken = [&first[..], b"\x1f"].concat();
        assert!(coded(&super::guard(Settings::default()), name, &[&broken]).2.is_some(), "{name}");
        let behind = [&first[..], b"\n", PAT.as_bytes()].concat();
        assert_eq!(observed(&behind).len(), 1, "{name}");
    }
}

#[test]
fn many_members_are_one_file_and_cost_what_they_are() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let filler: String = (0..300).map(|n| format!("line {n} of something\n")).collect();
    let member = |text: &str| compress(Coding::Gzip, text.as_bytes());
    let last = member(&format!("{PAT}\n"));
    let text = [member(&filler).repeat(100), last].concat();
    for size in [1000, 5000, text.len()] {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        let rules: Vec<String> =
            body_of(&guard, &host("evil.example"), &chunks).0.iter().map(|finding| finding.rule.to_string()).collect();
        assert_eq!(rules, ["github-pat-classic"], "{size}");
    }
    // Empty ones are nothing that anybody sends in earnest.
    let flood = member("").repeat(60_000);
    let (found, ..) = body_of(&guard, &host("evil.example"), &[&flood]);
    assert_eq!(found.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["decode-bomb"]);
}

#[test]
fn zlib_is_found_where_a_files_parts_begin() {
    let packed = compress(Coding::Zlib, format!("TOKEN={PAT}\n").as_bytes());
    let mut tar = b"a.z".to_vec();
    tar.resize(257, 0);
    tar.extend_from_slice(b"ustar\x0000");
    tar.resize(512, 0);
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\x40zTXtComment\0\0"[..], &packed].concat();
    let international = [&b"\x89PNG\r\n\x1a\n\0\0\0\x40iTXtComment\0\x01\0en\0note\0"[..], &packed].concat();
    let pdf = [&b"%PDF-1.4\n1 0 obj\n<</Filter/FlateDecode>>\nstream\r\n"[..], &packed, b"\nendstream\n"].concat();
    for text in [[&tar[..], &packed].concat(), png, international, pdf] {
        let whole = observed(&text);
        assert!(!whole.is_empty(), "{text:?}");
        let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
        for size in [1, 7, 100] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(body_of(&guard, &host("evil.example"), &chunks).0, whole, "{size}");
        }
    }
}

#[test]
fn blank_pages_of_a_scanned_document_are_no_bomb() {
    let guard = guard(Settings::default());
    let page = compress(Coding::Zlib, &vec![0xff; 8 << 20]);
    let image = b"1 0 obj\n<</Subtype/Image/Filter/FlateDecode>>\nstream\n";
    let mut pdf = b"%PDF-1.4\n".to_vec();
    for _ in 0..20 {
        pdf.extend([&image[..], &page, b"\nendstream\nendobj\n"].concat());
    }
    let (found, out, stopped) = body_of(&guard, &host("evil.example"), &[&pdf]);
    assert!(found.is_empty() && stopped.is_none() && out == pdf, "{found:?} {stopped:?}");
}

#[test]
fn a_bomb_is_stopped_early() {
    let guard = guard(Settings::default());
    let bomb = compress(Coding::Gzip, &vec![0; 40 << 20]);
    let (_, _, stopped) = coded(&guard, "gzip", &[&bomb]);
    assert_eq!(stopped.unwrap().reason, crate::reason::Reason::InflateLimit);
    let (_, _, stopped) = body_of(&guard, &host("evil.example"), &[&compress(Coding::Gzip, &bomb)]);
    assert_eq!(stopped.unwrap().reason, crate::reason::Reason::InflateLimit);
}

#[test]
fn a_bomb_in_a_head_is_stopped_too() {
    let bomb = data_encoding::BASE64.encode(&compress(Coding::Gzip, &vec![0; 40 << 20]));
    let host = host("evil.example");
    let fields = [(&b"x-data"[..], bomb.as_bytes())];
    let view = HeadView { host: &host, method: "GET", path: "/", query: None, fields: &fields, trailers: false };
    let findings = guard(Settings::default()).scan_head(&view);
    assert_eq!(findings.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["decode-bomb"]);
}

#[test]
fn archives_and_packs_are_looked_into() {
    let object = |kind: u8, text: &[u8]| {
        let mut head = vec![kind << 4 | (text.len() & 15) as u8];
        let mut size = text.len() >> 4;
        while size > 0 {
            *head.last_mut().unwrap() |= 0x80;
            head.push((size & 0x7f) as u8);
            size >>= 7;
        }
        [head, compress(Coding::Zlib, text)].concat()
    };
    let blob = format!("token = {PAT}\n");
    let pack = [b"PACK\0\0\0\x02\0\0\0\x02".to_vec(), object(1, b"tree x\n"), object(3, blob.as_bytes()), vec![7; 20]]
        .concat();
    let (found, ..) =
        body_of(&guard(Settings { action: Action::Observe, ..Settings::default() }), &host("git.example"), &[&pack]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].decoded, ["git-pack"]);
    let deflated = compress(Coding::Deflate, blob.as_bytes());
    let mut head = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    head.resize(26, 0);
    head.extend_from_slice(&[5, 0, 0, 0]);
    let zip = [b"x".repeat(100), head, b"a.txt".to_vec(), deflated, b"PK\x01\x02".to_vec()].concat();
    assert_eq!(observed(&zip).len(), 1);
}

#[test]
fn bytes_that_only_look_like_a_file_are_gone_by_once() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    // A deflate block of the type that there isn't, behind the heads of zlib, gzip and a pack.
    let broken: [&[u8]; 4] =
        [b"x^\x07garbage", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x07garbage", b"PACK\0\0\0\x02\0\0\0\x01\0\0\0", b"x\x9c\xff"];
    for head in broken {
        let text = [head, b"\n", PAT.as_bytes(), b" "].concat();
        let (found, out, stopped) = body_of(&guard, &host("evil.example"), &[&text]);
        assert_eq!((found.len(), stopped), (1, None), "{head:?}");
        assert_eq!(out, text);
    }
}

#[test]
fn heads_of_several_files_within_each_other_are_followed_however_they_come() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    // A stored block, and behind it one of the type that there isn't.
    let text = |heads: usize, stored: u16| {
        let lengths = [stored.to_le_bytes(), (!stored).to_le_bytes()].concat();
        let head = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03\0"[..], &lengths].concat();
        [&head.repeat(heads), &b". ".repeat(usize::from(stored) / 2)[..], &[7; 100], b" ", PAT.as_bytes(), b" "]
            .concat()
    };
    let rules = |chunks: &[&[u8]]| -> Vec<String> {
        let (found, _, stopped) = body_of(&guard, &host("evil.example"), chunks);
        assert_eq!(stopped, None);
        found.iter().map(|finding| finding.rule.to_string()).collect()
    };
    for (text, rules_of) in [
        (text(3, 2000), &["github-pat-classic"][..]),
        (text(3, 40_000), &["decode-bomb"]),
        (text(6, 2000), &["decode-depth", "github-pat-classic"]),
    ] {
        for size in [text.len().div_ceil(2500), 64, 4096, text.len()] {
            assert_eq!(rules(&text.chunks(size).collect::<Vec<_>>()), rules_of, "{size} of {}", text.len());
        }
    }
}

#[test]
fn a_token_on_a_line_of_its_own_is_found_however_the_lines_look() {
    let key = ["AKIA", "EWCGRBFAS73QNT3Y"].concat();
    let line = "abcdefghijklmnopqrstuvwxyz0123456789ABCD";
    for text in [
        format!("{line}\n{key}\nend\n"),
        format!("{line}\n{line}\n{key}\n{key}\n"),
        format!("{line}\r\n{key}\r\nend\r\n"),
        format!("{{\"text\":\"{line}\\n{key}\\nend\"}}"),
        format!("{}{key}\nend\n", format!("{line}\n").repeat(400)),
    ] {
        assert!(observed(text.as_bytes()).iter().any(|finding| finding.rule.starts_with("aws-")), "{text}");
    }
}

#[test]
fn a_token_in_short_lines_is_found_by_the_first_of_them() {
    let key = ["edsk2jwGQm3MkAVo", "aJcUtbu52sXhYgPd", "GxkGLCZmZuf6rUJz", "UAKun1"].join("\n    ");
    let found = observed(format!("key:\n    {key}\n").as_bytes());
    assert!(found.iter().any(|finding| &*finding.rule == "tezos-secret"), "{found:?}");
}

#[test]
fn a_token_is_found_with_every_third_character_in_quoted_printable() {
    for step in 1..5 {
        let each = |(at, byte): (usize, u8)| {
            if at.is_multiple_of(step) { format!("={byte:02X}") } else { char::from(byte).to_string() }
        };
        let text: String = PAT.bytes().enumerate().map(each).collect();
        assert!(observed(format!("data: {text}\n").as_bytes()).len() == 1, "{text}");
    }
    let query = "a=12&b=34&c=5F and x=10,y=20 or WIDTH=AA=BB";
    assert!(observed(query.as_bytes()).is_empty());
}

#[test]
fn a_token_without_a_checksum_is_read_backwards_where_it_stands_by_itself() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let is_found = |text: &str| {
        let context = BodyContext { host: &evil, method: "", path: "/", content_type: None, content_encoding: None };
        !run(guard.body(&context), &[text.as_bytes()]).0.is_empty()
    };
    let token: String = "cioX7qMzB3kT9wLpR2vYhN5sJdG8fAcE4uQ".chars().rev().collect();
    for text in [token.clone(), format!("{{\"d\": \"{token}\"}}"), format!("/v1/items/{token}"), format!("a={token}&b")]
    {
        assert!(is_found(&text), "{text}");
    }
    for text in [format!("Zx81Qh0bTn3Wc/R5{token}"), format!("kQ7+Zx81Qh0bTn3WcLmR5yPe/{token}")] {
        assert!(!is_found(&text), "{text}");
    }
    // A checksum tells more than what stands around.
    let pat: String = PAT.chars().rev().collect();
    assert!(is_found(&format!("kQ7+Zx81Qh0bTn3WcLmR5yPe/{pat}")));
}
