//! JA4: what kind of client a ClientHello is of (FoxIO, BSD-licensed part: TLS clients).

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use std::fmt::Write as _;

/// What of a ClientHello goes into its JA4.
#[derive(Default)]
pub(super) struct Parts {
    /// The version of the message itself.
    pub(super) legacy_version: u16,
    /// Those of the supported_versions extension.
    pub(super) versions: Vec<u16>,
    pub(super) ciphers: Vec<u16>,
    pub(super) extensions: Vec<u16>,
    pub(super) signature_algorithms: Vec<u16>,
    pub(super) has_name: bool,
    /// The first protocol offered.
    pub(super) alpn: Option<Box<[u8]>>,
}

/// The server name, and the protocols: they tell where a client goes, not what it is.
const OF_THE_DESTINATION: [u16; 2] = [0, 16];

impl Parts {
    /// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    pub(super) fn ja4(&self) -> String {
        let ciphers: Vec<u16> = self.ciphers.iter().copied().filter(|value| !is_grease(*value)).collect();
        let extensions: Vec<u16> = self.extensions.iter().copied().filter(|value| !is_grease(*value)).collect();
        let name = if self.has_name { 'd' } else { 'i' };
        let (some, many) = (ciphers.len().min(99), extensions.len().min(99));
        let start = format!("t{}{name}{some:02}{many:02}{}", self.version(), self.protocol());
        let kept = extensions.into_iter().filter(|kind| !OF_THE_DESTINATION.contains(kind)).collect();
        let mut kinds = sorted(kept);
        if !kinds.is_empty() && !self.signature_algorithms.is_empty() {
            kinds.push('_');
            kinds.push_str(&listed(&self.signature_algorithms));
        }
        format!("{start}_{}_{}", short_hash(&sorted(ciphers)), short_hash(&kinds))
    }

    fn version(&self) -> &'static str {
        let highest = self.versions.iter().copied().filter(|value| !is_grease(*value)).max();
        match highest.unwrap_or(self.legacy_version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        }
    }

    /// The first and the last character of the first protocol; of its hexadecimal form where they are no letters
    /// or digits.
    fn protocol(&self) -> String {
        let Some(alpn) = self.alpn.as_deref() else { return "00".to_owned() };
        let ends = |text: &[u8]| text.first().zip(text.last()).map(|(&first, &last)| [first, last]);
        match ends(alpn) {
            None => "00".to_owned(),
            Some(plain) if plain.iter().all(u8::is_ascii_alphanumeric) => plain.map(char::from).iter().collect(),
            Some(_) => {
                let hex = HEXLOWER.encode(alpn);
                ends(hex.as_bytes()).map(|ends| ends.map(char::from).iter().collect()).unwrap_or_default()
            }
        }
    }
}

/// Values that clients strew in so that servers get used to unknown ones (RFC 8701).
fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

fn sorted(mut values: Vec<u16>) -> String {
    values.sort_unstable();
    listed(&values)
}

fn listed(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len() * 5);
    for (index, value) in values.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(text, "{}{value:04x}", if index == 0 { "" } else { "," });
    }
    text
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    HEXLOWER.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: a Chrome.
    fn chrome() -> Parts {
        Parts {
            legacy_version: 0x0303,
            versions: vec![0x5a5a, 0x0304, 0x0303],
            ciphers: vec![
                0xdada, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x8a8a, 0x0000, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023, 0x0010, 0x0005, 0x000d, 0x0012, 0x0033, 0x002d,
                0x002b, 0x001b, 0x4469, 0x0015,
            ],
            signature_algorithms: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            has_name: true,
            alpn: Some(Box::from(&b"h2"[..])),
        }
    }

    #[test]
    fn the_example_of_the_specification_comes_out() {
        assert_eq!(chrome().ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_order_of_ciphers_and_extensions_does_not_matter() {
        let mut shuffled = chrome();
        shuffled.ciphers.reverse();
        shuffled.extensions.reverse();
        assert_eq!(shuffled.ja4(), chrome().ja4());
    }

    #[test]
    fn what_is_not_there_is_zeros() {
        assert_eq!(Parts::default().ja4(), "t00i000000_000000000000_000000000000");
        let alpn = |bytes: &'static [u8]| Parts { alpn: Some(Box::from(bytes)), ..Parts::default() }.protocol();
        assert_eq!(
            (alpn(b"http/1.1"), alpn(b"h"), alpn(b""), alpn(b"\xab\xcd")),
            ("h1".into(), "hh".into(), "00".into(), "ad".into())
        );
    }
}
