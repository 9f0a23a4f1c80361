//! Header and trailer fields, in the order and spelling in which they came.

use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Field lines over the bytes that they came in: nothing is copied, order and case are kept.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Bytes,
    spans: Vec<Span>,
}

#[derive(Clone, Debug)]
struct Span {
    name: Range<u32>,
    value: Range<u32>,
}

/// One field line: the name as spelled, the value without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// A token (RFC 9110 §5.6.2), never empty.
    pub name: &'a [u8],
    /// Visible ASCII, obs-text, spaces and tabs inside; no control characters.
    pub value: &'a [u8],
}

/// Why field lines were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A line that starts with white space: obs-fold, or a field hidden from one of two parsers.
    #[error("a field line starts with white space")]
    Folded,
    /// No colon, no name, or a character in the name that no token has; white space before the colon counts.
    #[error("a field line has no well-formed name")]
    BadName,
    /// A control character in a value.
    #[error("a field value holds a control character")]
    BadValue,
    /// More lines than the limit.
    #[error("there are too many field lines")]
    TooMany,
}

impl Field<'_> {
    /// Whether this is the field of that name, given in lower case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

impl Fields {
    /// Parses field lines, each ended by CRLF, from `bytes[start..end]`.
    pub(super) fn parse(bytes: Bytes, lines: Range<usize>, max: usize) -> Result<Self, FieldsError> {
        let mut spans = Vec::with_capacity(16);
        let has_odd_values = has_odd_controls(&bytes[lines.clone()]);
        let mut at = lines.start;
        while at < lines.end {
            // The caller found every line's CRLF already.
            let length = memchr::memchr(b'\n', &bytes[at..lines.end]).ok_or(FieldsError::BadValue)?;
            let line = &bytes[at..at + length - 1];
            if spans.len() == max {
                return Err(FieldsError::TooMany);
            }
            let (name, value) = split_line(line, has_odd_values)?;
            spans.push(Span { name: shift(name, at), value: shift(value, at) });
            at += length + 1;
        }
        Ok(Self { bytes, spans })
    }

