//! The first message of TLS, read without answering it.

use super::ja4::Parts;
use super::{Host, HostError};

/// Bytes of a ClientHello, records and all: post-quantum key shares make them span packets, nothing
/// honest makes them span this.
const HELLO_MAX: usize = 64 * 1024;

/// What a ClientHello says about where it wants to go (RFC 8446 §4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name (RFC 6066 §3), canonical.
    pub sni: Option<Host>,
    /// The application protocols offered (RFC 7301), in order.
    pub alpn: Vec<Box<[u8]>>,
    /// Whether the encrypted_client_hello extension is there, real or greased (RFC 9849).
    pub ech: bool,
    /// What kind of client it is of (JA4).
    pub ja4: String,
}

/// Why the first bytes are no ClientHello that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Not a TLS handshake record.
    #[error("the first bytes are no TLS handshake")]
    NotTls,
    /// A length that leads out of the message, or two extensions of one type.
    #[error("the ClientHello is not well-formed")]
    Malformed,
    /// Over 64 KiB.
    #[error("the ClientHello is too large")]
    TooLarge,
    /// A server name that is no canonical host name.
    #[error("the server name is not well-formed")]
    BadName(#[from] HostError),
}

impl ClientHello {
    /// Reads a ClientHello off the front of `bytes`, over as many records as it spans; nothing while
    /// it is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HelloError> {
        HelloReader::default().read(bytes)
    }
}

/// Reads a ClientHello that comes bit by bit, and no byte of it twice: byte by byte is how floods send it.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// How much of the bytes was read.
    read: usize,
    /// What is still to come of the record that was begun.
    left: usize,
    /// The handshake message so far, its four bytes of header too.
    message: Vec<u8>,
}

impl HelloReader {
    /// As [`ClientHello::parse`]. `bytes` begin with those of the call before.
    ///
    /// # Errors
    /// What is no ClientHello, at its first wrong byte.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        loop {
            let rest = bytes.get(self.read..).unwrap_or_default();
            if self.left == 0 {
                let Some(length) = record_length(rest)? else { return within_bounds(bytes) };
                self.read += 5;
                self.left = length;
                continue;
            }
            let part = &rest[..self.left.min(rest.len())];
            self.message.extend_from_slice(part);
            self.read += part.len();
            self.left -= part.len();
            if let Some(body) = self.whole()? {
                return read_message(body).map(Some);
            }
            if part.is_empty() || self.left > 0 {
                return within_bounds(bytes);
            }
        }
    }

    /// The handshake message without its header, once it is all there.
    fn whole(&self) -> Result<Option<&[u8]>, HelloError> {
        if self.message.first().is_some_and(|&kind| kind != 1) {
            return Err(HelloError::NotTls);
        }
        let [_, a, b, c, body @ ..] = self.message.as_slice() else { return Ok(None) };
        let wanted = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if wanted > HELLO_MAX {
            return Err(HelloError::TooLarge);
        }
        Ok(body.get(..wanted))
    }
}

/// The length of the record that begins here (RFC 8446 §5.1), once its header is all there.
fn record_length(bytes: &[u8]) -> Result<Option<usize>, HelloError> {
    // Judged byte by byte, so that what is not TLS is refused at its first byte.
    for (byte, allowed) in bytes.iter().zip([&[22][..], &[3], &[0, 1, 2, 3, 4]]) {
        if !allowed.contains(byte) {
            return Err(HelloError::NotTls);
        }
    }
    let [_, _, _, high, low, ..] = bytes else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 || length > 16 * 1024 + 256 { Err(HelloError::NotTls) } else { Ok(Some(length)) }
}

fn within_bounds(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    if bytes.len() > HELLO_MAX { Err(HelloError::TooLarge) } else { Ok(None) }
}

fn read_message(message: &[u8]) -> Result<ClientHello, HelloError> {
    let mut reader = Reader(message);
    let mut parts = Parts { legacy_version: reader.u16()?, ..Parts::default() };
    reader.take(32)?; // random
    reader.vector8()?; // session id
    parts.ciphers = numbers(reader.vector16()?)?;
    reader.vector8()?; // compression methods
    let mut hello = ClientHello::default();
    if !reader.0.is_empty() {
        read_extensions(&mut reader, &mut hello, &mut parts)?;
    }
    parts.has_name = parts.extensions.contains(&0);
    parts.alpn = hello.alpn.first().cloned();
    hello.ja4 = parts.ja4();
    Ok(hello)
}

