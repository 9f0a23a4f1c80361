//! Real-looking tokens through everything that hides them, in every surface.

use super::bodies::object;
use super::ways::{Way, base64, binaries, pack, puzzles, texts, varint};
use super::*;

/// Rules whose examples go through everything.
const RULES: [&str; 14] = [
    "github-pat-classic",
    "github-pat-fine",
    "aws-akia",
    "anthropic-api",
    "slack-bot",
    "stripe-sk",
    "gitlab-pat",
    "gcp-api-key",
    "npm-token",
    "sendgrid",
    "jwt",
    "huggingface",
    "openai-project",
    "shopify-access",
];

/// Tokens of many makes.
fn tokens() -> Vec<(String, Vec<u8>)> {
    let catalogue = Catalogue::annotated().unwrap();
    let mut all = Vec::new();
    for name in RULES {
        let rule = catalogue.rules().iter().find(|rule| rule.id.starts_with(name));
        let example = rule.and_then(|rule| rule.examples.first());
        let word = example.map(|text| {
            let words = text.split(|letter: char| letter.is_whitespace() || "\"'=<>(),".contains(letter));
            words.max_by_key(|word| word.len()).unwrap_or_default()
        });
        all.extend(word.map(|word| (name.to_owned(), word.as_bytes().to_vec())));
    }
    assert!(all.len() >= 10, "{}", all.len());
    all
}

/// The surfaces where a way's text is missed.
fn missed(guard: &Guard, text: &[u8], is_text: bool) -> Vec<&'static str> {
    let evil = host("evil.example");
    let body = |text: &[u8], content_type: Option<&[u8]>| {
        let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
        !run(guard.body(&context), &[text]).0.is_empty()
    };
    let mut all = Vec::new();
    if !body(text, None) {
        all.push("body");
    }
    if !is_text {
        return all;
    }
    if !body(&[b"{\"a\": \"b\", \"note\": \"", text, b"\"}"].concat(), Some(b"application/json")) {
        all.push("JSON");
    }
    let line = String::from_utf8(text.to_vec()).unwrap();
    let encoded: String = line
        .bytes()
        .map(|b| if b" \r\n\"#&+".contains(&b) || !b.is_ascii() { format!("%{b:02X}") } else { (b as char).into() })
        .collect();
    let query = format!("a=1&q={encoded}&z=2");
    let view = HeadView { host: &evil, method: "GET", path: "/", query: Some(&query), fields: &[], trailers: false };
    if guard.scan_head(&view).is_empty() {
        all.push("query");
    }
    if !text.contains(&b'\n') {
        let fields: [(&[u8], &[u8]); 1] = [(b"x-note", text)];
        let view = HeadView { host: &evil, method: "GET", path: "/", query: None, fields: &fields, trailers: false };
        if guard.scan_head(&view).is_empty() {
            all.push("header");
        }
    }
    all
}

fn observing() -> Guard {
    guard(Settings { action: Action::Observe, ..Settings::default() })
}

