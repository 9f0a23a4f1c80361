//! An answer on its way down: its head judged and rebuilt, its body passed on as it comes.

use super::error::Error;
use super::headers::{Nominated, closes, passes_as_trailer};
use crate::http1::{
    BodyReader, Fields, Frame, Framing, HeadLimits, HeadScan, ResponseHead, Version, encode, response_framing,
};
use crate::websocket::{Deflate, Handshake};
use crate::wire::Wire;
use bytes::Bytes;
use http::Method;
use std::task::{Context, Poll, ready};

/// Bytes queued for the client beyond which the origin is not read.
const QUEUED_MAX: usize = 256 * 1024;
/// Interim answers (1xx) to one request.
const INTERIM_MAX: usize = 50;
/// Header sections of answers are bounded like those of requests, but may have more lines.
const HEAD: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 500, target: 0 };

/// The answer to one request.
pub(super) struct Download {
    method: Method,
    client: Version,
    close: bool,
    state: State,
    framing_down: Framing,
    interim: usize,
    /// The status of the final answer, once its head is here.
    pub(super) status: Option<u16>,
    /// Where in what is written to the client the final answer begins.
    pub(super) answer_from: Option<u64>,
    /// Bytes of the answer's body.
    pub(super) received: u64,
    /// Whether the origin keeps its connection open after this answer.
    pub(super) upstream_persists: bool,
    /// What a 101 must fit.
    handshake: Option<Handshake>,
    /// The connection is a WebSocket now; what was agreed on.
    pub(super) switched: Option<Option<Deflate>>,
}

enum State {
    Head(HeadScan),
    Body(BodyReader),
    Ended,
}

impl Download {
    /// `close`: the client's connection ends with this answer, and is told so.
    pub(super) fn new(method: Method, client: Version, close: bool) -> Self {
        Self {
            method,
            client,
            close,
            state: State::Head(HeadScan::default()),
            framing_down: Framing::None,
            interim: 0,
            status: None,
            answer_from: None,
            received: 0,
            upstream_persists: false,
            handshake: None,
            switched: None,
        }
    }

    /// The same where the request asks for a WebSocket.
    pub(super) fn expecting(self, handshake: Option<Handshake>) -> Self {
        Self { handshake, ..self }
    }

    /// Whether nothing of an answer has come, not even an interim one.
    pub(super) fn is_untouched(&self) -> bool {
        self.interim == 0 && self.status.is_none()
    }

    /// Whether the client's connection must close after the answer.
    pub(super) fn closes(&self) -> bool {
        self.close
    }

