//! A stream that is read ahead in large pieces.

use super::Stream;
use bytes::{Buf, BytesMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// rustls reads its socket 4 KiB at a time; one read of this size serves many of those: the first while a peer sends
/// more than that, the second while it fills them.
const READ_AHEAD: usize = 32 * 1024;
const READ_FAR_AHEAD: usize = 128 * 1024;

/// What is under TLS, be it a socket or TLS again (a tunnel through a TLS listener, or through a parent
/// proxy that speaks TLS): bytes that were read before TLS began come first, and reads go ahead in large
/// pieces while there is much to read. The buffer is given back whenever it is empty.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    ahead: BytesMut,
    /// How much is read ahead at once; nothing while a peer sends little.
    read_size: usize,
}

impl Transport {
    /// A stream of which `ahead` was read already.
    #[must_use]
    pub fn new(stream: impl Into<Stream>, ahead: BytesMut) -> Self {
        Self { stream: stream.into(), ahead, read_size: 0 }
    }

    /// What is under TLS.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Pending while it is known that a read would be.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() { self.stream.poll_readable(cx) } else { Poll::Ready(Ok(())) }
    }

    pub(super) fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() && this.read_size == 0 {
            ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
            if out.remaining() == 0 {
                this.read_size = READ_AHEAD;
            }
            return Poll::Ready(Ok(()));
        }
        if this.ahead.is_empty() {
            ready!(this.stream.poll_readable(cx))?;
            this.ahead.reserve(this.read_size);
            let read = poll_read_buf(Pin::new(&mut this.stream), cx, &mut this.ahead);
            if this.ahead.is_empty() {
                this.ahead = BytesMut::new();
            }
            let read = ready!(read)?;
            if read >= this.read_size {
                this.read_size = READ_FAR_AHEAD;
            } else if read < READ_AHEAD / 2 {
                this.read_size = if read <= out.remaining() { 0 } else { READ_AHEAD };
            }
        }
        let now = out.remaining().min(this.ahead.len());
        out.put_slice(&this.ahead[..now]);
        this.ahead.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
