//! Frames and messages.

use super::super::*;
use bytes::BytesMut;
use proptest::prelude::*;

/// A frame's payload, and whether the message ends with it.
type Fragment = (Vec<u8>, bool);

/// What a stream holds, with payload put together again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    messages: Vec<(Message, Vec<Fragment>)>,
    controls: Vec<(&'static str, Vec<u8>)>,
    violation: Option<Violation>,
}

/// Reads bytes that arrive in these pieces: what a fuzzer may call with anything.
fn read<'a>(sender: Sender, may_compress: bool, pieces: impl IntoIterator<Item = &'a [u8]>, most: usize) -> Read {
    let (mut decoder, mut buffer, mut read) = (Decoder::new(sender, may_compress), BytesMut::new(), Read::default());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let event = match decoder.next(&mut buffer, most) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(violation) => {
                    read.violation = Some(violation);
                    return read;
                }
            };
            let frames = read.messages.last_mut().map(|message| &mut message.1);
            match event {
                Event::Message(message) => read.messages.push((message, Vec::new())),
                Event::Frame { fin, .. } => frames.unwrap().push((Vec::new(), fin)),
                Event::Payload(bytes) => {
                    assert!(!bytes.is_empty() && bytes.len() <= most);
                    frames.unwrap().last_mut().unwrap().0.extend_from_slice(&bytes);
                }
                Event::End(fin) => assert_eq!(frames.unwrap().last().unwrap().1, fin),
                Event::Ping(bytes) => read.controls.push(("ping", bytes.to_vec())),
                Event::Pong(bytes) => read.controls.push(("pong", bytes.to_vec())),
                Event::Close(bytes) => read.controls.push(("close", bytes.to_vec())),
            }
        }
    }
    read
}

fn server(bytes: &[u8]) -> Read {
    read(Sender::Server, false, [bytes], usize::MAX)
}

/// A frame as an endpoint writes it.
fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let opcode = [(0, Opcode::Continuation), (1, Opcode::Text), (2, Opcode::Binary), (8, Opcode::Close)]
        .into_iter()
        .chain([(9, Opcode::Ping), (10, Opcode::Pong)])
        .find_map(|(bits, opcode)| (bits == first & 15).then_some(opcode))
        .unwrap();
    let mut out = BytesMut::new();
    let (fin, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
    Header { fin, rsv1, opcode, length: payload.len() as u64, key }.encode(&mut out);
    copy_masked(&mut out, payload, key);
    out.to_vec()
}

#[test]
fn a_message_is_read_with_its_fragments_and_what_stands_between_them() {
    let key = Some([1, 2, 3, 250]);
    let bytes = [
        frame(0x01, b"Hel", key),
        frame(0x89, b"there?", key),
        frame(0x00, b"", key),
        frame(0x80, b"lo", key),
        frame(0x82, &[0xff; 70_000], key),
        frame(0x8a, b"", key),
        frame(0x88, b"\x03\xe8done", key),
    ]
    .concat();
    let found = read(Sender::Client, false, [bytes.as_slice()], usize::MAX);
    assert_eq!(found.violation, None);
    assert_eq!(found.messages[0].1, [(b"Hel".to_vec(), false), (Vec::new(), false), (b"lo".to_vec(), true)]);
    assert!(found.messages[0].0.is_text && !found.messages[1].0.is_text);
    assert_eq!(found.messages[1].1, [(vec![0xff; 70_000], true)]);
    let controls = [("ping", b"there?".to_vec()), ("pong", vec![]), ("close", b"\x03\xe8done".to_vec())];
    assert_eq!(found.controls, controls);
}

#[test]
fn headers_come_back_as_they_were_written() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40, (1 << 63) - 1] {
        for key in [None, Some([9, 8, 7, 6])] {
            let header = Header { fin: length % 2 == 0, rsv1: true, opcode: Opcode::Binary, length, key };
            let mut out = BytesMut::new();
            header.encode(&mut out);
            let sender = if key.is_some() { Sender::Client } else { Sender::Server };
            assert_eq!(Header::parse(&out, sender), Ok(Some((header, out.len()))));
            assert_eq!(Header::parse(&out[..out.len() - 1], sender), Ok(None));
        }
    }
}

#[test]
fn every_frame_that_is_not_well_formed_is_refused_before_it_is_whole() {
    for (bytes, violation) in [
        (&[0xc1, 0][..], Violation::ReservedBit),
        (&[0xa1], Violation::ReservedBit),
        (&[0x91], Violation::ReservedBit),
        (&[0x83], Violation::ReservedOpcode),
        (&[0x87], Violation::ReservedOpcode),
        (&[0x8b], Violation::ReservedOpcode),
        (&[0x8f], Violation::ReservedOpcode),
        (&[0x09], Violation::ControlFragmented),
        (&[0x08], Violation::ControlFragmented),
        (&[0xc9], Violation::ReservedBit),
        (&[0x89, 126], Violation::ControlTooLong),
        (&[0x88, 127], Violation::ControlTooLong),
        (&[0x81, 0x80], Violation::Masked),
        (&[0x82, 126, 0, 125], Violation::LengthNotMinimal),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Violation::LengthNotMinimal),
        (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::LengthTooLarge),
        (&[0x80, 0], Violation::NothingToContinue),
        (&[0x00, 0], Violation::NothingToContinue),
        (&[0x01, 0, 0x81, 0], Violation::MessageInMessage),
        (&[0x02, 1, 7, 0x02, 0], Violation::MessageInMessage),
        (&[0x81, 0, 0x80, 0], Violation::NothingToContinue),
        (&[0x88, 1, 3], Violation::HalfCloseCode),
        (&[0x88, 4, 3, 0xe8, 0xc3, 0x28], Violation::NotUtf8),
        (&[0x88, 3, 3, 0xe8, 0xc3], Violation::NotUtf8),
    ] {
        assert_eq!(server(bytes).violation, Some(violation), "{bytes:?}");
    }
    assert_eq!(read(Sender::Client, false, [&[0x81, 0][..]], 9).violation, Some(Violation::NotMasked));
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message_where_it_was_agreed_on() {
    let with = |bytes: &[u8]| read(Sender::Server, true, [bytes], 9).violation;
    assert_eq!(with(&[0xc1, 0]), None);
    assert_eq!(with(&[0x41, 0, 0x80, 0]), None);
    assert_eq!(with(&[0x41, 0, 0xc0, 0]), Some(Violation::ReservedBit));
    assert_eq!(with(&[0xc9, 0]), Some(Violation::ReservedBit));
    assert_eq!(with(&[0xd1, 0]), Some(Violation::ReservedBit));
}

