//! A request's path and query: forwarded as sent, decided on in every way that an origin may read it.

use std::borrow::Cow;
use std::fmt;

/// Path and query of a request in origin-form (RFC 9112 §3.2.1), or `*`.
///
/// What goes upstream is [`sent`](Path::sent), byte for byte. Decisions are made on
/// [`readings`](Path::readings): a rule that allows must match all of them, a rule that denies any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    sent: Box<str>,
    query_at: usize,
    /// Unreserved characters decoded, escapes in upper case (RFC 3986 §6.2.2); none: as sent.
    canonical: Option<Box<str>>,
    /// Everything decoded, slashes merged, `;parameters` cut off: what a lax origin may see.
    loose: Option<Box<str>>,
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Neither `/…` nor `*`.
    #[error("the path does not start with a slash")]
    NoSlash,
    /// A control character, a space or a byte that is not ASCII.
    #[error("the target has a character that must be percent-encoded")]
    BadCharacter,
    /// `#…`: fragments are never sent (RFC 9110 §7.1).
    #[error("the target holds a fragment")]
    Fragment,
    /// A backslash, which some origins read as a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// `%` without two hex digits in the path.
    #[error("the path holds a broken percent escape")]
    BadEscape,
    /// `.` or `..` as a segment, however often encoded.
    #[error("the path holds a dot segment")]
    DotSegment,
}

/// How often a path is decoded in search of dot segments: origins behind gateways decode twice.
const DECODE_DEPTH: usize = 3;

impl Path {
    /// Parses path and query as they stand in a request target.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        for &byte in text {
            match byte {
                b'#' => return Err(PathError::Fragment),
                0x21..=0x7e => {}
                _ => return Err(PathError::BadCharacter),
            }
        }
        let text = std::str::from_utf8(text).map_err(|_| PathError::BadCharacter)?;
        let query_at = text.find('?').unwrap_or(text.len());
        let path = &text[..query_at];
        if text != "*" && !path.starts_with('/') {
            return Err(PathError::NoSlash);
        }
        if path.contains('\\') {
            return Err(PathError::Backslash);
        }
        let (canonical, loose) = if is_plain(path) {
            (None, None)
        } else {
            refuse_dot_segments(path)?;
            let (canonical, loose) = (canonical(path)?, loose(path));
            ((canonical != path).then(|| canonical.clone().into()), (loose != canonical).then(|| loose.into()))
        };
        Ok(Self { sent: text.into(), query_at, canonical, loose })
    }

    /// Path and query as the client sent them.
    #[must_use]
    pub fn sent(&self) -> &str {
        &self.sent
    }

    /// The path as sent, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.sent[..self.query_at]
    }

    /// The query as sent, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.sent.get(self.query_at + 1..)
    }

    /// The path as origins may read it: the canonical one, then (where it differs) the loosest one.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        let canonical = self.canonical.as_deref().unwrap_or_else(|| self.path());
        std::iter::once(canonical).chain(self.loose.as_deref())
    }
}

/// Path and query as sent.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sent)
    }
}

/// Whether every origin reads this path in one way, so that nothing is decoded or allocated.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let mut before = 0;
    for &byte in bytes {
        let odd = matches!(byte, b'%' | b';' | b'\\') || (before == b'/' && matches!(byte, b'/' | b'.'));
        if odd {
            return false;
        }
        before = byte;
    }
    true
}

fn refuse_dot_segments(path: &str) -> Result<(), PathError> {
    let mut decoded = Cow::Borrowed(path.as_bytes());
    for _ in 0..DECODE_DEPTH {
        if has_dot_segment(&decoded) {
            return Err(PathError::DotSegment);
        }
        decoded = Cow::Owned(percent_encoding::percent_decode(&decoded).collect());
    }
    if has_dot_segment(&decoded) { Err(PathError::DotSegment) } else { Ok(()) }
}

/// Segments are parted here by every character that any origin parts them by, and end at `;`.
fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or(segment))
        .any(|segment| segment == b"." || segment == b"..")
}

