//! One direction of an HTTP/2 stream's bytes: what both ends of a request have in common.

use super::headers::passes_as_trailer;
use super::translate::{append, fields_of};
use crate::http1::{Fields, FieldsError, Frame};
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

/// A body that comes in.
pub(super) struct Incoming {
    stream: RecvStream,
    frame: Option<Frame>,
    /// What was read before anybody wanted it.
    ahead: Ahead,
    /// Bytes that were handed out and not yet given back to the peer's window: they are given back when more is wanted,
    /// which is when they have been passed on.
    taken: usize,
    is_done: bool,
}

/// Pieces of a body, small ones put together: the library bounds how many small frames wait in it, and costs of its own
/// and of ours hang on each. The peer's window bounds how much it is.
#[derive(Default)]
struct Ahead {
    pieces: VecDeque<Bytes>,
    small: BytesMut,
}

/// Frames below this are small; so much of them is put together.
const SMALL: usize = 1024;
const TOGETHER: usize = 16 * 1024;

impl Ahead {
    fn push(&mut self, data: &Bytes) {
        if data.len() >= SMALL {
            self.close();
            self.pieces.push_back(data.clone());
            return;
        }
        self.small.extend_from_slice(data);
        if self.small.len() >= TOGETHER {
            self.close();
        }
    }

    /// No more is put to the last small ones.
    fn close(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.small).freeze());
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.close();
        }
        self.pieces.pop_front()
    }
}

/// Why a body that comes in is cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// The stream or its connection.
    #[error(transparent)]
    Stream(#[from] h2::Error),
    /// Trailers that are not well-formed.
    #[error(transparent)]
    Trailers(#[from] FieldsError),
}

impl Incoming {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, frame: None, ahead: Ahead::default(), taken: 0, is_done: false }
    }

    /// The stream, of which nothing was read.
    pub(super) fn into_stream(self) -> RecvStream {
        self.stream
    }

    /// What was read last.
    pub(super) fn take_frame(&mut self) -> Option<Frame> {
        self.frame.take()
    }

    /// Reads the next frame, unless one is here.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        if self.frame.is_some() || self.is_done {
            return Poll::Ready(Ok(()));
        }
        if self.taken > 0 {
            // Fails when the stream is over, and then nobody waits for room.
            let _ = self.stream.flow_control().release_capacity(self.taken);
            self.taken = 0;
        }
        let piece = match self.ahead.pop() {
            Some(piece) => Some(piece),
            None => ready!(self.poll_piece(cx))?,
        };
        if let Some(data) = piece {
            self.taken = data.len();
            self.frame = Some(Frame::Data(data));
            return Poll::Ready(Ok(()));
        }
        let trailers = match ready!(self.stream.poll_trailers(cx))? {
            Some(map) => fields_of(&map, TRAILERS_MAX)?,
            None => Fields::default(),
        };
        self.is_done = true;
        self.frame = Some(Frame::End(trailers));
        Poll::Ready(Ok(()))
    }

    /// The next piece that the library has, a small one with those that have come behind it; none at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, h2::Error>> {
        let Some(first) = ready!(self.poll_frame(cx))? else { return Poll::Ready(Ok(None)) };
        if first.len() >= SMALL {
            return Poll::Ready(Ok(Some(first)));
        }
        // What else there is, end or fault, the next look tells.
        let Poll::Ready(Ok(Some(second))) = self.poll_frame(cx) else { return Poll::Ready(Ok(Some(first))) };
        self.ahead.push(&first);
        self.ahead.push(&second);
        self.gather(cx);
        Poll::Ready(Ok(self.ahead.pop()))
    }

    /// Takes from the library what has come, as far as the peer's window let it.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Ok(Some(data))) = self.poll_frame(cx) {
            self.ahead.push(&data);
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, h2::Error>> {
        loop {
            let data = ready!(self.stream.poll_data(cx)).transpose()?;
            // Empty frames say nothing; the library bounds how many come.
            if data.as_ref().is_none_or(|data| !data.is_empty()) {
                return Poll::Ready(Ok(data));
            }
        }
    }
}

/// Trailer fields of one message.
const TRAILERS_MAX: usize = 100;

/// A body that goes out.
#[derive(Default)]
pub(super) struct Outgoing {
    stream: Option<SendStream<Bytes>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    end: End,
}

#[derive(Default)]
enum End {
    /// More is to come.
    #[default]
    Open,
    /// It ends so, when all that is queued has left.
    Queued(HeaderMap),
    Sent,
}

impl Outgoing {
    /// Nothing is to come besides the head.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && matches!(&self.end, End::Queued(trailers) if trailers.is_empty())
    }

    /// The head was sent, and this is what follows it; `ended`: nothing does.
    pub(super) fn open(&mut self, stream: SendStream<Bytes>, ended: bool) {
        self.stream = Some(stream);
        if ended {
            self.end = End::Sent;
        }
    }

    pub(super) fn queue(&mut self, data: Bytes) {
        self.queued += data.len();
        self.queue.push_back(data);
    }

    pub(super) fn end(&mut self, trailers: &Fields) {
        let mut map = HeaderMap::new();
        trailers.iter().filter(|field| passes_as_trailer(*field)).for_each(|field| append(&mut map, field));
        self.end = End::Queued(map);
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Throws away what has not left.
    pub(super) fn discard(&mut self) {
        self.queue.clear();
        (self.queued, self.end) = (0, End::Open);
    }

    /// Hands what is queued to the connection, as far as the peer's window goes.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        while let Some(front) = self.queue.front_mut() {
            if stream.capacity() == 0 {
                stream.reserve_capacity(self.queued);
            }
            let room = match stream.capacity() {
                0 => match ready!(stream.poll_capacity(cx)) {
                    Some(room) => room.map_err(io::Error::other)?,
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => room,
            };
            if room == 0 {
                continue;
            }
            let piece = front.split_to(room.min(front.len()));
            self.queued -= piece.len();
            if !front.has_remaining() {
                self.queue.pop_front();
            }
            let last = self.queue.is_empty() && matches!(&self.end, End::Queued(trailers) if trailers.is_empty());
            stream.send_data(piece, last).map_err(io::Error::other)?;
            if last {
                self.end = End::Sent;
            }
        }
        if let End::Queued(trailers) = &mut self.end {
            let trailers = std::mem::take(trailers);
            if trailers.is_empty() {
                stream.send_data(Bytes::new(), true).map_err(io::Error::other)?;
            } else {
                stream.send_trailers(trailers).map_err(io::Error::other)?;
            }
            self.end = End::Sent;
        }
        Poll::Ready(Ok(()))
    }

    /// The stream, on which the head was sent and nothing else.
    pub(super) fn into_stream(self) -> Option<SendStream<Bytes>> {
        self.stream
    }

    /// Ready when the peer wants no more of it.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(cx),
            None => Poll::Pending,
        }
    }

    /// Cuts it, so that the peer can't take it for whole.
    pub(super) fn reset(&mut self, reason: Reason) {
        if let Some(stream) = &mut self.stream {
            stream.send_reset(reason);
        }
    }
}
