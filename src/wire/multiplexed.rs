//! One stream of an HTTP/2 connection as a stream of bytes: what a CONNECT in HTTP/2 becomes (RFC 9113 §8.5).

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes taken for one frame.
const MOST: usize = 16 * 1024;

/// One stream of an HTTP/2 connection, both ways.
#[derive(Debug)]
pub struct Multiplexed {
    incoming: RecvStream,
    outgoing: SendStream<Bytes>,
    /// Read of the stream and not yet taken.
    ahead: Bytes,
}

impl Multiplexed {
    /// The bytes of a stream whose heads have been sent both ways.
    #[must_use]
    pub fn new(incoming: RecvStream, outgoing: SendStream<Bytes>) -> Self {
        Self { incoming, outgoing, ahead: Bytes::new() }
    }

    /// Ends it so that the peer can't take it for a clean end.
    pub(super) fn cut(&mut self) {
        self.outgoing.send_reset(Reason::CONNECT_ERROR);
    }
}

impl AsyncRead for Multiplexed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ahead.is_empty() {
            match ready!(this.incoming.poll_data(cx)) {
                Some(data) => this.ahead = data.map_err(broken)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let now = out.remaining().min(this.ahead.len());
        out.put_slice(this.ahead.get(..now).unwrap_or_default());
        this.ahead.advance(now);
        // Fails when the stream is over, and then nobody waits for room.
        let _ = this.incoming.flow_control().release_capacity(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Multiplexed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wanted = bytes.len().min(MOST);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        this.outgoing.reserve_capacity(wanted);
        while this.outgoing.capacity() == 0 {
            match ready!(this.outgoing.poll_capacity(cx)) {
                Some(room) => room.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let now = wanted.min(this.outgoing.capacity());
        let data = Bytes::copy_from_slice(bytes.get(..now).unwrap_or_default());
        this.outgoing.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Said twice, or to a peer that is gone: there is nothing left to say.
        let _ = self.outgoing.send_data(Bytes::new(), true);
        Poll::Ready(Ok(()))
    }
}

/// A peer that resets its stream is gone like one that resets its connection.
fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        Some(Reason::NO_ERROR | Reason::CANCEL | Reason::STREAM_CLOSED | Reason::CONNECT_ERROR) => {
            io::Error::new(io::ErrorKind::ConnectionReset, error)
        }
        _ => io::Error::other(error),
    }
}
