//! The client's end of one request: where its body comes from, and where its answer goes.
//!
//! One for each version of HTTP, behind one set of verbs, so that a request is admitted, scanned, forwarded and
//! refused by the same code whichever it came in.

mod http1;
mod http2;

pub(super) use http1::Http1Client;
pub(super) use http2::Http2Client;

use super::error::Error;
use super::headers::Nominated;
use crate::http1::{Field, Fields, Frame, Framing, ResponseHead, Version};
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

/// The client's end of one request.
pub(super) enum Client<'a> {
    /// On a connection that has it for itself.
    Http1(Http1Client<'a>),
    /// A stream among others.
    Http2(&'a mut Http2Client),
}

/// Does the same at either end.
macro_rules! each {
    ($client:expr, $inner:ident => $call:expr) => {
        match $client {
            Client::Http1($inner) => $call,
            Client::Http2($inner) => $call,
        }
    };
}

impl Client<'_> {
    /// The next of the body that is here already.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        each!(self, inner => inner.next_frame())
    }

    /// Reads more of the body.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        each!(self, inner => inner.poll_read(cx))
    }

    /// Reads more of the body.
    pub(super) async fn read(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// Takes in what has come of the body while nobody wants it yet: of a stream, whose frames are not to pile up in the
    /// library. In HTTP/1 it waits in the socket.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        if let Client::Http2(inner) = self {
            inner.gather(cx);
        }
    }

    /// Waits for what comes before the body is wanted.
    pub(super) async fn gathering<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if done.is_pending() {
                self.gather(cx);
            }
            done
        })
        .await
    }

    /// Ready when the client has closed its side, or given up, while it waits for its answer. It keeps up to `ahead`
    /// bytes that the client sends meanwhile.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>, ahead: usize) -> Poll<Result<(), Error>> {
        each!(self, inner => inner.poll_closed(cx, ahead))
    }

    /// Passes an interim answer on, where the client's version has such.
    pub(super) fn interim(&mut self, head: &ResponseHead) {
        each!(self, inner => inner.interim(head))
    }

    /// Queues the final answer's head. Its body comes framed so, and may be framed otherwise towards the client.
    pub(super) fn answer(&mut self, head: &ResponseHead, framing: Framing) {
        each!(self, inner => inner.answer(head, framing))
    }

    /// Queues the head of an answer that makes a WebSocket of the connection, or of the stream.
    pub(super) fn switch(&mut self, head: &ResponseHead) {
        each!(self, inner => inner.switch(head))
    }

    /// Whether it has sent more than its request.
    pub(super) fn is_ahead(&self) -> bool {
        matches!(self, Client::Http1(inner) if inner.is_ahead())
    }

    /// Queues a piece of the answer's body.
    pub(super) fn queue(&mut self, data: Bytes) {
        each!(self, inner => inner.queue(data))
    }

    /// Queues the answer's end.
    pub(super) fn end(&mut self, trailers: &Fields) {
        each!(self, inner => inner.end(trailers))
    }

    /// Bytes queued and not yet taken by the client's connection.
    pub(super) fn queued(&self) -> usize {
        each!(self, inner => inner.queued())
    }

    /// Writes all that is queued.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_flush(cx))
    }

    /// The version that it speaks.
    pub(super) fn version(&self) -> Version {
        each!(self, inner => inner.version())
    }
}

/// The fields of an answer that go on to the client: all but those for the hop to the gateway.
fn passed(head: &ResponseHead) -> impl Iterator<Item = Field<'_>> {
    let nominated = Nominated::of(&head.fields);
    // A length where there is no body by definition (1xx, 204) is a second framing.
    let has_no_length = matches!(head.status, 100..=199 | 204);
    head.fields.iter().filter(move |field| {
        let stray = has_no_length && field.is("content-length");
        // HTTP/3 would leave the gateway (RFC 7838).
        !(stray || nominated.is_for_this_hop(*field) || field.is("alt-svc"))
    })
}
