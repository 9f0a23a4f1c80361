//! Text from elsewhere, made harmless for a terminal or a log.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character escaped as `\uXXXX` that moves a cursor, ends a line or turns the
/// order of what is read: C0, C1, DEL, U+2028, U+2029, bidirectional marks (T31, RUSTSEC-2025-0055).
/// The form is JSON's, so that JSON stays JSON. A backslash stays as it is: this is for reading, not
/// for reading back.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers_output) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if steers_output(character) {
            // A String takes whatever is written to it.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Whether a character moves a terminal's cursor, ends a line or turns the order of what is read.
#[must_use]
pub fn steers_output(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_not_touched() {
        assert!(matches!(escape("Ünï 12 {\"a\":\"\\n\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        assert_eq!(escape("a\x1b[2Jb\r\nc\t\x7f"), "a\\u001b[2Jb\\u000d\\u000ac\\u0009\\u007f");
        assert_eq!(escape("\u{9b}2J\u{2028}\u{202e}\u{2066}"), "\\u009b2J\\u2028\\u202e\\u2066");
    }
}
