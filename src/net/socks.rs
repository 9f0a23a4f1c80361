//! SOCKS5 (RFC 1928) and its username and password (RFC 1929): the messages, both ways.

use super::{Authority, Host, HostError};
use std::net::IpAddr;

/// The version of every message but those of the sub-negotiation.
const VERSION: u8 = 5;
/// The version of the sub-negotiation (RFC 1929 §2).
const AUTH_VERSION: u8 = 1;
/// Username and password.
const USERPASS: u8 = 2;
/// No method that both sides have.
const NONE_ACCEPTABLE: u8 = 0xff;

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocksError {
    /// The first byte is that of something else: SOCKS4, HTTP, TLS.
    #[error("the first byte is not that of SOCKS5")]
    NotSocks5,
    /// A byte that must be what the RFC says is something else.
    #[error("the message is not well-formed")]
    Malformed,
    /// BIND, UDP ASSOCIATE, or what is not assigned.
    #[error("CONNECT is the only command that there is here")]
    Command,
    /// Neither a name nor an address.
    #[error("the address is of a kind that is not assigned")]
    AddressType,
    /// Port 0.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The name or address.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The answer to a request (RFC 1928 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// The tunnel stands.
    Succeeded = 0,
    /// The gateway failed, or something that has no code of its own.
    GeneralFailure = 1,
    /// Policy refuses it.
    NotAllowed = 2,
    /// The name has no address, or no answer came.
    HostUnreachable = 4,
    /// Nobody listens there.
    ConnectionRefused = 5,
    /// The command is not CONNECT.
    CommandNotSupported = 7,
    /// The address is of a kind that is not assigned.
    AddressTypeNotSupported = 8,
}

impl Reply {
    /// The message. The address is that of nobody: where the gateway dials from is nobody's business.
    #[must_use]
    pub fn message(self) -> [u8; 10] {
        [VERSION, self as u8, 0, 1, 0, 0, 0, 0, 0, 0]
    }

    /// What a code means that a server sent; unassigned ones are failures of their own.
    #[must_use]
    pub fn meaning(code: u8) -> &'static str {
        match code {
            0 => "succeeded",
            2 => "not allowed by its rules",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "command not supported",
            8 => "address type not supported",
            _ => "general failure",
        }
    }
}

/// What was read, and how many bytes it took; nothing while it is not whole.
pub type Parsed<T> = Result<Option<(T, usize)>, SocksError>;

/// The client's methods: whether username and password are among them.
pub fn offers_password(bytes: &[u8]) -> Parsed<bool> {
    let [version, rest @ ..] = bytes else { return Ok(None) };
    if *version != VERSION {
        return Err(SocksError::NotSocks5);
    }
    let [count, methods @ ..] = rest else { return Ok(None) };
    if *count == 0 {
        return Err(SocksError::Malformed);
    }
    let Some(methods) = methods.get(..usize::from(*count)) else { return Ok(None) };
    Ok(Some((methods.contains(&USERPASS), 2 + methods.len())))
}

/// The answer to the client's methods.
#[must_use]
pub fn choose(password: bool) -> [u8; 2] {
    [VERSION, if password { USERPASS } else { NONE_ACCEPTABLE }]
}

/// Username and password as they were sent.
pub fn username_password(bytes: &[u8]) -> Parsed<(&[u8], &[u8])> {
    let [version, rest @ ..] = bytes else { return Ok(None) };
    if *version != AUTH_VERSION {
        return Err(SocksError::Malformed);
    }
    let Some((username, rest)) = string(rest) else { return Ok(None) };
    let Some((password, _)) = string(rest) else { return Ok(None) };
    Ok(Some(((username, password), 3 + username.len() + password.len())))
}

/// The answer to username and password.
#[must_use]
pub fn judged(good: bool) -> [u8; 2] {
    [AUTH_VERSION, u8::from(!good)]
}

