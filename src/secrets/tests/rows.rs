//! Pieces of one secret in a small body, whatever stands between them.

use super::*;

/// What a session's body is found to hold, byte by byte and at once.
pub(super) fn found(body: &str) -> bool {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let all = |chunks: &[&[u8]]| {
        let kind = Some(&b"text/plain"[..]);
        let context =
            BodyContext { host: &evil, method: "POST", path: "/", content_type: kind, content_encoding: None };
        let memory = Arc::new(SessionMemory::new());
        run(guard.body(&context).in_session(memory, std::time::Instant::now()), chunks)
    };
    let (whole, out, _) = all(&[body.as_bytes()]);
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(out, body.as_bytes());
    assert_eq!(all(&bytes).0, whole, "{body}");
    !whole.is_empty()
}

fn pieces(size: usize) -> Vec<&'static str> {
    PAT.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect()
}

#[test]
fn pieces_at_equal_distances_are_one_secret_whatever_stands_between() {
    let row = |show: &dyn Fn(usize, &str) -> String, between: &str| {
        let shown = pieces(8).into_iter().enumerate().map(|(at, piece)| show(at, piece));
        shown.collect::<Vec<_>>().join(between)
    };
    let plain = |between: &str| row(&|_, piece| piece.to_owned(), between);
    for text in [
        plain(" "),
        plain(", "),
        plain("|"),
        plain("\t"),
        plain("\\\n"),
        row(&|_, piece| format!("<c>{piece}</c>"), ""),
        row(&|at, piece| format!("  <part n=\"{at}\">{piece}</part>"), "\n"),
        row(&|at, piece| format!("a{at}=\"{piece}\""), " "),
        row(&|at, piece| format!("p{at}: {piece}"), "\n"),
        row(&|at, piece| if at % 2 == 0 { format!("  - {piece}") } else { format!("  - \"{piece}\"") }, "\n"),
        row(&|at, piece| format!("{}: {piece}", at + 8), "\n"),
        row(&|at, piece| format!("part.{at}={piece}"), "\n"),
        row(&|at, piece| format!("2026-11-23T12:00:0{at}Z INFO chunk={piece}"), "\n"),
        row(&|at, piece| format!("{}='{piece}'", char::from(b'a' + at as u8)), "; "),
        row(&|at, piece| format!("const p{at} = '{piece}';"), "\n"),
        row(&|_, piece| format!("${{'{piece}'}}"), ""),
        row(&|at, piece| if at % 2 == 0 { format!("'{piece}'") } else { format!("\"{piece}\"") }, ""),
        row(&|_, piece| format!("data: {{\"delta\": \"{piece}\"}}"), "\n\n"),
        row(&|_, piece| format!("\x12{}{piece}", char::from(piece.len() as u8)), ""),
        row(&|_, piece| format!("\"{}\"", data_encoding::BASE64.encode(piece.as_bytes())), ", "),
        format!("[{}]", row(&|_, piece| format!("\"{piece}\": 1"), ", ")),
        format!("title=a&text={}", plain("%0A%20%20")),
    ] {
        assert!(found(&format!("some text before it\n{text}\n")), "{text}");
        assert!(found(&text), "{text}");
    }
}

#[test]
fn two_halves_are_told_by_how_the_first_begins() {
    let (a, b) = PAT.split_at(20);
    for text in [
        format!("a = '{a}'\nb = '{b}'\nk = f'{{a}}{{b}}'\n"),
        format!("{{\"{a}\": \"{b}\"}}"),
        format!("<first>{a}</first><second>{b}</second>"),
        format!("first half {a} and the second {b}"),
    ] {
        assert!(found(&text), "{text}");
    }
}

#[test]
fn numbers_that_a_program_makes_letters_of_are_read() {
    let each = |show: &dyn Fn(u8) -> String, between: &str| PAT.bytes().map(show).collect::<Vec<_>>().join(between);
    let cells = each(&|byte| format!("   {}", byte as char), "");
    let lines: Vec<String> = cells
        .as_bytes()
        .chunks(64)
        .enumerate()
        .map(|(line, cells)| format!("{:07o}{}", line * 16, std::str::from_utf8(cells).unwrap()))
        .collect();
    for text in [
        each(&|byte| format!("chr({byte})"), "+"),
        each(&|byte| format!("chr(0x{byte:x})"), " + "),
        each(&|byte| format!("chr({byte})"), ", "),
        each(&|byte| format!("CHR({byte})"), "||"),
        each(&|byte| format!("[char]{byte}"), "+"),
        each(&|byte| format!("String.fromCharCode({byte})"), "+"),
        each(&|byte| format!("{{\"c\": {byte}}}"), ", "),
        each(&|byte| format!("{byte:03o}"), " "),
        each(&|byte| format!("0o{byte:o}"), ", "),
        each(&|byte| format!("{byte:08b}"), " "),
        each(&|byte| format!("{byte}"), "-"),
        lines.join("\n"),
    ] {
        assert!(found(&text), "{text}");
    }
}

