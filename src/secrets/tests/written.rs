//! Secrets as tools and languages write them: one step, found however the bytes are cut.

use super::*;

/// Whether a text is found to hold something, cut anywhere.
fn found(text: &[u8]) -> bool {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let whole = body_of(&guard, &evil, &[text]).0;
    for at in 0..text.len() {
        let (head, tail) = text.split_at(at);
        assert_eq!(body_of(&guard, &evil, &[head, tail]).0, whole, "{} {at}", String::from_utf8_lossy(text));
    }
    !whole.is_empty()
}

fn each(show: &dyn Fn(u8) -> String) -> String {
    PAT.bytes().map(show).collect()
}

fn lines(text: &str, width: usize, between: &str) -> String {
    text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join(between)
}

#[test]
fn escapes_are_read_as_their_languages_read_them() {
    let some =
        |show: &dyn Fn(u8) -> String| each(&|byte| if byte % 3 == 0 { show(byte) } else { (byte as char).into() });
    for text in [
        each(&|byte| format!("&amp;#{byte};")),
        PAT.replace('_', "&lowbar;").replace("R5", "R&shy;5"),
        each(&|byte| format!("\\{byte:06x}")),
        some(&|byte| format!("\\{byte:x} ")),
        each(&|byte| format!("={byte:02x}")),
    ] {
        assert!(found(format!("<p title=\"{text}\">").as_bytes()), "{text}");
    }
}

#[test]
fn hexadecimal_is_read_in_groups_and_backwards() {
    let hex = data_encoding::HEXLOWER.encode(PAT.as_bytes());
    let reversed: String = hex.chars().rev().collect();
    let shifted = format!("6768{}", lines(&hex[4..], 8, "_"));
    for text in [
        lines(&hex, 4, " "),
        lines(&hex, 8, " "),
        lines(&hex, 4, ":"),
        lines(&hex, 8, "_"),
        lines(&hex, 2, "_"),
        format!("67_{}", lines(&hex[2..], 8, "_")),
        shifted.replacen("6768", "6768_", 1),
        format!("676870 {}", lines(&hex[6..], 8, " ")),
        each(&|byte| format!("{byte:02X}h ")),
        each(&|byte| format!("{byte:02x}h,")),
        reversed,
    ] {
        assert!(found(text.as_bytes()), "{text}");
    }
}

#[test]
fn labels_of_a_name_are_read_as_one_text() {
    let long = format!("DB_URL=x {PAT} and what stands behind it, for as long as two labels and more");
    for text in [
        data_encoding::BASE32_NOPAD.encode(long.as_bytes()).to_lowercase(),
        data_encoding::HEXLOWER.encode(long.as_bytes()),
    ] {
        for width in [40, 60, 63] {
            assert!(found(lines(&text, width, ".").as_bytes()), "{width} {text}");
        }
    }
    // The parts of a JWT are no labels.
    let reversed: String = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI5ODc2NTQzMjEwIiwicm9sZSI6ImFkbWluIn0.c0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaAq7xT2kL".chars().rev().collect();
    assert!(found(reversed.as_bytes()), "{reversed}");
}

#[test]
fn letters_in_cells_are_read_over_their_lines() {
    let secret = format!("login\tci {PAT}\n");
    let cell = |byte: u8| match byte {
        b'\n' => "  \\n".to_owned(),
        b'\t' => "  \\t".to_owned(),
        byte => format!("   {}", byte as char),
    };
    let lines = |offsets: bool| {
        let line = |(number, line): (usize, &[u8])| {
            let offset = if offsets { format!("{:07o}", number * 16) } else { String::new() };
            offset + &line.iter().copied().map(cell).collect::<String>()
        };
        secret.as_bytes().chunks(16).enumerate().map(line).collect::<Vec<_>>().join("\n")
    };
    for text in [lines(true), lines(false), lines(true).replace(' ', "%20").replace('\n', "%0A")] {
        assert!(found(text.as_bytes()), "{text}");
    }
}

