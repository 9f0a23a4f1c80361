//! Request and response heads.

use super::fields::{Fields, FieldsError, is_token_byte};
use bytes::{Bytes, BytesMut};
use http::Method;
use std::ops::Range;

/// The version that a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// No persistent connections, no chunks.
    Http10,
    /// RFC 9112.
    Http11,
    /// RFC 9113: a stream of a connection, framed by it.
    Http2,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// Bytes of a request target.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, fields: 200, target: 16 * 1024 }
    }
}

/// Why a head was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A line that ends in LF without CR.
    #[error("a line ends in a bare line feed")]
    BareLf,
    /// Not `METHOD SP target SP HTTP/1.x`, each part well-formed and parted by single spaces.
    #[error("the request line is not well-formed")]
    BadRequestLine,
    /// Not `HTTP/1.x SP 3digits [SP reason]`.
    #[error("the status line is not well-formed")]
    BadStatusLine,
    /// Well-formed, but neither 1.0 nor 1.1.
    #[error("the HTTP version is neither 1.0 nor 1.1")]
    BadVersion,
    /// Over [`HeadLimits::bytes`].
    #[error("the head is too large")]
    TooLarge,
    /// Over [`HeadLimits::target`].
    #[error("the request target is too long")]
    TargetTooLong,
    /// The field lines.
    #[error(transparent)]
    Fields(#[from] FieldsError),
}

/// Finds the end of a head while its bytes arrive; looks at each byte once, however slowly they come.
#[derive(Debug, Default)]
pub struct HeadScan {
    line_start: usize,
    scanned: usize,
}

impl HeadScan {
    /// The length of the head with its empty line, once it is there.
    pub fn find_end(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        while let Some(offset) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let lf = self.scanned + offset;
            if lf == self.line_start || bytes[lf - 1] != b'\r' {
                return Err(HeadError::BareLf);
            }
            if lf >= limits.bytes {
                return Err(HeadError::TooLarge);
            }
            // An empty first line is no head: RFC 9112 §2.2 lets a server skip it, we don't guess.
            let empty = lf - 1 == self.line_start;
            self.line_start = lf + 1;
            self.scanned = lf + 1;
            if empty {
                return Ok(Some(lf + 1));
            }
        }
        self.scanned = bytes.len();
        if bytes.len() >= limits.bytes { Err(HeadError::TooLarge) } else { Ok(None) }
    }
}

/// A request's head.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// What it came in.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
    target: Range<usize>,
    bytes: Bytes,
}

impl RequestHead {
    /// Takes a head of `length` bytes (see [`HeadScan`]) off the front of `buffer`.
    pub fn take(buffer: &mut BytesMut, length: usize, limits: &HeadLimits) -> Result<Self, HeadError> {
        let bytes = buffer.split_to(length).freeze();
        let line_end = line_end(&bytes).ok_or(HeadError::BadRequestLine)?;
        let line = &bytes[..line_end];
        let method_end = memchr::memchr(b' ', line).ok_or(HeadError::BadRequestLine)?;
        let target_end = memchr::memrchr(b' ', line).filter(|&at| at > method_end).ok_or(HeadError::BadRequestLine)?;
        let target = method_end + 1..target_end;
        let version = parse_version(&line[target_end + 1..], HeadError::BadRequestLine)?;
        if target.is_empty() || !line[target.clone()].iter().all(|byte| (0x21..=0x7e).contains(byte)) {
            return Err(HeadError::BadRequestLine);
        }
        if target.len() > limits.target {
            return Err(HeadError::TargetTooLong);
        }
        let method = &line[..method_end];
        if !method.iter().all(|&byte| is_token_byte(byte)) {
            return Err(HeadError::BadRequestLine);
        }
        let method = Method::from_bytes(method).map_err(|_| HeadError::BadRequestLine)?;
        let fields = Fields::parse(bytes.clone(), line_end + 2..length - 2, limits.fields)?;
        Ok(Self { method, version, fields, target, bytes })
    }

