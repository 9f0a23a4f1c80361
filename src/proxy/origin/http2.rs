//! An origin at the end of an HTTP/2 stream.

use super::{HEAD, Part, host_value, passed, takes_trailers};
use crate::http1::{Field, Fields, Frame, Framing, ResponseHead, is_bodyless, stream_framing};
use crate::proxy::error::Error;
use crate::proxy::forward::Admitted;
use crate::proxy::stream_body::{Cut, Incoming, Outgoing};
use crate::proxy::translate::{append, fields_of, pass, room_for};
use crate::reason::{Denial, Reason};
use crate::upstream::Streams;
use crate::websocket::{Deflate, Handshake};
use crate::wire::{Multiplexed, Stream, Wire};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use http::{Method, Request, Response, Uri};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// An origin at the end of an HTTP/2 stream.
pub(in crate::proxy) struct Http2Origin {
    streams: Streams,
    method: Method,
    /// The request's head, until it is sent.
    head: Option<Request<()>>,
    body: Outgoing,
    /// The request asks for a WebSocket.
    handshake: Option<Handshake>,
    state: State,
    part: Option<Part>,
}

enum State {
    Idle,
    /// The connection took no stream.
    Failed(h2::Error),
    Head(ResponseFuture),
    Body(Incoming),
    /// The stream is a WebSocket now.
    Switched(RecvStream),
    /// The stream ended with the head: so must the answer, for gRPC tells by it what is a trailer.
    Bodyless,
    Ended,
}

impl Http2Origin {
    pub(super) fn new(streams: Streams, method: Method) -> Self {
        let body = Outgoing::default();
        Self { streams, method, head: None, body, handshake: None, state: State::Idle, part: None }
    }

