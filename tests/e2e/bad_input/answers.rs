//! Answers of origins that have no single reading, or no end.

use super::*;

const HOST: &str = "plain.exeat.test";

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Must {
    /// It is refused before a byte of it goes down.
    Refuse,
    /// The client sees that it is cut, or is told where nothing had gone down yet.
    Cut,
}

use Must::{Cut, Refuse};

/// The bytes of a row, and what must become of them. What is refused is `bad_upstream_response`.
fn rows() -> Vec<(Must, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut add = |must, bytes: &[u8]| rows.push((must, bytes.to_vec()));
    for line in STATUS_LINES {
        add(Refuse, &[*line, b"\r\nContent-Length: 2\r\n\r\nok"].concat());
    }
    for bytes in NO_HTTP {
        add(Refuse, bytes);
    }
    for fields in FIELDS {
        add(Refuse, &[b"HTTP/1.1 200 OK\r\n", *fields, b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"].concat());
    }
    for head in HEADS {
        add(Refuse, head);
    }
    add(Refuse, format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\nok", "v".repeat(200_000)).as_bytes());
    add(Refuse, format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X: 1\r\n".repeat(5_000)).as_bytes());
    add(Refuse, format!("HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\nok", "O".repeat(100_000)).as_bytes());
    add(Refuse, ("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(500) + "HTTP/1.1 200 OK\r\n\r\n").as_bytes());
    for body in CHUNKS {
        add(Cut, &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", *body].concat());
    }
    add(Cut, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    rows
}

const STATUS_LINES: &[&[u8]] = &[
    b"HTTP/0.9 200 OK",
    b"HTTP/2.0 200 OK",
    b"HTTP/1.10 200 OK",
    b"HTTP/11 200 OK",
    b"http/1.1 200 OK",
    b"XHTTP/1.1 200 OK",
    b" HTTP/1.1 200 OK",
    b"HTTP/1.1 99 No",
    b"HTTP/1.1 099 No",
    b"HTTP/1.1 000 No",
    b"HTTP/1.1 1000 No",
    b"HTTP/1.1 2x0 No",
    b"HTTP/1.1 -20 No",
    b"HTTP/1.1 20 No",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1200 OK",
    b"HTTP/1.1",
    b"200 OK",
    b"ICY 200 OK",
    b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 O\rK",
];

/// Other protocols' first words.
const NO_HTTP: &[&[u8]] = &[
    b"<html>\r\n<body>hello</body>\r\n</html>\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    b"220 mail.exeat.test ESMTP\r\n\r\n",
    b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n",
    b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
    b"\0\0\0\0\0\0\0\0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

const FIELDS: &[&[u8]] = &[
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5, 6",
    b"Content-Length: 0x5",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 5 5",
    b"Content-Length: ",
    b"Content-Length: 5.0",
    b"Content-Length: 5;q=1",
    b"Content-Length: five",
    b"Content-Length: 18446744073709551616",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: chunked;q=1",
    b"X: a\r\n Set-Cookie: b=c",
    b"X: a\0b",
    b"X: a\rSet-Cookie: b",
    b"X Y: 1",
    b"X : 1",
    b"X\t: 1",
    b": 1",
    b"no colon",
    b"X\xe9: 1",
    b"X\0: 1",
    b"X(a): 1",
];

const HEADS: &[&[u8]] = &[
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/9.9 200 OK\r\n\r\n",
];

/// What follows a first chunk that is well.
const CHUNKS: &[&[u8]] = &[
    b"",
    b"50\r\nhello",
    b"0\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nX Y: 1\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloXX",
    b"5\r\nhello0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nhello",
    b"5;a\0b\r\nhello\r\n0\r\n\r\n",
];

#[test]
fn answers_that_are_none_are_refused_or_cut_each_with_its_reason_and_its_record() {
    let rows = rows();
    assert!(rows.len() >= 60, "{}", rows.len());
    let bytes: Vec<Vec<u8>> = rows.iter().map(|(_, bytes)| bytes.clone()).collect();
    let origin = Origin::plain().http(move |request| {
        let number: usize = request.target[1..].parse().unwrap();
        let mut reply = Reply::raw(bytes[number].clone());
        reply.close = true;
        reply
    });
    let world = World::start(Setup::new().origin(HOST, &origin));
    let (agent, mut wrong) = (world.agent(), Wrong::default());
    for (number, (must, bytes)) in rows.iter().enumerate() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).into_owned();
        let began = Instant::now();
        let answer = agent.send(agent.head("GET", &format!("http://{HOST}/{number}"), "")).response_to("GET");
        wrong.unless(began.elapsed() < soon(), || format!("{shown:?} took {:?}", began.elapsed()));
        match answer {
            Ok(response) if response.status == 502 => _ = assert_failed(&response, "bad_upstream_response"),
            Ok(response) => wrong.unless(false, || format!("{shown:?} came down as {response:?}")),
            Err(fault) => wrong.unless(*must == Cut, || format!("{shown:?} ended in {fault:?}")),
        }
    }
    let records = world.into_records();
    assert_eq!(records.len(), rows.len());
    for (record, (must, bytes)) in records.iter().zip(&rows) {
        let reasons =
            if *must == Cut { &["bad_upstream_response", "upstream_closed"][..] } else { &["bad_upstream_response"] };
        wrong.unless(record.verdict() == "failed" && reasons.contains(&record.reason()), || {
            format!("{:?} is {record:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(90)]))
        });
    }
    wrong.none();
}