    /// Fields that came as names and values, as in HTTP/2: held to the same grammar, copied together.
    pub fn collect<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, max: usize) -> Result<Self, FieldsError> {
        let mut bytes = BytesMut::with_capacity(512);
        let mut spans = Vec::with_capacity(16);
        for (name, value) in fields {
            if spans.len() == max {
                return Err(FieldsError::TooMany);
            }
            if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
                return Err(FieldsError::BadName);
            }
            // RFC 9113 §8.2.1: no white space around a value; HTTP/1 would lose it.
            if value.iter().any(is_control) || value.trim_ascii().len() != value.len() {
                return Err(FieldsError::BadValue);
            }
            let at = bytes.len();
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value);
            let value = at + name.len()..bytes.len();
            spans.push(Span { name: shift(0..name.len(), at), value: shift(value, 0) });
        }
        Ok(Self { bytes: bytes.freeze(), spans })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.spans.iter().map(|span| Field { name: self.slice(&span.name), value: self.slice(&span.value) })
    }

    /// The values of every field of that name (in lower case), in order.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.is(name)).map(|field| field.value)
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn first(&self, name: &'static str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Bytes of all names and values, and of what a field line has besides.
    #[must_use]
    pub fn size(&self) -> usize {
        self.spans.iter().map(|span| (span.name.len() + span.value.len()) + 4).sum()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// A value of one of them, a long one as a part of the bytes that all of them came in. A short one is copied: an
    /// entry of HPACK's table (RFC 7541 §4.1: 4,096 bytes) would keep all of these bytes for as long as it stands there.
    #[must_use]
    pub fn shared(&self, value: &[u8]) -> Bytes {
        const LONGEST_INDEXED: usize = 4096;
        if value.len() <= LONGEST_INDEXED {
            return Bytes::copy_from_slice(value);
        }
        let start = (value.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        match self.bytes.get(start..).and_then(|rest| rest.get(..value.len())) {
            Some(_) => self.bytes.slice(start..start + value.len()),
            None => Bytes::copy_from_slice(value),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), trimmed; empty ones are left in.
pub fn list_tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

/// Whether lines hold a control character besides tabs and the CRLF at the end of each, looked at all at once and without
/// an early end, so that it is done in vectors: where every LF has its CR, so has every CR its LF.
fn has_odd_controls(lines: &[u8]) -> bool {
    let (mut controls, mut returns, mut feeds) = (0, 0, 0);
    // As many as a byte counts.
    for chunk in lines.chunks(240) {
        let [mut control, mut cr, mut lf] = [0u8; 3];
        for byte in chunk {
            control += u8::from(is_control(byte));
            cr += u8::from(*byte == b'\r');
            lf += u8::from(*byte == b'\n');
        }
        controls += usize::from(control);
        returns += usize::from(cr);
        feeds += usize::from(lf);
    }
    returns != feeds || controls != returns + feeds
}

/// A line without its CRLF. `is_odd`: its value may hold a control character.
fn split_line(line: &[u8], is_odd: bool) -> Result<(Range<usize>, Range<usize>), FieldsError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(FieldsError::Folded);
    }
    let colon = line.iter().position(|&byte| !is_token_byte(byte)).filter(|&at| at > 0 && line[at] == b':');
    let colon = colon.ok_or(FieldsError::BadName)?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = colon + 1 + value.iter().take_while(|byte| is_blank(byte)).count();
    let end = line.len() - line[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    if is_odd && line[start..end].iter().any(is_control) {
        return Err(FieldsError::BadValue);
    }
    Ok((0..colon, start..end))
}

fn is_control(byte: &u8) -> bool {
    ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f)
}

// Heads are bounded far below 4 GiB.
#[allow(clippy::cast_possible_truncation)]
fn shift(range: Range<usize>, by: usize) -> Range<u32> {
    (range.start + by) as u32..(range.end + by) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static [u8]) -> Result<Vec<(String, String)>, FieldsError> {
        let fields = Fields::parse(Bytes::from_static(text), 0..text.len(), 4)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(fields.iter().map(|field| (text(field.name), text(field.value))).collect())
    }

    #[test]
    fn fields_keep_order_and_spelling_and_lose_outer_blanks() {
        let fields = parse(b"HOST: a\r\nx-B:\t b c \t\r\nEmpty:\r\n").unwrap();
        assert_eq!(fields, [("HOST", "a"), ("x-B", "b c"), ("Empty", "")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn collected_fields_are_held_to_the_same_grammar() {
        let collect = |fields: &[(&'static str, &'static str)]| {
            let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            Fields::collect(pairs, 2).map(|fields| fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect())
        };
        let kept: Vec<(Vec<u8>, Vec<u8>)> = vec![(b"a".into(), b"b c".into()), (b"d".into(), b"".into())];
        assert_eq!(collect(&[("a", "b c"), ("d", "")]), Ok(kept));
        for (fields, error) in [
            (&[("a b", "c")][..], FieldsError::BadName),
            (&[("", "c")], FieldsError::BadName),
            (&[("a:", "c")], FieldsError::BadName),
            (&[("a", "b\r\nc: d")], FieldsError::BadValue),
            (&[("a", "b\0")], FieldsError::BadValue),
            (&[("a", " b")], FieldsError::BadValue),
            (&[("a", "b\t")], FieldsError::BadValue),
            (&[("a", ""), ("b", ""), ("c", "")], FieldsError::TooMany),
        ] {
            assert_eq!(collect(fields), Err(error), "{fields:?}");
        }
    }

    #[test]
    fn a_long_value_is_shared_where_it_is_of_these_fields_and_others_are_copied() {
        let lines = [&b"a: "[..], &b"b".repeat(4097), b"\r\nc: d\r\n"].concat();
        let length = lines.len();
        let fields = Fields::parse(Bytes::from(lines), 0..length, 4).unwrap();
        let (long, short) = (fields.first("a").unwrap(), fields.first("c").unwrap());
        assert_eq!((fields.shared(long).as_ptr(), &fields.shared(long)[..]), (long.as_ptr(), long));
        assert_ne!(fields.shared(short).as_ptr(), short.as_ptr());
        assert_eq!(fields.shared(short), short);
        let other = b"elsewhere".repeat(600);
        assert_eq!(fields.shared(&other), other);
    }

    #[test]
    fn every_malformed_line_is_refused() {
        for (text, error) in [
            (&b" a: b\r\n"[..], FieldsError::Folded),
            (b"a: b\r\n c\r\n", FieldsError::Folded),
            (b"\ta: b\r\n", FieldsError::Folded),
            (b"a : b\r\n", FieldsError::BadName),
            (b"a\t: b\r\n", FieldsError::BadName),
            (b": b\r\n", FieldsError::BadName),
            (b"a b\r\n", FieldsError::BadName),
            (b"a b: c\r\n", FieldsError::BadName),
            (b"a(x)@: c\r\n", FieldsError::BadName),
            (b"\xefoo: c\r\n", FieldsError::BadName),
            (b"a\x85: c\r\n", FieldsError::BadName),
            (b"a\0: c\r\n", FieldsError::BadName),
            (b"a: b\0c\r\n", FieldsError::BadValue),
            (b"a: b\rX: c\r\n", FieldsError::BadValue),
            (b"a: \x0b5\r\n", FieldsError::BadValue),
            (b"a: \x7f\r\n", FieldsError::BadValue),
            (b"a: 1\r\na: 2\r\na: 3\r\na: 4\r\na: 5\r\n", FieldsError::TooMany),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }
}