    pub(super) fn request(&mut self, admitted: &Admitted) -> Result<usize, Error> {
        let target = &admitted.target;
        let authority = host_value(&target.authority, target.scheme);
        // An `OPTIONS *` has the path `*` (RFC 9113 §8.3.1), which a URI can't say with an authority.
        let uri =
            Uri::builder().scheme(target.scheme.as_str()).authority(&*authority).path_and_query(target.path.sent());
        // The library takes fewer characters than HTTP/1 carries.
        let uri =
            uri.build().map_err(|_| Denial::new(Reason::BadTarget).because("the origin's HTTP/2 can't carry it"))?;
        let fields = &admitted.head.fields;
        let mut map = room_for(fields);
        let is_left_out = |field: &Field<'_>| admitted.handshake.is_some() && field.is("sec-websocket-key");
        passed(admitted).filter(|field| !is_left_out(field)).for_each(|field| pass(&mut map, field, fields));
        if takes_trailers(admitted) {
            append(&mut map, Field { name: b"te", value: b"trailers" });
        }
        if let Some(offers) = admitted.handshake.as_ref().and_then(Handshake::extensions) {
            append(&mut map, Field { name: b"sec-websocket-extensions", value: offers.as_bytes() });
        }
        let length = map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
        let mut request = Request::new(());
        *request.method_mut() = target.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = map;
        if admitted.handshake.is_some() {
            // RFC 8441 §4: what a GET with an Upgrade is in HTTP/1.1.
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        self.handshake.clone_from(&admitted.handshake);
        self.head = Some(request);
        if admitted.framing == Framing::None && admitted.handshake.is_none() {
            self.body.end(&Fields::default());
        }
        Ok(length + target.path.sent().len())
    }

    pub(super) fn queue(&mut self, data: Bytes) {
        self.body.queue(data);
    }

    pub(super) fn end(&mut self, trailers: &Fields) {
        self.body.end(trailers);
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(head) = self.head.take() {
            let ended = self.body.is_empty();
            match self.streams.sender.send_request(head, ended) {
                Ok((answer, stream)) => {
                    self.state = State::Head(answer);
                    self.body.open(stream, ended);
                }
                Err(error) => self.state = State::Failed(error),
            }
        }
        self.body.poll_flush(cx)
    }

    pub(super) fn next_part(&mut self) -> Result<Option<Part>, Error> {
        if let Some(part) = self.part.take() {
            return Ok(Some(part));
        }
        let frame = match &mut self.state {
            State::Body(body) => body.take_frame(),
            State::Bodyless => Some(Frame::End(Fields::default())),
            _ => return Ok(None),
        };
        if matches!(frame, Some(Frame::End(_))) {
            self.state = State::Ended;
        }
        Ok(frame.map(Part::Body))
    }

    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        if let State::Body(body) = &mut self.state {
            body.gather(cx);
        }
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let part = match &mut self.state {
            State::Head(answer) => match answer.poll_informational(cx) {
                Poll::Ready(Some(Ok(interim))) => Part::Interim(interim_head(&interim)?),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(gone(error))),
                _ => {
                    let response = ready!(Pin::new(answer).poll(cx)).map_err(gone)?;
                    self.take_head(response)?
                }
            },
            State::Body(body) => {
                let read = ready!(body.poll_read(cx));
                return Poll::Ready(read.map_err(|cut| match cut {
                    Cut::Stream(error) => gone(error),
                    Cut::Trailers(error) => Error::BadResponse(error.to_string()),
                }));
            }
            State::Failed(_) => {
                let State::Failed(error) = std::mem::replace(&mut self.state, State::Idle) else {
                    return Poll::Pending;
                };
                return Poll::Ready(Err(gone(error)));
            }
            // Nothing was asked yet, or all was answered.
            State::Idle | State::Bodyless | State::Switched(_) | State::Ended => return Poll::Pending,
        };
        self.part = Some(part);
        Poll::Ready(Ok(()))
    }

    fn take_head(&mut self, response: Response<RecvStream>) -> Result<Part, Error> {
        let (parts, body) = response.into_parts();
        let fields = fields_of(&parts.headers, HEAD.fields).map_err(|error| Error::BadResponse(error.to_string()))?;
        let status = parts.status.as_u16();
        if let Some(handshake) = self.handshake.as_ref().filter(|_| parts.status.is_success()) {
            let (head, deflate) = switched(handshake, &fields)?;
            self.state = State::Switched(body);
            return Ok(Part::Switched(head, deflate));
        }
        let framing = if is_bodyless(status, &self.method) {
            Framing::None
        } else {
            let framing = stream_framing(&fields, body.is_end_stream());
            match framing.map_err(|error| Error::BadResponse(error.to_string()))? {
                Framing::None => Framing::Length(0),
                framing => framing,
            }
        };
        self.state = if body.is_end_stream() { State::Bodyless } else { State::Body(Incoming::new(body)) };
        Ok(Part::Head(ResponseHead::assemble(status, fields), framing))
    }

    /// The stream as a stream of bytes.
    pub(super) fn into_switched(self) -> Option<Wire> {
        let State::Switched(incoming) = self.state else { return None };
        let stream = Multiplexed::new(incoming, self.body.into_stream()?);
        Some(Wire::new(Stream::Multiplexed(Box::new(stream))))
    }

    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.state, State::Idle | State::Failed(_) | State::Head(_)) && self.part.is_none()
    }
}

/// The 101 that the answer stands for, whose fields are held to the request's like any; it proves nothing with a key
/// (RFC 8441 §5), for the version does.
fn switched(handshake: &Handshake, fields: &Fields) -> Result<(ResponseHead, Option<Deflate>), Error> {
    let stands_for: [(&[u8], &[u8]); 3] = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", handshake.accept().as_bytes()),
    ];
    let others = fields.iter().filter(|field| !stands_for.iter().any(|(name, _)| field.name == *name));
    let all = Fields::collect(others.map(|field| (field.name, field.value)).chain(stands_for), usize::MAX);
    let all = all.map_err(|error| Error::BadResponse(error.to_string()))?;
    let deflate = handshake.check_answer(&all).map_err(Error::UpstreamHandshake)?;
    Ok((ResponseHead::assemble(101, all), deflate))
}

fn interim_head(response: &Response<()>) -> Result<ResponseHead, Error> {
    let fields = fields_of(response.headers(), HEAD.fields).map_err(|error| Error::BadResponse(error.to_string()))?;
    Ok(ResponseHead::assemble(response.status().as_u16(), fields))
}

fn gone(error: h2::Error) -> Error {
    Error::UpstreamGone(Some(io::Error::other(error)))
}
