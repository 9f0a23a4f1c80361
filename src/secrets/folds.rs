//! Texts that their format cuts: folded lines, strings and sections that go on, and a key's lines with anything between.

use super::shards::Row;
use zeroize::Zeroizing;

/// What ends one piece and begins the next, in XML and in the parameters of a field (RFC 2231, section 3).
const SECTIONS: &[u8] = b"]]><![CDATA[";
const PARAMETER: (&[u8], &[u8]) = (b"*0", b"*1");

/// A text as its pieces, if a format's marks stand in it that nothing is said by.
pub(super) fn unfolded(text: &[u8]) -> impl Iterator<Item = Row> {
    let sections = memchr::memmem::find(text, SECTIONS).map(|_| {
        let mut pieces = Vec::new();
        let mut from = 0;
        for at in memchr::memmem::find_iter(text, SECTIONS) {
            pieces.push(text.get(from..at).unwrap_or_default());
            from = at + SECTIONS.len();
        }
        pieces.push(text.get(from..).unwrap_or_default());
        pieces
    });
    [sections, lines(text), parameters(text)].into_iter().flatten().map(|pieces| Row::of(pieces.into_iter()))
}

/// Lines that go on behind a backslash, or with a blank on one as long (RFC 5545, section 3.1; RFC 2849).
fn lines(text: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut pieces, mut from, mut folds) = (Vec::new(), 0, 0);
    // Where the line before began, and how long the folded one was.
    let (mut start, mut width) = (0, None);
    for end in memchr::memchr_iter(b'\n', text) {
        let line = text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let next = text.get(end + 1..).unwrap_or_default();
        let escaped = line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let is_wide = width.map_or_else(|| is_property(line), |width: usize| width.abs_diff(line.len()) <= 1);
        let is_folded = matches!(next, [b' ' | b'\t', first, ..] if !first.is_ascii_whitespace()) && is_wide;
        if escaped {
            pieces.push(text.get(from..start + line.len() - 1).unwrap_or_default());
            from = end + 1 + next.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        } else if is_folded && line.len() > 1 {
            pieces.push(text.get(from..start + line.len()).unwrap_or_default());
            from = end + 2;
        }
        folds += usize::from(escaped || is_folded);
        width = is_folded.then_some(line.len());
        start = end + 1;
    }
    pieces.push(text.get(from..).unwrap_or_default());
    (folds > 0).then_some(pieces)
}

/// Whether a line begins with a name and a colon, as those do that are folded: of an event, an entry, a card, a mail.
fn is_property(line: &[u8]) -> bool {
    const LONGEST_NAME: usize = 64;
    let front = line.get(..LONGEST_NAME).unwrap_or(line);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b';' | b'=' | b'.' | b'/');
    let name = front.iter().take_while(|byte| is_name(byte)).count();
    name > 0 && front.get(name) == Some(&b':')
}

/// The parts of a parameter that is cut: `name*0="…"; name*1="…"`.
fn parameters(text: &[u8]) -> Option<Vec<&[u8]>> {
    let first = memchr::memmem::find(text, PARAMETER.0)?;
    memchr::memmem::find(text.get(first..)?, PARAMETER.1)?;
    let value = |item: &'_ [u8]| {
        let equals = memchr::memchr(b'=', item)?;
        let (name, value) = (item.get(..equals)?, item.get(equals + 1..)?);
        let number = name.strip_suffix(b"*").unwrap_or(name);
        let is_part = number.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let is_part = is_part > 0 && number.get(..number.len() - is_part)?.ends_with(b"*");
        is_part.then(|| (equals + 1, value.len()))
    };
    let (mut pieces, mut at) = (Vec::new(), 0);
    for item in text.split(|byte| *byte == b';') {
        if let Some((from, length)) = value(item) {
            let part = text.get(at + from..at + from + length)?.trim_ascii();
            pieces.push(part.strip_prefix(b"\"").and_then(|part| part.strip_suffix(b"\"")).unwrap_or(part));
        }
        at += item.len() + 1;
    }
    Some(pieces)
}

