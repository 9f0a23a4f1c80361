//! Ways to hide bytes, one step each.

use super::bodies::{deflate, gzip, object, zip_entry, zlib};

type Encode = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A way to hide bytes: its name, whether the result is text that may stand in a JSON string, a query and a header.
pub(super) struct Way {
    pub(super) name: String,
    pub(super) text: bool,
    pub(super) encode: Encode,
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

pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
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
pub(super) fn texts() -> Vec<Way> {
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
pub(super) fn puzzles() -> Vec<Way> {
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
pub(super) fn binaries() -> Vec<Way> {
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
pub(super) fn varint(mut number: usize) -> Vec<u8> {
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

pub(super) fn pack(objects: &[u8]) -> Vec<u8> {
    [b"PACK\0\0\0\x02\0\0\0\x02", objects, &[9; 20]].concat()
}

pub(super) fn stored(content: &[u8]) -> Vec<u8> {
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
