//! The catalogue's own examples on their way out, in the forms that bodies and heads give them.

use super::*;
use std::io::Write as _;
use std::time::Instant;

fn form(text: &str) -> String {
    text.bytes().fold("user=bob&note=".to_owned(), |form, byte| match byte {
        b' ' => form + "+",
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => form + &char::from(byte).to_string(),
        byte => form + &format!("%{byte:02X}"),
    })
}

fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 127 {
        out.push(length as u8 | 128);
        length >>= 7;
    }
    out.push(length as u8);
    [&out, value].concat()
}

fn in_surfaces(text: &str) -> [(&'static str, Vec<u8>); 6] {
    let quoted = serde_json::to_string(&format!("Why?\n{text}\nthanks")).unwrap();
    let chat = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{quoted}}}]}}"#);
    let log =
        format!(r#"{{"level":"info","data":{}}}"#, serde_json::to_string(&format!(r#"{{"f":{quoted}}}"#)).unwrap());
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\".env\"\r\n\r\nA=1\n{text}\n\r\n--b--\r\n"
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(chat.as_bytes()).unwrap();
    [
        ("application/json", chat.into_bytes()),
        ("application/json", log.into_bytes()),
        ("application/x-www-form-urlencoded", form(text).into_bytes()),
        ("multipart/form-data; boundary=b", file.into_bytes()),
        ("application/x-protobuf", [field(1, b"note"), field(2, text.as_bytes()), field(3, b"end")].concat()),
        ("application/octet-stream", gzip.finish().unwrap()),
    ]
}

/// Every rule, by its first example.
#[test]
fn what_a_rule_finds_it_finds_in_every_surface() {
    let guard = guard(Settings::default());
    let catalogue = Catalogue::annotated().unwrap();
    let bodies = |rule: &&RuleSpec| rule.surfaces.iter().all(|surface| surface != "head");
    let (mut tried, mut wrong) = (0, Vec::new());
    for rule in catalogue.rules().iter().filter(bodies) {
        let Some(example) = rule.examples.first() else { continue };
        for (kind, body) in in_surfaces(example) {
            let context = BodyContext {
                host: &host("evil.example"),
                method: "POST",
                path: "/",
                content_type: Some(kind.as_bytes()),
                content_encoding: None,
            };
            tried += 1;
            if run(guard.body(&context), &[&body]).2.is_none() {
                wrong.push(format!("{} in {kind}: {example}", rule.id));
            }
        }
    }
    assert!(tried > 8_000 && wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

fn found_in_head(path: &str, query: Option<&str>, fields: &[(&[u8], &[u8])]) -> bool {
    let host = host("evil.example");
    let head = HeadView { host: &host, method: "GET", path, query, fields, trailers: false };
    !guard(Settings::default()).scan_head(&head).is_empty()
}

#[test]
fn a_token_in_pieces_is_found_within_one_head() {
    let (a, rest) = PAT.split_at(13);
    let (b, c) = rest.split_at(14);
    assert!(found_in_head("/", Some(&format!("a={a}&b={b}&c={c}")), &[]));
    assert!(found_in_head(&format!("/{a}/{b}/{c}"), None, &[]));
    let fields = [(&b"X-A"[..], a.as_bytes()), (b"X-B", b.as_bytes()), (b"X-C", c.as_bytes())];
    assert!(found_in_head("/", None, &fields));
    assert!(!found_in_head("/", Some(&format!("a={a}&b={b}")), &[]));
}

#[test]
fn pieces_meet_over_requests_in_any_order_under_any_name_and_in_parts() {
    let (a, b) = PAT.split_at(20);
    let host = host("evil.example");
    let guard = guard(Settings::default());
    for (first, second) in [(format!("a={a}"), format!("b={b}")), (format!("d={b}"), format!("d={a}"))] {
        let (memory, now) = (SessionMemory::new(), Instant::now());
        let head = |query| HeadView { host: &host, method: "GET", path: "/", query, fields: &[], trailers: false };
        assert!(guard.recall_head(&head(Some(first.as_str())), &memory, now).is_empty());
        assert!(!guard.recall_head(&head(Some(second.as_str())), &memory, now).is_empty(), "{first} {second}");
    }
    let memory = Arc::new(SessionMemory::new());
    let part = |piece: &str| format!("--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{piece}\r\n--b--\r\n");
    let context = BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
    let stopped = |piece| {
        let scan = guard.body(&context).in_session(memory.clone(), Instant::now());
        run(scan, &[part(piece).as_bytes()]).2.is_some()
    };
    assert!(!stopped(a) && stopped(b));
}
