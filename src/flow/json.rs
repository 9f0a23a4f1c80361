//! JSON that is one printable ASCII line whatever its texts hold.
//!
//! Every request pays for one such line, so an object's members are written straight into the buffer; what is
//! rare or deep goes through serde.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write as _};
use std::net::SocketAddr;

/// A time in UTC with six digits after the second.
const MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// An object that is being written: every member ends in a comma, which the object's end takes the place of. Nothing of
/// it can fail: it goes to memory. Names are written where they are known, so that each is a few stores.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Appends an object with the members that `members` writes.
    pub(super) fn write(out: &'a mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        members(&mut Object { out });
        match out.last_mut() {
            Some(last @ b',') => *last = b'}',
            _ => out.push(b'}'),
        }
    }

    #[inline(always)]
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_text(self.out, text);
        self.out.push(b',');
    }

    /// A word of ours.
    #[inline(always)]
    pub(super) fn word(&mut self, name: &str, word: &'static str) {
        self.plain(name, |out| out.extend_from_slice(word.as_bytes()));
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.name(name);
        push_number(self.out, number);
        self.out.push(b',');
    }

    #[inline(always)]
    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        Object::write(self.out, members);
        self.out.push(b',');
    }

    /// A member that was written before, as [`Object::write`] writes it.
    #[inline(always)]
    pub(super) fn written(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
        self.out.push(b',');
    }

    #[inline(always)]
    pub(super) fn time(&mut self, name: &str, time: Timestamp) {
        self.plain(name, |out| {
            // Writing to a Vec can't fail.
            let _ = MICROS.print_timestamp(&time, jiff::fmt::StdIoWrite(out));
        });
    }

    #[inline(always)]
    pub(super) fn address(&mut self, name: &str, address: SocketAddr) {
        self.plain(name, |out| push_address(out, address));
    }

    /// A member of any shape.
    pub(super) fn value(&mut self, name: &str, value: &impl Serialize) {
        self.name(name);
        let start = self.out.len();
        if let Err(error) = value.serialize(&mut Serializer::with_formatter(&mut *self.out, PrintableAscii)) {
            // Only a map whose keys are no texts does that.
            tracing::error!(%error, name, "a member of a record can't be encoded");
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
        self.out.push(b',');
    }

    /// A text that needs no look: `write` writes nothing but what may stand in a string as it is.
    #[inline(always)]
    pub(super) fn plain(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        self.out.push(b'"');
        write(self.out);
        self.out.extend_from_slice(b"\",");
    }

    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            address.ip().octets().into_iter().zip(b"...:").for_each(|(part, &behind)| {
                push_number(out, part);
                out.push(behind);
            });
            push_number(out, address.port());
        }
        SocketAddr::V6(_) => {
            let _ = write!(out, "{address}");
        }
    }
}

fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Without an early end, so that it is done in vectors.
    let is_plain = |byte: u8| matches!(byte, 0x20..=0x7e) & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A text can't fail.
        let _ = text.serialize(&mut Serializer::with_formatter(out, PrintableAscii));
    }
}

/// Escapes all that is not printable ASCII: DEL and C1 controls move a terminal's cursor, U+2028 ends a line
/// for some readers, bidi overrides show a host backwards (T31).
struct PrintableAscii;

impl Formatter for PrintableAscii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !fragment.bytes().fold(false, |odd, byte| odd | !matches!(byte, 0x20..=0x7e)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~')) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_moves_a_cursor_or_ends_a_line_is_escaped() {
        assert_eq!(encoded("a\r\n{\"verdict\":1}"), r#""a\r\n{\"verdict\":1}""#);
        assert_eq!(encoded("\x1b[2J\x7f\u{9b}"), r#""\u001b[2J\u007f\u009b""#);
        assert_eq!(encoded("\u{2028}\u{202e}x\u{feff}é😀"), r#""\u2028\u202ex\ufeff\u00e9\ud83d\ude00""#);
    }

    #[test]
    fn members_stand_in_their_order_with_numbers_times_and_addresses_as_everyone_writes_them() {
        let mut out = Vec::new();
        let address: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        Object::write(&mut out, |object| {
            object.time("ts", Timestamp::from_microsecond(1_800_000_000_000_007).unwrap());
            object.number("up", u64::MAX);
            object.object("empty", |_| {});
            object.object("at", |at| {
                at.address("v4", "10.0.200.7:80".parse().unwrap());
                at.address("v6", address);
            });
            object.value("list", &["é"]);
            object.text("last", "a\"b\\");
        });
        let line = String::from_utf8(out).unwrap();
        let expected = concat!(
            r#"{"ts":"2027-01-15T08:00:00.000007Z","up":18446744073709551615,"empty":{},"#,
            r#""at":{"v4":"10.0.200.7:80","v6":"[2001:db8::1]:443"},"list":["\u00e9"],"last":"a\"b\\"}"#
        );
        assert_eq!(line, expected);
    }

    proptest! {
        #[test]
        fn any_text_is_printable_and_parses_back(text in any::<String>()) {
            let line = encoded(&text);
            prop_assert!(line.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
