//! Canaries: credentials that look real and open nothing. Each carries a digest of itself, so that any gateway knows
//! one wherever it is seen, and nothing about it needs to be stored.

use super::rules::checksum::base62_crc;
use aws_lc_rs::digest::{SHA256, digest};
use std::str::FromStr;

const DOMAIN: &[u8] = b"exeat canary v1";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters that come from the digest: a real credential has the same ones by chance once in 10¹⁰.
const TAG: usize = 7;

/// What a canary looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GitHub token, its checksum right.
    Github,
    /// An npm token, its checksum right.
    Npm,
    /// An AWS access key id.
    Aws,
    /// An Anthropic API key.
    Anthropic,
    /// A GitLab token.
    Gitlab,
    /// A Stripe secret key.
    Stripe,
    /// A Google API key.
    Google,
    /// A Hugging Face token.
    Huggingface,
}

/// Not a kind of canary.
#[derive(Debug, thiserror::Error)]
#[error("canaries come as github, npm, aws, anthropic, gitlab, stripe, google or huggingface")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "github" => Ok(Kind::Github),
            "npm" => Ok(Kind::Npm),
            "aws" => Ok(Kind::Aws),
            "anthropic" => Ok(Kind::Anthropic),
            "gitlab" => Ok(Kind::Gitlab),
            "stripe" => Ok(Kind::Stripe),
            "google" => Ok(Kind::Google),
            "huggingface" => Ok(Kind::Huggingface),
            _ => Err(UnknownKind),
        }
    }
}

/// Prefix, free characters, alphabet, and what ends it.
struct Layout {
    prefix: &'static str,
    free: usize,
    alphabet: &'static [u8],
    end: End,
}

enum End {
    Nothing,
    Crc,
    Text(&'static str),
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Github,
        Kind::Npm,
        Kind::Aws,
        Kind::Anthropic,
        Kind::Gitlab,
        Kind::Stripe,
        Kind::Google,
        Kind::Huggingface,
    ];

    const fn layout(self) -> Layout {
        match self {
            Kind::Github => Layout { prefix: "ghp_", free: 23, alphabet: BASE62, end: End::Crc },
            Kind::Npm => Layout { prefix: "npm_", free: 23, alphabet: BASE62, end: End::Crc },
            Kind::Aws => Layout { prefix: "AKIA", free: 9, alphabet: BASE32, end: End::Nothing },
            Kind::Anthropic => Layout { prefix: "sk-ant-api03-", free: 86, alphabet: BASE62, end: End::Text("AA") },
            Kind::Gitlab => Layout { prefix: "glpat-", free: 13, alphabet: BASE62, end: End::Nothing },
            Kind::Stripe => Layout { prefix: "sk_live_", free: 17, alphabet: BASE62, end: End::Nothing },
            Kind::Google => Layout { prefix: "AIza", free: 28, alphabet: BASE62, end: End::Nothing },
            Kind::Huggingface => Layout { prefix: "hf_", free: 27, alphabet: LETTERS, end: End::Nothing },
        }
    }
}

/// Makes one out of random bytes.
#[must_use]
pub fn make(kind: Kind, random: &[u8; 128]) -> String {
    let layout = kind.layout();
    let letter =
        |byte: &u8| layout.alphabet.get(usize::from(*byte) % layout.alphabet.len()).map_or('A', |b| *b as char);
    let body: String = random.iter().take(layout.free).map(letter).collect();
    let body = body.clone() + &tag(&layout, body.as_bytes());
    let end = match layout.end {
        End::Nothing => String::new(),
        End::Crc => base62_crc(body.as_bytes()),
        End::Text(text) => text.to_owned(),
    };
    format!("{}{body}{end}", layout.prefix)
}

/// Whether a value is a canary.
pub(super) fn is_canary(value: &[u8]) -> bool {
    Kind::ALL.iter().map(|kind| kind.layout()).any(|layout| {
        let body = value.strip_prefix(layout.prefix.as_bytes()).unwrap_or_default();
        let Some((body, rest)) = body.split_at_checked(layout.free) else { return false };
        rest.get(..TAG) == Some(tag(&layout, body).as_bytes())
    })
}

fn tag(layout: &Layout, body: &[u8]) -> String {
    let hash = digest(&SHA256, &[DOMAIN, layout.prefix.as_bytes(), body].concat());
    let letter =
        |byte: &u8| layout.alphabet.get(usize::from(*byte) % layout.alphabet.len()).map_or('A', |b| *b as char);
    hash.as_ref().iter().take(TAG).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_knows_itself() {
        for (kind, seed) in Kind::ALL.into_iter().zip(3u8..) {
            let random: [u8; 128] = std::array::from_fn(|at| (at as u8).wrapping_mul(73).wrapping_add(seed));
            let made = make(kind, &random);
            assert!(is_canary(made.as_bytes()), "{made}");
            let other = made.replace(made.chars().nth(14).unwrap(), "5");
            assert!(!is_canary(other.as_bytes()), "{other}");
        }
        assert!(!is_canary(b"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"));
        assert!(!is_canary(b""));
    }
}
