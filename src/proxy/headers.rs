//! Which fields pass the gateway, and what some of them ask of it.

use super::error::Error;
use crate::http1::{Field, Fields, Version, list_tokens};
use crate::net::HostFields;
use crate::reason::{Denial, Reason};
use http::Method;

/// Fields for the next hop only (RFC 9110 §7.6.1), and the proxy's own.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-authentication-info",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that a `Connection` field must not take away: whoever names them wants two parsers to
/// disagree about the message.
const NEVER_NOMINATED: [&str; 5] = ["host", "content-length", "transfer-encoding", "proxy-authorization", "trailer"];

/// Fields that mean nothing, or something else, as trailers (RFC 9110 §6.5.1).
const NEVER_TRAILERS: [&str; 12] = [
    "content-length",
    "transfer-encoding",
    "host",
    "trailer",
    "te",
    "connection",
    "upgrade",
    "authorization",
    "proxy-authorization",
    "content-encoding",
    "content-type",
    "set-cookie",
];

/// What the fields of a request ask of the gateway itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// The connection closes after the answer.
    pub(super) close: bool,
    /// The client waits for 100 (Continue) before it sends the body.
    pub(super) expects_continue: bool,
    /// The connection is to become a WebSocket.
    pub(super) websocket: bool,
}

/// Reads what the fields ask of the gateway; refuses what it can't or won't do.
pub(super) fn check_request(fields: &Fields, version: Version) -> Result<Asks, Error> {
    let mut asks = Asks { close: version == Version::Http10, ..Asks::default() };
    for field in fields.iter() {
        if field.is("connection") || field.is("proxy-connection") {
            asks.close |= check_connection(field.value)?;
        } else if field.is("upgrade") {
            asks.websocket |= check_upgrade(field.value)?;
        } else if field.is("expect") {
            if !field.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Reason::ExpectationFailed.into());
            }
            // RFC 9110 §10.1.1: in HTTP/1.0 it is ignored.
            asks.expects_continue = version == Version::Http11;
        }
    }
    Ok(asks)
}

/// Whether an `Upgrade` field asks for WebSocket. A server may overlook what it is asked for (RFC 9110 §7.8), and
/// h2c is: Java's client asks for it with every plain request. Anything else is no way past the gate.
fn check_upgrade(value: &[u8]) -> Result<bool, Error> {
    let mut websocket = false;
    for token in list_tokens(value) {
        if token.eq_ignore_ascii_case(b"websocket") {
            websocket = true;
        } else if !token.eq_ignore_ascii_case(b"h2c") {
            return Err(Reason::UpgradeNotAllowed.into());
        }
    }
    Ok(websocket)
}

/// Whether a field says that the method is another one, as Rack, Laravel, Spring and Google's APIs hear it.
pub(super) fn overrides_method(fields: &Fields, method: &Method) -> bool {
    let overriding = |name: &[u8]| {
        let name: Vec<u8> =
            name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
        matches!(&name[..], b"x-http-method-override" | b"x-http-method" | b"x-method-override")
    };
    fields.iter().any(|field| overriding(field.name) && field.value != method.as_str().as_bytes())
}

/// Whether a response's fields say that its connection closes.
pub(super) fn closes(fields: &Fields, version: Version) -> bool {
    let close = fields.values("connection").flat_map(list_tokens).any(|token| token.eq_ignore_ascii_case(b"close"));
    close || version == Version::Http10
}

/// The `Host` fields of a request; there must be one but in HTTP/1.0 (RFC 9112 §3.2).
pub(super) fn host_fields(fields: &Fields, version: Version) -> HostFields<'_> {
    let mut values = fields.values("host");
    match (values.next(), values.next()) {
        (Some(value), None) => HostFields::One(value),
        (None, _) if version == Version::Http10 => HostFields::None,
        _ => HostFields::Wrong,
    }
}

/// The names that a message's `Connection` fields take away.
pub(super) struct Nominated<'a>(Vec<&'a [u8]>);

impl<'a> Nominated<'a> {
    pub(super) fn of(fields: &'a Fields) -> Self {
        let named = fields.values("connection").flat_map(list_tokens);
        // Requests that name these are refused; an answer that does keeps them.
        let kept = |name: &[u8]| NEVER_NOMINATED.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()));
        let is_option = |name: &[u8]| name.eq_ignore_ascii_case(b"close") || name.eq_ignore_ascii_case(b"keep-alive");
        Self(named.filter(|name| !is_option(name) && !kept(name)).collect())
    }

    /// Whether the field goes no further than here.
    pub(super) fn is_for_this_hop(&self, field: Field<'_>) -> bool {
        HOP_BY_HOP.iter().any(|name| field.is(name)) || self.0.iter().any(|name| field.name.eq_ignore_ascii_case(name))
    }
}

/// Whether a trailer field may be passed on.
pub(super) fn passes_as_trailer(field: Field<'_>) -> bool {
    !NEVER_TRAILERS.iter().chain(&HOP_BY_HOP).any(|name| field.is(name))
}

fn check_connection(value: &[u8]) -> Result<bool, Error> {
    let mut close = false;
    for token in list_tokens(value) {
        close |= token.eq_ignore_ascii_case(b"close");
        if NEVER_NOMINATED.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes())) {
            let denial =
                Denial::new(Reason::BadRequest).because("Connection names a field that frames or routes the message");
            return Err(denial.into());
        }
    }
    Ok(close)
}
