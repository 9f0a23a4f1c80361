//! Real-looking tokens through everything that hides them, in every surface.

use super::bodies::{deflate, gzip, object, zip_entry, zlib};
use super::*;

type Encode = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A way to hide bytes: its name, whether the result is text that may stand in a JSON string, a query and a header.
struct Way {
    name: String,
    text: bool,
    encode: Encode,
}

fn way(name: &str, text: bool, encode: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Way {
    Way { name: name.into(), text, encode: Box::new(encode) }
}

/// Each byte by itself.
fn bytewise(name: &str, show: impl Fn(u8) -> String + 'static) -> Way {
    way(name, true, move |bytes| bytes.iter().map(|byte| show(*byte)).collect::<String>().into_bytes())
}

/// Each byte by itself, with something between.
fn listed(name: &str, show: impl Fn(u8) -> String + 'static, gap: &'static str) -> Way {
    way(name, true, move |bytes| bytes.iter().map(|byte| show(*byte)).collect::<Vec<_>>().join(gap).into_bytes())
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    data_encoding::BASE64.encode(bytes).into_bytes()
}

fn wrapped(text: &[u8], width: usize, gap: &str) -> Vec<u8> {
    text.chunks(width).collect::<Vec<_>>().join(gap.as_bytes())
}

fn letterwise(name: &str, show: impl Fn(char) -> String + 'static) -> Way {
    way(name, true, move |bytes| String::from_utf8_lossy(bytes).chars().map(&show).collect::<String>().into_bytes())
}

fn shifted(letter: char) -> String {
    let wide = letter.is_ascii_graphic().then(|| char::from_u32(letter as u32 + 0xfee0)).flatten();
    wide.unwrap_or(letter).to_string()
}

fn alike(letter: char) -> String {
    match letter {
        'a' => 'а',
        'e' => 'е',
        'o' => 'о',
        'p' => 'р',
        'c' => 'с',
        'x' => 'х',
        'A' => 'А',
        'K' => 'К',
        'H' => 'Н',
        other => other,
    }
    .to_string()
}

fn named(byte: u8) -> String {
    match byte {
        b'_' => "&lowbar;".into(),
        b'-' => "&hyphen;".into(),
        b'.' => "&period;".into(),
        b'/' => "&sol;".into(),
        b'+' => "&plus;".into(),
        b'=' => "&equals;".into(),
        b':' => "&colon;".into(),
        b'@' => "&commat;".into(),
        byte if byte.is_ascii_digit() => format!("&#{byte};"),
        byte => (byte as char).into(),
    }
}

/// Ways in text.
fn texts() -> Vec<Way> {
    let mut all = vec![
        bytewise("percent", |byte| format!("%{byte:02x}")),
        bytewise("percent in capitals", |byte| format!("%{byte:02X}")),
        bytewise("percent twice", |byte| format!("%25{byte:02X}")),
        bytewise("percent thrice", |byte| format!("%2525{byte:02X}")),
        bytewise("percent of what is no letter", |byte| match byte {
            byte if byte.is_ascii_alphanumeric() => (byte as char).into(),
            byte => format!("%{byte:02X}"),
        }),
        bytewise("percent u", |byte| format!("%u{byte:04x}")),
        bytewise("JSON escapes", |byte| format!("\\u{byte:04x}")),
        bytewise("JSON escapes of JSON escapes", |byte| format!("\\\\u{byte:04x}")),
        bytewise("JavaScript escapes", |byte| format!("\\x{byte:02x}")),
        bytewise("JavaScript code points", |byte| format!("\\u{{{byte:x}}}")),
        bytewise("octal escapes", |byte| format!("\\{byte:03o}")),
        bytewise("HTML in decimals", |byte| format!("&#{byte};")),
        bytewise("HTML in decimals with zeroes", |byte| format!("&#{byte:05};")),
        bytewise("HTML in hex", |byte| format!("&#x{byte:x};")),
        bytewise("HTML by name", named),
        bytewise("quoted-printable", |byte| format!("={byte:02X}")),
        way("quoted-printable in lines", true, |bytes| wrapped(bytes, 12, "=\r\n")),
        letterwise("zero-width spaces", |letter| format!("{letter}\u{200b}")),
        letterwise("word joiners", |letter| format!("{letter}\u{2060}")),
        letterwise("soft hyphens", |letter| format!("{letter}\u{ad}")),
        letterwise("homoglyphs", alike),
        letterwise("full width", shifted),
        way("reversed", true, |bytes| bytes.iter().rev().copied().collect()),
        listed("numbers", |byte| byte.to_string(), ","),
        listed("numbers with spaces", |byte| byte.to_string(), ", "),
        listed("numbers in lines", |byte| byte.to_string(), ",\n    "),
        listed("numbers in lines of a string", |byte| byte.to_string(), ",\\n    "),
        listed("numbers in strings in lines", |byte| format!("\"{byte}\""), ",\n    "),
        listed("numbers in strings in indented lines", |byte| format!("\"{byte}\""), ",\r\n\t\t"),
        listed("numbers between spaces", |byte| byte.to_string(), " "),
        listed("hex with colons", |byte| format!("{byte:02x}"), ":"),
        listed("hex with spaces", |byte| format!("{byte:02X}"), " "),
        listed("hex with dashes", |byte| format!("{byte:02x}"), "-"),
        listed("hex with 0x", |byte| format!("0x{byte:02x}"), ", "),
        listed("hex with 0x, close", |byte| format!("0x{byte:02X}"), ","),
        way("hex", true, |bytes| data_encoding::HEXLOWER.encode(bytes).into_bytes()),
        way("hex in capitals", true, |bytes| data_encoding::HEXUPPER.encode(bytes).into_bytes()),
        way("hex in lines", true, |bytes| wrapped(data_encoding::HEXLOWER.encode(bytes).as_bytes(), 32, "\n")),
        way("base32", true, |bytes| data_encoding::BASE32.encode(bytes).into_bytes()),
        way("base32 in small letters", true, |bytes| {
            data_encoding::BASE32_NOPAD.encode(bytes).to_lowercase().into_bytes()
        }),
        way("base64 behind a colon", true, |bytes| [b"data:text/plain;base64,".to_vec(), base64(bytes)].concat()),
        way("a data URL in percent", true, |bytes| {
            bytes.iter().fold(b"data:,".to_vec(), |text, byte| [text, format!("%{byte:02X}").into_bytes()].concat())
        }),
    ];
    for lead in 0..3 {
        let lead = "#!".get(..lead).unwrap_or_default();
        let glued = move |bytes: &[u8]| [lead.as_bytes(), bytes, b"!"].concat();
        all.push(way(&format!("base64 at {}", lead.len()), true, move |bytes| base64(&glued(bytes))));
        all.push(way(&format!("base64url at {}", lead.len()), true, move |bytes| {
            data_encoding::BASE64URL_NOPAD.encode(&glued(bytes)).into_bytes()
        }));
    }
    for (gap, name) in [("\n", "LF"), ("\r\n", "CRLF"), ("\\n", "escaped LF"), ("\\r\\n", "escaped CRLF")] {
        for width in [64, 76] {
            let noise = b"some text that goes before it, some more of it, and even more than this so that it is long: ";
            all.push(way(&format!("base64 in lines of {width} with {name}"), true, move |bytes| {
                wrapped(&base64(&[noise, bytes, b" and ", noise].concat()), width, gap)
            }));
        }
    }
    all
}

fn bold(letter: char) -> char {
    let code = match letter {
        'A'..='Z' => 0x1d400 + (letter as u32 - 'A' as u32),
        'a'..='z' => 0x1d41a + (letter as u32 - 'a' as u32),
        '0'..='9' => 0x1d7ce + (letter as u32 - '0' as u32),
        other => other as u32,
    };
    char::from_u32(code).unwrap()
}

fn halves(letter: char) -> String {
    let mut halves = [0; 2];
    bold(letter).encode_utf16(&mut halves).iter().map(|half| format!("\\u{half:04x}")).collect()
}

/// What xxd prints.
fn dumped(bytes: &[u8], line_break: &str) -> Vec<u8> {
    let line = |(number, line): (usize, &[u8])| {
        let groups: Vec<String> = line.chunks(2).map(|two| data_encoding::HEXLOWER.encode(two)).collect();
        let shown: String = line.iter().map(|byte| *byte as char).collect();
        format!("{:08x}: {:<39}  {shown}", number * 16, groups.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect::<Vec<_>>().join(line_break).into_bytes()
}

/// Pieces of strings with something between.
fn strings(name: &str, gap: &'static str, pieces: usize) -> Way {
    way(name, true, move |bytes| {
        let quote = gap.chars().next().unwrap();
        let pieces: Vec<&str> =
            bytes.chunks(bytes.len().div_ceil(pieces)).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        format!("t = {quote}{}{quote};", pieces.join(gap)).into_bytes()
    })
}

/// Ways in which a program or a person puts together again what was taken apart.
fn puzzles() -> Vec<Way> {
    vec![
        letterwise("mathematical letters", |letter| bold(letter).to_string()),
        letterwise("halves of mathematical letters", halves),
        listed("letters in a list", |byte| format!("'{}'", byte as char), ", "),
        listed("letters in a close list", |byte| format!("\"{}\"", byte as char), ","),
        listed("letters in lines", |byte| format!("\"{}\"", byte as char), ",\n    "),
        listed("letters between spaces", |byte| (byte as char).to_string(), " "),
        way("letters between spaces and words", true, |bytes| {
            let letters: Vec<String> = bytes.iter().map(|byte| (*byte as char).to_string()).collect();
            format!("read this: {} thanks", letters.join(" ")).into_bytes()
        }),
        strings("strings that are added", "\" + \"", 3),
        strings("strings in single quotes that are added", "' + '", 2),
        strings("strings added in lines", "\" +\n    \"", 4),
        way("xxd", true, |bytes| dumped(bytes, "\n")),
        way("xxd with escaped line breaks", true, |bytes| dumped(bytes, "\\n")),
        way("quoted-printable with escaped line breaks", true, |bytes| wrapped(bytes, 12, "=\\r\\n")),
    ]
}

/// Ways that give bytes.
fn binaries() -> Vec<Way> {
    let wide = |bytes: &[u8]| bytes.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
    let widest = |bytes: &[u8]| bytes.iter().flat_map(|byte| [*byte, 0, 0, 0]).collect::<Vec<u8>>();
    let widest_be = |bytes: &[u8]| bytes.iter().flat_map(|byte| [0, 0, 0, *byte]).collect::<Vec<u8>>();
    let wide_be = |bytes: &[u8]| bytes.iter().flat_map(|byte| [0, *byte]).collect::<Vec<u8>>();
    let line = |bytes: &[u8]| [b"config: ", bytes, b"\n"].concat();
    vec![
        way("UTF-16 LE", false, wide),
        way("UTF-16 BE", false, wide_be),
        way("UTF-32 LE", false, widest),
        way("UTF-32 BE", false, widest_be),
        way("UTF-16 LE with a mark", false, move |bytes| [b"\xff\xfe".to_vec(), wide(bytes)].concat()),
        way("UTF-16 BE with a mark", false, move |bytes| [b"\xfe\xff".to_vec(), wide_be(bytes)].concat()),
        way("gzip", false, move |bytes| gzip(&line(bytes))),
        way("zlib", false, move |bytes| zlib(&line(bytes))),
        way("zstd", false, move |bytes| zstd::encode_all(line(bytes).as_slice(), 3).unwrap()),
        way("zip", false, move |bytes| [zip_entry(&deflate(&line(bytes))), b"PK\x01\x02".to_vec()].concat()),
        way("zip, stored", false, move |bytes| stored(&line(bytes))),
        way("tar", false, move |bytes| tar(&line(bytes))),
        way("tar.gz", false, move |bytes| gzip(&tar(&line(bytes)))),
        way("git pack", false, move |bytes| pack(&object(3, 0, &line(bytes)))),
        way("git pack with a delta on an offset", false, move |bytes| {
            pack(&[object(3, 0, b"a file's text that was there before"), object(6, 1, &delta(bytes))].concat())
        }),
        way("git pack with a delta on a name", false, move |bytes| pack(&object(7, 20, &delta(bytes)))),
        way("gRPC with a string", false, |bytes| {
            let field = field(bytes);
            [&[0][..], &(field.len() as u32).to_be_bytes(), &field].concat()
        }),
        way("gRPC, compressed", false, move |bytes| {
            let message = gzip(&field(bytes));
            [&[1][..], &(message.len() as u32).to_be_bytes(), &message].concat()
        }),
        way("multipart in base64", false, |bytes| part("base64", &wrapped(&base64(bytes), 76, "\r\n"))),
        way("multipart in quoted-printable", false, |bytes| {
            let quoted: String = bytes.iter().map(|byte| format!("={byte:02X}")).collect();
            part("quoted-printable", &wrapped(quoted.as_bytes(), 75, "=\r\n"))
        }),
        way("multipart with gzip", false, |bytes| part("binary", &gzip(bytes))),
    ]
}

/// A number in seven bits a byte.
fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// A protobuf message of one string.
fn field(text: &[u8]) -> Vec<u8> {
    [&[0x0a][..], &varint(text.len()), text].concat()
}

/// A delta that copies a line of its base and inserts a text and a line break.
fn delta(text: &[u8]) -> Vec<u8> {
    let mut out = [varint(35), varint(9 + text.len()), vec![0x90, 8]].concat();
    for piece in text.chunks(100) {
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
    }
    [out, b"\x01\n".to_vec()].concat()
}

fn part(encoding: &str, content: &[u8]) -> Vec<u8> {
    let head =
        format!("--q\r\nContent-Disposition: form-data; name=\"f\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n--q--\r\n"].concat()
}

fn pack(objects: &[u8]) -> Vec<u8> {
    [b"PACK\0\0\0\x02\0\0\0\x02", objects, &[9; 20]].concat()
}

fn stored(content: &[u8]) -> Vec<u8> {
    let mut head = b"PK\x03\x04\x14\0\0\0\0\0".to_vec();
    head.resize(26, 0);
    head.extend_from_slice(&[1, 0, 0, 0, b'a']);
    [&head, content, b"PK\x01\x02"].concat()
}

fn tar(content: &[u8]) -> Vec<u8> {
    let mut block = b"a.txt".to_vec();
    block.resize(512, 0);
    block.extend_from_slice(content);
    block.resize(1536, 0);
    block
}

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
