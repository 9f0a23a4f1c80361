//! One reading of a request, and what it was told to be.

use super::{Access, Action, Document, On, Verb};
use http::Method;

/// One reading of a request's head.
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    /// The path's segments; one slash at the end makes no empty one.
    pub(super) segments: Vec<&'a str>,
    pub(super) query: Option<&'a str>,
}

/// What a request does, or where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// The head tells.
    Head(Action),
    /// The body tells reading from writing.
    Body(Document, On),
}

pub(super) const READ: Verb = Verb("a read", "of");
const UNKNOWN: Verb = Verb("a request that is not recognised", "on");

impl<'a> Request<'a> {
    pub(super) fn new(method: &'a Method, path: &'a str, query: Option<&'a str>) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        Self { method, segments, query }
    }

    /// Whether the method changes nothing (RFC 9110 §9.2.1). A parameter that makes another method of it
    /// (Rack's and Laravel's `_method`) takes that away.
    pub(super) fn is_safe(&self) -> bool {
        let safe = matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        safe && !self.query.is_some_and(overrides_method)
    }

    pub(super) fn is_post(&self) -> bool {
        self.is(&Method::POST)
    }

    pub(super) fn is(&self, method: &Method) -> bool {
        self.method == method && !self.query.is_some_and(overrides_method)
    }
}

impl Sense {
    pub(super) const fn read(on: On) -> Self {
        Sense::Head(Action::new(READ, Access::Read, on))
    }

    pub(super) const fn write(verb: Verb, on: On) -> Self {
        Sense::Head(Action::new(verb, Access::Write, on))
    }

    pub(super) const fn admin(verb: Verb, on: On) -> Self {
        Sense::Head(Action::new(verb, Access::Admin, on))
    }

    /// What is not recognised could be anything.
    pub(super) const fn unknown() -> Self {
        Sense::Head(Action::new(UNKNOWN, Access::Admin, On::Anything))
    }

    pub(super) fn named_by(mut self, canonical: impl Fn(&str) -> String) -> Self {
        let (Sense::Head(Action { on, .. }) | Sense::Body(_, on)) = &mut self;
        if let On::Name(name) = on {
            *name = canonical(name);
        }
        self
    }

    /// Of two readings of one request the worse, about whatever thing where they differ in that.
    pub(super) fn or_worse(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Sense::Head(one), Sense::Head(other)) => {
                let worse = if other.access > one.access { &other } else { &one };
                let on = if one.on == other.on { one.on.clone() } else { On::Anything };
                Sense::Head(Action::new(worse.verb, worse.access, on))
            }
            _ => Sense::unknown(),
        }
    }
}

/// A name of these segments; anything, where they hold what no name has.
pub(super) fn name(segments: &[&str]) -> On {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'~' | b'+');
    let good = |segment: &&str| !segment.is_empty() && segment.bytes().all(plain);
    if segments.is_empty() || !segments.iter().all(good) { On::Anything } else { On::Name(segments.join("/")) }
}

/// Whether the query, read as any server might, says that the method is another.
fn overrides_method(query: &str) -> bool {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(query).map(|byte| byte.to_ascii_lowercase()).collect();
    decoded.split(|byte| matches!(byte, b'&' | b';')).any(|parameter| {
        let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
        // PHP takes these for underscores.
        let name: Vec<u8> = name.iter().map(|byte| if b" .+[-".contains(byte) { b'_' } else { *byte }).collect();
        matches!(&name[..], b"_method" | b"x_http_method" | b"x_http_method_override" | b"x_method_override")
    })
}
