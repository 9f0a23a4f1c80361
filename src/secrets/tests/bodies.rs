//! Bodies that ask much of a scanner: repetitive ones that people do send, and floods that nobody does.

use std::io::Write as _;

/// A body and what to call it.
pub(super) type Named = (String, Vec<u8>);

fn repeated(unit: &[u8], size: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(size).collect()
}

/// Numbers that look random and are the same at every run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| (self.next() >> 24) as u8).collect()
    }

    fn of(&mut self, alphabet: &[u8], size: usize) -> Vec<u8> {
        (0..size).map(|_| alphabet[(self.next() >> 20) as usize % alphabet.len()]).collect()
    }
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bodies that are dull and harmless.
pub(super) fn dull(size: usize) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for byte in 0..=255u8 {
        if matches!(byte, 0 | b'\n' | 0x1e | 0x1f | 3 | 0xfd | 0xff | 0x20..=0x7e) {
            all.push((format!("{:?} only", byte as char), vec![byte; size]));
        }
    }
    for unit in [
        "AB",
        "ab",
        "=-",
        "--\n",
        "-=",
        "0x00,",
        "0, ",
        "00 ",
        "00:",
        "0,",
        "00",
        "AAAA\n",
        "\\x00",
        "\\u0000",
        "%00",
        "%20",
        "&#0;",
        "&nbsp;",
        "&amp;",
        "=00",
        "=3D",
        "=\r\n",
        "\\n",
        "\\\\",
        "\\\"",
        "\"\",",
        "[[",
        "[]",
        "{}",
        "{\"",
        "null,",
        "true,",
        "1.0,",
        "./",
        "../",
        "a/b/",
        "a.b.",
        "a-b-",
        "a_b_",
        "www.",
        "://",
        "http://",
        "https://a.b/",
        "@@",
        "a@b ",
        "=&",
        "a=b&",
        "--------\n",
        "========\n",
        "********\n",
        "////////\n",
        "# ",
        "| - ",
        "| --- ",
        "+----",
        "/* */",
        "// ",
        "\t",
        " ",
        "\r\n",
        "\r\n\r\n",
        "<p></p>",
        "<td>0</td>",
        "fn a() {}\n",
        "var ",
        "lorem ipsum dolor sit amet ",
        "deadbeef",
        "0123456789",
        "0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz",
        "ACGT",
        "GATTACA",
        "привет",
        "\u{200b}",
        "a\u{200b}",
        "\u{ff41}",
        "日本語",
        "🙂",
        "a\0",
        "\0a",
        "\0\0a",
        "67 ",
        "103, 104, ",
        "PK",
        "PACK",
        "\u{1f}",
        "x\u{3}",
        "token ",
        "secret ",
        "password: ",
        "api_key=",
        "Authorization: ",
        "Bearer ",
    ] {
        all.push((format!("{unit:?} again and again"), repeated(unit.as_bytes(), size)));
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let encode = |bytes: &[u8]| data_encoding::BASE64.encode(bytes).into_bytes();
    let wrap = |text: &[u8], width: usize| text.chunks(width).collect::<Vec<_>>().join(&b"\n"[..]);
    all.push(("base64 of zeroes".into(), encode(&vec![0; size * 3 / 4])));
    all.push(("base64 of spaces".into(), encode(&vec![b' '; size * 3 / 4])));
    all.push(("base64 of ones".into(), encode(&vec![0xff; size * 3 / 4])));
    let noise = encode(&numbers.bytes(size * 3 / 4));
    all.push(("base64 of noise".into(), noise.clone()));
    all.push(("base64 of noise in lines of 76".into(), wrap(&noise, 76)));
    all.push(("base64 of noise in lines of 64".into(), wrap(&noise, 64)));
    all.push(("base64url of noise".into(), data_encoding::BASE64URL.encode(&numbers.bytes(size * 3 / 4)).into_bytes()));
    let text = numbers.of(b"etaoin shrdlu.,\n", size);
    all.push(("text".into(), text.clone()));
    all.push(("base64 of text".into(), encode(&text[..size * 3 / 4])));
    all.push(("base64 of text in lines".into(), wrap(&encode(&text[..size * 3 / 4]), 76)));
    all.push(("base64 of base64 of text".into(), encode(&encode(&text[..size * 9 / 16]))));
    all.push(("base64 of base64 of base64 of text".into(), encode(&encode(&encode(&text[..size * 27 / 64])))));
    all.push(("hex of text".into(), data_encoding::HEXLOWER.encode(&text[..size / 2]).into_bytes()));
    all.push(("hex of noise".into(), data_encoding::HEXLOWER.encode(&numbers.bytes(size / 2)).into_bytes()));
    all.push(("hex of zeroes".into(), data_encoding::HEXLOWER.encode(&vec![0; size / 2]).into_bytes()));
    all.push(("base32 of text".into(), data_encoding::BASE32.encode(&text[..size * 5 / 8]).into_bytes()));
    all.push(("base32 of noise".into(), data_encoding::BASE32.encode(&numbers.bytes(size * 5 / 8)).into_bytes()));
    all.push(("text in UTF-16".into(), text[..size / 2].iter().flat_map(|byte| [*byte, 0]).collect()));
    all.push((
        "text in percent".into(),
        text.iter().take(size / 3).flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect(),
    ));
    all.push((
        "text in numbers".into(),
        text.iter().take(size / 4).flat_map(|byte| format!("{byte},").into_bytes()).collect(),
    ));
    all.push((
        "noise in numbers".into(),
        numbers.bytes(size / 4).iter().flat_map(|byte| format!("{byte},").into_bytes()).collect(),
    ));
    all.push((
        "a hex dump".into(),
        numbers.bytes(size / 3).iter().flat_map(|byte| format!("{byte:02x} ").into_bytes()).collect(),
    ));
    all.push(("noise".into(), numbers.bytes(size)));
    all.push(("small letters".into(), numbers.of(LOWER, size)));
    all.push(("letters and digits".into(), numbers.of(&BASE64[..62], size)));
    all.push(("digits".into(), numbers.of(b"0123456789", size)));
    all.push(("digits and points".into(), numbers.of(b"0123456789.,- ", size)));
    all.push(("gzip of zeroes".into(), gzip(&vec![0; size])));
    all.push(("gzip of text".into(), gzip(&text)));
    all.push(("base64 of gzip of text".into(), encode(&gzip(&text))));
    all
}

