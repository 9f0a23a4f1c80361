//! Pieces of one secret: over the values of a body, over the requests of a session; canaries.

use super::*;

#[test]
fn pieces_spread_over_values_are_joined() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let evil = host("evil.example");
    let (a, b, c) = (&PAT[..9], &PAT[9..21], &PAT[21..]);
    for (content_type, text) in [
        ("application/json", format!(r#"{{"x": "hello", "a": "{a}", "b": {{"c": "{b}"}}, "d": ["{c}", "more"]}}"#)),
        ("application/json", format!(r#"["{a}","{b}\u00{:02x}{}"]"#, c.as_bytes()[0], &c[1..])),
        (
            "application/json",
            format!(r#"["{a}","{}\\","{b}","\\\" {}","{c}"]"#, r#"a \" b"#.repeat(60), "c ".repeat(140)),
        ),
        ("application/x-www-form-urlencoded", format!("x=1&a={a}&b={b}&c={c}&d=2")),
        (
            "multipart/form-data; boundary=q",
            [a, b, c].map(|p| format!("--q\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{p}\r\n")).concat()
                + "--q--\r\n",
        ),
    ] {
        let content_type = Some(content_type.as_bytes());
        let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
        let (expected, out, _) = run(guard.body(&context), &[text.as_bytes()]);
        assert_eq!(expected.len(), 1, "{text}");
        assert_eq!(expected[0].decoded, ["joined"]);
        assert_eq!(out, text.as_bytes());
        for at in 0..text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            let (found, out, _) = run(guard.body(&context), &[head, tail]);
            assert_eq!((found, out.as_slice()), (expected.clone(), text.as_bytes()), "{text} {at}");
        }
    }
}

#[test]
fn a_structure_is_known_by_its_first_bytes_whatever_it_is_said_to_be() {
    let guard = guard(Settings::default());
    let evil = host("evil.example");
    let (a, b) = PAT.split_at(20);
    let json = format!("\n {{\"a\": \"{a}\", \"b\": \"{b}\"}}");
    let part =
        |name: &str, text: &str| format!("--q\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    let multipart = [part("a", a), part("b", b), "--q--\r\n".to_owned()].concat();
    let marked = format!("\u{feff}{{\"a\": \"{a}\", \"b\": \"{b}\"}}");
    let form = format!("first=1&a={a}&b={b}");
    let long = format!("{}*+=1&a={a}&b={b}", "a".repeat(200));
    for body in [json, marked, multipart, form, long] {
        for kind in ["text/plain", "application/json", "application/x-www-form-urlencoded", "image/png"] {
            for size in [1, body.len()] {
                let content_type = Some(kind.as_bytes());
                let context =
                    BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
                let chunks: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
                let (found, out, stopped) = run(guard.body(&context), &chunks);
                assert!(stopped.is_some() && out.len() < body.len(), "{kind} {size} {body} {found:?}");
            }
        }
    }
}

#[test]
fn a_piece_is_remembered_wherever_in_a_head_it_stands() {
    let guard = guard(Settings::default());
    let host = host("evil.example");
    let many =
        |n: usize, part: &str| (0..n).map(|at| format!("p{at}={at}")).chain([format!("d={part}")]).collect::<Vec<_>>();
    type Place<'a> = &'a dyn Fn(&str) -> [String; 3];
    let places: [Place<'_>; 4] = [
        &|part| ["/v1".to_owned(), many(40, part).join("&"), String::new()],
        &|part| [format!("/{part}/a/b/c/d"), String::new(), String::new()],
        &|part| [format!("/{part}/a/b/c/d/e/f/g/h/i/j/k"), String::new(), String::new()],
        &|part| ["/v1".to_owned(), String::new(), part.to_owned()],
    ];
    for (number, place) in places.iter().enumerate() {
        let memory = SessionMemory::new();
        let send = |part: &str| {
            let [path, query, agent] = place(part);
            let fields: [(&[u8], &[u8]); 1] = [(b"user-agent", agent.as_bytes())];
            let view = HeadView {
                host: &host,
                method: "GET",
                path: &path,
                query: Some(&query),
                fields: &fields,
                trailers: false,
            };
            guard.recall_head(&view, &memory, std::time::Instant::now())
        };
        let (a, b) = PAT.split_at(19);
        assert!(send(a).is_empty(), "{number}");
        assert!(send(b).iter().any(|finding| finding.disposition == Disposition::Blocked), "{number}");
    }
}

#[test]
fn a_secrets_last_piece_may_stand_as_a_name() {
    let (a, b) = PAT.split_at(17);
    for text in [format!("{{\"x\":\"{a}\",\"{b}\":1}}"), format!("[\"{a}\", \"{b}\": 1]")] {
        assert_eq!(observed(text.as_bytes()).len(), 1, "{text}");
    }
}

#[test]
fn a_canary_is_critical_even_at_home() {
    let token = canary::make(canary::Kind::Github, &std::array::from_fn(|at| (at * 37) as u8));
    let host = host("api.github.com");
    let bearer = format!("Bearer {token}");
    let fields: [(&[u8], &[u8]); 1] = [(b"authorization", bearer.as_bytes())];
    let view = HeadView { host: &host, method: "GET", path: "/", query: None, fields: &fields, trailers: false };
    let found = guard(Settings::default()).scan_head(&view);
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].rule, found[0].severity), ("canary", Severity::Critical));
    assert_eq!(found[0].disposition, Disposition::Blocked);
}

#[test]
fn pieces_of_several_requests_meet_in_the_sessions_memory() {
    let guard = guard(Settings::default());
    let host = host("evil.example");
    let now = std::time::Instant::now();
    let memory = Arc::new(SessionMemory::new());
    let (a, b) = PAT.split_at(17);
    let query = |part: &str| {
        let query = format!("n=1&d={part}");
        let fields: [(&[u8], &[u8]); 1] = [(b"user-agent", b"x")];
        let view = HeadView {
            host: &host,
            method: "GET",
            path: "/v1/x",
            query: Some(&query),
            fields: &fields,
            trailers: false,
        };
        guard.recall_head(&view, &memory, now)
    };
    assert!(query(a).is_empty());
    // What was refused is not forgotten by asking again, nor is what it would have completed.
    for _ in 0..3 {
        assert_eq!(query(b)[0].disposition, Disposition::Blocked);
    }
    let (c, d) = b.split_at(9);
    assert!(query(c).is_empty());
    assert_eq!(query(d)[0].disposition, Disposition::Blocked);
    let body = |part: &str| {
        let context =
            BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
        run(guard.body(&context).in_session(memory.clone(), now), &[format!("{{\"part\": \"{part}\"}}").as_bytes()])
    };
    let (_, out, stopped) = body(a);
    assert!(stopped.is_none() && !out.is_empty());
    for _ in 0..2 {
        let (found, out, stopped) = body(b);
        assert_eq!((found.len(), out.len()), (1, 0));
        assert!(stopped.is_some());
    }
    let encoded = data_encoding::BASE64.encode(PAT.as_bytes());
    let (a, b) = encoded.split_at(20);
    assert!(body(a).2.is_none());
    assert!(body(b).2.is_some());
}

/// What a small body's values complete under a session's memory, as the gateway scans it.
fn in_session(guard: &Guard, content_type: &str, text: &str) -> Vec<Finding> {
    let evil = host("evil.example");
    let content_type = Some(content_type.as_bytes());
    let context = BodyContext { host: &evil, method: "POST", path: "/", content_type, content_encoding: None };
    run(guard.body(&context).in_session(Arc::new(SessionMemory::new()), std::time::Instant::now()), &[text.as_bytes()])
        .0
}

#[test]
fn a_placeholder_is_whole_and_what_stands_beside_it_is_no_part_of_it() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    for placeholder in [
        "xoxb-123456789012-1234567890123-aBcDeFgHiJkLmNoPqRsTuVwX",
        "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
        "sk_test_aBcDeFgHiJkLmNoPqRsTuVwX",
        "AKIAIOSFODNN7EXAMPLE",
        "dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ] {
        for next in ["550e8400-e29b-41d4-a716-446655440000", "d41d8cd98f00b204e9800998ecf8427e", "wJalrXUtnFEMI"] {
            for (kind, text) in [
                ("application/x-www-form-urlencoded", format!("a={placeholder}&b={next}")),
                ("application/json", format!("{{\"a\": \"{placeholder}\", \"b\": \"{next}\"}}")),
                ("text/plain", format!("x = ['{placeholder}', '{next}']")),
                ("text/plain", format!("{placeholder}\n{next}\n")),
            ] {
                let found = in_session(&guard, kind, &text);
                assert!(found.is_empty(), "{text} {found:?}");
            }
        }
    }
}

