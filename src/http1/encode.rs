//! Writes messages anew from their parsed parts.

use super::fields::Field;
use bytes::{BufMut, BytesMut};

/// `METHOD SP target SP HTTP/1.1`.
pub fn request_line(out: &mut BytesMut, method: &str, target: &str) {
    out.reserve(method.len() + target.len() + 256);
    out.put_slice(method.as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 SP status SP reason`.
pub fn status_line(out: &mut BytesMut, status: u16, reason: &[u8]) {
    out.reserve(reason.len() + 256);
    out.put_slice(b"HTTP/1.1 ");
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or_default();
    out.put_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.put_slice(reason);
    out.put_slice(b"\r\n");
}

/// `name: value`.
pub fn field(out: &mut BytesMut, field: Field<'_>) {
    out.reserve(field.name.len() + field.value.len() + 4);
    out.put_slice(field.name);
    out.put_slice(b": ");
    out.put_slice(field.value);
    out.put_slice(b"\r\n");
}

/// The empty line after a head.
pub fn end_of_head(out: &mut BytesMut) {
    out.put_slice(b"\r\n");
}

/// The line before a chunk's data; [`CHUNK_END`] follows the data. `size` must not be 0.
pub fn chunk_start(out: &mut BytesMut, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(18);
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.put_u8(DIGITS[size >> (digit * 4) & 0xf]);
    }
    out.put_slice(b"\r\n");
}

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk; trailer fields and an empty line follow.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_the_grammar_says() {
        let mut out = BytesMut::new();
        request_line(&mut out, "GET", "/x?y");
        status_line(&mut out, 207, b"Multi");
        field(&mut out, Field { name: b"Host", value: b"h" });
        for size in [1, 15, 16, 255, 4096, 0x0012_3456] {
            chunk_start(&mut out, size);
        }
        assert_eq!(
            out,
            &b"GET /x?y HTTP/1.1\r\nHTTP/1.1 207 Multi\r\nHost: h\r\n1\r\nf\r\n10\r\nff\r\n1000\r\n123456\r\n"[..]
        );
    }
}