#[test]
fn what_is_no_ascii_is_read_in_every_base() {
    let wide: String = PAT.chars().map(|letter| char::from_u32(u32::from(letter) + 0xfee0).unwrap()).collect();
    let invisible: String = PAT.chars().flat_map(|letter| [letter, '\u{200b}']).collect();
    for plain in [wide, invisible] {
        let list =
            |show: &dyn Fn(u8) -> String, between: &str| plain.bytes().map(show).collect::<Vec<_>>().join(between);
        for text in [
            data_encoding::HEXLOWER.encode(plain.as_bytes()),
            data_encoding::BASE32.encode(plain.as_bytes()),
            data_encoding::BASE64.encode(plain.as_bytes()),
            list(&|byte| format!("{byte:02x}"), " "),
            list(&|byte| byte.to_string(), ", "),
            list(&|byte| format!("\\x{byte:02x}"), ""),
            list(&|byte| format!("={byte:02X}"), ""),
        ] {
            assert!(found(text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn the_bytes_of_a_file_may_be_escaped() {
    use crate::secrets::decode::inflate::Coding;
    let packed = super::super::decode::inflate::tests::compress(Coding::Gzip, format!("a {PAT} b").as_bytes());
    let list = |show: &dyn Fn(&u8) -> String| packed.iter().map(show).collect::<String>();
    for text in [
        list(&|byte| format!("\\x{byte:02x}")),
        list(&|byte| format!("\\{byte:03o}")),
        list(&|byte| format!("={byte:02X}")),
        list(&|byte| format!("%{byte:02x}")),
    ] {
        assert!(found(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_key_is_found_though_the_first_escape_stands_within_its_first_line() {
    let body = "MIIEpAIBAAKCAQEAq7xT2kLc0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaA".repeat(2);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
    assert!(found(lines(&key, 20, "=\n").as_bytes()));
    assert!(found(key.replace("VATE", "%56ATE").as_bytes()));
    // What nothing goes over ends the text, wherever the escape stands.
    assert!(!found(b"-----BEGIN RSA PRIV\x1eATE%20KEY-----\x1e%41"));
}

#[test]
fn values_in_hexadecimal_may_be_written_in_capitals() {
    let token = ["shpat_", "50487435D13836822265D0BF976F7DEB"].concat();
    assert!(found(format!("a {token} b").as_bytes()));
}

#[test]
fn places_and_values_in_turn_are_a_list_of_bytes() {
    let list = |between: &str| {
        let pairs = PAT.bytes().enumerate().map(|(at, byte)| format!("\"{at}\":{between}{byte}"));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(&format!(",{between}")))
    };
    assert!(found(list("").as_bytes()));
    assert!(found(list(" ").as_bytes()));
    let behind = format!("{{\"id\": 7, \"data\": {}}}", list("\n  "));
    assert!(found(behind.as_bytes()));
}

#[test]
fn lines_of_base64_may_be_indented_or_quoted() {
    let base64 = data_encoding::BASE64.encode(format!("name = \"orders\"\nkey = \"{PAT}\"\n").as_bytes());
    for between in ["\n    ", "\n\t", "\n> ", "\\\n", "\\n  ", "\\n\\t", "\r\n  "] {
        let text = format!("payload: |{between}{}\nother: x\n", lines(&base64, 32, between));
        assert!(found(text.as_bytes()), "{text}");
    }
    for between in ["\\n", "\\\\n", "\\\\\\n"] {
        let text = format!("{{\"payload\": \"{}\"}}", lines(&base64, 32, between));
        assert!(found(text.as_bytes()), "{text}");
    }
}

#[test]
fn an_escaped_line_break_ends_a_reversed_value() {
    let reversed: String = PAT.chars().rev().collect();
    assert!(found(format!("k = '\\n{reversed}=YEK'[::-1]").as_bytes()));
    assert!(found(format!("{{\"a\": \"\\n08=TROP\\n{reversed}=YEK\"}}").as_bytes()));
}

#[test]
fn a_strings_length_and_the_next_fields_tag_may_be_letters() {
    let token = ["rubygems_", "6f28d60cf2cd1be069039a9dd9e94e4580d1bdc90220c8e8"].concat();
    let length = token.len() as u8;
    for (tag, behind) in [(0x2a, &b"H\x01"[..]), (0x78, b"aN"), (0xd9, b"\xa1n\x07"), (0x2a, b"")] {
        let text = [&[0x0a, 0x40, 0x08, 0x03, tag, length], token.as_bytes(), behind].concat();
        assert!(found(&text), "{tag}");
    }
    assert!(!found(format!("{token}H and {token}9").as_bytes()));
}

#[test]
fn a_part_may_begin_with_zlib() {
    use crate::secrets::decode::inflate::Coding;
    let packed = super::super::decode::inflate::tests::compress(Coding::Zlib, format!("a {PAT} b").as_bytes());
    let head = b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
    assert!(found(&[&head[..], &packed, b"\r\n--b--\r\n"].concat()));
    let list: Vec<String> = packed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(found(list.join(" ").as_bytes()));
}

#[test]
fn a_file_may_stand_behind_other_segments_of_an_address() {
    use crate::secrets::decode::inflate::Coding;
    let packed = super::super::decode::inflate::tests::compress(Coding::Gzip, format!("a {PAT} b").as_bytes());
    let (base64, hex) = (data_encoding::BASE64URL_NOPAD.encode(&packed), data_encoding::HEXLOWER.encode(&packed));
    for text in [format!("/n/{base64}"), format!("https://x.test/upload/v1/{hex}")] {
        assert!(found(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_known_value_with_letters_beyond_ascii_is_found_in_every_writing() {
    let value = "pässwörd-Ключ-2026";
    let known = vec![KnownSecret::new("DB_PASSWORD", value.as_bytes()).unwrap()];
    let guard = guard(Settings { action: Action::Observe, known, ..Settings::default() });
    let evil = host("evil.example");
    let codes = |show: &dyn Fn(u32) -> String, between: &str| {
        value.chars().map(|letter| show(u32::from(letter))).collect::<Vec<_>>().join(between)
    };
    let bytes = |show: &dyn Fn(u8) -> String, between: &str| value.bytes().map(show).collect::<Vec<_>>().join(between);
    let wide = |show: fn(u16) -> [u8; 2]| value.encode_utf16().flat_map(show).collect::<Vec<u8>>();
    let encoded = |lead: &str| data_encoding::BASE64.encode(format!("{lead}{value}").as_bytes());
    let texts: Vec<Vec<u8>> = [
        codes(&|code| format!("\\u{code:04x}"), ""),
        codes(&|code| format!("&#{code};"), ""),
        codes(&|code| char::from_u32(code).unwrap().to_string(), "\u{200b}"),
        codes(&|code| code.to_string(), ", "),
        bytes(&|byte| format!("\\x{byte:02x}"), ""),
        bytes(&|byte| format!("%{byte:02X}"), ""),
        bytes(&|byte| format!("{byte:02x}"), ""),
        bytes(&|byte| format!("{byte:02X}"), ":"),
        bytes(&|byte| byte.to_string(), ", "),
        encoded(""),
        encoded("x"),
        encoded("xy"),
        data_encoding::BASE32.encode(value.as_bytes()),
        value.chars().rev().collect(),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([wide(u16::to_le_bytes), wide(u16::to_be_bytes)])
    .collect();
    for text in texts {
        let text = [b"some ", &text[..], b" more"].concat();
        let (whole, ..) = body_of(&guard, &evil, &[&text]);
        let shown = String::from_utf8_lossy(&text);
        assert!(whole.iter().any(|finding| &*finding.rule == "known:DB_PASSWORD"), "{shown}");
        for at in 0..text.len() {
            let (head, tail) = text.split_at(at);
            assert_eq!(body_of(&guard, &evil, &[head, tail]).0, whole, "{shown} {at}");
        }
    }
}

#[test]
fn a_key_in_json_whose_head_is_escaped_is_found_however_long_and_code_behind_an_escape_is_read_once() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let bytes: Vec<u8> = (1..2400u32).map(|number| (number.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let key = lines(&data_encoding::BASE64.encode(&bytes), 64, r"\n");
    let text = format!(r#"{{"key":"-----BEGIN\u0020RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n"}}"#);
    assert!(!body_of(&guard, &evil, &[text.as_bytes()]).0.is_empty());
    let content_type = Some(&b"application/json"[..]);
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
    let spent = |text: String| {
        let mut scan = guard.body(&context);
        scan.push(text.into()).unwrap();
        scan.finish().unwrap();
        scan.work.spent
    };
    let code = r#"    let count = items.len();\n    if count > 3 {\n        return \"none\";\n    }\n"#.repeat(400);
    let (plain, escaped) = (spent(format!(r#"["{code}"]"#)), spent(format!(r#"["\u0067{code}"]"#)));
    assert!(escaped < plain + 8192, "{plain} {escaped} {}", code.len());
}
