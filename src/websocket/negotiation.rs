//! `Sec-WebSocket-Extensions`: permessage-deflate and nothing else (RFC 7692 §5, §7.1).

use std::fmt::Write as _;

/// The only extension that is let through: it can be looked into.
const NAME: &str = "permessage-deflate";
/// Offers that are passed on: clients make one or two.
const MOST_OFFERS: usize = 8;

/// One offer of permessage-deflate. A receiver with the largest window inflates every smaller one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Offered without a value: any.
    client_max_window_bits: Option<Option<u8>>,
}

/// What was agreed on: what is needed to inflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The client begins each message with an empty window.
    pub client_forgets: bool,
    /// The server does.
    pub server_forgets: bool,
}

/// Why a list of extensions was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionsError {
    /// Not a list of tokens with parameters.
    #[error("Sec-WebSocket-Extensions is not well-formed")]
    Malformed,
    /// The server answered with an extension, or with parameters, that were not offered.
    #[error("the server uses an extension that was not offered")]
    NotOffered,
}

/// One element of the list: a name and its parameters.
type Element<'a> = (&'a str, Vec<(&'a str, Option<&'a str>)>);

/// The offers of permessage-deflate among a client's; others, and ones that no server may take, are left out.
pub(super) fn offers<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Offer>, ExtensionsError> {
    let mut offers = Vec::new();
    for element in elements(values)? {
        offers.extend(offer(&element).filter(|_| offers.len() < MOST_OFFERS));
    }
    Ok(offers)
}

/// What the server took of the offers; nothing if it took none.
pub(super) fn agreed<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    offers: &[Offer],
) -> Result<Option<Deflate>, ExtensionsError> {
    let elements = elements(values)?;
    let element = match elements.as_slice() {
        [] => return Ok(None),
        [element] => element,
        _ => return Err(ExtensionsError::NotOffered),
    };
    let answer = offer(element).ok_or(ExtensionsError::NotOffered)?;
    // An answer has a value where an offer may have none (§7.1.2.2).
    if answer.client_max_window_bits == Some(None) || !offers.iter().any(|offer| offer.allows(&answer)) {
        return Err(ExtensionsError::NotOffered);
    }
    Ok(Some(Deflate {
        client_forgets: answer.client_no_context_takeover,
        server_forgets: answer.server_no_context_takeover,
    }))
}

impl Offer {
    /// Whether a server may answer this offer so (§7.1).
    fn allows(&self, answer: &Self) -> bool {
        let server_bits = match (self.server_max_window_bits, answer.server_max_window_bits) {
            (Some(most), Some(bits)) => bits <= most,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let client_bits = match (self.client_max_window_bits, answer.client_max_window_bits) {
            (None, Some(_)) => false,
            (Some(Some(most)), Some(Some(bits))) => bits <= most,
            _ => true,
        };
        let server_forgets = answer.server_no_context_takeover || !self.server_no_context_takeover;
        server_bits && client_bits && server_forgets
    }

    pub(super) fn write(&self, text: &mut String) {
        text.push_str(NAME);
        for (name, is_there) in [
            ("server_no_context_takeover", self.server_no_context_takeover),
            ("client_no_context_takeover", self.client_no_context_takeover),
        ] {
            if is_there {
                text.push_str("; ");
                text.push_str(name);
            }
        }
        if let Some(bits) = self.server_max_window_bits {
            // Writing to a String can't fail.
            let _ = write!(text, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => _ = write!(text, "; client_max_window_bits={bits}"),
            Some(None) => text.push_str("; client_max_window_bits"),
            None => {}
        }
    }
}

/// An element as parameters of permessage-deflate; nothing if it is another extension, or has a parameter that is
/// unknown, doubled or out of range: such an offer must be declined (§7.1).
fn offer((name, parameters): &Element<'_>) -> Option<Offer> {
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut offer = Offer::default();
    for (name, value) in parameters {
        let bits = value.map(window_bits);
        let fresh = match (*name, bits) {
            ("server_no_context_takeover", None) => !std::mem::replace(&mut offer.server_no_context_takeover, true),
            ("client_no_context_takeover", None) => !std::mem::replace(&mut offer.client_no_context_takeover, true),
            ("server_max_window_bits", Some(Some(bits))) => offer.server_max_window_bits.replace(bits).is_none(),
            ("client_max_window_bits", None) => offer.client_max_window_bits.replace(None).is_none(),
            ("client_max_window_bits", Some(bits @ Some(_))) => offer.client_max_window_bits.replace(bits).is_none(),
            _ => false,
        };
        if !fresh {
            return None;
        }
    }
    Some(offer)
}

fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}

/// The elements of all lines; empty ones are skipped (RFC 9110 §5.6.1.2).
fn elements<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Element<'a>>, ExtensionsError> {
    let mut elements = Vec::new();
    for value in values {
        let text = std::str::from_utf8(value).map_err(|_| ExtensionsError::Malformed)?;
        // No value that is known needs a comma or a semicolon in quotes, and a quoted value must be a token
        // (RFC 6455 §9.1): so both part elements wherever they stand.
        for element in text.split(',').map(trim).filter(|element| !element.is_empty()) {
            let mut parts = element.split(';').map(trim);
            let name = parts.next().filter(|name| is_token(name)).ok_or(ExtensionsError::Malformed)?;
            elements.push((name, parts.map(parameter).collect::<Result<_, _>>()?));
        }
    }
    Ok(elements)
}

fn parameter(text: &str) -> Result<(&str, Option<&str>), ExtensionsError> {
    let (name, value) = match text.split_once('=') {
        None => (text, None),
        Some((name, value)) => (trim(name), Some(trim(value))),
    };
    let value = value.map(|value| value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value));
    if is_token(name) && value.is_none_or(is_token) { Ok((name, value)) } else { Err(ExtensionsError::Malformed) }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

pub(super) fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}