#[test]
fn only_codes_that_may_be_sent_close() {
    let closes = |code: u16| server(&[&[0x88, 2][..], &code.to_be_bytes()].concat()).violation.is_none();
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        assert!(closes(code), "{code}");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert!(!closes(code), "{code}");
    }
}

#[test]
fn text_is_held_to_utf8_over_its_fragments_and_bytes_are_not() {
    assert_eq!(server(&[0x01, 1, 0xc3, 0x80, 1, 0xa9]).violation, None);
    assert_eq!(server(&[0x01, 1, 0xc3, 0x80, 1, 0x28]).violation, Some(Violation::NotUtf8));
    assert_eq!(server(&[0x81, 1, 0xc3]).violation, Some(Violation::NotUtf8));
    assert_eq!(server(&[0x81, 3, 0xed, 0xa0, 0x80]).violation, Some(Violation::NotUtf8));
    assert_eq!(server(&[0x82, 1, 0xc3]).violation, None);
    // Told before the frame is whole.
    assert_eq!(server(&[0x81, 9, b'a', 0xf4, 0x90]).violation, Some(Violation::NotUtf8));
}

#[test]
fn a_close_frame_is_what_a_decoder_takes() {
    let mut out = BytesMut::new();
    close_frame(&mut out, CloseCode::POLICY, &"é".repeat(100), Some([5, 6, 7, 8]));
    let found = read(Sender::Client, false, [&out[..]], 9);
    assert_eq!(found.violation, None);
    assert_eq!(found.controls[0].1.len(), 2 + 122);
    assert_eq!(found.controls[0].1[..2], 1008u16.to_be_bytes());
}

/// Streams that are nearly right: random frames, some of them broken.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x01u8, 0x00, 0x80, 0x81, 0x82, 0x02, 0x89, 0x8a, 0xc1, 0x41]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "[a-zé€]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ];
    let one = (first, payload, any::<[u8; 4]>()).prop_map(|(first, payload, key)| {
        let known = matches!(first & 15, 0..=2 | 8..=10);
        let mut bytes = frame(if known { first } else { 0x81 }, &payload, Some(key));
        bytes[0] = first;
        bytes
    });
    prop::collection::vec(one, 0..12).prop_map(|frames| frames.concat())
}

/// The bytes cut at random.
fn pieces(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece.to_vec());
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    pieces
}

proptest! {
    #[test]
    fn any_split_of_the_same_bytes_is_read_in_the_same_way(
        bytes in streams(), sizes in prop::collection::vec(1usize..9, 1..9), most in 1usize..99, compress: bool,
    ) {
        let whole = read(Sender::Client, compress, [bytes.as_slice()], usize::MAX);
        let cut = pieces(&bytes, &sizes);
        let cut = read(Sender::Client, compress, cut.iter().map(Vec::as_slice), most);
        // What is wrong is told with its first byte: the message before it may have been given in part.
        prop_assert_eq!(whole.violation, cut.violation);
        prop_assert_eq!(&whole.controls, &cut.controls);
        if whole.violation.is_none() {
            prop_assert_eq!(whole.messages, cut.messages);
        }
    }

    #[test]
    fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), client: bool) {
        let sender = if client { Sender::Client } else { Sender::Server };
        read(sender, true, [bytes.as_slice()], 64);
    }

    #[test]
    fn masking_twice_is_nothing_however_the_bytes_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..99), key: [u8; 4], cut in 0usize..99,
    ) {
        let expected: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let mut masked = bytes.clone();
        let (start, end) = masked.split_at_mut(cut.min(bytes.len()));
        let turned = mask(start, key);
        mask(end, turned);
        prop_assert_eq!(&masked, &expected);
        let mut out = BytesMut::from(&b"x"[..]);
        copy_masked(&mut out, &masked, Some(key));
        prop_assert_eq!(&out[1..], &bytes[..]);
    }

    #[test]
    fn text_in_pieces_is_utf8_where_it_is_as_a_whole(
        bytes in prop_oneof![
            "\\PC{0,12}".prop_map(String::into_bytes),
            prop::collection::vec(prop::sample::select(vec![b'a', 0x80, 0xbf, 0xc2, 0xe0, 0xa0, 0xed, 0xf0, 0x90, 0xf4]), 0..6),
        ],
        sizes in prop::collection::vec(1usize..4, 1..4),
    ) {
        let mut text = Utf8::default();
        let pieces = pieces(&bytes, &sizes);
        let told = pieces.iter().try_for_each(|piece| text.push(piece)).and_then(|()| text.finish());
        prop_assert_eq!(told.is_ok(), std::str::from_utf8(&bytes).is_ok());
    }
}
