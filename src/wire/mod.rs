//! A connection's bytes, whichever side it is on: plain or TLS, read ahead, written in batches.
//!
//! Knows nothing of HTTP, sessions or policy. It serves the data path and the upstream pool, which
//! drive both directions of a flow from one task by polling.

mod corked;
mod descriptors;
mod duplex;
mod multiplexed;
mod output;
mod socket;
mod splice;
mod stream;
mod transport;

pub use corked::{Cork, Corked};
pub use descriptors::Descriptors;
pub use duplex::Duplex;
pub use multiplexed::Multiplexed;
pub use socket::Socket;
pub use stream::Stream;
pub use transport::Transport;

use bytes::{Bytes, BytesMut};
use output::Output;
use splice::Taken;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;
use tokio_util::io::poll_read_buf;

/// Bytes read at once while a peer sends little, and while it sends much. It grows with every read that fills it and
/// shrinks with every one that leaves most of it empty.
const READ_SMALL: usize = 8 * 1024;
const READ_LARGE: usize = 64 * 1024;
/// Bytes passed at once: this buffer is a thread's, and not a connection's.
const PASSED: usize = 256 * 1024;
/// From so many bytes on, mapping pages from socket to socket costs less than copying them twice.
const WORTH_A_SPLICE: usize = 32 * 1024;

/// What most heads have room in: it would be grown to that in several steps.
const HEAD_ROOM: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; PASSED].into());
}

/// One connection: its stream, what was read of it and not yet used, what is to be written.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    /// Read and not yet used.
    pub input: BytesMut,
    output: Output,
    read_size: usize,
    /// So much comes that it is worth a splice.
    is_flood: bool,
}

impl Wire {
    /// A connection that nothing was read of.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, input: BytesMut::new(), output: Output::default(), read_size: READ_SMALL, is_flood: false }
    }

    /// The stream, and what was read of it and not used.
    #[must_use]
    pub fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads once into [`input`](Wire::input); 0 bytes: the peer has closed its side. While nothing comes, no buffer
    /// is held for it: idle connections are many.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Poll::Ready(readable) = self.stream.poll_readable(cx) else {
            self.release_buffers();
            return Poll::Pending;
        };
        readable?;
        let Poll::Ready(read) = self.poll_read(cx) else {
            self.release_buffers();
            return Poll::Pending;
        };
        let read = read?;
        if read >= self.read_size {
            self.read_size = (self.read_size * 4).min(READ_LARGE);
        } else if read < self.read_size / 8 {
            self.read_size = (self.read_size / 2).max(READ_SMALL);
        }
        Poll::Ready(Ok(read))
    }

    /// What is read first is read into a buffer that every connection of this thread uses: what is kept of it, until the
    /// request is over, is no larger than what came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read_size > READ_SMALL || !self.input.is_empty() {
            self.input.reserve(self.read_size);
            return poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut room = ReadBuf::new(&mut scratch[..READ_SMALL]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
            self.input = BytesMut::from(room.filled());
            Poll::Ready(Ok(self.input.len()))
        })
    }

    /// Reads once into [`input`](Wire::input); 0 bytes: the peer has closed its side.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Reads once and hands it straight on: from socket to socket within the kernel while much comes, else through a
    /// buffer that every connection of this thread uses. What `to` does not take at once is queued there. Nothing may
    /// be in [`input`](Wire::input), nor queued at `to`. `allows` is asked before anything goes on. 0 bytes: the peer
    /// has closed its side. After an error some may have gone on, as [`written`](Wire::written) tells.
    pub fn poll_pass<E: From<io::Error>>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Wire,
        allows: impl FnOnce(usize) -> Result<(), E>,
    ) -> Poll<Result<usize, E>> {
        if self.is_flood
            && let (Stream::Plain(socket), Stream::Plain(onto)) = (&self.stream, &to.stream)
        {
            let Poll::Ready(taken) = Taken::poll(socket, cx)? else {
                self.release_buffers();
                return Poll::Pending;
            };
            if let Some(taken) = taken {
                let length = taken.length();
                self.is_flood = length >= WORTH_A_SPLICE;
                if length > 0 {
                    allows(length)?;
                    let rest = taken.pass(onto, &mut to.output.written)?;
                    to.output.queue(rest);
                }
                return Poll::Ready(Ok(length));
            }
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut room = ReadBuf::new(scratch);
            let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(cx, &mut room) else {
                self.release_buffers();
                return Poll::Pending;
            };
            outcome?;
            let read = room.filled();
            self.is_flood = read.len() >= WORTH_A_SPLICE;
            if !read.is_empty() {
                allows(read.len())?;
                to.output.pass(&mut to.stream, cx, read)?;
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Gives back the buffers of a connection that waits, where nothing is in them.
    pub fn release_buffers(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        self.output.release();
    }

    /// A buffer whose bytes are written after all that was queued before: for heads and small parts.
    pub fn head_buffer(&mut self) -> &mut BytesMut {
        if self.output.tail.capacity() == 0 {
            self.output.tail.reserve(HEAD_ROOM);
        }
        &mut self.output.tail
    }

    /// Queues bytes to be written, without copying large ones.
    pub fn queue(&mut self, bytes: Bytes) {
        self.output.queue(bytes);
    }

    /// Bytes queued and not yet written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.output.len()
    }

    /// Bytes written since the connection began: whether something has left can be told from it.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.output.written
    }

    /// Takes back all that is queued and not yet written.
    pub fn discard_queued(&mut self) {
        self.output.discard();
    }

    /// Writes all that is queued.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.len() == 0 && !self.output.unflushed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.output.poll_write(&mut self.stream, cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.output.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Writes all that is queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Says that nothing more will be written (close_notify under TLS, then FIN).
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Says that nothing more will be written (close_notify under TLS, then FIN).
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Ends the connection so that the peer can't take it for a clean end: no close_notify, and a reset.
    pub fn abort(mut self) {
        self.stream.reset_at_close();
    }

    /// Whether the peer has neither closed nor sent anything that nobody asked for: what an idle
    /// connection must show before it is used again (Pingora CVE-2025-4366).
    pub fn is_quiet(&mut self) -> bool {
        // Without budget every poll is pending, and says nothing.
        let mut cx = Context::from_waker(Waker::noop());
        let clean = self.input.is_empty() && self.output.len() == 0 && has_budget_remaining();
        clean && self.poll_fill(&mut cx).is_pending()
    }
}
