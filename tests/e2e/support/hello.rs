//! ClientHellos in bytes: taken from rustls, then bent.

use super::agent::Hello;

/// The records of a ClientHello as rustls sends them.
pub fn client_hello(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    hello.connection().write_tls(&mut bytes).unwrap();
    bytes
}

/// The handshake message inside one record.
fn message(record: &[u8]) -> &[u8] {
    assert_eq!(record[0], 22);
    &record[5..]
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[22, 3, 1], &length[..], payload].concat()
}

/// The same hello over as many records as it takes, of this size each.
pub fn fragmented(hello: &[u8], size: usize) -> Vec<u8> {
    message(hello).chunks(size).flat_map(record).collect()
}

/// The same hello with one extension more: encrypted_client_hello is 0xfe0d.
pub fn with_extension(hello: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut message = message(hello).to_vec();
    let at = extensions_at(&message);
    let length = u16::try_from(data.len()).unwrap();
    let extension = [&kind.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
    let grown = u16::from_be_bytes([message[at], message[at + 1]]) + u16::try_from(extension.len()).unwrap();
    message[at..at + 2].copy_from_slice(&grown.to_be_bytes());
    // pre_shared_key must stay last, so the new one goes first.
    message.splice(at + 2..at + 2, extension);
    let whole = u32::try_from(message.len() - 4).unwrap().to_be_bytes();
    message[1..4].copy_from_slice(&whole[1..]);
    record(&message)
}

/// Where the length of the extensions stands: after version, random, session, suites, compressions.
fn extensions_at(message: &[u8]) -> usize {
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(message[at]);
    at += 2 + usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    at + 1 + usize::from(message[at])
}

/// A plausible outer ECH extension (RFC 9849 §5): type, suite, config id, enc, payload.
pub fn ech_outer() -> Vec<u8> {
    let mut data = vec![0, 0, 1, 0, 1, 7, 0, 32];
    data.extend_from_slice(&[5; 32]);
    data.extend_from_slice(&[0, 144]);
    data.extend_from_slice(&[9; 144]);
    data
}
