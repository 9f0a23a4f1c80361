//! What the scanner tells: everything about a secret but the secret.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A secret-shaped match. Never holds the secret or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The catalogue's rule: `github-pat-classic`.
    pub rule: Arc<str>,
    /// How much harm the credential does in wrong hands.
    pub severity: Severity,
    /// The part of the message.
    pub surface: Surface,
    /// Where in the surface: a header's or parameter's name (never its value), or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Arc<str>>,
    /// Bytes from the surface's start to the match, as they go over the wire; for what was compressed, to the
    /// compressed stream.
    pub offset: u64,
    /// Bytes of the match, decoded.
    pub length: u32,
    /// The decodings that led to it, outermost first: `gzip`, `base64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decoded: Vec<Cow<'static, str>>,
    /// The same for the same secret within one gateway.
    pub fingerprint: Fingerprint,
    /// What was done about it.
    pub disposition: Disposition,
}

/// The part of a message that a finding lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// A label of the host name.
    Host,
    /// The request method.
    Method,
    /// The path.
    Path,
    /// The query.
    Query,
    /// A header field's name or value.
    Header,
    /// The body.
    Body,
    /// A trailer field.
    Trailer,
    /// A WebSocket message.
    Message,
}

/// How much harm a credential does in wrong hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Little: a client id, a webhook.
    Low,
    /// Some: a scoped or short-lived token.
    Medium,
    /// Much: an account's token.
    High,
    /// All: a root key, a private key, a canary.
    Critical,
}

/// What was done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The request was stopped.
    Blocked,
    /// The bytes were replaced by others of the same length.
    Masked,
    /// Told, nothing stopped.
    Observed,
    /// A credential on its way to its home, where that service reads it: no harm.
    CredentialUsed,
}

/// A keyed digest of the secret: 64 bits of HMAC-SHA-256 under a key that lives as long as the gateway's
/// state, so that two findings of one secret can be told alike and none can be guessed back.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
