//! What every server must take.

use super::*;

#[test]
fn the_generic_cases_of_frames_pass() {
    let padded = |kind, flags, block: &[u8]| frame(kind, flags | PADDED, 1, &[&[8][..], block, &[0; 8]].concat());
    let part = |block: &[u8], at: usize| (block[..at].to_vec(), block[at..].to_vec());
    let (first, rest) = part(&head("GET", &[("x-a", b"b")]), 10);
    let (second, third) = part(&rest, 10);
    let with_priority = [priority(0, 255), head("GET", &[])].concat();
    let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
    let answered = |what, bytes| case(what, bytes, Expect::Answered);
    let fine = |what, bytes| case(what, bytes, Expect::Pong);
    let cases = vec![
        answered("1: the connection preface", get(1)),
        fine("2: PRIORITY on an idle stream", frame(PRIORITY, 0, 1, &priority(0, 255))),
        answered("2: WINDOW_UPDATE on a half-closed stream", [get(1), window_update(1, 100)].concat()),
        answered("2: PRIORITY on a half-closed stream", [get(1), frame(PRIORITY, 0, 1, &priority(0, 255))].concat()),
        fine("2: RST_STREAM on a half-closed stream", [get(1), reset(1, 8)].concat()),
        steps(
            "2: PRIORITY on a closed stream",
            vec![Step::Send(get(1)), Step::End, Step::Send(frame(PRIORITY, 0, 1, &priority(0, 255)))],
            Expect::Pong,
        ),
        answered("3.1: one DATA frame", [post(1), frame(DATA, END_STREAM, 1, b"test")].concat()),
        answered(
            "3.1: several DATA frames",
            [post(1), frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")].concat(),
        ),
        answered("3.1: DATA with padding", [post(1), padded(DATA, END_STREAM, b"test")].concat()),
        answered("3.2: a HEADERS frame", get(1)),
        answered("3.2: HEADERS with padding", padded(HEADERS, END_HEADERS | END_STREAM, &head("GET", &[]))),
        answered(
            "3.2: HEADERS with priority",
            frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, &with_priority),
        ),
        fine("3.3: PRIORITY with weight 1", frame(PRIORITY, 0, 1, &priority(0, 0))),
        fine("3.3: PRIORITY with weight 256", frame(PRIORITY, 0, 1, &priority(0, 255))),
        fine("3.3: PRIORITY with a dependency", frame(PRIORITY, 0, 3, &priority(1, 255))),
        fine("3.3: PRIORITY, exclusive", frame(PRIORITY, 0, 3, &priority(0x8000_0001, 255))),
        answered(
            "3.3: PRIORITY on an idle stream, then a lower stream",
            [frame(PRIORITY, 0, 5, &priority(0, 255)), get(1)].concat(),
        ),
        fine("3.4: RST_STREAM", [post(1), reset(1, 8)].concat()),
        fine("3.5: SETTINGS", setting(3, 100)),
        fine("3.7: PING", Vec::new()),
        answered("3.8: GOAWAY, and what was asked before it", [get(1), goaway].concat()),
        fine("3.9: WINDOW_UPDATE of the connection", window_update(0, 1)),
        answered("3.9: WINDOW_UPDATE of a stream", [get(1), window_update(1, 1)].concat()),
        answered(
            "3.10: CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, &first), frame(CONTINUATION, END_HEADERS, 1, &rest)].concat(),
        ),
        answered(
            "3.10: several CONTINUATIONs",
            [
                frame(HEADERS, END_STREAM, 1, &first),
                frame(CONTINUATION, 0, 1, &second),
                frame(CONTINUATION, END_HEADERS, 1, &third),
            ]
            .concat(),
        ),
        answered("4: GET", get(1)),
        answered("4: HEAD", frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("HEAD", &[]))),
        answered("4: POST", [post(1), frame(DATA, END_STREAM, 1, b"test")].concat()),
        answered(
            "4: POST with trailers",
            [
                post(1),
                frame(DATA, 0, 1, b"test"),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-test", b"ok")])),
            ]
            .concat(),
        ),
    ];
    hold("generic", cases);
}
