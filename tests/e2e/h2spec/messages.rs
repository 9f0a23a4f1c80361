//! Requests (RFC 7540 §8).

use super::*;

fn with(more: &[(&str, &[u8])]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", more))
}

fn of(fields: &[(&str, &[u8])]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

#[test]
fn a_malformed_request_is_one() {
    let [method, scheme, authority, path]: [(&str, &[u8]); 4] =
        [(":method", b"GET"), (":scheme", b"https"), (":authority", HOST.as_bytes()), (":path", b"/")];
    let sized = |length: &[u8]| frame(HEADERS, END_HEADERS, 1, &head("POST", &[("content-length", length)]));
    let answered = |what, bytes| case(what, bytes, Expect::Answered);
    let malformed = |what, bytes| case(what, bytes, Expect::Malformed);
    let cases = vec![
        malformed(
            "8.1: a second HEADERS frame that doesn't end the stream",
            [post(1), frame(HEADERS, END_HEADERS, 1, &block(&[("x-test", b"ok")])), frame(DATA, 1, 1, b"x")].concat(),
        ),
        malformed("8.1.2: upper case in a field's name", with(&[("X-TEST", b"ok")])),
        malformed("8.1.2.1: an unknown pseudo field", with(&[(":test", b"ok")])),
        malformed("8.1.2.1: a response's pseudo field", with(&[(":status", b"200")])),
        // The library drops it, unseen by us: what goes on has no such field.
        answered(
            "8.1.2.1: a pseudo field in trailers",
            [post(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":method", b"200")]))].concat(),
        ),
        malformed("8.1.2.1: a pseudo field after others", of(&[method, scheme, authority, ("x-test", b"ok"), path])),
        malformed("8.1.2.2: a field of the connection", with(&[("connection", b"keep-alive")])),
        malformed("8.1.2.2: TE with something else than trailers", with(&[("te", b"trailers, deflate")])),
        malformed("8.1.2.3: an empty path", of(&[method, scheme, authority, (":path", b"")])),
        malformed("8.1.2.3: no method", of(&[scheme, authority, path])),
        malformed("8.1.2.3: no scheme", of(&[method, authority, path])),
        malformed("8.1.2.3: no path", of(&[method, scheme, authority])),
        malformed("8.1.2.3: two methods", with(&[method])),
        malformed("8.1.2.3: two schemes", with(&[scheme])),
        malformed("8.1.2.3: two paths", with(&[path])),
        malformed("8.1.2.6: a length that DATA doesn't keep", [sized(b"1"), frame(DATA, 1, 1, b"test")].concat()),
        malformed(
            "8.1.2.6: a length that several DATA frames don't keep",
            [sized(b"1"), frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")].concat(),
        ),
        case(
            "8.2: a PUSH_PROMISE of a client",
            [post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&2u32.to_be_bytes()[..], &head("GET", &[])].concat())]
                .concat(),
            Expect::Connection(&[PROTOCOL_ERROR]),
        ),
    ];
    hold("8", cases);
}