#[test]
fn every_token_is_found_behind_every_single_step() {
    let (guard, mut wrong) = (observing(), Vec::new());
    for (name, token) in tokens() {
        for way in texts().into_iter().chain(puzzles()).chain(binaries()) {
            let surfaces = missed(&guard, &(way.encode)(&token), way.text);
            if !surfaces.is_empty() {
                wrong.push(format!("{name} by {} in {surfaces:?}", way.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_known_is_found_behind_every_single_step() {
    let mut wrong = Vec::new();
    for value in ["correct-horse-9-battery", "k7!Qz9#pLw2@Vt", "kD83hQ0xWmZp41TnRsVbYcUe"] {
        let known = vec![KnownSecret::new("X", value.as_bytes()).unwrap()];
        let guard = guard(Settings { action: Action::Observe, known, ..Settings::default() });
        // A query that escapes a sign of the value and breaks lines otherwise has two steps.
        // Letters that signs part are seen where four of them are together.
        let signs = value.contains('!');
        let may = |way: &Way| !(way.name.starts_with("quoted") || signs && way.name.starts_with("letters"));
        let puzzles = puzzles().into_iter().filter(may);
        for way in texts().into_iter().chain(puzzles).chain(binaries()) {
            let surfaces = missed(&guard, &(way.encode)(value.as_bytes()), way.text);
            if !surfaces.is_empty() {
                wrong.push(format!("{value} by {} in {surfaces:?}", way.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_token_taken_apart_is_found_where_its_prefix_shows() {
    let guard = observing();
    let pieces: Vec<&[u8]> = PAT.as_bytes().chunks(11).collect();
    for (open, gap, close) in [
        ("", "\n", "\n"),
        ("", "\r\n  ", ""),
        ("{\"a\": \"", "\\n", "\"}"),
        ("t = ('", "'\n     '", "')"),
        ("t = \"", "\" . \"", "\";"),
        ("t = \"", "\";\nt += \"", "\";"),
        ("{\"code\": \"t = \\\"", "\\\" + \\\"", "\\\";\"}"),
        ("[\"", "\", \"", "\"].join(\"\")"),
    ] {
        let text = [open.as_bytes(), &pieces.join(gap.as_bytes()), close.as_bytes()].concat();
        let found = body_of(&guard, &host("evil.example"), &[&text]).0;
        assert_eq!(found.len(), 1, "{gap}: {found:?}");
        for size in [1, 7] {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(body_of(&guard, &host("evil.example"), &chunks).0, found, "{gap} {size}");
        }
    }
}

#[test]
fn pieces_that_only_look_like_a_tokens_are_none() {
    for text in [
        "const PREFIXES = [\"glpat-\", \"gldt-\", \"glrt-\", \"glptt-\", \"glagent-\", \"glsoat-\"];",
        "Tokens begin with\nglpat-\na-hyphen-and-some-more-words-of-the-line\n",
        "if (t.startsWith(\"ghp_\")) { return \"a personal access token of the classic kind\" }",
    ] {
        assert!(observed(text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn a_secret_between_a_packs_base_and_its_delta_is_found() {
    let (front, back) = PAT.split_at(20);
    let base = object(3, 0, format!("some {front}").as_bytes());
    // Copies the whole base, then inserts the rest.
    let copied = 5 + front.len();
    let mut delta = [varint(copied), varint(copied + back.len()), vec![0x90, copied as u8]].concat();
    delta.push(back.len() as u8);
    delta.extend_from_slice(back.as_bytes());
    let mut changed = object(6, 1, &delta);
    let offset = changed.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    assert!(base.len() < 0x80);
    changed[offset] = base.len() as u8;
    let found = observed(&pack(&[base.clone(), changed.clone()].concat()));
    assert_eq!(found.len(), 1, "{found:?}");
    changed[offset] = 0x7f;
    assert!(observed(&pack(&[base, changed].concat())).is_empty());
}

#[test]
fn what_lies_deeper_than_is_looked_is_a_finding_of_its_own() {
    let mut text = b"some text that is long enough to be seen as such in base64, and no secret at all".to_vec();
    for depth in 0..6 {
        let found = observed(&text);
        let deep = found.iter().any(|finding| &*finding.rule == special::DEPTH);
        assert_eq!(deep, depth > 4, "{depth}: {found:?}");
        text = base64(&text);
    }
}

#[test]
fn a_token_is_read_backwards_wherever_the_letters_are_that_tell_it() {
    for token in [
        "q7Xm2Zt9LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7LwRpAZDO5YcB",
        "sha256~q7Xm2Zt9LwRp5YcB8nDf1GsEa4Uk3JhX9vQ2mZt7Lwz",
        PAT,
    ] {
        let text = format!("a {} b", token.chars().rev().collect::<String>());
        let found = observed(text.as_bytes());
        assert!(!found.is_empty() && found.iter().all(|finding| finding.decoded == ["reversed"]), "{token} {found:?}");
        assert_eq!((found[0].offset, found[0].length), (2, token.len() as u32));
    }
}

#[test]
fn nearly_every_token_is_found_behind_two_steps() {
    let (guard, mut wrong, mut all) = (observing(), Vec::new(), 0);
    let mut numbers = bodies::Numbers(7);
    let ways: Vec<Way> = texts().into_iter().chain(binaries()).collect();
    let tokens = tokens();
    for inner in &ways {
        for outer in &ways {
            let (_, token) = &tokens[(numbers.next() >> 20) as usize % tokens.len()];
            let hidden = (inner.encode)(token);
            // What gives no ASCII can't be told letter by letter. Of what is encoded base64 only is read backwards.
            let letters = ["zero", "word", "soft", "homo", "full", "JSON", "Java", "octal", "HTML", "percent u"];
            let strange = !hidden.is_ascii() && letters.iter().any(|name| outer.name.starts_with(name));
            if strange || (outer.name == "reversed" && !inner.name.starts_with("base64")) {
                continue;
            }
            all += 1;
            let text = (outer.encode)(&hidden);
            if !missed(&guard, &text, false).is_empty() {
                wrong.push(format!("{} of {}", outer.name, inner.name));
            }
        }
    }
    let told = if std::env::var_os("MISSES").is_some() { wrong.join("\n") } else { String::new() };
    assert!(wrong.len() * 100 <= all * 13, "{} of {all} are missed\n{told}", wrong.len());
}

/// What a small body of a session holds, and a head that carries the same in its path, its query and a field.
pub(super) fn in_session(text: &str) -> [bool; 4] {
    let guard = observing();
    let evil = host("evil.example");
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type: None, content_encoding: None };
    let now = std::time::Instant::now();
    let body = run(guard.body(&context).in_session(Arc::new(SessionMemory::new()), now), &[text.as_bytes()]).0;
    let encode = |text: &str| -> String {
        text.bytes().map(|b| if b.is_ascii_alphanumeric() { (b as char).into() } else { format!("%{b:02X}") }).collect()
    };
    let (path, query) = (format!("/files/{}/raw", encode(text)), format!("a=1&q={}", encode(text)));
    let head = |path: &str, query: Option<&str>, fields: &[(&[u8], &[u8])]| {
        let view = HeadView { host: &evil, method: "GET", path, query, fields, trailers: false };
        !guard.scan_head(&view).is_empty()
    };
    let field = [(&b"x-note"[..], text.as_bytes())];
    [!body.is_empty(), head(&path, None, &[]), head("/", Some(&query), &[]), head("/", None, &field)]
}

#[test]
fn a_token_is_read_out_of_numbers_whatever_stands_between_them() {
    let each = |show: &dyn Fn(u8) -> String, gap: &str| PAT.bytes().map(show).collect::<Vec<_>>().join(gap);
    for text in [
        each(&|byte| format!("#{byte:02x}"), " "),
        each(&|byte| format!("{byte:02X}"), "/"),
        each(&|byte| format!("{byte:02x}"), "_"),
        each(&|byte| format!("0x{byte:02x}"), ""),
        each(&|byte| format!("(byte)0x{byte:02x}"), ", "),
        each(&|byte| format!("\"{byte:o}\""), ", "),
        each(&|byte| format!("{byte:08b}"), ""),
        each(&|byte| format!("\\x{byte:02x}"), " "),
        PAT.as_bytes().chunks(8).map(|eight| data_encoding::HEXLOWER.encode(eight)).collect::<Vec<_>>().join(" "),
    ] {
        assert_eq!(in_session(&text), [true; 4], "{text}");
    }
}

#[test]
fn base64_in_groups_is_read_wherever_it_stands() {
    let coded = String::from_utf8(base64(PAT.as_bytes())).unwrap();
    for width in [4, 5, 8, 16] {
        let groups: Vec<&str> =
            coded.as_bytes().chunks(width).map(|group| std::str::from_utf8(group).unwrap()).collect();
        assert_eq!(in_session(&groups.join(" ")), [true; 4], "{width}");
        assert!(in_session(&format!("a=1&note={}&b=2", groups.join("+").replace('=', "%3D")))[0], "{width}");
    }
}

#[test]
fn values_are_read_backwards_wherever_they_stand() {
    let reversed: String = PAT.chars().rev().collect();
    assert_eq!(in_session(&reversed), [true; 4]);
    // As a form writes `{"client_secret": …}`.
    let form = "a=1&note=%7D%22LBx8eLpQna6rPo3PAygPz1QpG2kkmVhE%22+%3A%22terces_tneilc%22%7B";
    assert!(in_session(form)[0]);
}

#[test]
fn a_stored_entry_of_a_zip_and_a_long_string_begin_where_their_heads_end() {
    let entry = super::ways::stored(PAT.as_bytes());
    let named = {
        let mut head = entry.clone();
        let at = head.windows(4).position(|four| four == b"PK\x03\x04").unwrap();
        let name = usize::from(u16::from_le_bytes([head[at + 26], head[at + 27]]));
        head[at + 26..at + 28].copy_from_slice(&((name + 9) as u16).to_le_bytes());
        head.splice(at + 30 + name..at + 30 + name, *b"notes.txt");
        head
    };
    let length = (PAT.len() as u16).to_be_bytes();
    for text in [
        [&b"\x82\xa4name\xa1x\xa4note\xda"[..], &length, PAT.as_bytes()].concat(),
        [&b"\xa1\x64note\x79"[..], &length, PAT.as_bytes()].concat(),
        named,
    ] {
        assert_eq!(observed(&text).len(), 1, "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_name_in_plain_letters_tells_a_value_that_is_written_otherwise() {
    for text in [
        "api_key: toVgxJMJW\u{ad}ZCYRUd5qH1ajBdDamXm1lD4",
        "{\"client_secret\": \"\u{395}hVmkk2GpQ1z\u{3a1}gy\u{391}\u{3a1}3\u{3bf}\u{3a1}r6anQpLe8x\u{392}L\"}",
        "IBAN: DE40370400447704580\u{200b}815",
        "export STRIPE_WEBHOOK_SECRET=3D'C5ZEEsHebXYSXNND1NNMT622Nn0P4C'",
    ] {
        let found = observed(text.as_bytes());
        assert_eq!(found.len(), 1, "{text} {found:?}");
        for at in 0..text.len() {
            let (front, back) = text.as_bytes().split_at(at);
            assert_eq!(body_of(&observing(), &host("evil.example"), &[front, back]).0, found, "{text} {at}");
        }
    }
}
