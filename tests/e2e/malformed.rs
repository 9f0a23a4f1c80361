//! The sixty requests of the strictness table (threats.md §2), each plain and inside an opened tunnel.
//!
//! A row's requests are templates: `{t}` stands for `http://HOST` (plain) or nothing (opened), `{h}` for the host,
//! `{a}` for the credentials' line (plain) or nothing. Each is sent alone, and again with a request behind it.

use crate::support::agent::{finish, push};
use crate::support::*;
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// What a row's requests must get.
#[derive(Clone, Copy)]
enum Must {
    /// Refused for this reason, the connection closed, and no whole request upstream.
    Refuse(&'static str),
    /// Refused as [`BAD`] is, or passed on in a form that has one reading only.
    OneReading,
    /// The stream ends inside the body, or nothing is said where the client counts as gone; no whole request upstream.
    RefuseCut,
}

use Must::{OneReading, Refuse, RefuseCut};

const PLAIN: &str = "plain.exeat.test";
const OPENED: &str = "tls.exeat.test";
const BEHIND: &[u8] = b"GET {t}/smuggled HTTP/1.1\r\nHost: {h}\r\n{a}\r\n";

struct Case {
    world: World,
    plain: Origin,
    opened: Origin,
}

impl Case {
    fn start() -> Self {
        let (plain, opened) = (Origin::plain().echo(), Origin::tls().echo());
        let setup = Setup::new().origin(PLAIN, &plain).origin(OPENED, &opened);
        Self { world: World::start(setup), plain, opened }
    }

    fn fill(template: &[u8], host: &str, target: &str, credentials: &str) -> Vec<u8> {
        let mut bytes = template.to_vec();
        for (mark, text) in [("{t}", target), ("{h}", host), ("{a}", credentials)] {
            while let Some(at) = bytes.windows(mark.len()).position(|window| window == mark.as_bytes()) {
                bytes.splice(at..at + mark.len(), text.bytes());
            }
        }
        bytes
    }

    /// The answers to what was sent plainly, up to the connection's end.
    fn ask_plainly(&self, template: &[u8], end: bool) -> (Vec<Response>, bool) {
        let agent = self.world.agent();
        let bytes = Self::fill(template, PLAIN, &format!("http://{PLAIN}"), &agent.field());
        let mut wire = agent.send(bytes);
        if end {
            finish(&wire);
        }
        answers(&mut wire)
    }