#[test]
fn a_value_whose_name_stands_in_two_pieces_is_put_together() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let text = r#"{"client_secret": "vN8kQ2xLw5RtZ7mPc4YbJ1hGs6Df9KaE"}"#;
    for cut in [10, 15, 17] {
        let (front, rest) = text.split_at(cut);
        let (middle, back) = rest.split_at(24);
        let body = serde_json::json!({ "parts": [front, middle, back] }).to_string();
        let found = in_session(&guard, "application/json", &body);
        assert!(!found.is_empty(), "{body}");
    }
}

#[test]
fn pieces_in_the_fields_of_a_form_are_read_as_the_form_writes_them() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let found = in_session(
        &guard,
        "application/x-www-form-urlencoded",
        "p0=%7B%22aws_secret_access_key&p1=%22%3A+%22%2B%2BTVhrLtLCHiEGKrEV6&p2=XwqcRkelp6EX79PndXgt2%22%7D",
    );
    assert!(!found.is_empty());
}

#[test]
fn letters_of_a_base64_text_in_cells_are_no_token() {
    let guard = guard(Settings { action: Action::Observe, ..Settings::default() });
    let blob = "c2Vjd+k3ZxT9pLq8vR2mN5bY7wK1jH4gF6dS0aQ/EAAGm0PX4ZCpsBA9Zq7Lk2Wm5Tn8Rv1Xc4Bz6Hj3Gf0Ds9AqPoIuYtRe2Wq8LkJh\
                Gf5Dm7k3ZxT9pLq8vR2mN5bY7w/k3ZxT9pLq8vR2mN5bY7w";
    let cells: String = blob.chars().flat_map(|letter| ['-', '-', '-', letter]).collect();
    let found = in_session(&guard, "text/plain", &cells.replace('-', " "));
    assert!(found.is_empty(), "{found:?}");
    let token: String = PAT.chars().flat_map(|letter| [' ', ' ', ' ', letter]).collect();
    assert!(!in_session(&guard, "text/plain", &token).is_empty());
}
