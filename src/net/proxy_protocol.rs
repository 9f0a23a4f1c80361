//! The PROXY protocol, version 2: who a load balancer speaks for. Version 1 has no length and is not read.

use std::net::{IpAddr, SocketAddr};

/// The bytes that every header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of addresses and additions; balancers send a few hundred.
const LENGTH_MAX: usize = 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The balancer speaks for itself (a health check), or can't tell for whom.
    Own,
    /// For the client at this address.
    For(SocketAddr),
}

/// Why a header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The first bytes are not its signature.
    #[error("a load balancer sent no PROXY protocol header of version 2")]
    NoHeader,
    /// A version, command or family that is not assigned, or that no TCP balancer sends.
    #[error("the PROXY protocol header is of a kind that is not taken")]
    Kind,
    /// Lengths that lead out of the header.
    #[error("the PROXY protocol header is not well-formed")]
    Malformed,
    /// Over 4 KiB.
    #[error("the PROXY protocol header is too long")]
    TooLong,
}

impl ProxyHeader {
    /// Reads a header off the front of `bytes`, and how many bytes it takes; nothing while it is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        let seen = bytes.len().min(SIGNATURE.len());
        if bytes[..seen] != SIGNATURE[..seen] {
            return Err(ProxyHeaderError::NoHeader);
        }
        let Some([command, family, high, low]) = bytes.get(12..16) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > LENGTH_MAX {
            return Err(ProxyHeaderError::TooLong);
        }
        let Some(body) = bytes[16..].get(..length) else { return Ok(None) };
        let header = match (command, family) {
            // LOCAL: whatever follows is to be skipped.
            (0x20, _) => ProxyHeader::Own,
            (0x21, 0x00) => ProxyHeader::Own,
            (0x21, 0x11) => Self::client::<4>(body)?,
            (0x21, 0x21) => Self::client::<16>(body)?,
            _ => return Err(ProxyHeaderError::Kind),
        };
        Ok(Some((header, 16 + length)))
    }

    /// Source and destination address and port, then additions that must fit.
    fn client<const N: usize>(body: &[u8]) -> Result<Self, ProxyHeaderError>
    where
        IpAddr: From<[u8; N]>,
    {
        let malformed = ProxyHeaderError::Malformed;
        let (source, rest) = body.split_first_chunk::<N>().ok_or(malformed)?;
        let rest = rest.get(N..).ok_or(malformed)?;
        let (port, rest) = rest.split_first_chunk::<2>().ok_or(malformed)?;
        check_additions(rest.get(2..).ok_or(malformed)?)?;
        Ok(ProxyHeader::For(SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes(*port))))
    }
}

/// Type, length, value, as often as there are; nothing of them is used.
fn check_additions(mut rest: &[u8]) -> Result<(), ProxyHeaderError> {
    while !rest.is_empty() {
        let [_, high, low, tail @ ..] = rest else { return Err(ProxyHeaderError::Malformed) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = tail.get(length..).ok_or(ProxyHeaderError::Malformed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, body].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    #[test]
    fn a_client_is_told_with_its_address() {
        let bytes = [&header(0x21, 0x11, &V4)[..], b"GET"].concat();
        assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((ProxyHeader::For("192.0.2.7:12345".parse().unwrap()), 28))));
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[0, 7, 0, 80]].concat();
        let client = ProxyHeader::For("[2001:db8::1]:7".parse().unwrap());
        assert_eq!(ProxyHeader::parse(&header(0x21, 0x21, &v6)), Ok(Some((client, 52))));
        let added = [&V4[..], &[0x20, 0, 2, b'x', b'y', 4, 0, 0]].concat();
        let parsed = ProxyHeader::parse(&header(0x21, 0x11, &added)).unwrap().unwrap();
        assert_eq!(parsed.1, 36);
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        for bytes in [header(0x20, 0, &[]), header(0x20, 0x11, &V4), header(0x21, 0, b"anything")] {
            let length = bytes.len();
            assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((ProxyHeader::Own, length))));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let over = [&V4[..], &[0x20, 0, 3, b'x', b'y']].concat();
        let cut = [&V4[..], &[0x20, 0]].concat();
        for (bytes, error) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), ProxyHeaderError::NoHeader),
            (b"GET / HTTP/1.1\r\n".to_vec(), ProxyHeaderError::NoHeader),
            (b"\r\n\r\nGET".to_vec(), ProxyHeaderError::NoHeader),
            (header(0x11, 0x11, &V4), ProxyHeaderError::Kind),
            (header(0x22, 0x11, &V4), ProxyHeaderError::Kind),
            (header(0x21, 0x12, &V4), ProxyHeaderError::Kind),
            (header(0x21, 0x31, &[0; 216]), ProxyHeaderError::Kind),
            (header(0x21, 0x11, &V4[..11]), ProxyHeaderError::Malformed),
            (header(0x21, 0x21, &V4), ProxyHeaderError::Malformed),
            (header(0x21, 0x11, &over), ProxyHeaderError::Malformed),
            (header(0x21, 0x11, &cut), ProxyHeaderError::Malformed),
            (header(0x21, 0x11, &[0; 5000]), ProxyHeaderError::TooLong),
        ] {
            assert_eq!(ProxyHeader::parse(&bytes), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_that_is_not_whole_waits(end in 0usize..28) {
            prop_assert_eq!(ProxyHeader::parse(&header(0x21, 0x11, &V4)[..end]), Ok(None));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = ProxyHeader::parse(&[SIGNATURE, &bytes[..]].concat());
        }
    }
}