    /// Moves the answer from the origin to the client as far as both go. Ready once all of it is
    /// *queued*: the last bytes are flushed by the caller, when the record is in hand.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, up: &mut Wire, down: &mut Wire) -> Poll<Result<(), Error>> {
        loop {
            let wants_more = match &mut self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Head(_) => self.take_head(up, down)?,
                State::Body(_) => self.take_body(up, down)?,
            };
            if !wants_more && down.queued() < QUEUED_MAX {
                continue;
            }
            if matches!(self.state, State::Ended) {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = ready!(down.poll_flush(cx)) {
                return Poll::Ready(Err(Error::ClientGone(Some(error))));
            }
            if !wants_more {
                continue;
            }
            match ready!(up.poll_fill(cx)) {
                Ok(0) => self.end_at_close(up, down)?,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Error::UpstreamGone(Some(error)))),
            }
        }
    }

    /// True: more must be read first.
    fn take_head(&mut self, up: &mut Wire, down: &mut Wire) -> Result<bool, Error> {
        let State::Head(scan) = &mut self.state else { return Ok(false) };
        let bad = |error: &dyn std::fmt::Display| Error::BadResponse(error.to_string());
        let Some(length) = scan.find_end(&up.input, &HEAD).map_err(|error| bad(&error))? else { return Ok(true) };
        let head = ResponseHead::take(&mut up.input, length, &HEAD).map_err(|error| bad(&error))?;
        let framing = response_framing(&head, &self.method).map_err(|error| bad(&error))?;
        match head.status {
            101 => self.switch(&head, down),
            100..=199 => {
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Err(Error::BadResponse("too many interim answers".to_owned()));
                }
                self.state = State::Head(HeadScan::default());
                // HTTP/1.0 has no interim answers (RFC 9110 §15.2).
                if self.client == Version::Http11 {
                    self.write_head(&head, Framing::None, down);
                }
                Ok(false)
            }
            status => {
                self.status = Some(status);
                self.answer_from = Some(down.written() + down.queued() as u64);
                self.upstream_persists = framing != Framing::UntilClose && !closes(&head.fields, head.version);
                self.framing_down = self.frame_for_client(framing);
                self.write_head(&head, self.framing_down, down);
                self.state = State::Body(BodyReader::new(framing));
                Ok(false)
            }
        }
    }

    /// A 101 that fits what was asked for; any other is none (T13).
    fn switch(&mut self, head: &ResponseHead, down: &mut Wire) -> Result<bool, Error> {
        let Some(handshake) = &self.handshake else {
            return Err(Error::BadResponse("the origin switches protocols unasked".to_owned()));
        };
        self.switched = Some(handshake.check_answer(&head.fields).map_err(Error::UpstreamHandshake)?);
        self.status = Some(101);
        self.answer_from = Some(down.written() + down.queued() as u64);
        self.write_head(head, Framing::None, down);
        self.state = State::Ended;
        Ok(false)
    }

    /// A body without a length is sent in chunks, so that its end can be told from a cut; HTTP/1.0 has
    /// only the connection's end for that.
    fn frame_for_client(&mut self, framing: Framing) -> Framing {
        match (framing, self.client) {
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => {
                self.close = true;
                Framing::UntilClose
            }
            (Framing::UntilClose, Version::Http11) => Framing::Chunked,
            (framing, _) => framing,
        }
    }

    fn write_head(&self, head: &ResponseHead, framing: Framing, down: &mut Wire) {
        let nominated = Nominated::of(&head.fields);
        let out = down.head_buffer();
        encode::status_line(out, head.status, head.reason());
        for field in head.fields.iter() {
            // HTTP/3 would leave the gateway (RFC 7838).
            let dropped = nominated.is_for_this_hop(field) || field.is("alt-svc");
            // A length where there is no body by definition (1xx, 204) is a second framing.
            let stray = field.is("content-length") && matches!(head.status, 100..=199 | 204);
            if !dropped && !stray {
                encode::field(out, field);
            }
        }
        if framing == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if head.status == 101 {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        }
        if self.close && head.status >= 200 {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        encode::end_of_head(out);
    }

    /// True: more must be read first.
    fn take_body(&mut self, up: &mut Wire, down: &mut Wire) -> Result<bool, Error> {
        let State::Body(reader) = &mut self.state else { return Ok(false) };
        match reader.next(&mut up.input).map_err(|error| Error::BadResponse(error.to_string()))? {
            None => Ok(true),
            Some(Frame::Data(data)) => {
                self.received += data.len() as u64;
                self.queue_data(data, down);
                Ok(false)
            }
            Some(Frame::End(trailers)) => {
                self.end(&trailers, down);
                Ok(false)
            }
        }
    }

    fn queue_data(&self, data: Bytes, down: &mut Wire) {
        if self.framing_down == Framing::Chunked {
            encode::chunk_start(down.head_buffer(), data.len());
            down.queue(data);
            down.head_buffer().extend_from_slice(encode::CHUNK_END);
        } else {
            down.queue(data);
        }
    }

    fn end(&mut self, trailers: &Fields, down: &mut Wire) {
        if self.framing_down == Framing::Chunked {
            let out = down.head_buffer();
            out.extend_from_slice(encode::LAST_CHUNK);
            trailers.iter().filter(|field| passes_as_trailer(*field)).for_each(|field| encode::field(out, field));
            encode::end_of_head(out);
        }
        self.state = State::Ended;
    }

    /// The origin has closed: the end of a body that ends so, and a cut of everything else.
    fn end_at_close(&mut self, up: &Wire, down: &mut Wire) -> Result<(), Error> {
        match &self.state {
            State::Body(reader) if reader.ends_at_close() => {
                self.end(&Fields::default(), down);
                Ok(())
            }
            State::Head(_) if !up.input.is_empty() => Err(Error::BadResponse("no whole head".to_owned())),
            _ => Err(Error::UpstreamGone(None)),
        }
    }
}