/// Near-misses, blocks that never close, decodings of decodings. `prefixes` are the rules' own.
pub(super) fn floods(prefixes: &[Vec<u8>], size: usize) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut every = Vec::new();
    for prefix in prefixes {
        every.extend_from_slice(prefix);
        every.push(b' ');
    }
    all.push(("every prefix".into(), repeated(&every, size)));
    all.push(("every prefix without spaces".into(), repeated(&prefixes.concat(), size)));
    for tail in ["", " ", "a", "aaaaaaaaaaaaaaaaaaa", "aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", "/", "-", "."] {
        for unit in [
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\n",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----",
            "eyJ",
            "eyJhbGciOiJ",
            "eyJhbGciOiJIUzI1NiJ9.",
            "eyJhbGciOiJIUzI1NiJ9.eyJ",
            "AKIA",
            "ASIA",
            "ghp_",
            "sk-",
            "xoxb-",
            "://",
            "://a:b",
            "https://a:b@",
            "postgres://u:p",
            "AIza",
            "pypi-AgE",
            "T3BlbkFJ",
            "AGE-SECRET-KEY-1",
            "SG.",
            "glpat-",
            "key-",
            "AC",
            "xprv",
            "0x",
            "{\"type\": \"service_account\", ",
            "{\"auths\": {",
            "machine a login b password ",
            "//registry.npmjs.org/:_authToken=",
            "password=",
            "token: \"",
            "\"secret\":\"",
            "Bearer ",
            "hooks.slack.com/services/T",
            "AccountKey=",
            "SharedAccessKey=",
        ] {
            all.push((format!("{unit:?} and {tail:?}"), repeated(format!("{unit}{tail}").as_bytes(), size)));
        }
    }
    for (name, alphabet) in [
        ("digits", &b"0123456789"[..]),
        ("base32", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        ("dashes", b"-_."),
        ("hex", b"0123456789abcdef"),
    ] {
        let mut text = Vec::new();
        while text.len() < size {
            let prefix = &prefixes[numbers.next() as usize % prefixes.len()];
            text.extend_from_slice(prefix);
            let length = (numbers.next() >> 30) as usize % 120;
            text.extend(numbers.of(alphabet, length));
            text.push(b" \n\"/=:,.;"[(numbers.next() >> 30) as usize % 9]);
        }
        all.push((format!("every prefix with {name}"), text));
    }
    let words: Vec<u8> =
        (0..size / 24).flat_map(|_| [b"token=secret:key ".to_vec(), numbers.of(&BASE64[..62], 20)].concat()).collect();
    all.push(("words before values".into(), words));
    let words: Vec<u8> = (0..size / 60)
        .flat_map(|_| {
            [b"password secret api_key datadog aws azure token key ".to_vec(), numbers.of(b"0123456789abcdef", 32)]
                .concat()
        })
        .collect();
    all.push(("names of providers before hex".into(), words));
    let nest = |text: &[u8], times: usize, encode: &dyn Fn(&[u8]) -> Vec<u8>| {
        (0..times).fold(text.to_vec(), |text, _| encode(&text))
    };
    let flood = repeated(&every, size / 8);
    let base64 = |text: &[u8]| data_encoding::BASE64.encode(text).into_bytes();
    let hex = |text: &[u8]| data_encoding::HEXLOWER.encode(text).into_bytes();
    let percent = |text: &[u8]| text.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect::<Vec<u8>>();
    let quoted = |text: &[u8]| text.iter().flat_map(|byte| format!("={byte:02X}").into_bytes()).collect::<Vec<u8>>();
    let wide = |text: &[u8]| text.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
    let decimal = |text: &[u8]| text.iter().flat_map(|byte| format!("{byte},").into_bytes()).collect::<Vec<u8>>();
    for times in 1..=6 {
        all.push((format!("prefixes in base64, {times} times"), nest(&flood, times, &base64)));
        all.push((format!("prefixes in gzip, {times} times"), nest(&flood, times, &gzip)));
    }
    for times in 1..=3 {
        all.push((format!("prefixes in hex, {times} times"), nest(&flood[..size / 16], times, &hex)));
        all.push((format!("prefixes in percent, {times} times"), nest(&flood[..size / 27], times, &percent)));
        all.push((format!("prefixes in quoted-printable, {times} times"), nest(&flood[..size / 27], times, &quoted)));
        all.push((format!("prefixes in UTF-16, {times} times"), nest(&flood, times, &wide)));
        all.push((format!("prefixes in numbers, {times} times"), nest(&flood[..size / 27], times, &decimal)));
    }
    all.push(("base64 of hex of base64".into(), base64(&hex(&base64(&flood)))));
    all.push(("percent of base64 of numbers".into(), percent(&base64(&decimal(&flood[..size / 16])))));
    all.push(("PEM with deflate".into(), pem_with_deflate(size)));
    all.extend(bombs());
    all
}

