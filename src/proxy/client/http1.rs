//! A client on an HTTP/1 connection.

use super::passed;
use crate::http1::{BodyReader, Fields, Frame, Framing, ResponseHead, Version, encode};
use crate::proxy::error::Error;
use crate::proxy::headers::passes_as_trailer;
use crate::wire::Wire;
use bytes::Bytes;
use std::io;
use std::task::{Context, Poll, ready};

/// A client on an HTTP/1 connection.
pub(in crate::proxy) struct Http1Client<'a> {
    wire: &'a mut Wire,
    version: Version,
    body: BodyReader,
    has_body: bool,
    /// How the answer's body is framed.
    framing: Framing,
    /// The connection ends with this answer, and is told so.
    pub(in crate::proxy) close: bool,
    /// Where in what is written to the client the final answer begins.
    pub(in crate::proxy) answer_from: Option<u64>,
}

impl<'a> Http1Client<'a> {
    /// The client of a request whose head was read off `wire`.
    pub(in crate::proxy) fn new(wire: &'a mut Wire, version: Version, framing: Framing, close: bool) -> Self {
        let body = BodyReader::new(framing);
        let has_body = framing != Framing::None;
        Self { wire, version, body, has_body, framing: Framing::None, close, answer_from: None }
    }

    /// Whether all of the request was read.
    pub(in crate::proxy) fn is_read(&self) -> bool {
        !self.has_body || self.body.is_done()
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        self.body.next(&mut self.wire.input).map_err(Error::Body)
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(match ready!(self.wire.poll_fill(cx)) {
            Ok(0) => Err(Error::Cut),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::ClientGone(Some(error))),
        })
    }

    /// What it sends ahead (pipelining) is kept, within bounds.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>, ahead: usize) -> Poll<Result<(), Error>> {
        while self.wire.input.len() < ahead {
            match ready!(self.wire.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Error::ClientGone(Some(error)))),
            }
        }
        Poll::Pending
    }

    pub(super) fn interim(&mut self, head: &ResponseHead) {
        // HTTP/1.0 has no interim answers (RFC 9110 §15.2).
        if self.version == Version::Http11 {
            self.write_head(head, Framing::None);
        }
    }

    pub(super) fn answer(&mut self, head: &ResponseHead, framing: Framing) {
        self.answer_from = Some(self.wire.written() + self.wire.queued() as u64);
        // A body without a length is sent in chunks, so that its end can be told from a cut; HTTP/1.0 has only the
        // connection's end for that.
        self.framing = match framing {
            Framing::Chunked | Framing::UntilClose if self.version == Version::Http10 => {
                self.close = true;
                Framing::UntilClose
            }
            Framing::UntilClose => Framing::Chunked,
            framing => framing,
        };
        self.write_head(head, self.framing);
    }

    pub(super) fn switch(&mut self, head: &ResponseHead) {
        self.answer_from = Some(self.wire.written() + self.wire.queued() as u64);
        self.write_head(head, Framing::None);
    }

    pub(super) fn is_ahead(&self) -> bool {
        !self.wire.input.is_empty()
    }

    pub(super) fn queue(&mut self, data: Bytes) {
        if self.framing == Framing::Chunked {
            encode::chunk_start(self.wire.head_buffer(), data.len());
            self.wire.queue(data);
            self.wire.head_buffer().extend_from_slice(encode::CHUNK_END);
        } else {
            self.wire.queue(data);
        }
    }

    pub(super) fn end(&mut self, trailers: &Fields) {
        if self.framing == Framing::Chunked {
            let out = self.wire.head_buffer();
            out.extend_from_slice(encode::LAST_CHUNK);
            trailers.iter().filter(|field| passes_as_trailer(*field)).for_each(|field| encode::field(out, field));
            encode::end_of_head(out);
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.wire.queued()
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    fn write_head(&mut self, head: &ResponseHead, framing: Framing) {
        let out = self.wire.head_buffer();
        encode::status_line(out, head.status, head.reason());
        passed(head).for_each(|field| encode::field(out, field));
        match framing {
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            // An HTTP/2 stream that ends with its head needs no length.
            Framing::Length(0) if head.fields.first("content-length").is_none() => {
                out.extend_from_slice(b"Content-Length: 0\r\n");
            }
            _ => {}
        }
        if head.status == 101 {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        }
        if self.close && head.status >= 200 {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        encode::end_of_head(out);
    }
}