#[test]
fn what_only_looks_like_a_row_is_none() {
    for text in [
        "ghp_ is the first part of a token and what follows it here are words that nobody would take for one",
        "npm_config_registry, npm_lifecycle, npm_package, npm_execpath, npm_node, npm_command, npm_version",
        "{\"a\": \"sk-\", \"b\": \"live\", \"c\": \"0a1b2c3d4e5f60718293a4b5c6d7e8f9\", \"d\": \"main\"}",
        "AKIA, ASIA, ABIA, ACCA, AGPA, AIDA, AIPA, ANPA, ANVA, APKA, AROA, ASCA, A3T0, A3T1, A3T2",
        "103, 104, 112, 95, 1000, 12, 17, 99, 2026, 11, 23, 15, 53, 8, 101, 4, 300, 77, 12, 1, 0, 5, 900",
    ] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn items_of_a_field_and_cookies_are_joined() {
    let guard = guard(Settings::default());
    let items = |between: &str| pieces(10).join(between);
    let cookies: Vec<String> = pieces(10).iter().enumerate().map(|(at, piece)| format!("c{at}={piece}")).collect();
    for (name, value) in [("x-list", items(", ")), ("x-list", items(";")), ("cookie", cookies.join("; "))] {
        let fields = [("accept", "text/html, text/plain"), (name, value.as_str())];
        assert!(head(&guard, "evil.example", "/", None, &fields).contains(&Disposition::Blocked), "{value}");
    }
}

#[test]
fn letters_moved_by_thirteen_base85_and_uuencode_are_read() {
    let turned: String = PAT
        .chars()
        .map(|letter| match letter {
            'a'..='m' | 'A'..='M' => char::from(letter as u8 + 13),
            'n'..='z' | 'N'..='Z' => char::from(letter as u8 - 13),
            other => other,
        })
        .collect();
    // Made by Python's base64 and binascii, and as ZeroMQ has it.
    let adobe = r#"B4u6k@k_du2)BDb:3Ukb2)eZPF\ktV0P5/U0lSs]6Z"SYA632*"#;
    let uuencoded = "H9VAP7V,P;E(U,W9B3G=V6C4W66EU4%)R,&9M,#%P-&9#;3)59%=A00  ";
    for text in [
        turned,
        "XJ~L=V=!(~H8XZ%PIq=%H8)vlbx=}rFlKEqF>o|yLv1ouWLIH9".to_owned(),
        "xj#l>v>.^#h8xz+piQ>+h8!VLBX>$RfLkeQf(O%YlV1OUwlih9".to_owned(),
        adobe.to_owned(),
        format!("<~{adobe}~>"),
        format!("begin 644 k\n{uuencoded}\n`\nend\n"),
        format!("begin 644 k\n\n{uuencoded}\n`\nend\n"),
    ] {
        assert!(found(&text), "{text}");
        assert!(found(&format!("some text:\n{text}\nand more")), "{text}");
    }
    for text in ["uryyb jbeyq, guvf vf n grkg nobhg abguvat", "begin 644 words\nwith nothing in them\nend\n"] {
        assert!(!found(text), "{text}");
    }
}

/// A text in pieces of so many bytes, between marks.
fn cut(text: &str, show: &dyn Fn(usize, &str) -> String, between: &str) -> String {
    let pieces = text.as_bytes().chunks(9).map(|piece| std::str::from_utf8(piece).unwrap());
    pieces.enumerate().map(|(at, piece)| show(at, piece)).collect::<Vec<_>>().join(between)
}

#[test]
fn secrets_that_are_told_by_a_name_or_a_line_are_put_together_too() {
    let key = "MIIEpAIBAAKCAQEAq7xT2kLc0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaA".repeat(2);
    for secret in [
        "DB_PASSWORD=Vq8akX2mzLw9bRt5pN3d".to_owned(),
        "AWS_SECRET_ACCESS_KEY=9Pjr2X/BygHdesRTOIkovFWTKIkJvKkcLnWyTYcB".to_owned(),
        "//npm.acme-corp.io/:_authToken=c0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaA".to_owned(),
        format!("-----BEGIN RSA PRIVATE KEY-----\\n{key}\\n-----END RSA PRIVATE KEY-----"),
    ] {
        let quoted = |quote: char| move |_: usize, piece: &str| format!("{quote}{piece}{quote}");
        for text in [
            cut(&secret, &quoted('\''), " + "),
            cut(&secret, &quoted('"'), ",\n  "),
            cut(&secret, &|at, piece| format!("const p{at} = '{piece}';"), "\n"),
            cut(&secret, &|_, piece| format!("k << '{piece}'"), "\n"),
            format!("k = `{}`", cut(&secret, &|_, piece| format!("${{'{piece}'}}"), "")),
            format!("k = f\"{}\"", cut(&secret, &|_, piece| format!("{{'{piece}'}}"), "")),
            format!("{{\"code\": \"const k = {}\"}}", cut(&secret, &quoted('\''), " + ").replace('\\', "\\\\")),
            cut(&secret, &|at, piece| format!("{{\"i\": {at}, \"v\": \"{piece}\"}}"), ", "),
            cut(&secret, &|_, piece| format!("data: {{\"delta\": \"{piece}\"}}"), "\n\n"),
            cut(&secret, &|_, piece| format!("\"{}\"", data_encoding::BASE64.encode(piece.as_bytes())), ", "),
            cut(&secret, &|_, piece| format!("<c>{piece}</c>"), ""),
            cut(&secret, &|at, piece| format!("  <part n=\"{at}\">{piece}</part>"), "\n"),
            cut(&secret, &|_, piece| piece.to_owned(), "\n"),
            cut(&secret, &|_, piece| piece.to_owned(), "\\\n"),
            cut(&secret, &|_, piece| format!("- {piece}"), "\n"),
            cut(&secret, &|at, piece| format!("part.{}={piece}", at + 8), "\n"),
            cut(&secret, &|at, piece| format!("2026-11-23T12:00:0{at}Z INFO chunk={piece}"), "\n"),
            cut(&secret, &|_, piece| piece.to_owned(), "|"),
            cut(&secret, &|_, piece| piece.to_owned(), "\t"),
        ] {
            assert!(found(&text), "{text}");
            assert!(found(&format!("some text before it\n{text}\n")), "{text}");
        }
    }
}

#[test]
fn words_that_stand_in_strings_make_no_secret() {
    for text in [
        "params = ['password=', user, '&token=', 'session']; names = ['secret', 'api_key', 'passwd']",
        "{\"password\": \"\", \"secret\": null, \"name\": \"orders\", \"id\": \"0a1b2c3d4e5f60718293a4b5c6d7e8f9\"}",
        "id,password,token\n1,required,optional\n2,required,none\n",
        "password: must have, eight letters, and one sign, or more of them, as you like",
        "<label>Password</label><input name=\"password\"/><p>at least 12 letters</p>",
    ] {
        assert!(!found(text), "{text}");
    }
}

#[test]
fn a_text_is_read_backwards_as_a_whole() {
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    let escaped = |show: &dyn Fn(u8) -> String| PAT.bytes().map(show).collect::<Vec<_>>();
    for text in [
        backwards("machine git.acme-corp.io login ci-bot password Vq8kX2zLw9Rt5pN3dQ7m"),
        backwards("export DB_PASSWORD=Vq8kX2zLw9Rt5pN3dQ7m\nPORT=80\n"),
        backwards(&escaped(&|byte| format!("&#{byte};")).concat()),
        backwards(&escaped(&|byte| format!("\\x{byte:02x}")).concat()),
        backwards(&escaped(&|byte| format!("%{byte:02X}")).concat()),
        backwards(&escaped(&|byte| byte.to_string()).join(", ")),
    ] {
        assert!(found(&text), "{text}");
    }
}

#[test]
fn words_that_stand_in_a_row_are_no_token_of_a_kind_with_a_short_prefix() {
    for text in [
        // The classes of a page, of which `md-` begins what looks like a key.
        "<div class=\"col-lg-2 col-md-2 col-sm-12 d-sm-block px-0\">\n  {% include 'info.j2' %}\n  <div class=\"sticky\">\n    \
         {% if kind in [\"ResultsPage\"] %}\n      {% include 'card.j2' %}\n    {% endif %}\n  </div>\n</div>\n",
        // A package whose name is a prefix, in an audit's list.
        "{\"cmake\": [\"7.17.10\"], \"md-5\": [\"0.4.9\"], \"slack_sdk\": [\"8.19.10\"], \"schannel\": [\"6.8.14\"], \
         \"zstd-safe\": [\"0.22.16\"]}",
    ] {
        assert!(!found(text), "{text}");
    }
    let (a, b) = ("md-wvERTdSiS_13", "KNI12WI5MN");
    assert!(found(&format!("{{\"cmake\": [\"{a}\"], \"md\": [\"{b}\"]}}")));
}