fn pem_with_deflate(size: usize) -> Vec<u8> {
    let body = data_encoding::BASE64.encode(&zlib(&vec![b'A'; 200_000]));
    let block = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
    repeated(block.as_bytes(), size)
}

/// Little that becomes much.
fn bombs() -> Vec<Named> {
    let zeroes = vec![0; 64 << 20];
    let bomb = gzip(&zeroes);
    let letters = gzip(&vec![b'A'; 64 << 20]);
    let flat = deflate(&zeroes[..8 << 20]);
    let mut zip = Vec::new();
    for _ in 0..64 {
        zip.extend(zip_entry(&flat));
    }
    let many: Vec<u8> = (0..20_000).flat_map(|_| zip_entry(&deflate(b"x"))).collect();
    let mut pack = b"PACK\0\0\0\x02\0\0\x10\0".to_vec();
    for _ in 0..64 {
        pack.extend(object(7, 20, &delta_bomb()));
    }
    let mut blobs = b"PACK\0\0\0\x02\0\0\x10\0".to_vec();
    for _ in 0..64 {
        blobs.extend(object(3, 0, &vec![b'-'; 1 << 20]));
    }
    let starts: Vec<u8> = (0..200_000).flat_map(|_| *b"\x1f\x8b\x08\0\0\0\0\0\0\x03").collect();
    let packs: Vec<u8> = (0..100_000).flat_map(|_| *b"PACK\0\0\0\x02\0\0\0\x01").collect();
    let frames: Vec<u8> = (0..200_000).flat_map(|_| *b"\x28\xb5\x2f\xfd\x24\x01\x09\0\0a").collect();
    let entries: Vec<u8> = (0..60_000).flat_map(|_| zip_entry(&[])).collect();
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes).into_bytes();
    vec![
        ("a gzip bomb".into(), bomb.clone()),
        ("a gzip bomb of letters".into(), letters),
        ("a gzip bomb of gzip bombs".into(), gzip(&bomb.repeat(16))),
        ("a gzip bomb in base64".into(), base64(&bomb)),
        ("a zstd bomb".into(), zstd::encode_all(zeroes.as_slice(), 3).unwrap_or_default()),
        ("a zip of bombs".into(), zip),
        ("a zip of many members".into(), many),
        ("a pack of delta bombs".into(), pack),
        ("a pack of dull blobs".into(), blobs),
        ("heads of gzip".into(), starts.clone()),
        ("heads of gzip in base64".into(), base64(&starts)),
        ("heads of packs".into(), packs),
        ("heads of zstd".into(), frames),
        ("heads of zip".into(), entries),
    ]
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).and_then(|()| writer.finish()).unwrap_or_default()
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).and_then(|()| writer.finish()).unwrap_or_default()
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).and_then(|()| writer.finish()).unwrap_or_default()
}

/// A local file header and its content.
pub(super) fn zip_entry(deflated: &[u8]) -> Vec<u8> {
    let mut head = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    head.resize(26, 0);
    head.extend_from_slice(&[1, 0, 0, 0, b'a']);
    [&head, deflated].concat()
}

/// A pack's object: its type, the bytes of its base's name, its content.
pub(super) fn object(kind: u8, base: usize, content: &[u8]) -> Vec<u8> {
    let mut head = vec![kind << 4 | (content.len() & 15) as u8];
    let mut size = content.len() >> 4;
    while size > 0 {
        if let Some(last) = head.last_mut() {
            *last |= 0x80;
        }
        head.push((size & 0x7f) as u8);
        size >>= 7;
    }
    head.resize(head.len() + base, 7);
    [head, zlib(content)].concat()
}

/// A delta that copies much, again and again.
fn delta_bomb() -> Vec<u8> {
    let mut delta = vec![0x80, 0x80, 0x40, 0xff, 0xff, 0xff, 0x7f];
    (0..60_000).for_each(|_| delta.extend_from_slice(&[0xf1, 0, 0xff, 0xff, 0xff]));
    delta
}
