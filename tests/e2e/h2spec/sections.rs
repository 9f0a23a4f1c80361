//! The types of frames (RFC 7540 §6) and the codes of errors (§7).

use super::*;

const WRONG: Expect = Expect::Connection(&[PROTOCOL_ERROR]);
const MOST: u32 = i32::MAX as u32;

#[test]
fn what_no_frame_may_be_ends_its_connection_or_stream() {
    let open = |bytes: Vec<u8>| [post(1), bytes].concat();
    let start = || frame(HEADERS, END_STREAM, 1, &head("GET", &[]));
    let padded = |kind, flags| frame(kind, flags | PADDED, 1, &[255, 0, 0, 0]);
    let cases = vec![
        case("6.1: DATA on stream 0", frame(DATA, 1, 0, b"test"), WRONG),
        case(
            "6.1: DATA on a stream that is over",
            [get(1), frame(DATA, 1, 1, b"test")].concat(),
            Expect::Coarse(STREAM_CLOSED),
        ),
        case("6.1: DATA with too much padding", open(padded(DATA, END_STREAM)), WRONG),
        case(
            "6.2: PRIORITY after HEADERS without END_HEADERS",
            [start(), frame(PRIORITY, 0, 1, &priority(0, 1))].concat(),
            WRONG,
        ),
        case("6.2: HEADERS of another stream there", [start(), get(3)].concat(), WRONG),
        case("6.2: HEADERS on stream 0", get(0), WRONG),
        case("6.2: HEADERS with too much padding", padded(HEADERS, END_HEADERS | END_STREAM), WRONG),
        case("6.3: PRIORITY on stream 0", frame(PRIORITY, 0, 0, &priority(1, 255)), WRONG),
        case("6.3: PRIORITY of another size", open(frame(PRIORITY, 0, 1, &[0; 4])), Expect::Coarse(FRAME_SIZE_ERROR)),
        case("6.4: RST_STREAM on stream 0", reset(0, 8), WRONG),
        case("6.4: RST_STREAM on an idle stream", reset(1, 8), WRONG),
        case(
            "6.4: RST_STREAM of another size",
            open(frame(RST_STREAM, 0, 1, &[0; 3])),
            Expect::Coarse(FRAME_SIZE_ERROR),
        ),
        case(
            "6.5: an acknowledgement with settings",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Expect::Coarse(FRAME_SIZE_ERROR),
        ),
        case("6.5: SETTINGS on a stream", frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100]), WRONG),
        case("6.5: SETTINGS of another size", frame(SETTINGS, 0, 0, &[0; 3]), Expect::Coarse(FRAME_SIZE_ERROR)),
        case("6.5.2: ENABLE_PUSH of 2", setting(2, 2), WRONG),
        case("6.5.2: INITIAL_WINDOW_SIZE beyond 2^31-1", setting(4, MOST + 1), Expect::Coarse(FLOW_CONTROL_ERROR)),
        case("6.5.2: MAX_FRAME_SIZE below 2^14", setting(5, (1 << 14) - 1), WRONG),
        case("6.5.2: MAX_FRAME_SIZE beyond 2^24-1", setting(5, 1 << 24), WRONG),
        case("6.5.2: an unknown setting", setting(0xff, 1), Expect::Pong),
        case("6.7: PING is answered", Vec::new(), Expect::Pong),
        case("6.7: an answer to no PING", frame(PING, ACK, 0, b"invalid!"), Expect::Pong),
        case("6.7: PING on a stream", frame(PING, 0, 1, &[0; 8]), WRONG),
        case("6.7: PING of another size", frame(PING, 0, 0, &[0; 6]), Expect::Coarse(FRAME_SIZE_ERROR)),
        case("6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), WRONG),
        case("7: GOAWAY with an unknown code", frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]), Expect::Pong),
        case("7: RST_STREAM with an unknown code", open(reset(1, 0xff)), Expect::Pong),
    ];
    hold("6.1 to 6.8, 7", cases);
}

#[test]
fn windows_are_kept_to() {
    let flow = Expect::Connection(&[FLOW_CONTROL_ERROR]);
    let first = |bytes: Vec<u8>| [bytes, get(1)].concat();
    let cases = vec![
        case(
            "6.5.3: of two window sizes the last counts",
            first(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1])),
            Expect::Data(1),
        ),
        case("6.5.3: SETTINGS are acknowledged", setting(3, 10), Expect::SettingsAck),
        case("6.9: a WINDOW_UPDATE of 0", window_update(0, 0), WRONG),
        case(
            "6.9: a WINDOW_UPDATE of 0 on a stream",
            [post(1), window_update(1, 0)].concat(),
            Expect::Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9: a WINDOW_UPDATE of another size",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Expect::Coarse(FRAME_SIZE_ERROR),
        ),
        case("6.9.1: DATA keeps to a window of 1", first(setting(4, 1)), Expect::Data(1)),
        case("6.9.1: a window beyond 2^31-1", [window_update(0, MOST), window_update(0, MOST)].concat(), flow),
        case(
            "6.9.1: a stream's window beyond 2^31-1",
            [post(1), window_update(1, MOST), window_update(1, MOST)].concat(),
            Expect::Stream(&[FLOW_CONTROL_ERROR]),
        ),
        steps(
            "6.9.2: the window size is changed after HEADERS",
            vec![Step::Send(first(setting(4, 0))), Step::Head, Step::Send(setting(4, 1))],
            Expect::Data(1),
        ),
        steps(
            "6.9.2: a window below zero",
            vec![
                Step::Send(first(setting(4, 3))),
                Step::Piece(3),
                Step::Send([setting(4, 2), window_update(1, 2)].concat()),
            ],
            Expect::Data(1),
        ),
        case("6.9.2: INITIAL_WINDOW_SIZE beyond 2^31-1", setting(4, MOST + 1), Expect::Coarse(FLOW_CONTROL_ERROR)),
    ];
    hold("6.5.3, 6.9", cases);
}

#[test]
fn a_header_block_is_one() {
    let start = || frame(HEADERS, END_STREAM, 1, &head("GET", &[]));
    let more = |flags| frame(CONTINUATION, flags, 1, &block(&[("x-test", b"ok")]));
    let cases = vec![
        case("6.10: CONTINUATIONs after HEADERS", [start(), more(0), more(END_HEADERS)].concat(), Expect::Answered),
        case("6.10: DATA among CONTINUATIONs", [start(), more(0), frame(DATA, 1, 1, b"test")].concat(), WRONG),
        case(
            "6.10: CONTINUATION on stream 0",
            [start(), frame(CONTINUATION, 4, 0, &block(&[("a", b"b")]))].concat(),
            WRONG,
        ),
        case("6.10: CONTINUATION after a whole block", [get(1), more(END_HEADERS)].concat(), CLOSED),
        case("6.10: CONTINUATION after the last one", [start(), more(END_HEADERS), more(END_HEADERS)].concat(), CLOSED),
        case("6.10: CONTINUATION after DATA", [post(1), frame(DATA, 0, 1, b"test"), more(END_HEADERS)].concat(), WRONG),
    ];
    hold("6.10", cases);
}

const CLOSED: Expect = Expect::Connection(&[PROTOCOL_ERROR, STREAM_CLOSED]);
