//! The beginning of a connection, frames as such, and the states of a stream (RFC 7540 §§3 to 5).

use super::*;

const CLOSED: Expect = Expect::Stream(&[STREAM_CLOSED]);
const COARSE: Expect = Expect::Coarse(STREAM_CLOSED);
const CLOSED_OR_WRONG: Expect = Expect::Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]);
const WRONG: Expect = Expect::Connection(&[PROTOCOL_ERROR]);
/// More than SETTINGS_MAX_FRAME_SIZE is at first.
const LARGE: usize = (1 << 14) + 1;

#[test]
fn a_connection_begins_with_its_preface() {
    let wrong = Case {
        what: "3.5: another preface",
        preface: b"INVALID CONNECTION PREFACE\r\n\r\n",
        steps: Vec::new(),
        expect: WRONG,
    };
    hold("3.5", vec![case("3.5: the preface", Vec::new(), Expect::Pong), wrong]);
}

#[test]
fn frames_are_read_as_they_are_written() {
    let mut reserved = ping(b"reserved");
    reserved[5] |= 0x80;
    reserved[9..].copy_from_slice(b"sentinel");
    let cut = |at: usize| head("GET", &[])[..at].to_vec();
    let size: Expect = Expect::Stream(&[FRAME_SIZE_ERROR]);
    let cases = vec![
        case("4.1: an unknown type", frame(0x16, 0, 0, &[0; 8]), Expect::Pong),
        case("4.1: undefined flags", frame(PING, 0x16, 0, b"sentinel"), Expect::Pong),
        case("4.1: a reserved bit", reserved, Expect::Pong),
        case("4.2: the largest DATA frame", [post(1), frame(DATA, 1, 1, &[0; 1 << 14])].concat(), Expect::Answered),
        case("4.2: a DATA frame beyond that", [post(1), frame(DATA, 1, 1, &[0; LARGE])].concat(), size),
        case(
            "4.2: a HEADERS frame beyond that",
            frame(HEADERS, 5, 1, &[0; LARGE]),
            Expect::Connection(&[FRAME_SIZE_ERROR]),
        ),
        case("4.3: a block that is cut", frame(HEADERS, 5, 1, &cut(3)), Expect::Coarse(COMPRESSION_ERROR)),
        case(
            "4.3: PRIORITY in a block",
            [frame(HEADERS, END_STREAM, 1, &cut(20)), frame(PRIORITY, 0, 1, &priority(0, 255))].concat(),
            WRONG,
        ),
        case(
            "4.3: another stream's HEADERS in a block",
            [frame(HEADERS, END_STREAM, 1, &cut(20)), get(3)].concat(),
            WRONG,
        ),
    ];
    hold("4", cases);
}

#[test]
fn a_stream_takes_what_its_state_allows() {
    let continuation = || frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-test", b"ok")]));
    let data = || frame(DATA, END_STREAM, 1, b"test");
    let after_end = |what, bytes, expect| steps(what, vec![Step::Send(get(1)), Step::End, Step::Send(bytes)], expect);
    let cases = vec![
        case("5.1: idle: DATA", data(), WRONG),
        case("5.1: idle: RST_STREAM", reset(1, 8), WRONG),
        case("5.1: idle: WINDOW_UPDATE", window_update(1, 100), WRONG),
        case("5.1: idle: CONTINUATION", continuation(), WRONG),
        case("5.1: half closed: DATA", [get(1), data()].concat(), COARSE),
        case("5.1: half closed: HEADERS", [get(1), get(1)].concat(), COARSE),
        case("5.1: half closed: CONTINUATION", [get(1), continuation()].concat(), CLOSED_OR_WRONG),
        case("5.1: closed by a reset: DATA", [post(1), reset(1, 8), data()].concat(), CLOSED),
        case("5.1: closed by a reset: HEADERS", [post(1), reset(1, 8), get(1)].concat(), COARSE),
        case("5.1: closed by a reset: CONTINUATION", [post(1), reset(1, 8), continuation()].concat(), CLOSED_OR_WRONG),
        after_end("5.1: closed: DATA", data(), CLOSED),
        after_end("5.1: closed: HEADERS", get(1), Expect::Connection(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        after_end("5.1: closed: CONTINUATION", continuation(), CLOSED_OR_WRONG),
        case("5.1.1: an even number", get(2), WRONG),
        case("5.1.1: a number that is lower than the last", [get(5), get(3)].concat(), WRONG),
        case(
            "5.1.2: more streams than may be",
            (0..129).flat_map(|number| post(number * 2 + 1)).collect(),
            Expect::Stream(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
        case(
            "5.3.1: HEADERS that depend on themselves",
            frame(HEADERS, 5 | HAS_PRIORITY, 1, &[priority(1, 255), head("GET", &[])].concat()),
            Expect::Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.3.1: PRIORITY that depends on itself",
            frame(PRIORITY, 0, 1, &priority(1, 255)),
            Expect::Stream(&[PROTOCOL_ERROR]),
        ),
        case("5.4.1: a wrong PING ends the connection", frame(PING, 0, 3, &[0; 8]), WRONG),
        case("5.4.1: and is told by GOAWAY", frame(PING, 0, 3, &[0; 8]), WRONG),
        case("5.5: an extension's frame", frame(0xff, 0, 0, &[0; 8]), Expect::Pong),
        case(
            "5.5: an extension's frame in a block",
            [frame(HEADERS, END_STREAM, 1, &head("GET", &[])), frame(0xff, 0, 0, &[0; 8])].concat(),
            WRONG,
        ),
    ];
    hold("5", cases);
}
