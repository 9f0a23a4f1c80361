//! Masking (RFC 6455 §5.3).

use bytes::BytesMut;

/// Masks or unmasks in place; gives the key turned so that it fits the bytes that follow.
pub fn mask(bytes: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let turn = rest.len() % 4;
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    let mut turned = key;
    turned.rotate_left(turn);
    turned
}

/// Appends bytes, masked where there is a key; gives the key turned as [`mask`] does.
pub fn copy_masked(out: &mut BytesMut, bytes: &[u8], key: Option<[u8; 4]>) -> Option<[u8; 4]> {
    let start = out.len();
    out.extend_from_slice(bytes);
    key.map(|key| mask(&mut out[start..], key))
}
