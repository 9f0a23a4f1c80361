//! Checks that a value carries in itself: a wrong one is no finding.

mod coin;
mod crc;
mod financial;
mod structure;

use super::catalogue::ChecksumSpec;

pub(in crate::secrets) use crc::base62_crc;
pub(super) use structure::is_plain_json;
pub(in crate::secrets) use structure::jwt_claims;

/// A check, with its parameters.
#[derive(Clone, Debug)]
pub(in crate::secrets) struct Checksum {
    check: Check,
    prefix: Option<Box<str>>,
}

type Check = fn(&[u8], Option<&str>) -> bool;

/// A checksum of a name that nobody knows.
#[derive(Debug, thiserror::Error)]
#[error("there is no checksum `{0}`")]
pub struct UnknownChecksum(String);

impl Checksum {
    pub(in crate::secrets) fn new(spec: &ChecksumSpec) -> Result<Self, UnknownChecksum> {
        let check: Check = match spec.kind() {
            "crc32-base62" => crc::base62_body,
            "crc32-base62-whole" | "crc32-base62-prefixed" => crc::base62_whole,
            "crc32-hex" => crc::hex_body,
            "crc32-hex-le-prefixed" => crc::hex_whole_little_endian,
            "gitlab-routable" => crc::gitlab_routable,
            "crc16-stellar" => crc::stellar,
            "crc16-nkey" => crc::nkey,
            "jwt" => structure::jwt,
            "base64-json" => structure::base64_json,
            "base64-user-password" => structure::base64_pair,
            "macaroon" => structure::macaroon,
            "aws-key-id" => structure::aws_key_id,
            "discord" | "base64-digits" => structure::base64_digits,
            "base58-54" => structure::base58_54,
            "base58check" => coin::base58check,
            "bech32" => coin::bech32,
            "luhn" => financial::luhn,
            "mod97" => financial::mod97,
            "bip39" => financial::bip39,
            other => return Err(UnknownChecksum(other.to_owned())),
        };
        Ok(Self { check, prefix: spec.prefix().map(Into::into) })
    }

    /// Whether the value's own check holds.
    pub(in crate::secrets) fn holds(&self, value: &[u8]) -> bool {
        (self.check)(value, self.prefix.as_deref())
    }
}

/// The value without the rule's prefix; by default, what follows its first underscore.
fn body<'a>(value: &'a [u8], prefix: Option<&str>) -> Option<&'a [u8]> {
    match prefix {
        Some(prefix) => value.strip_prefix(prefix.as_bytes()),
        None => memchr::memchr(b'_', value).and_then(|at| value.get(at + 1..)),
    }
}
