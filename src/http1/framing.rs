//! How long a message's body is: one answer, or none.

use super::fields::{Fields, is_token_byte, list_tokens};
use super::head::{RequestHead, ResponseHead, Version};
use http::Method;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// This many bytes; none only where an answer's length goes without saying in HTTP/2.
    Length(u64),
    /// In chunks, with trailers perhaps.
    Chunked,
    /// All until the peer closes: responses only.
    UntilClose,
}

/// Why a message's length is unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112 §6.1).
    #[error("there are both Content-Length and Transfer-Encoding")]
    Both,
    /// More than one `Content-Length` line, equal or not.
    #[error("there is more than one Content-Length")]
    TwoLengths,
    /// Not a plain decimal number below 2^63 without leading zeros.
    #[error("Content-Length is not a plain number")]
    BadLength,
    /// More than one `Transfer-Encoding` line, `chunked` twice, or no list of tokens.
    #[error("Transfer-Encoding is not well-formed")]
    BadCoding,
    /// A coding other than `chunked`.
    #[error("a transfer coding other than chunked is used")]
    OtherCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 §6.1).
    #[error("HTTP/1.0 has no transfer codings")]
    CodingInHttp10,
}

/// The framing of a request's body (RFC 9112 §6.3).
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    Ok(declared(&head.fields, head.version)?.unwrap_or(Framing::None))
}

/// The framing of a body that HTTP/2 frames: by its declared length, or else until its stream ends (in chunks, where
/// it goes on in HTTP/1). `ended`: the stream ended with the head.
pub fn stream_framing(fields: &Fields, ended: bool) -> Result<Framing, FramingError> {
    match declared(fields, Version::Http2)? {
        // A length that the stream can't bring any more (RFC 9113 §8.1.1).
        Some(Framing::Length(_)) if ended => Err(FramingError::BadLength),
        Some(framing) => Ok(framing),
        None if ended => Ok(Framing::None),
        None => Ok(Framing::Chunked),
    }
}

/// Whether a response of this status to `method` has no body whatever its fields say (RFC 9110 §6.4.1).
#[must_use]
pub fn is_bodyless(status: u16, method: &Method) -> bool {
    *method == Method::HEAD || matches!(status, 100..=199 | 204 | 304)
}

/// The framing of the body of a response to `method`.
pub fn response_framing(head: &ResponseHead, method: &Method) -> Result<Framing, FramingError> {
    let bodyless = is_bodyless(head.status, method);
    let declared = declared(&head.fields, head.version)?;
    if bodyless { Ok(Framing::None) } else { Ok(declared.unwrap_or(Framing::UntilClose)) }
}

fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, FramingError> {
    let length = single(fields.values("content-length"), FramingError::TwoLengths)?;
    let coding = single(fields.values("transfer-encoding"), FramingError::BadCoding)?;
    match (length, coding) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(FramingError::Both),
        (Some(length), None) => {
            parse_length(length).map(|n| Some(if n == 0 { Framing::None } else { Framing::Length(n) }))
        }
        (None, Some(_)) if version == Version::Http10 => Err(FramingError::CodingInHttp10),
        (None, Some(coding)) => parse_coding(coding).map(Some),
    }
}

fn single<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
    many: FramingError,
) -> Result<Option<&'a [u8]>, FramingError> {
    let first = values.next();
    if values.next().is_some() { Err(many) } else { Ok(first) }
}

fn parse_length(text: &[u8]) -> Result<u64, FramingError> {
    let plain = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() <= 17 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !plain {
        return Err(FramingError::BadLength);
    }
    Ok(text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn parse_coding(text: &[u8]) -> Result<Framing, FramingError> {
    if text.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let is_token = |token: &[u8]| !token.is_empty() && token.iter().all(|&byte| is_token_byte(byte));
    let chunked = list_tokens(text).filter(|token| token.eq_ignore_ascii_case(b"chunked")).count();
    if chunked > 1 || !list_tokens(text).all(is_token) {
        return Err(FramingError::BadCoding);
    }
    Err(FramingError::OtherCoding)
}

#[cfg(test)]
mod tests {
    use super::super::head::{HeadLimits, HeadScan};
    use super::*;
    use bytes::BytesMut;

    fn framing(fields: &str) -> Result<Framing, FramingError> {
        framing_in("HTTP/1.1", fields)
    }

    fn framing_in(version: &str, fields: &str) -> Result<Framing, FramingError> {
        let mut buffer = BytesMut::from(format!("POST / {version}\r\n{fields}\r\n").as_bytes());
        let length = buffer.len();
        request_framing(&RequestHead::take(&mut buffer, length, &HeadLimits::default()).unwrap())
    }

    #[test]
    fn a_request_is_framed_in_one_way() {
        assert_eq!(framing(""), Ok(Framing::None));
        assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::None));
        assert_eq!(framing("content-length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("Content-Length: 999999999999999999\r\n"), Ok(Framing::Length(999_999_999_999_999_999)));
    }

    #[test]
    fn every_unclear_length_is_refused() {
        for value in
            ["+5", "-5", "0x5", "5_0", "abc", "5 5", "5, 5", "5, 6", "", "005", "18446744073709551616", "5;q=1", "00"]
        {
            assert_eq!(framing(&format!("Content-Length: {value}\r\n")), Err(FramingError::BadLength), "{value}");
        }
        assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5\r\n"), Err(FramingError::TwoLengths));
        assert_eq!(framing("Content-Length:\r\nContent-Length: 5\r\n"), Err(FramingError::TwoLengths));
        assert_eq!(framing("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Err(FramingError::Both));
        assert_eq!(framing("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Err(FramingError::Both));
        for value in [
            "chunked, chunked",
            ",chunked",
            "chunked,",
            "\"chunked\"",
            "chunked;q=1",
            "",
            "chu nked",
            "chunked, gzip, chunked",
        ] {
            assert_eq!(framing(&format!("Transfer-Encoding: {value}\r\n")), Err(FramingError::BadCoding), "{value}");
        }
        for value in ["gzip, chunked", "chunked, identity", "identity", "xchunked"] {
            assert_eq!(framing(&format!("Transfer-Encoding: {value}\r\n")), Err(FramingError::OtherCoding), "{value}");
        }
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            Err(FramingError::BadCoding)
        );
        assert_eq!(framing_in("HTTP/1.0", "Transfer-Encoding: chunked\r\n"), Err(FramingError::CodingInHttp10));
    }

    #[test]
    fn a_response_without_a_length_ends_with_its_connection() {
        let framing = |text: &str, method| {
            let mut buffer = BytesMut::from(text.as_bytes());
            let end = HeadScan::default().find_end(&buffer, &HeadLimits::default()).unwrap().unwrap();
            response_framing(&ResponseHead::take(&mut buffer, end, &HeadLimits::default()).unwrap(), &method)
        };
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n", Method::GET), Ok(Framing::UntilClose));
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Method::GET), Ok(Framing::Length(3)));
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Method::HEAD), Ok(Framing::None));
        assert_eq!(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", Method::GET), Ok(Framing::None));
        assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n", Method::GET), Ok(Framing::None));
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(framing(both, Method::GET), Err(FramingError::Both));
    }
}
