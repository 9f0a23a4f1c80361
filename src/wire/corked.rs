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
/// Bytes that are read before others have their turn: of frames of a few bytes the library takes only some thousands
/// ahead of who reads them.
const TURN: usize = 16 * 1024;

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
    /// Read since the task last waited.
    read: usize,
    /// A flush has failed: told at the next write.
    error: Option<io::Error>,
}

impl Corked {
    /// The stream, and what lets its bytes out.
    #[must_use]
    pub fn new(stream: Stream) -> (Self, Cork) {
        let gathered = Gathered { stream, pending: BytesMut::new(), is_unflushed: false, read: 0, error: None };
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
        gathered.read = 0;
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
        let gathered = &mut *lock(&self.0);
        if gathered.read >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Whoever drives the connection reads at every turn, and most turns are for something else.
        ready!(gathered.stream.poll_readable(cx))?;
        let before = out.filled().len();
        ready!(Pin::new(&mut gathered.stream).poll_read(cx, out))?;
        gathered.read += out.filled().len() - before;
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Corked, Cork, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (corked, cork) = Corked::new(listener.accept().await.unwrap().0.into());
        (corked, cork, peer)
    }

    async fn read(peer: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut read = vec![0; length];
        peer.read_exact(&mut read).await.unwrap();
        read
    }

    #[tokio::test]
    async fn small_writes_leave_together_once_the_others_had_their_turn() {
        use std::io::Read;
        let (mut corked, mut cork, peer) = pair().await;
        for part in ["one ", "two ", "three"] {
            corked.write_all(part.as_bytes()).await.unwrap();
            corked.flush().await.unwrap();
        }
        // Without the runtime's knowledge of what is readable, which comes later.
        let mut peer = peer.into_std().unwrap();
        let mut come = Vec::new();
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            cork.poll_flush(cx);
            let mut buffer = [0; 64];
            let read = peer.read(&mut buffer).unwrap_or(0);
            come.push(buffer[..read].to_vec());
            if turns == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(come, [&b""[..], b"one two three"]);
    }

    #[tokio::test]
    async fn who_reads_much_lets_others_have_their_turn() {
        let (mut corked, mut cork, mut peer) = pair().await;
        peer.write_all(&vec![b'x'; 4 * TURN]).await.unwrap();
        let (mut read, mut turns) = (0, 0);
        let mut room = vec![0; TURN / 4];
        while read < 4 * TURN {
            let mut buffer = ReadBuf::new(&mut room);
            poll_fn(|cx| {
                let polled = Pin::new(&mut corked).poll_read(cx, &mut buffer);
                if polled.is_pending() {
                    turns += 1;
                    cork.poll_flush(cx);
                }
                polled
            })
            .await
            .unwrap();
            read += buffer.filled().len();
        }
        assert!(turns >= 3, "{turns}");
    }

    #[tokio::test]
    async fn large_writes_go_at_once_and_behind_what_was_written_before() {
        let (mut corked, mut cork, mut peer) = pair().await;
        let large = vec![b'x'; MOST];
        corked.write_all(b"small").await.unwrap();
        corked.write_all(&large).await.unwrap();
        assert_eq!(read(&mut peer, 5 + MOST).await, [&b"small"[..], &large].concat());
        corked.write_all(b"last").await.unwrap();
        tokio::select! {
            last = read(&mut peer, 4) => assert_eq!(last, b"last"),
            () = cork.during(pending()) => {}
        }
    }

    #[tokio::test]
    async fn a_shutdown_leaves_nothing_behind() {
        let (mut corked, _cork, mut peer) = pair().await;
        corked.write_all(b"the last word").await.unwrap();
        corked.shutdown().await.unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"the last word");
    }

    #[tokio::test]
    async fn a_write_that_failed_later_is_told_at_the_next() {
        let (mut corked, mut cork, peer) = pair().await;
        peer.set_zero_linger().unwrap();
        drop(peer);
        let failed = cork.during(async {
            loop {
                if let Err(error) = corked.write_all(b"x").await {
                    break error;
                }
                tokio::task::yield_now().await;
            }
        });
        assert!(matches!(failed.await.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    }
}
