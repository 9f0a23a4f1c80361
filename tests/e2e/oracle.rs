//! The tests' own reader is held to its strictness: a lax oracle would let smuggling pass unseen.

use crate::support::message::{Fault, Framing};
use crate::support::*;

fn read(bytes: &[u8]) -> Result<Option<Request>, Fault> {
    Wire::new(bytes).request()
}

#[test]
fn a_plain_request_is_read_whole() {
    let request = read(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").unwrap().unwrap();
    assert_eq!((request.method.as_str(), request.target.as_str(), &request.body[..]), ("POST", "/x", &b"hi"[..]));
    let request =
        read(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n");
    let request = request.unwrap().unwrap();
    assert_eq!((request.text().as_str(), request.trailers.len()), ("hi", 1));
    assert!(read(b"").unwrap().is_none());
}

#[test]
fn what_has_two_readings_is_malformed() {
    for bytes in [
        &b"GET / HTTP/1.1\nHost: h\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: d\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n1",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ] {
        assert!(matches!(read(bytes), Err(Fault::Malformed(_))), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(matches!(read(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1"), Err(Fault::Cut)));
}

#[test]
fn a_response_is_read_by_its_request() {
    let read = |method: &str, bytes: &'static [u8]| Wire::new(bytes).response_to(method).unwrap();
    assert_eq!(read("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").framing, Framing::None);
    assert_eq!(read("GET", b"HTTP/1.1 204 No\r\n\r\n").framing, Framing::None);
    assert_eq!(read("GET", b"HTTP/1.1 200 OK\r\n\r\nall").body, b"all");
    assert_eq!(read("GET", b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1").body, b"1");
}

#[test]
fn an_origin_notes_what_has_two_readings() {
    let origin = Origin::plain().echo();
    let mut wire = support_dial(&origin);
    crate::support::agent::push(&mut wire, b"GET / HTTP/1.1\nHost: h\n\n");
    origin.wait("the end", |seen| seen.iter().any(|seen| seen.ended));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| origin.assert_one_reading()));
    assert!(caught.is_err());
}

fn support_dial(origin: &Origin) -> Wire<std::net::TcpStream> {
    crate::support::agent::dial(origin.address)
}