fn canonical(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte != b'%' {
            out.push(char::from(*byte));
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else { return Err(PathError::BadEscape) };
        let value = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low).ok_or(PathError::BadEscape)?;
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(value));
        } else {
            out.push('%');
            out.push(char::from(high.to_ascii_uppercase()));
            out.push(char::from(low.to_ascii_uppercase()));
        }
        rest = tail;
    }
    Ok(out)
}

fn loose(path: &str) -> String {
    let mut decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    for _ in 1..DECODE_DEPTH {
        decoded = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
    }
    let mut out = String::with_capacity(decoded.len());
    for segment in decoded.split(['/', '\\']) {
        let segment = segment.split(';').next().unwrap_or(segment);
        if !segment.is_empty() {
            out.push('/');
            out.push_str(segment);
        }
    }
    if out.is_empty() || decoded.ends_with('/') {
        out.push('/');
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn readings(text: &str) -> Vec<String> {
        Path::parse(text.as_bytes()).unwrap().readings().map(str::to_owned).collect()
    }

    #[test]
    fn a_plain_path_has_one_reading_and_keeps_its_query() {
        let path = Path::parse(b"/repos/acme/x?per_page=1&q=a%20b?c").unwrap();
        assert_eq!(path.readings().collect::<Vec<_>>(), ["/repos/acme/x"]);
        assert_eq!(path.query(), Some("per_page=1&q=a%20b?c"));
        assert_eq!(path.sent(), "/repos/acme/x?per_page=1&q=a%20b?c");
        assert_eq!(Path::parse(b"/").unwrap().query(), None);
        assert_eq!(Path::parse(b"/?").unwrap().query(), Some(""));
    }

    #[test]
    fn an_encoded_path_is_read_as_strict_and_as_lax_origins_do() {
        assert_eq!(readings("/@scope%2fname"), ["/@scope%2Fname", "/@scope/name"]);
        assert_eq!(readings("/%61dmin"), ["/admin"]);
        assert_eq!(readings("//admin///x"), ["//admin///x", "/admin/x"]);
        assert_eq!(readings("/a;v=1/b"), ["/a;v=1/b", "/a/b"]);
        assert_eq!(readings("/.well-known/x"), ["/.well-known/x"]);
        assert_eq!(readings("/a/%20/"), ["/a/%20/", "/a/ /"]);
    }

    #[test]
    fn dot_segments_are_refused_however_they_are_written() {
        for text in [
            "/../x",
            "/a/./b",
            "/a/..",
            "/%2e%2e/x",
            "/.%2e/x",
            "/%252e%252e/x",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a/..;x/b",
            "/a/%2e%2e%5cb",
            "/%25252e%25252e/x",
        ] {
            assert_eq!(Path::parse(text.as_bytes()), Err(PathError::DotSegment), "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (text, error) in [
            (&b""[..], PathError::NoSlash),
            (b"x", PathError::NoSlash),
            (b"**", PathError::NoSlash),
            (b"/a b", PathError::BadCharacter),
            (b"/a\x01", PathError::BadCharacter),
            (b"/a\x7f", PathError::BadCharacter),
            (b"/\0", PathError::BadCharacter),
            ("/é".as_bytes(), PathError::BadCharacter),
            (b"/a#f", PathError::Fragment),
            (b"/a\\b", PathError::Backslash),
            (b"/a%", PathError::BadEscape),
            (b"/a%2", PathError::BadEscape),
            (b"/a%zz", PathError::BadEscape),
            (b"/a%+1", PathError::BadEscape),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_reading_holds_a_dot_segment(text in "/[a./%25;\\\\2eEfF]{0,24}") {
            if let Ok(path) = Path::parse(text.as_bytes()) {
                for reading in path.readings() {
                    prop_assert!(!has_dot_segment(reading.as_bytes()), "{} read as {}", text, reading);
                }
            }
        }
    }
}
