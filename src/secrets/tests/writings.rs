//! Writings that tell themselves apart, wherever a text stands: base85, uuencode, words of mail, dumps, folded lines.

use super::evasions::in_session;
use super::rows::found;
use super::*;

/// What Python's `b85encode` and `a85encode` make of the token, `b2a_uu` and `int.from_bytes`.
const BASE85: [&str; 2] =
    [r#"XJ~L=V=!(~H8XZ%PIq=%H8)vlbx=}rFlKEqF>o|yLv1ouWLIH9"#, r#"B4u6k@k_du2)BDb:3Ukb2)eZPF\ktV0P5/U0lSs]6Z"SYA632*"#];
const UUENCODED: &str = r#"H9VAP7V,P;E(U,W9B3G=V6C4W66EU4%)R,&9M,#%P-&9#;3)59%=A00  "#;
const WHOLE: &str = "862804968538657792115394841835740672387140656466651192477595825441529376049669762382289679376705";

/// A body that carries a text in a JSON string, and one that does in a form.
fn carried(text: &str) -> [String; 2] {
    let json = serde_json::json!({"title": "a \"note\"", "text": text}).to_string();
    let plus = |byte: u8| if byte == b' ' { "+".to_owned() } else { format!("%{byte:02X}") };
    let form: String =
        text.bytes().map(|b| if b.is_ascii_alphanumeric() { (b as char).into() } else { plus(b) }).collect();
    [json, format!("a=1&note={form}&b=2")]
}

#[test]
fn writings_that_no_token_is_in_are_read_in_bodies_and_heads() {
    let hex = data_encoding::BASE32HEX.encode(PAT.as_bytes());
    let quoted: String = PAT.bytes().map(|byte| format!("={byte:02X}")).collect();
    for text in [
        BASE85[0].to_owned(),
        BASE85[1].to_owned(),
        format!("<~{}~>", BASE85[1]),
        format!("see {} there", BASE85[0]),
        UUENCODED.to_owned(),
        WHOLE.to_owned(),
        hex.to_lowercase(),
        hex,
        format!("=?utf-8?Q?{quoted}?="),
        format!("=?utf-8?Q?a_note:_{}?= =?utf-8?Q?{}?=", &quoted[..60], &quoted[60..]),
        PAT.bytes().map(|byte| format!("ChrW(&H{byte:X})")).collect::<Vec<_>>().join(" & "),
        PAT.bytes().map(|byte| format!("ZEICHEN({byte})")).collect::<Vec<_>>().join("&"),
        PAT.bytes().map(|byte| format!("\\u{byte}?")).collect(),
        PAT.bytes().map(|byte| format!("\\x{{{byte:x}}}")).collect(),
    ] {
        assert_eq!(in_session(&text), [true; 4], "{text}");
        for body in carried(&text) {
            assert!(found(&body), "{body}");
        }
    }
}

#[test]
fn what_formats_cut_is_put_together() {
    let (a, b) = PAT.split_at(20);
    let dump: Vec<String> = PAT
        .as_bytes()
        .chunks(16)
        .enumerate()
        .map(|(at, line)| {
            let cells: Vec<String> = line.iter().map(|byte| format!("{byte:03o}")).collect();
            format!("{:07o} {}\n", at * 16, cells.join(" "))
        })
        .collect();
    for text in [
        format!("BEGIN:VEVENT\r\nDESCRIPTION:here it is {a}\r\n {b}\r\nEND:VEVENT\r\n"),
        format!("note = \"\"\"{a}\\\n    {b}\"\"\"\n"),
        format!("<n><![CDATA[{a}]]><![CDATA[{b}]]></n>"),
        format!("attachment; filename*0=\"{a}\"; filename*1=\"{b}\""),
        format!("the dump:\n{}\n", dump.concat()),
    ] {
        assert!(found(&text), "{text}");
        for body in carried(&text) {
            assert!(found(&body), "{body}");
        }
    }
    // A value of a head that has several lines is a text of its own.
    assert_eq!(in_session(&dump.concat())[..3], [true; 3]);
}

#[test]
fn a_key_is_read_whatever_stands_between_its_lines() {
    let body = "MIIEpAIBAAKCAQEAq7xT2kLc0nR53vbNwvZ57YiuPRr0fm01p4fCm2UdWaAq7xT2";
    let key =
        format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\nc0nR53vb{}\n-----END RSA PRIVATE KEY-----\n", &body[20..]);
    for between in ["#012", "<br>", "`r`n", "$\n", "\n7 | "] {
        let text = key.replace('\n', between);
        assert!(found(&text), "{text}");
    }
    let backwards: String = key.lines().map(|line| line.chars().rev().collect::<String>() + "\n").collect();
    assert!(found(&backwards), "{backwards}");
    let words = key.split(' ').map(|word| word.chars().rev().collect::<String>()).collect::<Vec<_>>().join(" ");
    assert!(found(&words), "{words}");
}

#[test]
fn a_long_key_in_numbers_is_read_however_much_room_they_take() {
    let mut numbers = bodies::Numbers(7);
    let random: Vec<u8> =
        [0x30, 0x82, 1, 0x5d, 2, 1, 0].into_iter().chain((0..700).map(|_| (numbers.next() >> 24) as u8)).collect();
    let coded = data_encoding::BASE64.encode(&random);
    let body: String = coded.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----\n");
    let each = |show: &dyn Fn(u8) -> String| key.bytes().map(show).collect::<String>();
    for text in [
        each(&|byte| format!("x'{byte:02x}' ")),
        each(&|byte| format!("chr({byte}).")),
        each(&|byte| format!("{byte:08b}")),
    ] {
        assert!(text.len() > 4096 && found(&text), "{}", &text[..80]);
    }
}

#[test]
fn names_are_read_backwards_word_by_word_and_with_a_form_s_or_a_shell_s_spaces() {
    let text = "the client_secret is client_secret: \"hVmkk2GpQ1zPgyAP3oPr6anQpLe8xBL\" ok";
    let words: Vec<String> = text.split(' ').map(|word| word.chars().rev().collect()).collect();
    assert!(found(&words.join(" ")));
    // A digest beside a word that is a kind's name backwards is none.
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert!(!found(&format!("the maker of client_secret is {digest} and its terces_tneilc")));
    let login = "Authorization: Basic c3ZjX2FwcDpoVm1razJHcFExelBneUFQM29Q";
    assert!(found(&format!("see {} there", login.replace(": ", "%3A+").replace(' ', "+"))));
    assert!(found(&login.replace(' ', "\\ ")));
    // What has a plus for another reason is none.
    assert!(!found("{\"secret_access_key\": \"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\", \"done\": \"100%\"}"));
}

#[test]
fn cards_and_keys_with_a_name_are_put_together_from_their_pieces() {
    for pieces in [
        ["the card 4539", "5787 6362 1486"],
        ["card_number=45395787", "63621486"],
        ["PrivateKey=uOb8CCUMR9Ak25MX6otf", "vT7bqC9qdyxNgVb6cGDtxRQ="],
    ] {
        let list = serde_json::json!({"parts": pieces}).to_string();
        assert!(found(&list) || pieces[1].contains(' '), "{list}");
    }
}

#[test]
fn a_known_value_is_found_in_raw_deflate_though_it_is_short() {
    let known = KnownSecret::new("DB_PASSWORD", b"Ab3$xY7!q").unwrap();
    let guard = guard(Settings { known: vec![known], ..Settings::default() });
    let evil = host("evil.example");
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type: None, content_encoding: None };
    let packed: &[u8] = &[115, 76, 50, 86, 169, 136, 52, 87, 44, 4, 0];
    let scan = |body: &[u8]| {
        let memory = Arc::new(SessionMemory::new());
        run(guard.body(&context).in_session(memory, std::time::Instant::now()), &[body]).2
    };
    assert!(scan(packed).is_some());
    let part = [&b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"[..], packed, b"\r\n--b--\r\n"].concat();
    assert!(scan(&part).is_some());
    assert!(scan(&packed[..packed.len() - 1]).is_none());
}
