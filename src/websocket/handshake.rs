//! The opening handshake, as both sides must have it (RFC 6455 §4).

use super::negotiation::{self, is_token};
use super::{Deflate, ExtensionsError, Offer};
use crate::http1::{Fields, list_tokens};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;

/// What a server mixes into the key to show that it understood (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What `Sec-WebSocket-Accept` must be.
    accept: String,
    protocols: Vec<String>,
    offers: Vec<Offer>,
}

/// Why a handshake was refused, in the request or in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not exactly one `Sec-WebSocket-Version: 13`.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// Not exactly one `Sec-WebSocket-Key` of sixteen bytes.
    #[error("Sec-WebSocket-Key is not sixteen bytes in base64")]
    Key,
    /// `Sec-WebSocket-Protocol` is no list of different tokens.
    #[error("Sec-WebSocket-Protocol is not a list of different tokens")]
    Protocols,
    /// The extensions.
    #[error(transparent)]
    Extensions(#[from] ExtensionsError),
    /// The answer's `Upgrade` is not `websocket`.
    #[error("the answer's Upgrade is not websocket")]
    Upgrade,
    /// The answer's `Connection` does not name `Upgrade`.
    #[error("the answer's Connection does not name Upgrade")]
    Connection,
    /// The answer's `Sec-WebSocket-Accept` is missing, doubled or not the key's.
    #[error("the answer's Sec-WebSocket-Accept does not fit the key")]
    Accept,
    /// The answer chooses a subprotocol that was not offered, or several.
    #[error("the answer chooses a subprotocol that was not offered")]
    ProtocolNotOffered,
}

impl Handshake {
    /// Reads what a request's fields ask for.
    pub fn of_request(fields: &Fields) -> Result<Self, HandshakeError> {
        if single(fields, "sec-websocket-version") != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = single(fields, "sec-websocket-key").ok_or(HandshakeError::Key)?;
        if key.len() != 24 || BASE64.decode(key).is_err() {
            return Err(HandshakeError::Key);
        }
        let mut protocols: Vec<String> = Vec::new();
        for token in fields.values("sec-websocket-protocol").flat_map(list_tokens) {
            let token = std::str::from_utf8(token).ok().filter(|token| is_token(token));
            let token = token.filter(|token| !protocols.iter().any(|other| other == token));
            protocols.push(token.ok_or(HandshakeError::Protocols)?.to_owned());
        }
        let offers = negotiation::offers(fields.values("sec-websocket-extensions"))?;
        Ok(Self { accept: accept(key), protocols, offers })
    }

    /// What `Sec-WebSocket-Accept` must be.
    #[must_use]
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// Holds a 101's fields to what was asked for; gives what was agreed on.
    pub fn check_answer(&self, fields: &Fields) -> Result<Option<Deflate>, HandshakeError> {
        if !single(fields, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err(HandshakeError::Upgrade);
        }
        let mut options = fields.values("connection").flat_map(list_tokens);
        if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
            return Err(HandshakeError::Connection);
        }
        if single(fields, "sec-websocket-accept") != Some(self.accept.as_bytes()) {
            return Err(HandshakeError::Accept);
        }
        let mut chosen = fields.values("sec-websocket-protocol");
        let is_offered = |token: &[u8]| self.protocols.iter().any(|protocol| protocol.as_bytes() == token);
        if !chosen.next().is_none_or(is_offered) || chosen.next().is_some() {
            return Err(HandshakeError::ProtocolNotOffered);
        }
        Ok(negotiation::agreed(fields.values("sec-websocket-extensions"), &self.offers)?)
    }

    /// The value of `Sec-WebSocket-Extensions` as it is passed on, if anything is left of it.
    #[must_use]
    pub fn extensions(&self) -> Option<String> {
        let mut text = String::new();
        for offer in &self.offers {
            if !text.is_empty() {
                text.push_str(", ");
            }
            offer.write(&mut text);
        }
        (!text.is_empty()).then_some(text)
    }
}

fn accept(key: &[u8]) -> String {
    // The protocol's own choice (§1.3): it shows understanding, it protects nothing.
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()).as_ref())
}

/// The value of a field that must be there once.
fn single<'a>(fields: &'a Fields, name: &'static str) -> Option<&'a [u8]> {
    let mut values = fields.values(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
