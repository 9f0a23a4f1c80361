//! A body's bytes out of a connection's bytes.

use super::chunked::{ChunkError, ChunkedDecoder, Piece};
use super::fields::Fields;
use super::framing::Framing;
use bytes::{Bytes, BytesMut};

/// Reads one body off the front of a connection's buffer, without copying.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

/// A part of a body.
#[derive(Debug)]
pub enum Frame {
    /// Bytes of the body; never empty.
    Data(Bytes),
    /// The end, with the trailer fields if there were any.
    End(Fields),
}

impl BodyReader {
    /// A reader for a body of that framing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// The next frame, or nothing while more bytes are needed. After [`Frame::End`] nothing is read.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, ChunkError> {
        match &mut self.state {
            State::Done => Ok(None),
            State::Length(0) => {
                self.state = State::Done;
                Ok(Some(Frame::End(Fields::default())))
            }
            State::Length(_) | State::UntilClose if buffer.is_empty() => Ok(None),
            State::Length(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= now as u64;
                Ok(Some(Frame::Data(buffer.split_to(now).freeze())))
            }
            State::UntilClose => Ok(Some(Frame::Data(buffer.split().freeze()))),
            State::Chunked(decoder) => match decoder.next(buffer)? {
                None => Ok(None),
                Some(Piece::Data(data)) => Ok(Some(Frame::Data(data))),
                Some(Piece::Trailers(trailers)) => {
                    self.state = State::Done;
                    Ok(Some(Frame::End(trailers)))
                }
            },
        }
    }

    /// Whether the whole body was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The peer closed its side: whether that ends the body (`true`) or cuts it.
    #[must_use]
    pub fn ends_at_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::FieldsError;
    use super::super::head::HeadError;
    use super::*;
    use proptest::prelude::*;

    /// A body that was read: its data, how many trailers, what is left over.
    type Body = (Vec<u8>, usize, Vec<u8>);

    /// Feeds `text` in pieces.
    fn read(framing: Framing, text: &[u8], step: usize) -> Result<Option<Body>, ChunkError> {
        let mut reader = BodyReader::new(framing);
        let mut buffer = BytesMut::new();
        let mut data = Vec::new();
        let mut pieces = text.chunks(step);
        loop {
            match reader.next(&mut buffer)? {
                Some(Frame::Data(bytes)) => data.extend_from_slice(&bytes),
                Some(Frame::End(trailers)) => {
                    buffer.extend(pieces.flatten());
                    return Ok(Some((data, trailers.iter().count(), buffer.to_vec())));
                }
                None => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says_and_leaves_the_rest() {
        let whole = |data: &str, trailers, rest: &str| Ok(Some((data.into(), trailers, rest.into())));
        for step in 1..60 {
            assert_eq!(read(Framing::None, b"GET", step), whole("", 0, "GET"));
            assert_eq!(read(Framing::Length(3), b"abcGET", step), whole("abc", 0, "GET"));
            assert_eq!(read(Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", step), whole("abc", 0, "GET"));
            let text = b"003;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0;z\r\nX: 1\r\nY: 2\r\n\r\nGET";
            assert_eq!(read(Framing::Chunked, text, step), whole("abc0123456789", 2, "GET"));
            assert_eq!(read(Framing::Chunked, b"3\r\nabc\r\n0\r\n", step), Ok(None));
            assert_eq!(read(Framing::Length(4), b"abc", step), Ok(None));
        }
    }

    #[test]
    fn every_malformed_chunk_is_refused_however_it_arrives() {
        let cases: [(&[u8], ChunkError); 18] = [
            (b"0x5\r\nabcde\r\n", ChunkError::BadSize),
            (b"+5\r\nabcde\r\n", ChunkError::BadSize),
            (b"-5\r\nabcde\r\n", ChunkError::BadSize),
            (b" 5\r\nabcde\r\n", ChunkError::BadSize),
            (b"5 \r\nabcde\r\n", ChunkError::BadSize),
            (b"5 ;a\r\nabcde\r\n", ChunkError::BadSize),
            (b"5_0\r\nabcde\r\n", ChunkError::BadSize),
            (b"\r\nabcde\r\n", ChunkError::BadSize),
            (b";a\r\nabcde\r\n", ChunkError::BadSize),
            (b"00000000000000005\r\nabcde\r\n", ChunkError::BadSize),
            (b"FFFFFFFFFFFFFFFFF\r\n", ChunkError::BadSize),
            (b"5\nabcde\r\n", ChunkError::BadSize),
            (b"5;a\nX\r\n", ChunkError::BadExtension),
            (b"5;a=b\rX\r\n", ChunkError::BadExtension),
            (b"5;a\0\r\nabcde\r\n", ChunkError::BadExtension),
            (b"5\r\nabcdefg\r\n0\r\n\r\n", ChunkError::BadEnd),
            (b"0\r\nNoColon\r\n\r\n", ChunkError::Trailers(HeadError::Fields(FieldsError::BadName))),
            (b"0\r\nX: 1\n\r\n", ChunkError::Trailers(HeadError::BareLf)),
        ];
        for (text, error) in cases {
            for step in [1, 2, 3, 100] {
                let got = read(Framing::Chunked, text, step).expect_err(&String::from_utf8_lossy(text));
                // A line that is cut is judged as far as it goes: which of its faults comes first may differ.
                let kind = |e: &ChunkError| matches!(e, ChunkError::BadSize | ChunkError::BadExtension);
                assert!(got == error || (kind(&got) && kind(&error)), "{:?}: {got:?}", String::from_utf8_lossy(text));
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extensions = format!("1;{}\r\na\r\n", "x".repeat(6000)).repeat(3);
        assert_eq!(read(Framing::Chunked, extensions.as_bytes(), 4096), Err(ChunkError::ExtensionsTooLarge));
        let endless = format!("1;{}", "x".repeat(20_000));
        assert_eq!(read(Framing::Chunked, endless.as_bytes(), 4096), Err(ChunkError::ExtensionsTooLarge));
        let trailers = format!("0\r\n{}\r\n", format!("X: {}\r\n", "x".repeat(900)).repeat(20));
        assert_eq!(read(Framing::Chunked, trailers.as_bytes(), 512), Err(ChunkError::Trailers(HeadError::TooLarge)));
    }

    proptest! {
        #[test]
        fn chunks_decode_to_the_same_data_at_every_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..6),
            step in 1usize..40,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let got = read(Framing::Chunked, &text, step);
            prop_assert_eq!(got, Ok(Some((chunks.concat(), 0, vec![]))));
        }
    }
}
