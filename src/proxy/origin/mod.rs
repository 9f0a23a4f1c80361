//! The origin's end of one request: where the request goes, and where its answer comes from.
//!
//! One for each version of HTTP, behind one set of verbs; the version need not be the client's.

mod http1;
mod http2;

pub(super) use http1::Http1Origin;
pub(super) use http2::Http2Origin;

use super::error::Error;
use super::forward::Admitted;
use super::headers::Nominated;
use crate::http1::{Field, Fields, Frame, Framing, HeadLimits, ResponseHead};
use crate::net::{Authority, Host, Scheme};
use crate::upstream::{ByName, Link};
use crate::websocket::Deflate;
use crate::wire::Wire;
use bytes::Bytes;
use http::Method;
use std::borrow::Cow;
use std::io;
use std::task::{Context, Poll};

/// Header sections of answers are bounded like those of requests, but may have more lines.
const HEAD: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 500, target: 0 };

/// The origin's end of one request.
pub(super) enum Origin {
    /// On a connection that has it for itself.
    Http1(Box<Http1Origin>),
    /// A stream among others of the session.
    Http2(Box<Http2Origin>),
}

/// A part of an answer.
pub(super) enum Part {
    /// An interim answer's head (1xx).
    Interim(ResponseHead),
    /// The final answer's head, and how its body comes.
    Head(ResponseHead, Framing),
    /// The head of a 101 that was asked for, and what it agrees on.
    Switched(ResponseHead, Option<Deflate>),
    /// Of its body, or its end.
    Body(Frame),
}

/// Does the same at either end.
macro_rules! each {
    ($origin:expr, $inner:ident => $call:expr) => {
        match $origin {
            Origin::Http1($inner) => $call,
            Origin::Http2($inner) => $call,
        }
    };
}

impl Origin {
    /// The origin at the end of a connection, for a request of that method; or the parent, which was given its name.
    pub(super) fn new(link: Link, by_name: Option<ByName>, method: Method) -> Self {
        match link {
            Link::Http1(wire) => Origin::Http1(Box::new(Http1Origin::new(wire, by_name, method))),
            Link::Http2(streams) => Origin::Http2(Box::new(Http2Origin::new(streams, method))),
        }
    }

    /// Queues the request's head; gives about how many bytes go up with it.
    pub(super) fn request(&mut self, admitted: &Admitted) -> Result<usize, Error> {
        each!(self, inner => inner.request(admitted))
    }

    /// Queues a piece of the request's body.
    pub(super) fn queue(&mut self, data: Bytes) {
        each!(self, inner => inner.queue(data))
    }

    /// Queues the end of the request's body.
    pub(super) fn end(&mut self, trailers: &Fields) {
        each!(self, inner => inner.end(trailers))
    }

    /// Writes all that is queued.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_flush(cx))
    }

    /// The next of the answer that is here already.
    pub(super) fn next_part(&mut self) -> Result<Option<Part>, Error> {
        each!(self, inner => inner.next_part())
    }

    /// Reads more of the answer.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        each!(self, inner => inner.poll_read(cx))
    }

    /// Takes in what has come of the answer's body while the client does not take it.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        if let Origin::Http2(inner) = self {
            inner.gather(cx);
        }
    }

    /// Whether nothing of an answer has come.
    pub(super) fn is_untouched(&self) -> bool {
        each!(self, inner => inner.is_untouched())
    }

    /// The connection that has become a WebSocket, with what was read of it.
    pub(super) fn into_switched(self) -> Option<Wire> {
        match self {
            Origin::Http1(inner) => Some(inner.into_switched()),
            Origin::Http2(inner) => inner.into_switched(),
        }
    }

    /// The connection for the next request, where it serves one request at a time and stays open.
    pub(super) fn into_idle(self) -> Option<Link> {
        match self {
            Origin::Http1(inner) => inner.into_idle().map(Link::Http1),
            Origin::Http2(_) => None,
        }
    }
}

/// The fields of a request that go up besides those of its target and its framing.
fn passed(admitted: &Admitted) -> impl Iterator<Item = Field<'_>> {
    let fields = &admitted.head.fields;
    let nominated = Nominated::of(fields);
    fields.iter().filter(move |field| {
        // What is passed on of it can be looked into; that is written anew.
        let rewritten = admitted.handshake.is_some() && field.is("sec-websocket-extensions");
        let ours = field.is("host") || rewritten || nominated.is_for_this_hop(*field);
        !ours && (admitted.asks.expects_continue || !field.is("expect"))
    })
}

/// Whether the client takes trailers (RFC 9110 §10.1.4): the one thing of `TE` that is not for this hop alone.
fn takes_trailers(admitted: &Admitted) -> bool {
    admitted.head.fields.values("te").any(|value| value.eq_ignore_ascii_case(b"trailers"))
}

/// A `Host` without the scheme's own port, as every client writes it.
fn host_value(authority: &Authority, scheme: Scheme) -> Cow<'_, str> {
    if authority.port != scheme.default_port() {
        let mut text = String::with_capacity(64);
        authority.push_to(&mut text);
        return Cow::Owned(text);
    }
    match &authority.host {
        Host::Name(name) => Cow::Borrowed(name),
        Host::V4(address) => Cow::Owned(address.to_string()),
        Host::V6(address) => Cow::Owned(format!("[{address}]")),
    }
}
