//! Fields between their own form and that of the HTTP/2 library.

use crate::http1::{Field, Fields, FieldsError};
use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields as they came in a stream's HEADERS. The crumbs of a cookie are one field again (RFC 9113 §8.2.3): a secret
/// is not to be cut in two by them.
pub(super) fn fields_of(map: &HeaderMap, max: usize) -> Result<Fields, FieldsError> {
    let crumbs: Vec<&[u8]> = map.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookie = crumbs.join(&b"; "[..]);
    let cookie = (!crumbs.is_empty()).then_some((COOKIE.as_str().as_bytes(), cookie.as_slice()));
    let others = map.iter().filter(|(name, _)| *name != COOKIE);
    let others = others.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    Fields::collect(others.chain(cookie), max)
}

/// Room for the fields that go out in a stream, with a few besides: what is too large costs more than what grows.
pub(super) fn room_for(fields: &Fields) -> HeaderMap {
    HeaderMap::with_capacity(fields.len() + 2)
}

/// Adds a field to those that go out in a stream; names become lower case (RFC 9113 §8.2).
pub(super) fn append(map: &mut HeaderMap, field: Field<'_>) {
    append_shared(map, field, Bytes::copy_from_slice(field.value));
}

/// The same for one of `of`, whose bytes it shares if it is long.
pub(super) fn pass(map: &mut HeaderMap, field: Field<'_>, of: &Fields) {
    append_shared(map, field, of.shared(field.value));
}

fn append_shared(map: &mut HeaderMap, field: Field<'_>, value: Bytes) {
    let name = HeaderName::from_bytes(field.name);
    let value = HeaderValue::from_maybe_shared(value);
    match (name, value) {
        (Ok(name), Ok(value)) => {
            // More than the map's tens of thousands don't pass the limits of a head.
            let _ = map.try_append(name, value);
        }
        // Our own grammar is the stricter one.
        _ => tracing::error!("a field that was accepted can't be written"),
    }
}
