//! Origins that are broken or hostile: told as such, never repaired, and never a danger to the next request.

use crate::support::message::Framing;
use crate::support::*;
use std::io::Write;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

/// An answer that has no one reading.
#[track_caller]
fn assert_bad(answer: impl Into<Vec<u8>>) {
    let answer = answer.into();
    let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
    let origin = Origin::plain().answer_and_close(answer);
    let world = world(&origin);
    let response = world.agent().get(URL);
    assert_eq!(response.status, 502, "{shown:?} came through: {response:?}");
    assert_failed(&response, "bad_upstream_response");
    let records = world.into_records();
    records.only("failed", "bad_upstream_response");
}

#[test]
fn a_length_and_a_coding_in_an_answer() {
    assert_bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn two_lengths_in_an_answer() {
    assert_bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
}

#[test]
fn lengths_that_are_no_numbers_in_an_answer() {
    for length in ["0x5", "+5", "-5", "5 5", "", "18446744073709551616", "5;q=1"] {
        assert_bad(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"));
    }
}

#[test]
fn codings_that_are_not_chunked_in_an_answer() {
    for coding in ["xchunked", "chunked, chunked", "chunked, identity", "\x0bchunked"] {
        assert_bad(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"));
    }
}

#[test]
fn a_folded_field_that_hides_a_cookie_in_an_answer() {
    assert_bad("HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: b=c\r\nContent-Length: 2\r\n\r\nok");
}

#[test]
fn control_characters_in_an_answers_head() {
    assert_bad(&b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"[..]);
    assert_bad(&b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"[..]);
}

#[test]
fn field_names_that_are_no_tokens_in_an_answer() {
    for field in ["X Y: 1", "X : 1", ": 1", "no colon", "X\u{e9}: 1"] {
        assert_bad(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 2\r\n\r\nok"));
    }
}

#[test]
fn status_lines_that_are_none() {
    for line in [
        "HTTP/0.9 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.1 99 No",
        "HTTP/1.1 1000 No",
        "HTTP/1.1 2x0 No",
        "HTTP/1.1200 OK",
        "ICY 200 OK",
        "HTTP/1.1  200 OK",
    ] {
        assert_bad(format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
    }
}

#[test]
fn an_answer_of_http_0_9() {
    assert_bad("<html>\r\n<body>hello</body>\r\n</html>\r\n\r\n");
}

#[test]
fn heads_beyond_their_bounds_in_an_answer() {
    assert_bad(format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\nok", "v".repeat(2_000_000)));
    assert_bad(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X: 1\r\n".repeat(50_000)));
}

#[test]
fn five_thousand_interim_answers() {
    assert_bad("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(5_000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_101_that_nobody_asked_for() {
    assert_bad("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02");
}

/// A body that ends too early is shown as cut, and the record says so.
#[track_caller]
fn assert_shown_as_cut(answer: &'static [u8]) {
    let origin = Origin::plain().answer_and_close(answer);
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", URL, ""));
    match wire.response_to("GET") {
        Err(Fault::Cut | Fault::Io(_)) => {}
        // Nothing had gone down yet, so that the failure could still be told.
        Ok(response) => assert_eq!(response.status, 502, "cut, and shown as whole: {response:?}"),
        Err(fault) => panic!("{fault:?}"),
    }
    let records = world.into_records();
    assert_eq!(records[0].verdict(), "failed", "{records:#?}");
}

#[test]
fn a_sized_body_that_is_cut_is_shown_as_cut() {
    assert_shown_as_cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
}

#[test]
fn a_chunked_body_that_is_cut_is_shown_as_cut() {
    assert_shown_as_cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_shown_as_cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello");
    assert_shown_as_cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n");
}

#[test]
fn a_chunked_body_with_a_broken_size_is_shown_as_cut() {
    assert_shown_as_cut(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n",
    );
    assert_shown_as_cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX");
}

#[test]
fn a_body_that_ends_with_tls_cut_short_is_shown_as_cut() {
    let origin = Origin::tls().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")?;
        peer.flush()?;
        peer.stream.cut();
        Ok(())
    });
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    crate::support::agent::push(&mut tls, format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
    if let Ok(response) = tls.response_to("GET") {
        assert!(response.status == 502 || response.framing == Framing::UntilClose, "shown as whole: {response:?}");
    }
    drop(tls);
    let records = world.into_records();
    assert_eq!(records.requests()[0].verdict(), "failed", "{records:#?}");
}

#[test]
fn an_origin_that_closes_without_an_answer_is_told_as_such() {
    let origin = Origin::plain().raw(|peer| peer.request_head().map(|_| ()));
    let world = world(&origin);
    assert_failed(&world.agent().post(URL, b"x"), "upstream_closed");
}

#[test]
fn an_origin_that_resets_is_told_as_such() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request()?;
        peer.stream.reset();
        Ok(())
    });
    let world = world(&origin);
    assert_failed(&world.agent().post(URL, b"x"), "upstream_closed");
}

#[test]
fn an_origin_that_ends_inside_its_head_is_told_as_such() {
    let origin = Origin::plain().answer_and_close("HTTP/1.1 200 OK\r\nContent-Len");
    let world = world(&origin);
    assert_refused_with(&world.agent().get(URL), &["upstream_closed", "bad_upstream_response"]);
}

#[test]
fn a_port_where_nobody_listens_is_told_as_such() {
    let world = World::start(Setup::new().connect(HOST, "127.0.0.1:9"));
    assert_failed(&world.agent().get(URL), "connect_failed");
    assert_eq!(world.into_records()[0].verdict(), "failed");
}

#[test]
fn a_connection_that_the_origin_has_closed_is_not_used_again() {
    let origin = Origin::plain().raw(|peer| {
        if let Some(request) = peer.request()? {
            peer.stream.keep(request);
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let world = world(&origin);
    for turn in 1..=5 {
        assert_eq!(world.agent().post(URL, b"not safe to repeat").status, 200);
        origin.wait("the end of the connection", |seen| seen.len() == turn && seen.iter().all(|seen| seen.ended));
    }
    assert_eq!(origin.requests().len(), 5);
}

/// What an origin sends beyond its answer must not become the answer to the next request.
#[track_caller]
fn assert_not_poisoned(method: &str, answer: &'static [u8]) {
    let origin = Origin::plain().http(move |request| match request.target.as_str() {
        "/first" => Reply::raw(answer),
        other => Reply::ok(format!("for {other}")),
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head(method, "http://plain.exeat.test/first", ""));
    let first = wire.response_to(method).unwrap();
    assert!(!first.text().contains("poison"), "{first:?}");
    for _ in 0..3 {
        assert_eq!(agent.get("http://plain.exeat.test/next").text(), "for /next");
    }
}

const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[test]
fn a_second_answer_sent_ahead_poisons_nothing() {
    assert_not_poisoned("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{POISON}").leak().as_bytes());
}

#[test]
fn a_body_after_a_204_poisons_nothing() {
    assert_not_poisoned("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{POISON}").leak().as_bytes());
}

#[test]
fn a_body_after_the_answer_to_a_head_poisons_nothing() {
    assert_not_poisoned("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n{POISON}").leak().as_bytes());
}

#[test]
fn a_body_after_a_304_poisons_nothing() {
    assert_not_poisoned("GET", format!("HTTP/1.1 304 Not Modified\r\n\r\n{POISON}").leak().as_bytes());
}

#[test]
fn bytes_that_come_late_on_an_idle_connection_poison_nothing() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (sent, late) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        while let Some(request) = peer.request()? {
            let target = request.target.clone();
            peer.stream.keep(request);
            peer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()).as_bytes())?;
            if target == "/first" {
                let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
                peer.write_all(POISON.as_bytes())?;
                let _ = sent.send(());
            }
        }
        Ok(())
    });
    let world = world(&origin);
    assert_eq!(world.agent().get("http://plain.exeat.test/first").text(), "/first");
    go.send(()).unwrap();
    // On loopback what is written is there to be read.
    late.recv_timeout(DEADLINE).unwrap();
    assert_eq!(world.agent().get("http://plain.exeat.test/next").text(), "/next");
    assert_eq!(world.agent().get("http://plain.exeat.test/more").text(), "/more");
}

#[test]
fn an_answer_to_a_request_not_fully_sent_does_not_leave_its_rest_for_the_next() {
    let origin = Origin::plain().raw(|peer| {
        let Some(request) = peer.request_head()? else { return Ok(()) };
        peer.stream.keep(request);
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")?;
        peer.rest().map(|_| ())
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("POST", URL, "Content-Length: 1000000\r\n"));
    crate::support::agent::push(&mut wire, &[b'x'; 1000]);
    let _ = wire.response_to("POST");
    drop(wire);
    assert_eq!(world.agent().get(URL).text(), "early");
    assert_eq!(origin.connections().len(), 2, "the connection with a half-sent request was used again");
}

#[test]
fn the_upstream_connection_ends_soon_after_the_client_has_left() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let agent = world.agent();
    let wire = agent.send(agent.head("GET", URL, ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    drop(wire);
    let left = Instant::now();
    origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert!(left.elapsed() < Duration::from_secs(3), "{:?}", left.elapsed());
    let records = world.into_records();
    records.only("failed", "client_closed");
}

#[test]
fn a_download_whose_client_leaves_is_ended_upstream() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")?;
        loop {
            peer.write_all(&[b'd'; 65536])?;
        }
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", URL, ""));
    wire.exact(100_000).unwrap();
    drop(wire);
    origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    let records = world.into_records();
    records.only("failed", "client_closed");
}

#[test]
fn a_coded_answer_comes_down_as_it_is() {
    let body: Vec<u8> = (0..=255).collect();
    let reply = Reply::ok(body.clone()).with("Content-Encoding", "gzip");
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    let response = world.agent().get(URL);
    assert_eq!(response.field("content-encoding"), Some("gzip"));
    assert_eq!(response.body, body);
}

#[test]
fn answers_with_bytes_beyond_ascii_in_values_come_down_as_they_are() {
    let origin = Origin::plain().answer(&b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nContent-Length: 0\r\n\r\n"[..]);
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", URL, "Connection: close\r\n"));
    let bytes = wire.rest().unwrap();
    assert!(bytes.windows(4).any(|window| window == b"caf\xe9"), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_failed_flow_does_not_harm_those_beside_it() {
    let broken = Origin::plain().answer_and_close("garbage");
    let good = Origin::plain().echo();
    let setup = Setup::new().origin("broken.exeat.test", &broken).origin("good.exeat.test", &good);
    let world = World::start(setup);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| (0..10).for_each(|_| assert_eq!(world.agent().get("http://broken.exeat.test/").status, 502)));
            scope.spawn(|| (0..10).for_each(|_| assert_eq!(world.agent().get("http://good.exeat.test/").status, 200)));
        }
    });
    assert_eq!(world.into_records().len(), 80);
}
