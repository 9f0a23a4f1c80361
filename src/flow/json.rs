//! JSON that is one printable ASCII line whatever the strings hold.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io;

/// Writes `value` in one line of the bytes 0x20 to 0x7e.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, PrintableAscii))
}

/// Escapes all that is not printable ASCII: DEL and C1 controls move a terminal's cursor, U+2028 ends a line
/// for some readers, bidi overrides show a host backwards (T31).
struct PrintableAscii;

impl Formatter for PrintableAscii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Without an early end, so that it is done in vectors.
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
        write(&mut out, &text).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_moves_a_cursor_or_ends_a_line_is_escaped() {
        assert_eq!(encoded("a\r\n{\"verdict\":1}"), r#""a\r\n{\"verdict\":1}""#);
        assert_eq!(encoded("\x1b[2J\x7f\u{9b}"), r#""\u001b[2J\u007f\u009b""#);
        assert_eq!(encoded("\u{2028}\u{202e}x\u{feff}é😀"), r#""\u2028\u202ex\ufeff\u00e9\ud83d\ude00""#);
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