    /// A head that came in parts, as in HTTP/2: `target` is its `:path`.
    pub fn assemble(method: Method, target: Bytes, fields: Fields, limits: &HeadLimits) -> Result<Self, HeadError> {
        if target.is_empty() || !target.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
            return Err(HeadError::BadRequestLine);
        }
        if target.len() > limits.target {
            return Err(HeadError::TargetTooLong);
        }
        if fields.size() + target.len() >= limits.bytes {
            return Err(HeadError::TooLarge);
        }
        Ok(Self { method, version: Version::Http2, fields, target: 0..target.len(), bytes: target })
    }

    /// The request target as sent: visible ASCII, never empty.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.bytes[self.target.clone()]
    }
}

/// A response's head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// What it came in.
    pub version: Version,
    /// The header fields.
    pub fields: Fields,
    reason: Range<usize>,
    bytes: Bytes,
}

impl ResponseHead {
    /// Takes a head of `length` bytes (see [`HeadScan`]) off the front of `buffer`.
    pub fn take(buffer: &mut BytesMut, length: usize, limits: &HeadLimits) -> Result<Self, HeadError> {
        let bytes = buffer.split_to(length).freeze();
        let line_end = line_end(&bytes).ok_or(HeadError::BadStatusLine)?;
        let line = &bytes[..line_end];
        // The space after the status is compulsory (RFC 9112 §4), but so many servers leave it out
        // together with the reason that this one form is taken; it has no second reading.
        let (version, status, reason) = match line {
            [version @ .., b' ', a, b, c] if version.len() == 8 => (version, [*a, *b, *c], line_end..line_end),
            [_, _, _, _, _, _, _, _, b' ', a, b, c, b' ', ..] => (&line[..8], [*a, *b, *c], 13..line_end),
            _ => return Err(HeadError::BadStatusLine),
        };
        let version = parse_version(version, HeadError::BadStatusLine)?;
        if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' {
            return Err(HeadError::BadStatusLine);
        }
        let status = status.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let is_control = |&byte: &u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        if line[reason.clone()].iter().any(is_control) {
            return Err(HeadError::BadStatusLine);
        }
        let fields = Fields::parse(bytes.clone(), line_end + 2..length - 2, limits.fields)?;
        Ok(Self { status, version, fields, reason, bytes })
    }

    /// A head that came in parts, as in HTTP/2.
    #[must_use]
    pub fn assemble(status: u16, fields: Fields) -> Self {
        Self { status, version: Version::Http2, fields, reason: 0..0, bytes: Bytes::new() }
    }

    /// The reason phrase as sent; it may be empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.bytes[self.reason.clone()]
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes).and_then(|lf| lf.checked_sub(1)).filter(|&end| end > 0)
}