fn read_extensions(reader: &mut Reader<'_>, hello: &mut ClientHello, parts: &mut Parts) -> Result<(), HelloError> {
    let mut extensions = Reader(reader.vector16()?);
    if !reader.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        if parts.extensions.contains(&kind) {
            return Err(HelloError::Malformed);
        }
        parts.extensions.push(kind);
        match kind {
            0 => hello.sni = Some(read_server_name(data)?),
            13 => parts.signature_algorithms = numbers(Reader(data).vector16()?)?,
            16 => hello.alpn = read_alpn(data)?,
            43 => parts.versions = numbers(Reader(data).vector8()?)?,
            0xfe0d => hello.ech = true,
            _ => {}
        }
    }
    Ok(())
}

/// A list of two-byte numbers.
fn numbers(data: &[u8]) -> Result<Vec<u16>, HelloError> {
    let (pairs, rest) = data.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HelloError::Malformed);
    }
    Ok(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// Exactly one name of type host_name: two would be two readings.
fn read_server_name(data: &[u8]) -> Result<Host, HelloError> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    let kind = list.take(1)?;
    let name = list.vector16()?;
    if kind != [0] || !list.0.is_empty() || !outer.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    Ok(Host::parse(name)?)
}

fn read_alpn(data: &[u8]) -> Result<Vec<Box<[u8]>>, HelloError> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        protocols.push(list.vector8()?.into());
    }
    if outer.0.is_empty() { Ok(protocols) } else { Err(HelloError::Malformed) }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector16(data: &[u8]) -> Vec<u8> {
        let mut out = u16::try_from(data.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(data);
        out
    }

    fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector16(data)].concat()
    }

    fn sni(name: &[u8]) -> Vec<u8> {
        extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
    }

    /// A hello with these extensions, cut into records of `record` bytes.
    fn hello(extensions: &[u8], record: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(vector16(extensions));
        let mut message = vec![1];
        message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        message.extend(body);
        message.chunks(record).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
    }

    #[test]
    fn a_hello_is_read_whatever_its_records() {
        let alpn = extension(16, &vector16(b"\x02h2\x08http/1.1"));
        let extensions = [sni(b"Allowed.test"), alpn, extension(0xfe0d, b"x"), extension(51, &[0; 1200])].concat();
        for record in [1, 3, 100, 4096] {
            let bytes = hello(&extensions, record);
            let read = ClientHello::parse(&bytes).unwrap().unwrap();
            assert_eq!(read.sni, Some(Host::parse(b"allowed.test").unwrap()));
            assert_eq!(read.alpn, [Box::from(&b"h2"[..]), Box::from(&b"http/1.1"[..])]);
            assert!(read.ech);
            let mut slow = HelloReader::default();
            for cut in 0..bytes.len() {
                assert_eq!(ClientHello::parse(&bytes[..cut]), Ok(None), "cut at {cut} of records of {record}");
                assert_eq!(slow.read(&bytes[..cut]), Ok(None), "cut at {cut} of records of {record}");
            }
            assert_eq!(slow.read(&bytes), Ok(Some(read)));
        }
    }

    #[test]
    fn what_is_no_hello_is_refused_at_its_first_wrong_byte() {
        for bytes in [
            &b"S"[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x02",
            b"\x16\x03\x09",
            b"\x16\x03\x01\0\0",
            b"\x16\x03\x01\0\x05\x02",
            b"\x16\x03\x01\xff\xff",
        ] {
            assert_eq!(ClientHello::parse(bytes), Err(HelloError::NotTls), "{bytes:?}");
        }
        assert_eq!(ClientHello::parse(b"\x16\x03\x01\x40\0\x01\xff\xff\xff"), Err(HelloError::TooLarge));
    }

    #[test]
    fn doubled_names_and_lengths_that_lead_out_are_malformed() {
        let two_names = extension(0, &vector16(&[&[0][..], &vector16(b"a.test"), &[0], &vector16(b"b.test")].concat()));
        for extensions in [two_names, [sni(b"a.test"), sni(b"b.test")].concat(), vec![0, 0, 0, 9, 0], extension(0, &[])]
        {
            assert_eq!(ClientHello::parse(&hello(&extensions, 4096)), Err(HelloError::Malformed), "{extensions:?}");
        }
        assert!(matches!(ClientHello::parse(&hello(&sni(b"a\0b.test"), 4096)), Err(HelloError::BadName(_))));
        let bare = ClientHello::parse(&hello(&[], 4096)).unwrap().unwrap();
        assert_eq!(bare.ja4, "t12i010000_0f2cb44170f4_000000000000");
        assert_eq!(bare, ClientHello { ja4: bare.ja4.clone(), ..ClientHello::default() });
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientHello::parse(&bytes);
            let _ = ClientHello::parse(&hello(&bytes, 64));
            let mut slow = HelloReader::default();
            let mut last = Ok(None);
            for end in 0..=bytes.len() {
                last = slow.read(&bytes[..end]);
                if last != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(last, ClientHello::parse(&bytes));
        }
    }
}
