//! Registries of images: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use super::request::{Request, Sense, name};
use super::{On, Verb};
use http::Method;

const PULL: Verb = Verb("a pull", "of");
const PUSH: Verb = Verb("a push", "to");
const DELETE: Verb = Verb("a delete", "in");

/// `/v2/NAME/...`, where a name has slashes of its own.
pub(super) fn registry(request: &Request<'_>) -> Sense {
    let ["v2", rest @ ..] = request.segments.as_slice() else {
        return match request.segments.as_slice() {
            // Tokens: what they are for is judged where they are used.
            ["token"] if request.is_safe() => Sense::read(On::Nothing),
            _ if request.is_safe() => Sense::read(On::Anything),
            _ => Sense::unknown(),
        };
    };
    match *rest {
        [] | ["auth"] if request.is_safe() => Sense::read(On::Nothing),
        // A session of an upload, its state included.
        [ref image @ .., "blobs", "uploads"] | [ref image @ .., "blobs", "uploads", _] => {
            Sense::write(PUSH, mounted(request.query, name(image)))
        }
        [ref image @ .., "manifests", _] | [ref image @ .., "blobs", _] => match *request.method {
            _ if request.is_safe() => pull(name(image)),
            Method::PUT => Sense::write(PUSH, name(image)),
            Method::DELETE => Sense::write(DELETE, name(image)),
            _ => Sense::unknown(),
        },
        [ref image @ .., "tags", "list"] | [ref image @ .., "referrers", _] if request.is_safe() => pull(name(image)),
        _ if request.is_safe() => Sense::read(On::Anything),
        _ => Sense::unknown(),
    }
}

fn pull(on: On) -> Sense {
    Sense::Head(super::Action::new(PULL, super::Access::Read, on))
}

/// A mount takes a blob from another image, which the query names: that is a read of it.
fn mounted(query: Option<&str>, image: On) -> On {
    let Some(query) = query else { return image };
    let decoded = percent_encoding::percent_decode_str(query).decode_utf8_lossy().to_ascii_lowercase();
    if decoded.contains("from") { On::Anything } else { image }
}