fn parse_version(text: &[u8], otherwise: HeadError) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(HeadError::BadVersion)
        }
        _ => Err(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(text: &[u8]) -> Result<RequestHead, HeadError> {
        let limits = HeadLimits::default();
        let mut buffer = BytesMut::from(text);
        let end = HeadScan::default().find_end(&buffer, &limits)?.expect("the head is whole");
        RequestHead::take(&mut buffer, end, &limits)
    }

    fn response(text: &[u8]) -> Result<ResponseHead, HeadError> {
        let limits = HeadLimits::default();
        let mut buffer = BytesMut::from(text);
        let end = HeadScan::default().find_end(&buffer, &limits)?.expect("the head is whole");
        ResponseHead::take(&mut buffer, end, &limits)
    }

    #[test]
    fn a_request_head_has_method_target_version_and_fields() {
        let head = request(b"POST http://h/x?y HTTP/1.0\r\nHost: h\r\n\r\nbody").unwrap();
        assert_eq!(head.method, Method::POST);
        assert_eq!(head.target(), b"http://h/x?y");
        assert_eq!(head.version, Version::Http10);
        assert_eq!(head.fields.first("host"), Some(&b"h"[..]));
    }

    #[test]
    fn every_malformed_request_line_is_refused() {
        for (text, error) in [
            (&b"GET http://h/\r\n\r\n"[..], HeadError::BadRequestLine),
            (b"GET  http://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET\thttp://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b" GET http://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ x HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/1.1 \r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/\x01 HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/\x7f HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/\0 HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            ("GET http://h/é HTTP/1.1\r\n\r\n".as_bytes(), HeadError::BadRequestLine),
            (b"G@T http://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"G\0T http://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ http/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/1.10\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/11\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/1.1x\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/2.0\r\n\r\n", HeadError::BadVersion),
            (b"GET http://h/ HTTP/1.2\r\n\r\n", HeadError::BadVersion),
            (b"\r\nGET http://h/ HTTP/1.1\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/1.1\nHost: h\n\n", HeadError::BareLf),
            (b"GET http://h/ HTTP/1.1\r\nHost: h\n\r\n", HeadError::BareLf),
            (b"GET http://h/ HTTP/1.1\rHost: h\r\n\r\n", HeadError::BadRequestLine),
            (b"GET http://h/ HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::Fields(FieldsError::Folded)),
            (b"PRI * HTTP/2.0\r\n\r\n", HeadError::BadVersion),
        ] {
            assert_eq!(request(text).err(), Some(error), "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_head_is_found_however_it_is_cut() {
        let text = b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\nrest";
        for step in 1..text.len() {
            let mut scan = HeadScan::default();
            let found = (step..=text.len()).step_by(step).chain([text.len()]);
            let end = found.map(|n| scan.find_end(&text[..n], &HeadLimits::default()).unwrap()).find_map(|end| end);
            assert_eq!(end, Some(text.len() - 4), "in steps of {step}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let limits = HeadLimits { bytes: 64, fields: 2, target: 16 };
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(64));
        assert_eq!(HeadScan::default().find_end(long.as_bytes(), &limits), Err(HeadError::TooLarge));
        assert_eq!(HeadScan::default().find_end(&[b'a'; 64], &limits), Err(HeadError::TooLarge));
        let mut target = BytesMut::from(&b"GET http://host/path/x HTTP/1.1\r\n\r\n"[..]);
        let length = target.len();
        assert_eq!(RequestHead::take(&mut target, length, &limits).err(), Some(HeadError::TargetTooLong));
    }

    #[test]
    fn a_status_line_may_lack_its_reason() {
        for (text, status, reason) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], 200, "OK"),
            (b"HTTP/1.1 200 \r\n\r\n", 200, ""),
            (b"HTTP/1.0 404\r\n\r\n", 404, ""),
            (b"HTTP/1.1 599 Not  Known \r\n\r\n", 599, "Not  Known "),
        ] {
            let head = response(text).unwrap();
            assert_eq!((head.status, String::from_utf8_lossy(head.reason()).as_ref()), (status, reason));
        }
        for text in [
            &b"HTTP/1.1 99 x\r\n\r\n"[..],
            b"HTTP/1.1 099 x\r\n\r\n",
            b"HTTP/1.1 20x\r\n\r\n",
            b"HTTP/1.1  200\r\n\r\n",
            b"200 OK\r\n\r\n",
            b"HTTP/1.1 2000 x\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200 a\0b\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
        ] {
            assert!(response(text).is_err(), "{:?}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        /// Whatever we take, httparse (the parser under hyper) reads in the same way.
        #[test]
        fn a_head_that_passes_has_the_same_reading_elsewhere(
            line in "[A-Z]{1,4} [!-~]{1,12} HTTP/1\\.[01]",
            fields in proptest::collection::vec("[!-~]{1,6}:[ -~\\t]{0,8}", 0..4),
        ) {
            let text = format!("{line}\r\n{}\r\n", fields.iter().map(|f| format!("{f}\r\n")).collect::<String>());
            if let Ok(head) = request(text.as_bytes()) {
                let mut room = [httparse::EMPTY_HEADER; 8];
                let mut oracle = httparse::Request::new(&mut room);
                prop_assert!(oracle.parse(text.as_bytes()).unwrap().is_complete());
                prop_assert_eq!(oracle.path.unwrap().as_bytes(), head.target());
                let ours: Vec<_> = head.fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
                let theirs: Vec<_> =
                    oracle.headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.trim_ascii().to_vec())).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