/// Where a CONNECT wants to go, in the one canonical spelling. A name that is an address in letters is that
/// address; every other numeric spelling is refused with [`Host::parse`].
pub fn connect(bytes: &[u8]) -> Parsed<Authority> {
    let [version, rest @ ..] = bytes else { return Ok(None) };
    if *version != VERSION {
        return Err(SocksError::NotSocks5);
    }
    let [command, reserved, kind, rest @ ..] = rest else { return Ok(None) };
    if *command != 1 {
        return Err(SocksError::Command);
    }
    if *reserved != 0 {
        return Err(SocksError::Malformed);
    }
    let (host, length, rest) = match kind {
        1 => match rest.split_first_chunk::<4>() {
            Some((address, rest)) => (Host::from(IpAddr::from(*address)), 4, rest),
            None => return Ok(None),
        },
        4 => match rest.split_first_chunk::<16>() {
            Some((address, rest)) => (Host::from(IpAddr::from(*address)), 16, rest),
            None => return Ok(None),
        },
        3 => match string(rest) {
            Some((name, rest)) => (named(name)?, 1 + name.len(), rest),
            None => return Ok(None),
        },
        _ => return Err(SocksError::AddressType),
    };
    let Some((port, _)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    match u16::from_be_bytes(*port) {
        0 => Err(SocksError::Port),
        port => Ok(Some((Authority { host, port }, 4 + length + 2))),
    }
}

/// A CONNECT to this authority, as a client sends it.
#[must_use]
pub fn request(to: &Authority) -> Vec<u8> {
    let mut message = vec![VERSION, 1, 0];
    match &to.host {
        Host::Name(name) => {
            message.push(3);
            // A canonical name has at most 253 bytes.
            message.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            message.extend_from_slice(name.as_bytes());
        }
        Host::V4(address) => {
            message.push(1);
            message.extend_from_slice(&address.octets());
        }
        Host::V6(address) => {
            message.push(4);
            message.extend_from_slice(&address.octets());
        }
    }
    message.extend_from_slice(&to.port.to_be_bytes());
    message
}

/// Brackets belong to URLs: a name that has them is none.
fn named(name: &[u8]) -> Result<Host, SocksError> {
    if name.first() == Some(&b'[') {
        return Err(HostError::BadCharacter.into());
    }
    Ok(Host::parse(name)?)
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(command: u8, reserved: u8, kind: u8, address: &[u8], port: u16) -> Vec<u8> {
        [&[5, command, reserved, kind], address, &port.to_be_bytes()].concat()
    }

    fn request_to(authority: &Authority) -> Vec<u8> {
        super::request(authority)
    }

    fn name(name: &[u8]) -> Vec<u8> {
        [&[u8::try_from(name.len()).unwrap()], name].concat()
    }

    fn shown(bytes: &[u8]) -> Result<String, SocksError> {
        connect(bytes).map(|parsed| {
            let (authority, length) = parsed.unwrap();
            assert_eq!(length, bytes.len());
            authority.to_string()
        })
    }

    #[test]
    fn names_and_addresses_become_one_canonical_authority() {
        for (kind, address, expected) in [
            (3, name(b"Example.COM"), "example.com:443"),
            (3, name(b"example.com."), "example.com:443"),
            (3, name(b"192.0.2.1"), "192.0.2.1:443"),
            (1, vec![192, 0, 2, 1], "192.0.2.1:443"),
            (4, "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(), "[2001:db8::1]:443"),
        ] {
            assert_eq!(shown(&request(1, 0, kind, &address, 443)).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_with_two_readings_is_refused() {
        for (text, error) in [
            (&b""[..], HostError::Empty),
            (b"allowed.test\0.evil.test", HostError::BadCharacter),
            (b"allowed.test\r\n", HostError::BadCharacter),
            (b"allowed.test ", HostError::BadCharacter),
            (b"allowed.test:80", HostError::BadCharacter),
            (b"user@allowed.test", HostError::BadCharacter),
            (b"[::1]", HostError::BadCharacter),
            (b"::1", HostError::BadCharacter),
            (b"127.1", HostError::Numeric),
            (b"0x7f000001", HostError::Numeric),
            (b"2130706433", HostError::Numeric),
            ("ｅvil.test".as_bytes(), HostError::NotAscii),
            (b"\xff.test", HostError::NotAscii),
            (b"a..test", HostError::EmptyLabel),
            (b"allowed.test..", HostError::EmptyLabel),
            (&[b'a'; 255], HostError::TooLong),
        ] {
            assert_eq!(shown(&request(1, 0, 3, &name(text), 443)), Err(SocksError::Host(error)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_connect_has_an_error_of_its_own() {
        let address = [192, 0, 2, 1];
        for (bytes, error) in [
            (request(2, 0, 1, &address, 443), SocksError::Command),
            (request(3, 0, 1, &address, 443), SocksError::Command),
            (request(0, 0, 1, &address, 443), SocksError::Command),
            (request(1, 1, 1, &address, 443), SocksError::Malformed),
            (request(1, 0, 2, &address, 443), SocksError::AddressType),
            (request(1, 0, 0, &address, 443), SocksError::AddressType),
            (request(1, 0, 1, &address, 0), SocksError::Port),
            (b"\x04\x01\x01\xbb\xc0\x00\x02\x01".to_vec(), SocksError::NotSocks5),
            (b"GET / HTTP/1.1".to_vec(), SocksError::NotSocks5),
        ] {
            assert_eq!(connect(&bytes).unwrap_err(), error, "{bytes:?}");
        }
    }

    #[test]
    fn only_username_and_password_is_a_method() {
        assert_eq!(offers_password(&[5, 1, 2]), Ok(Some((true, 3))));
        assert_eq!(offers_password(&[5, 3, 0, 1, 2, 9]), Ok(Some((true, 5))));
        assert_eq!(offers_password(&[5, 1, 0]), Ok(Some((false, 3))));
        assert_eq!(offers_password(&[5, 0]), Err(SocksError::Malformed));
        assert_eq!(offers_password(&[4, 1]), Err(SocksError::NotSocks5));
        assert_eq!((choose(true), choose(false)), ([5, 2], [5, 255]));
    }

    #[test]
    fn username_and_password_are_read_as_they_stand() {
        assert_eq!(username_password(b"\x01\x03dev\x02t:rest"), Ok(Some(((&b"dev"[..], &b"t:"[..]), 8))));
        assert_eq!(username_password(b"\x01\x00\x00"), Ok(Some(((&b""[..], &b""[..]), 3))));
        assert_eq!(username_password(b"\x05\x03dev"), Err(SocksError::Malformed));
    }

    #[test]
    fn what_is_asked_of_a_server_is_read_back() {
        for text in ["example.com:443", "192.0.2.1:80", "[2001:db8::1]:8443"] {
            let authority = Authority::parse(text.as_bytes()).unwrap();
            assert_eq!(shown(&request_to(&authority)).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn a_message_that_is_not_whole_waits_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for end in 0..bytes.len() {
                if let Ok(Some((_, length))) = connect(&bytes[..end]) {
                    prop_assert!(length <= end);
                }
                if let Ok(Some((_, length))) = username_password(&bytes[..end]) {
                    prop_assert!(length <= end);
                }
                let _ = offers_password(&bytes[..end]);
            }
        }
    }
}
