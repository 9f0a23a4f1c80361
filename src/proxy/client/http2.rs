//! A client's stream on an HTTP/2 connection.

use super::passed;
use crate::http1::{Fields, Frame, Framing, ResponseHead, Version};
use crate::proxy::error::Error;
use crate::proxy::refusal::Answer;
use crate::proxy::stream_body::{Cut, Incoming, Outgoing};
use crate::proxy::translate::{append, pass, room_for};
use crate::reason::{Denial, Reason};
use crate::wire::Multiplexed;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::SEC_WEBSOCKET_ACCEPT;
use http::{Response, StatusCode};
use std::io;
use std::task::{Context, Poll, ready};

/// A client's stream on an HTTP/2 connection.
pub(in crate::proxy) struct Http2Client {
    respond: SendResponse<Bytes>,
    body: Incoming,
    /// The final answer's head, until it is sent.
    head: Option<Response<()>>,
    is_answered: bool,
    answer: Outgoing,
}

impl Http2Client {
    /// The client of a request whose head has come.
    pub(in crate::proxy) fn new(respond: SendResponse<Bytes>, body: RecvStream) -> Self {
        let body = Incoming::new(body);
        Self { respond, body, head: None, is_answered: false, answer: Outgoing::default() }
    }

    /// Tells the client that its tunnel stands, or its WebSocket; gives the bytes that come through it.
    pub(in crate::proxy) fn into_tunnel(mut self) -> Result<Multiplexed, h2::Error> {
        let outgoing = self.respond.send_response(self.head.take().unwrap_or_default(), false)?;
        Ok(Multiplexed::new(self.body.into_stream(), outgoing))
    }

    pub(super) fn version(&self) -> Version {
        Version::Http2
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        Ok(self.body.take_frame())
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(ready!(self.body.poll_read(cx)).map_err(|cut| match cut {
            // Found by the library: a length that the body doesn't keep, for instance.
            Cut::Stream(error) if error.is_library() => {
                Denial::new(Reason::BadFraming).because("the stream is not well-formed").into()
            }
            Cut::Stream(error) => Error::ClientGone(Some(io::Error::other(error))),
            Cut::Trailers(error) => Denial::new(Reason::BadFraming).because(error).into(),
        }))
    }

    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        self.body.gather(cx);
    }

    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>, _: usize) -> Poll<Result<(), Error>> {
        let reset = if self.is_answered { self.answer.poll_reset(cx) } else { self.respond.poll_reset(cx) };
        Poll::Ready(Err(Error::ClientGone(match ready!(reset) {
            Ok(_) => None,
            Err(error) => Some(io::Error::other(error)),
        })))
    }

    pub(super) fn interim(&mut self, head: &ResponseHead) {
        // Where it can't be sent, the client is gone or has its answer.
        let _ = self.respond.send_informational(response(head));
    }

    pub(super) fn answer(&mut self, head: &ResponseHead, _: Framing) {
        self.head = Some(response(head));
    }

    /// What is a 101 in HTTP/1.1 is a 200 here, and proves nothing with a key (RFC 8441 §5).
    pub(super) fn switch(&mut self, head: &ResponseHead) {
        let mut response = response(head);
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        self.head = Some(response);
    }

    pub(super) fn queue(&mut self, data: Bytes) {
        self.answer.queue(data);
    }

    pub(super) fn end(&mut self, trailers: &Fields) {
        self.answer.end(trailers);
    }

    pub(super) fn queued(&self) -> usize {
        self.answer.queued()
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(head) = self.head.take() {
            self.is_answered = true;
            let ended = self.answer.is_empty();
            let stream = self.respond.send_response(head, ended).map_err(io::Error::other)?;
            self.answer.open(stream, ended);
        }
        self.answer.poll_flush(cx)
    }

    /// Takes back what is queued of the answer, so that a refusal can stand in its place. False: a part of it has left.
    pub(in crate::proxy) fn take_back_answer(&mut self) -> bool {
        self.head = None;
        if !self.is_answered {
            self.answer.discard();
        }
        !self.is_answered
    }

    /// Queues a refusal.
    pub(in crate::proxy) fn refuse(&mut self, answer: &Answer) {
        let mut response = Response::new(());
        *response.status_mut() = status(answer.status);
        answer.fields().for_each(|field| append(response.headers_mut(), field));
        self.head = Some(response);
        if !answer.body.is_empty() {
            self.answer.queue(answer.body.clone());
        }
        self.answer.end(&Fields::default());
    }

    /// Cuts the answer, so that the client can't take it for whole.
    pub(in crate::proxy) fn cut(&mut self) {
        if self.is_answered {
            self.answer.reset(h2::Reason::INTERNAL_ERROR);
        } else {
            self.respond.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    }
}

fn response(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status(head.status);
    let mut map = room_for(&head.fields);
    passed(head).for_each(|field| pass(&mut map, field, &head.fields));
    *response.headers_mut() = map;
    response
}

fn status(status: u16) -> StatusCode {
    // Three digits, as every head that was parsed has.
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}
