//! A stream whose small writes leave together.

use super::Stream;
use bytes::{Buf, BufMut, BytesMut};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered; writes beyond that, and large ones, go out at once.
const MOST: usize = 16 * 1024;
/// From here on a write is worth a system call of its own, and not worth a copy.
const LARGE: usize = 4 * 1024;

/// What a library that speaks a multiplexed protocol writes to. It flushes after every frame; here frames wait until
/// the [`Cork`] says that whoever had something to send has had a turn: eight answers are one record of TLS and one
/// system call.
#[derive(Debug)]
pub struct Corked(Arc<Mutex<Gathered>>);

/// Lets what was written out. For the task that drives the stream, which alone uses both.
#[derive(Debug)]
pub struct Cork {
    gathered: Arc<Mutex<Gathered>>,
    /// The others have had their turn.
    has_yielded: bool,
}

#[derive(Debug)]
struct Gathered {
    stream: Stream,
    /// Written and not yet passed on.
    pending: BytesMut,
    /// Something was passed on that the stream may still hold.
    is_unflushed: bool,
    /// A flush has failed: told at the next write.
    error: Option<io::Error>,
}

impl Corked {
    /// The stream, and what lets its bytes out.
    #[must_use]
    pub fn new(stream: Stream) -> (Self, Cork) {
        let gathered = Gathered { stream, pending: BytesMut::new(), is_unflushed: false, error: None };
        let gathered = Arc::new(Mutex::new(gathered));
        (Self(gathered.clone()), Cork { gathered, has_yielded: false })
    }
}

impl Cork {
    /// Waits for what works with the stream.
    pub async fn during<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if done.is_pending() {
                self.poll_flush(cx);
            }
            done
        })
        .await
    }

    /// To be called whenever the task is about to wait. What was written goes out once all that are ready to run have
    /// run: the task is woken for that.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) {
        let mut gathered = lock(&self.gathered);
        if !gathered.is_waiting() {
            self.has_yielded = false;
        } else if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
        } else if let Poll::Ready(flushed) = gathered.poll_flush(cx) {
            self.has_yielded = false;
            if let Err(error) = flushed {
                gathered.error = Some(error);
                cx.waker().wake_by_ref();
            }
        }
    }
}

impl Gathered {
    fn is_waiting(&self) -> bool {
        self.error.is_none() && (self.is_unflushed || !self.pending.is_empty())
    }

    /// Passes on what was gathered.
    fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = true;
            self.pending.advance(written);
        }
        // Connections that have nothing to say are many: they hold no buffer.
        self.pending = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass(cx))?;
        if self.is_unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Corked {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gathered = &mut *lock(&self.0);
        if let Some(error) = gathered.error.take() {
            return Poll::Ready(Err(error));
        }
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if gathered.pending.len() + length > MOST {
            ready!(gathered.poll_pass(cx))?;
        }
        if length >= LARGE && gathered.pending.is_empty() {
            gathered.is_unflushed = true;
            return Pin::new(&mut gathered.stream).poll_write_vectored(cx, slices);
        }
        slices.iter().for_each(|slice| gathered.pending.put_slice(slice));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Says that it is done: the [`Cork`] does it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(lock(&self.0).error.take().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gathered = &mut *lock(&self.0);
        ready!(gathered.poll_flush(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

fn lock(gathered: &Mutex<Gathered>) -> MutexGuard<'_, Gathered> {
    // No step of ours that could panic leaves it half changed.
    gathered.lock().unwrap_or_else(PoisonError::into_inner)
}
