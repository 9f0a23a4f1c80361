//! The chunked transfer coding, decoded strictly (RFC 9112 §7.1).

use super::fields::{Fields, FieldsError};
use super::head::{HeadError, HeadLimits, HeadScan};
use bytes::{Buf, Bytes, BytesMut};

/// Bytes of chunk extensions in one body; they are dropped, and some peers use them to exhaust parsers.
const EXTENSIONS_MAX: usize = 16 * 1024;
/// Bounds for the trailer section.
const TRAILERS: HeadLimits = HeadLimits { bytes: 16 * 1024, fields: 100, target: 0 };

/// Why chunks were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// No digits, a sign, a prefix, over 16 digits.
    #[error("a chunk's size is not a plain hexadecimal number")]
    BadSize,
    /// A bare CR or LF, or another control character, in an extension.
    #[error("a chunk extension holds a control character")]
    BadExtension,
    /// Too many bytes of extensions.
    #[error("the chunk extensions are too large")]
    ExtensionsTooLarge,
    /// Chunk data that no CRLF follows.
    #[error("a chunk is longer than its size")]
    BadEnd,
    /// The trailer section's lines.
    #[error("the trailer section is not well-formed")]
    Trailers(#[source] HeadError),
}

/// Decodes chunks as bytes arrive.
#[derive(Debug, Default)]
pub(super) struct ChunkedDecoder {
    state: State,
    extensions: usize,
    trailers: HeadScan,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

pub(super) enum Piece {
    Data(Bytes),
    Trailers(Fields),
}

impl ChunkedDecoder {
    /// The next piece of `buffer`, or nothing while more bytes are needed. Trailers come last, once.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, ChunkError> {
        loop {
            match self.state {
                State::Size => match self.take_size(buffer)? {
                    None => return Ok(None),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - now as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Some(Piece::Data(buffer.split_to(now).freeze())));
                }
                State::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(ChunkError::BadEnd),
                },
                State::Trailers => return self.take_trailers(buffer),
            }
        }
    }

    fn take_size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, ChunkError> {
        let digits = buffer.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 || (digits == 0 && !buffer.is_empty()) {
            return Err(ChunkError::BadSize);
        }
        let Some(lf) = memchr::memchr(b'\n', buffer) else {
            // What is here of an unfinished line must be well-formed as far as it goes.
            return check_extension(&buffer[digits..], self.extensions, false).map(|()| None);
        };
        if lf == 0 || buffer[lf - 1] != b'\r' {
            return Err(ChunkError::BadExtension);
        }
        check_extension(&buffer[digits..lf - 1], self.extensions, true)?;
        self.extensions += lf - 1 - digits;
        let size = buffer[..digits].iter().fold(0, |sum, &digit| sum << 4 | hex(digit));
        buffer.advance(lf + 1);
        Ok(Some(size))
    }

    fn take_trailers(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, ChunkError> {
        let found = self.trailers.find_end(buffer, &TRAILERS).map_err(ChunkError::Trailers)?;
        let Some(end) = found else { return Ok(None) };
        let bytes = buffer.split_to(end).freeze();
        let fields = Fields::parse(bytes, 0..end - 2, TRAILERS.fields);
        fields
            .map(|fields| Some(Piece::Trailers(fields)))
            .map_err(|error: FieldsError| ChunkError::Trailers(error.into()))
    }
}

/// An extension is nothing, or starts with a semicolon (blanks before it are bad white space, RFC 9112
/// §7.1.1, that we don't take) and holds no control characters but tabs.
fn check_extension(text: &[u8], before: usize, whole: bool) -> Result<(), ChunkError> {
    let text = if whole { text } else { text.strip_suffix(b"\r").unwrap_or(text) };
    if before + text.len() > EXTENSIONS_MAX {
        return Err(ChunkError::ExtensionsTooLarge);
    }
    match text.first() {
        None => Ok(()),
        Some(b';') if text.iter().all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f)) => Ok(()),
        Some(b';') => Err(ChunkError::BadExtension),
        Some(_) => Err(ChunkError::BadSize),
    }
}

fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    })
}