    fn ask_inside(&self, template: &[u8], end: bool) -> (Vec<Response>, bool) {
        let bytes = Self::fill(template, OPENED, "", "");
        let mut tls = self.world.agent().https(OPENED);
        push(&mut tls, &bytes);
        if end {
            tls.stream.conn.send_close_notify();
            let _ = tls.stream.conn.write_tls(&mut tls.stream.sock);
            let _ = tls.stream.sock.stream.shutdown(Shutdown::Write);
        }
        answers(&mut tls)
    }
}

/// The first answer and whatever came after it, and whether the gateway ended the connection by itself.
fn answers(wire: &mut Wire<impl std::io::Read>) -> (Vec<Response>, bool) {
    let Ok(first) = wire.response_to("GET") else { return (Vec::new(), true) };
    if first.status < 400 {
        return (vec![first], false);
    }
    match wire.response_to("GET") {
        Ok(second) => (vec![first, second], false),
        Err(_) => (vec![first], wire.is_ended()),
    }
}

#[track_caller]
fn check(must: Must, templates: &[&[u8]]) {
    let case = Case::start();
    let mut asked = 0;
    for template in templates {
        let shown = String::from_utf8_lossy(template);
        let cut = matches!(must, RefuseCut);
        let behind = [*template, BEHIND].concat();
        let all: &[&[u8]] = if cut || matches!(must, OneReading) { &[template] } else { &[template, &behind] };
        for bytes in all {
            for is_inside in [false, true] {
                let (way, began) = (if is_inside { "inside TLS" } else { "plainly" }, Instant::now());
                let ask = if is_inside { Case::ask_inside } else { Case::ask_plainly };
                let (answers, closed) = ask(&case, bytes, cut);
                asked += 1;
                let what = format!("{shown:?} sent {way}: {answers:?}");
                assert!(began.elapsed() < promised(Duration::from_secs(1)), "{:?} for {what}", began.elapsed());
                let refusal = answers.first().filter(|answer| answer.status >= 400);
                let reason = refusal.map(|refusal| problem(refusal)["reason"].as_str().unwrap_or_default().to_owned());
                let reason = reason.as_deref();
                let is_right = match must {
                    Refuse(wanted) => answers.len() == 1 && reason == Some(wanted),
                    RefuseCut => answers.is_empty() || reason == Some("request_cut"),
                    OneReading if refusal.is_none() => answers.len() == 1 && answers[0].status == 200,
                    OneReading => matches!(reason, Some("bad_request" | "bad_framing" | "bad_host" | "bad_target")),
                };
                assert!(is_right, "{what}");
                assert!(closed || refusal.is_none(), "the connection stays open: {what}");
            }
        }
    }
    for origin in [&case.plain, &case.opened] {
        origin.assert_one_reading();
        if !matches!(must, OneReading) {
            assert!(origin.requests().is_empty(), "reached the origin: {:#?}", origin.requests());
        }
        assert!(!origin.requests().iter().any(|request| request.target.contains("smuggled")));
    }
    // One for each plain request, and two for each inside a tunnel.
    assert_eq!(case.world.into_records().len(), asked / 2 * 3, "records for {asked} requests");
}

macro_rules! rows {
    ($($name:ident: $must:expr, [$($template:expr),+ $(,)?];)+) => {
        $(#[test]
        fn $name() {
            check($must, &[$(&$template[..]),+]);
        })+
    };
}

/// A GET with these lines after Host.
macro_rules! get {
    ($lines:literal) => {
        concat_bytes(&[b"GET {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}", $lines, b"\r\n"])
    };
}

/// A POST with these lines after Host, and this body.
macro_rules! post {
    ($lines:literal, $body:literal) => {
        concat_bytes(&[b"POST {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}", $lines, b"\r\n", $body])
    };
}

/// A chunked POST with this body.
macro_rules! chunked {
    ($body:literal) => {
        concat_bytes(&[b"POST {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}Transfer-Encoding: chunked\r\n\r\n", $body])
    };
}

fn concat_bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const BAD: Must = Refuse("bad_request");
const FRAMING: Must = Refuse("bad_framing");

rows! {
    row_01_lines_that_end_in_bare_lf: OneReading, [b"GET {t}/ HTTP/1.1\nHost: {h}\n{a}\n"];
    row_02_a_header_block_that_ends_in_bare_lf: OneReading, [b"GET {t}/ HTTP/1.1\r\n{a}Host: {h}\n\n"];
    row_03_a_bare_cr_in_a_value: OneReading, [get!(b"X: a\rY: b\r\n")];
    row_04_a_bare_cr_after_the_request_line: BAD, [b"GET {t}/ HTTP/1.1\rHost: {h}\r\n{a}\r\n"];
    row_05_nul_in_a_value: OneReading, [get!(b"X: a\0b\r\n")];
    row_06_nul_in_a_name: BAD, [get!(b"X\0: a\r\n")];
    row_07_obs_fold: OneReading, [get!(b"X: a\r\n b\r\n")];
    row_08_obs_fold_that_reads_like_a_field: OneReading, [
        post!(b"X: a\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello"),
    ];
    row_09_space_before_the_colon: BAD, [post!(b"Content-Length : 5\r\n", b"hello")];
    row_10_tab_before_the_colon: BAD, [post!(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n")];
    row_11_space_before_the_first_field: OneReading, [b"GET {t}/ HTTP/1.1\r\n Host: {h}\r\n{a}\r\n"];
    row_12_a_field_without_a_colon: BAD, [post!(b"Content-Length 5\r\n", b"hello")];
    row_13_a_field_without_a_name: BAD, [get!(b": value\r\n")];
    row_14_a_space_in_a_name: BAD, [get!(b"X Y: 1\r\n")];
    row_15_delimiters_in_a_name: BAD, [get!(b"X(a)@: 1\r\n")];
    row_16_bytes_beyond_ascii_in_a_name: BAD, [get!(b"\xefoo: 1\r\n"), post!(b"Content-Length\x85: 5\r\n", b"hello")];
    row_17_a_name_over_two_lines: BAD, [post!(b"Transfer-\r\nEncoding: chunked\r\n", b"0\r\n\r\n")];
    row_18_two_spaces_or_tabs_in_the_request_line: OneReading, [
        b"GET  {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET\t{t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/  HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/\tHTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
    ];
    row_19_a_space_before_the_method: BAD, [b" GET {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n"];
    row_20_a_word_too_many_in_the_request_line: BAD, [b"GET {t}/ x HTTP/1.1\r\nHost: {h}\r\n{a}\r\n"];
    row_21_a_line_feed_before_the_version: BAD, [b"GET {t}/\nHTTP/1.1\r\nHost: {h}\r\n{a}\r\n"];
    row_22_control_characters_in_the_target: BAD, [
        b"GET {t}/\x01 HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/\x7f HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/\0 HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/a b HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
    ];
    row_23_raw_bytes_beyond_ascii_in_the_target: OneReading, [b"GET {t}/\xc3\xa9 HTTP/1.1\r\nHost: {h}\r\n{a}\r\n"];
    row_24_a_fragment_in_the_target: OneReading, [b"GET {t}/#f HTTP/1.1\r\nHost: {h}\r\n{a}\r\n"];
    row_25_delimiters_in_the_method: BAD, [
        b"G\"T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G(T) {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G,T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G/T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G:T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G;T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G<T> {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G=T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G?T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G@T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G[T] {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G{T} {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"G\0T {t}/ HTTP/1.1\r\nHost: {h}\r\n{a}\r\n",
    ];
    row_26_odd_versions: BAD, [
        b"GET {t}/ HTTP/1.10\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/ HTTP/11\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/ http/1.1\r\nHost: {h}\r\n{a}\r\n",
        b"GET {t}/ HTTP/1.1x\r\nHost: {h}\r\n{a}\r\n",
    ];
    row_26_another_version: Refuse("version_not_supported"), [b"GET {t}/ HTTP/2.0\r\nHost: {h}\r\n{a}\r\n"];
    row_27_http_0_9: BAD, [b"GET {t}/\r\n\r\n"];
    row_28a_no_host: OneReading, [b"GET {t}/ HTTP/1.1\r\n{a}\r\n"];
    row_28b_hosts_that_are_two_or_no_hosts: Refuse("bad_host"), [
        get!(b"Host: {h}\r\n"),
        get!(b"Host: other.exeat.test\r\n"),
        b"GET {t}/ HTTP/1.1\r\nHost: a@{h}\r\n{a}\r\n",
        b"GET {t}/ HTTP/1.1\r\nHost: {h}/x\r\n{a}\r\n",
    ];
    row_29_lengths_with_signs_and_letters: FRAMING, [
        post!(b"Content-Length: +5\r\n", b"hello"),
        post!(b"Content-Length: -5\r\n", b"hello"),
        post!(b"Content-Length: 0x5\r\n", b"hello"),
        post!(b"Content-Length: 5_0\r\n", b"hello"),
        post!(b"Content-Length: abc\r\n", b"hello"),
    ];
    row_30_a_length_with_a_space: FRAMING, [post!(b"Content-Length: 5 5\r\n", b"hello")];
    row_31_a_list_of_equal_lengths: OneReading, [post!(b"Content-Length: 5, 5\r\n", b"hello")];
    row_32_a_list_of_different_lengths: FRAMING, [post!(b"Content-Length: 5, 6\r\n", b"hello")];
    row_33_an_empty_length: FRAMING, [post!(b"Content-Length:\r\n", b"")];
    row_34_an_empty_length_and_another: FRAMING, [post!(b"Content-Length:\r\nContent-Length: 5\r\n", b"hello")];
    row_35_two_equal_lengths: OneReading, [post!(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")];
    row_36_two_different_lengths: FRAMING, [
        post!(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
        post!(b"Content-Length: 6\r\nContent-Length: 5\r\n", b"hello"),
    ];
    row_37_a_length_with_leading_zeros: OneReading, [post!(b"Content-Length: 005\r\n", b"hello")];
    row_38_a_length_that_overflows: FRAMING, [post!(b"Content-Length: 18446744073709551616\r\n", b"hello")];
    row_39_a_length_with_a_parameter: FRAMING, [post!(b"Content-Length: 5;q=1\r\n", b"hello")];
    row_40_a_length_after_a_vertical_tab: BAD, [post!(b"Content-Length: \x0b5\r\n", b"hello")];
    row_41_a_length_and_a_coding: FRAMING, [
        post!(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        post!(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    ];
    row_42_two_fields_of_chunked: FRAMING, [
        post!(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ];
    row_43_chunked_twice_in_a_list: FRAMING, [post!(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")];
    row_44_a_coding_before_chunked: Refuse("transfer_coding_not_supported"), [post!(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")];
    row_45_codings_that_are_not_chunked: Refuse("transfer_coding_not_supported"), [
        post!(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        post!(b"Transfer-Encoding: identity\r\n", b"hello"),
        post!(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    ];
    row_46_an_empty_coding_before_chunked: OneReading, [post!(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n")];
    row_47_chunked_after_a_vertical_tab: BAD, [post!(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n")];
    row_47_chunked_in_disguise: FRAMING, [
        post!(b"Transfer-Encoding: \"chunked\"\r\n", b"0\r\n\r\n"),
        post!(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"),
    ];
    row_48_a_coding_in_http_1_0: FRAMING, [
        b"POST {t}/ HTTP/1.0\r\nHost: {h}\r\n{a}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    row_49_a_folded_coding: OneReading, [post!(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")];
    row_50_connection_names_what_it_must_not: OneReading, [
        post!(b"Connection: Content-Length\r\nContent-Length: 5\r\n", b"hello"),
        post!(b"Connection: Host\r\nContent-Length: 5\r\n", b"hello"),
        post!(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ];
    row_51_chunk_sizes_that_are_no_hex: FRAMING, [
        chunked!(b"0x5\r\nhello\r\n0\r\n\r\n"),
        chunked!(b"+5\r\nhello\r\n0\r\n\r\n"),
        chunked!(b"-5\r\nhello\r\n0\r\n\r\n"),
        chunked!(b" 5\r\nhello\r\n0\r\n\r\n"),
        chunked!(b"5_0\r\nhello\r\n0\r\n\r\n"),
        chunked!(b"\r\nhello\r\n0\r\n\r\n"),
    ];
    row_52_a_chunk_size_that_overflows: FRAMING, [chunked!(b"FFFFFFFFFFFFFFFF1\r\nhello\r\n0\r\n\r\n")];
    row_53_chunk_lines_that_end_in_bare_lf: OneReading, [chunked!(b"5\nhello\r\n0\r\n\r\n"), chunked!(b"5\r\nhello\n0\n\n")];
    row_54_line_ends_inside_an_extension: OneReading, [
        chunked!(b"5;a=b\rX\r\nhello\r\n0\r\n\r\n"),
        chunked!(b"5;a\nX\r\nhello\r\n0\r\n\r\n"),
    ];
    row_55_chunk_data_without_its_line_end: FRAMING, [chunked!(b"5\r\nhelloXX0\r\n\r\n"), chunked!(b"5\r\nhello0\r\n\r\n")];
    row_56_a_body_that_is_cut: RefuseCut, [
        chunked!(b"5\r\nhello\r\n"),
        chunked!(b"5\r\nhel"),
        post!(b"Content-Length: 50\r\n", b"hello"),
    ];
    row_57_trailers_that_must_not_be_trailers: OneReading, [
        chunked!(b"5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n"),
        chunked!(b"5\r\nhello\r\n0\r\nHost: evil.test\r\n\r\n"),
        chunked!(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ];
    row_58_a_trailer_without_a_colon: FRAMING, [chunked!(b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n")];
    row_60_an_expectation_that_is_unknown: Refuse("expectation_failed"), [post!(b"Expect: x\r\nContent-Length: 5\r\n", b"hello")];
}

#[test]
fn row_57_dropped_trailers_do_not_go_up() {
    let case = Case::start();
    let body = chunked!(b"5\r\nhello\r\n0\r\nHost: evil.test\r\nContent-Length: 7\r\nX-Ok: 1\r\n\r\n");
    case.ask_plainly(&body, false);
    for request in case.plain.requests() {
        assert!(request.trailers.iter().all(|(name, _)| name == "X-Ok"), "{request:?}");
    }
}

#[test]
fn row_59_what_follows_a_get_without_length_is_a_request_of_its_own() {
    let case = Case::start();
    let agent = case.world.agent();
    let first = agent.head("GET", &format!("http://{PLAIN}/"), "");
    let second = agent.head("GET", "http://evil.test/", "");
    let mut wire = agent.send(first.clone() + &second);
    assert_eq!(wire.response_to("GET").unwrap().text(), "GET /\n");
    assert_refused(&wire.response_to("GET").unwrap(), "dest_not_listed");
    let mut wire = agent.send(first + "hello\r\n\r\n");
    assert_eq!(wire.response_to("GET").unwrap().text(), "GET /\n");
    assert!(wire.response_to("GET").is_ok_and(|response| response.status == 400));
    assert_eq!(case.plain.requests().len(), 2);
}

#[test]
fn a_request_that_is_too_large_is_told_so() {
    let case = Case::start();
    let agent = case.world.agent();
    for (path, fields, status) in [
        ("/".to_owned(), format!("X: {}\r\n", "v".repeat(300_000)), 431),
        ("/".to_owned(), "X: 1\r\n".repeat(5_000), 431),
        (format!("/{}", "p".repeat(300_000)), String::new(), 414),
    ] {
        let response = agent.send(agent.head("GET", &format!("http://{PLAIN}{path}"), &fields)).response_to("GET");
        let response = response.unwrap_or_else(|fault| panic!("{status}: {fault:?}"));
        assert!(response.status == status || response.status == 431, "{status}: {response:?}");
        problem(&response);
    }
    case.plain.assert_untouched();
    assert_eq!(case.world.into_records().len(), 3);
}

#[test]
fn trailers_and_chunk_extensions_have_bounds() {
    let case = Case::start();
    let agent = case.world.agent();
    let head = agent.head("POST", &format!("http://{PLAIN}/"), "Transfer-Encoding: chunked\r\n");
    let trailers = format!("0\r\n{}\r\n", format!("X: {}\r\n", "t".repeat(1000)).repeat(500));
    let extensions = format!("5;{}\r\nhello\r\n", "e".repeat(200)).repeat(500) + "0\r\n\r\n";
    for body in [trailers, extensions] {
        let response = agent.send(head.clone() + &body).response_to("POST");
        assert!(response.is_ok_and(|response| matches!(response.status, 400 | 413 | 431)), "{}", &body[..40]);
    }
    assert!(case.plain.requests().is_empty());
}

#[test]
fn other_protocols_on_the_proxys_port_are_refused_at_once() {
    let case = Case::start();
    for bytes in [
        &b"\x05\x01\x00"[..],
        b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n",
        b"EHLO me\r\n",
    ] {
        let began = std::time::Instant::now();
        let mut wire = case.world.agent().send(bytes);
        finish(&wire);
        let _ = wire.rest();
        assert!(began.elapsed().as_secs() < 3, "{bytes:?} held for {:?}", began.elapsed());
    }
    assert_eq!(case.world.into_records().len(), 6);
}

#[test]
fn targets_that_no_proxy_takes_are_refused() {
    let case = Case::start();
    let agent = case.world.agent();
    for target in [
        "/",
        "*",
        "/http://plain.exeat.test/",
        "plain.exeat.test:80",
        "ftp://plain.exeat.test/",
        "https://plain.exeat.test/",
        "http:///x",
        "http://",
        "http:plain.exeat.test/",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {PLAIN}\r\n{}\r\n", agent.field());
        let response = agent.send(head).response_to("GET").unwrap();
        assert!(matches!(response.status, 400 | 405), "{target}: {response:?}");
        problem(&response);
    }
    case.plain.assert_never_contacted();
}

#[test]
fn authorities_that_are_not_canonical_are_refused_before_any_lookup() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world = World::start(
        Setup::under("allow: [{host: \"**\", ports: [80, 443, 65535], addresses: [\"0.0.0.0/0\"]}]")
            .nameserver(&nameserver),
    );
    let agent = world.agent();
    let authorities: [&[u8]; 32] = [
        b"a",
        b"/x",
        b"*",
        b"http://a:443/",
        b"a:443/",
        b"a:",
        b":443",
        b"a:0",
        b"a:65536",
        b"a:65979",
        b"a:+443",
        b"a:-1",
        b"a:0443",
        b"a:443x",
        b"a:4294967739",
        b"a:99999999999999999999",
        b"user@a:443",
        b"user:pw@a:443",
        b"a:1@b:443",
        b"evil.test\0.allowed.test:443",
        b"a%2fb:443",
        b"[evil.test]:443",
        b"[::1:443",
        b"[::1%25lo]:443",
        b"a,b:443",
        b"a\\b:443",
        b"a..b:443",
        b".a:443",
        b"-a.test:443",
        b"xn--allowed-.test:443",
        "ａllowed.test:443".as_bytes(),
        "①②⑦.⓪.⓪.①:443".as_bytes(),
    ];
    for authority in authorities {
        let head =
            [b"CONNECT ", authority, b" HTTP/1.1\r\nHost: a:443\r\n", agent.field().as_bytes(), b"\r\n"].concat();
        let response = agent.send(head).response_to("CONNECT").unwrap();
        assert_eq!(response.status, 400, "{:?}", String::from_utf8_lossy(authority));
        problem(&response);
    }
    assert_eq!(nameserver.asked(), []);
    assert_eq!(world.into_records().len(), authorities.len());
}

#[test]
fn hosts_in_urls_that_are_not_canonical_are_refused_before_any_lookup() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world =
        World::start(Setup::under("allow: [{host: \"**\", addresses: [\"0.0.0.0/0\"]}]").nameserver(&nameserver));
    let agent = world.agent();
    for host in [
        "user@a", "a@b@c", "a%2fb", "a%00b", "a\\b", "a:+80", "a:080", "a:0", "a:65536", "[a]", "[::1", "a..b", ".a",
        "a,b", "%61",
    ] {
        let head = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", agent.field());
        let response = agent.send(head).response_to("GET").unwrap();
        assert_eq!(response.status, 400, "{host}");
        problem(&response);
    }
    assert_eq!(nameserver.asked(), []);
}
