//! A Java trust store: the old JKS format, which every JDK reads and which needs no library to write.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
/// JDK's own default. The digest below is a check against accidents, not a protection: the file holds no secret.
const PASSWORD: &str = "changeit";

/// A JKS file that trusts these certificates (DER).
///
/// The format (`sun.security.provider.JavaKeyStore`), big-endian: magic, version, count; for each entry its kind,
/// alias, date in milliseconds, certificate type, length, bytes; at last SHA-1 over the password in UTF-16, a
/// fixed phrase and everything before.
pub(super) fn jks<'a>(certificates: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut store = Vec::with_capacity(256 * 1024);
    store.extend(MAGIC.to_be_bytes());
    store.extend(VERSION.to_be_bytes());
    store.extend(count(certificates.len()));
    for (index, certificate) in certificates.enumerate() {
        store.extend(TRUSTED_CERTIFICATE.to_be_bytes());
        string(&mut store, &format!("exeat-{index:04}"));
        store.extend(0u64.to_be_bytes());
        string(&mut store, "X.509");
        store.extend(count(certificate.len()));
        store.extend(certificate);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        digest.update(&unit.to_be_bytes());
    }
    digest.update(b"Mighty Aphrodite");
    digest.update(&store);
    store.extend(digest.finish().as_ref());
    store
}

/// A length of 32 bits; no certificate file comes near it.
fn count(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// `DataOutput.writeUTF`: length in 16 bits, then the bytes (ASCII here).
fn string(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_the_bytes_that_java_reads() {
        let store = jks([&b"der"[..]].into_iter());
        let mut expected = vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10];
        expected.extend(b"exeat-0000");
        expected.extend([0; 8]);
        expected.extend([0, 5]);
        expected.extend(b"X.509");
        expected.extend([0, 0, 0, 3]);
        expected.extend(b"der");
        assert_eq!(store[..expected.len()], expected);
        assert_eq!(store.len(), expected.len() + 20);
    }
}