/// A private key whose lines something else stands between: their numbers, tags, a log's marks.
pub(super) fn key(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const HEAD: &[u8] = b"PRIVATE KEY-----";
    const NAME: usize = 40;
    const LINE: usize = 16;
    const BETWEEN: usize = 80;
    let head = memchr::memmem::find(text, HEAD)? + HEAD.len();
    let name = text.get(head.saturating_sub(NAME)..head)?;
    let name = name.get(memchr::memmem::rfind(name, BEGIN)?..)?;
    let rest = text.get(head..)?;
    let rest = rest.get(..memchr::memmem::find(rest, b"-----END").unwrap_or(rest.len()))?;
    let is_coded = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let (mut lines, mut gap) = (Vec::new(), 0);
    for word in rest.chunk_by(|a, b| is_coded(*a) == is_coded(*b)) {
        let is_line = is_coded(*word.first()?) && word.len() >= LINE;
        if is_line {
            lines.push(word);
            gap = 0;
            continue;
        }
        gap += word.len();
        if gap > BETWEEN {
            break;
        }
    }
    // What all of them begin with is none of the key.
    let first = *lines.first()?;
    let alike = |line: &&[u8]| first.iter().zip(*line).take_while(|(a, b)| a == b).count();
    let front = lines.iter().skip(1).map(alike).min().unwrap_or(0);
    let bare = lines.iter().filter_map(|line| line.get(front..));
    let mut out = Zeroizing::new(name.to_vec());
    bare.for_each(|line| out.extend([b"\n", line].concat()));
    out.push(b'\n');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Row> {
        unfolded(text.as_bytes()).collect()
    }

    #[test]
    fn what_a_format_cuts_is_put_together() {
        let row = |pieces: &[&str]| vec![Row::of(pieces.iter().map(|piece| piece.as_bytes()))];
        assert!(
            read("DESCRIPTION:ghp_c0nR\r\n 53vbNwvZ57YiuPRr0f\r\n m01\r\n")
                == row(&["DESCRIPTION:ghp_c0nR", "53vbNwvZ57YiuPRr0f", "m01\r\n"])
        );
        assert!(read("note = \"ghp_c0nR\\\n    53vbN\"\n") == row(&["note = \"ghp_c0nR", "53vbN\"\n"]));
        assert!(read("<n><![CDATA[ghp_]]><![CDATA[c0nR]]></n>") == row(&["<n><![CDATA[ghp_", "c0nR]]></n>"]));
        assert!(read("a; f*0=\"ghp_c0\"; f*1=\"nR\"; g=1") == row(&["ghp_c0", "nR"]));
        assert!(read("a; f*0*=utf-8''ghp%5F; f*1*=c0nR") == row(&["utf-8''ghp%5F", "c0nR"]));
        assert!(read("fn a() {\n    b();\n}\n").is_empty());
        assert!(read("/**\n * A note,\n * and one more.\n */\n").is_empty());
    }

    #[test]
    fn a_key_s_lines_are_read_whatever_stands_between_them() {
        let lines = ["MIIEpAIBAAKCAQEAq7xT2kLc0nR53vbN", "wvZ57YiuPRr0fm01p4fCm2UdWaA1c0nR", "53vbNwvZ57YiuPRr0fm0"];
        let whole = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n", lines.join("\n"));
        for between in ["#012", "<br>\n", "`r`n", "$\n", "\n  12\t", "\n1a2b3c4d (Jo Doe 2026-01-05 10:00) "] {
            let text = format!(
                "x -----BEGIN RSA PRIVATE KEY-----{between}{}",
                lines.map(|line| line.to_owned() + between).concat()
            );
            let found = key(format!("{text}-----END RSA PRIVATE KEY-----").as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&found), whole, "{between:?}");
        }
    }
}
