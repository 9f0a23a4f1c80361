//! An origin on an HTTP/1 connection.

use super::{HEAD, Part, host_value, passed, takes_trailers};
use crate::http1::{BodyReader, Field, Fields, Frame, Framing, HeadScan, ResponseHead, encode, response_framing};
use crate::proxy::error::Error;
use crate::proxy::forward::Admitted;
use crate::proxy::headers::{closes, passes_as_trailer};
use crate::upstream::{self, ByName, ParentError, ParentFields};
use crate::websocket::Handshake;
use crate::wire::Wire;
use bytes::Bytes;
use http::Method;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// An origin on an HTTP/1 connection.
pub(in crate::proxy) struct Http1Origin {
    wire: Wire,
    method: Method,
    /// What a parent that takes requests in absolute form is shown.
    parent: Option<Arc<ParentFields>>,
    /// How the request's body is framed, and whether all of it was queued.
    framing: Framing,
    is_sent: bool,
    /// The request asks for a WebSocket.
    handshake: Option<Handshake>,
    state: State,
    /// Whether the origin keeps its connection open after this answer.
    persists: bool,
}

enum State {
    Head(HeadScan),
    Body(BodyReader),
    /// The origin closed, which ended the body.
    Closed,
    Ended,
}

impl Http1Origin {
    pub(super) fn new(wire: Wire, by_name: Option<ByName>, method: Method) -> Self {
        let state = State::Head(HeadScan::default());
        let parent = by_name.and_then(|by_name| match by_name {
            ByName::Requests(fields) => Some(fields),
            ByName::Tunnel => None,
        });
        Self { wire, method, parent, framing: Framing::None, is_sent: false, handshake: None, state, persists: false }
    }

    /// The request as it goes up: origin form (absolute form to a parent), one `Host`, one framing, nothing that was for
    /// this hop.
    pub(super) fn request(&mut self, admitted: &Admitted) -> Result<usize, Error> {
        let Admitted { target, framing, handshake, .. } = admitted;
        let out = self.wire.head_buffer();
        let host = host_value(&target.authority, target.scheme);
        match &self.parent {
            None => encode::request_line(out, target.method.as_str(), target.path.sent()),
            Some(_) => {
                // OPTIONS for the server as a whole goes without a path (RFC 9112 §3.2.4).
                let path = if target.path.sent() == "*" { "" } else { target.path.sent() };
                encode::request_line(out, target.method.as_str(), &format!("http://{host}{path}"));
            }
        }
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(fields) = &self.parent {
            out.extend_from_slice(fields.lines());
        }
        passed(admitted).for_each(|field| encode::field(out, field));
        if takes_trailers(admitted) {
            out.extend_from_slice(b"TE: trailers\r\n");
        }
        if let Some(handshake) = handshake {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
            if let Some(offers) = handshake.extensions() {
                encode::field(out, Field { name: b"Sec-WebSocket-Extensions", value: offers.as_bytes() });
            }
            self.handshake = Some(handshake.clone());
        }
        if *framing == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        encode::end_of_head(out);
        (self.framing, self.is_sent) = (*framing, *framing == Framing::None);
        Ok(self.wire.queued())
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
        self.is_sent = true;
        if self.framing == Framing::Chunked {
            let out = self.wire.head_buffer();
            out.extend_from_slice(encode::LAST_CHUNK);
            trailers.iter().filter(|field| passes_as_trailer(*field)).for_each(|field| encode::field(out, field));
            encode::end_of_head(out);
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx)
    }

    pub(super) fn next_part(&mut self) -> Result<Option<Part>, Error> {
        match &mut self.state {
            State::Head(_) => self.next_head(),
            State::Body(reader) => {
                let frame = reader.next(&mut self.wire.input).map_err(|error| bad(&error))?;
                if matches!(frame, Some(Frame::End(_))) {
                    self.state = State::Ended;
                }
                Ok(frame.map(Part::Body))
            }
            State::Closed => {
                self.state = State::Ended;
                Ok(Some(Part::Body(Frame::End(Fields::default()))))
            }
            State::Ended => Ok(None),
        }
    }

    fn next_head(&mut self) -> Result<Option<Part>, Error> {
        let State::Head(scan) = &mut self.state else { return Ok(None) };
        let Some(length) = scan.find_end(&self.wire.input, &HEAD).map_err(|error| bad(&error))? else {
            return Ok(None);
        };
        let head = ResponseHead::take(&mut self.wire.input, length, &HEAD).map_err(|error| bad(&error))?;
        let framing = response_framing(&head, &self.method).map_err(|error| bad(&error))?;
        match head.status {
            101 => self.switch(head).map(Some),
            // What a parent wants to be shown is nothing for an agent's eyes.
            407 if self.parent.is_some() => Err(Error::Connect(upstream::Error::Parent(ParentError::Credentials))),
            100..=199 => {
                self.state = State::Head(HeadScan::default());
                Ok(Some(Part::Interim(head)))
            }
            _ => {
                self.persists = framing != Framing::UntilClose && !closes(&head.fields, head.version);
                self.state = State::Body(BodyReader::new(framing));
                Ok(Some(Part::Head(head, framing)))
            }
        }
    }

    /// A 101 that fits what was asked for; any other is none (T13).
    fn switch(&mut self, head: ResponseHead) -> Result<Part, Error> {
        let Some(handshake) = &self.handshake else {
            return Err(Error::BadResponse("the origin switches protocols unasked".to_owned()));
        };
        let deflate = handshake.check_answer(&head.fields).map_err(Error::UpstreamHandshake)?;
        self.state = State::Ended;
        Ok(Part::Switched(head, deflate))
    }

    /// An origin that closes ends a body that ends so, and cuts everything else.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.wire.poll_fill(cx)) {
            Ok(0) => {}
            Ok(_) => return Poll::Ready(Ok(())),
            Err(error) => return Poll::Ready(Err(Error::UpstreamGone(Some(error)))),
        }
        Poll::Ready(match &self.state {
            State::Body(reader) if reader.ends_at_close() => {
                self.state = State::Closed;
                Ok(())
            }
            State::Head(_) if !self.wire.input.is_empty() => Err(Error::BadResponse("no whole head".to_owned())),
            _ => Err(Error::UpstreamGone(None)),
        })
    }

    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.state, State::Head(_)) && self.wire.input.is_empty()
    }

    pub(super) fn into_switched(self) -> Wire {
        self.wire
    }

    /// Only where nothing is left of this request, on either way. Who overlooks an upgrade may have done half of it.
    pub(super) fn into_idle(self) -> Option<Wire> {
        let whole = self.is_sent && self.wire.queued() == 0 && self.wire.input.is_empty();
        (whole && self.persists && self.handshake.is_none() && matches!(self.state, State::Ended)).then_some(self.wire)
    }
}

fn bad(error: &dyn std::fmt::Display) -> Error {
    Error::BadResponse(error.to_string())
}
