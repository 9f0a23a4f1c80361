//! Bytes that go from one socket to another without being copied to this process and back.

use super::Socket;
use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::{pipe2, read};
use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

/// Bytes that a pipe is asked to hold; it may hold fewer.
const ROOM: usize = 256 * 1024;

thread_local! {
    /// A pipe in which nothing is, for every connection of this thread.
    static PIPE: Cell<Option<Pipe>> = const { Cell::new(None) };
}

struct Pipe {
    output: OwnedFd,
    input: OwnedFd,
}

/// Bytes of one socket that lie in a pipe. The pipe goes with them unless all have left it: what is of one connection
/// never comes out at another.
pub(super) struct Taken {
    pipe: Pipe,
    length: usize,
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (output, input) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // Users may have only so much in pipes; the size that every pipe has does as well.
        let _ = fcntl(&input, FcntlArg::F_SETPIPE_SZ(i32::try_from(ROOM).unwrap_or(i32::MAX)));
        Ok(Self { output, input })
    }
}

impl Taken {
    /// What has come to a socket, nothing where it has ended. `None`: it can't be taken like that here.
    pub(super) fn poll(socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<Option<Self>>> {
        let Some(pipe) = PIPE.take().or_else(|| Pipe::open().ok()) else { return Poll::Ready(Ok(None)) };
        loop {
            let Poll::Ready(readable) = socket.poll_readable(cx) else {
                PIPE.set(Some(pipe));
                return Poll::Pending;
            };
            readable?;
            match socket
                .try_read(|| Ok(splice(socket, None, &pipe.input, None, ROOM, SpliceFFlags::SPLICE_F_NONBLOCK)?))
            {
                Ok(length) => return Poll::Ready(Ok(Some(Self { pipe, length }))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Poll::Ready(Ok(None)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Hands them on, and counts them; those that `socket` does not take now are given back.
    pub(super) fn pass(self, socket: &Socket, written: &mut u64) -> io::Result<Bytes> {
        let Self { pipe, length: mut left } = self;
        let mut rest = Vec::new();
        while left > 0 {
            match socket
                .try_write(|| Ok(splice(&pipe.output, None, socket, None, left, SpliceFFlags::SPLICE_F_NONBLOCK)?))
            {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(now) => (left, *written) = (left - now, *written + now as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    rest.resize(left, 0);
                    drain(&pipe, &mut rest)?;
                    left = 0;
                }
                Err(error) => return Err(error),
            }
        }
        PIPE.set(Some(pipe));
        Ok(rest.into())
    }
}

fn drain(pipe: &Pipe, mut room: &mut [u8]) -> io::Result<()> {
    while !room.is_empty() {
        let done = read(&pipe.output, room)?;
        room = room.get_mut(done..).filter(|_| done > 0).ok_or(io::ErrorKind::UnexpectedEof)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[tokio::test]
    async fn all_comes_in_order_to_one_who_reads_slowly_and_to_one_who_does_not() {
        for pause in [0, 50] {
            let ((mut sender, from), (onto, mut receiver)) = (pair().await, pair().await);
            let sent = pattern(6 << 20);
            let expected = sent.clone();
            let sending = tokio::spawn(async move { sender.write_all(&sent).await });
            let passing = tokio::spawn(async move {
                let (mut from, mut onto) = (Wire::new(from.into()), Wire::new(onto.into()));
                let mut was_flood = false;
                while poll_fn(|cx| from.poll_pass(cx, &mut onto, |_| Ok::<_, io::Error>(()))).await.unwrap() > 0 {
                    was_flood |= from.is_flood;
                    onto.flush().await.unwrap();
                }
                assert!(was_flood, "nothing was spliced");
                assert_eq!(onto.written(), 6 << 20);
            });
            let mut come = Vec::new();
            while receiver.read_buf(&mut come).await.unwrap() > 0 {
                for _ in 0..pause {
                    tokio::task::yield_now().await;
                }
            }
            assert!(come == expected, "{} bytes came", come.len());
            sending.await.unwrap().unwrap();
            passing.await.unwrap();
        }
    }

    async fn take(socket: &Socket) -> Taken {
        poll_fn(|cx| Taken::poll(socket, cx)).await.unwrap().expect("the system splices")
    }

    #[tokio::test]
    async fn what_was_taken_from_one_never_comes_out_at_another() {
        let ((mut one, from_one), (mut two, from_two)) = (pair().await, pair().await);
        let (onto, mut receiver) = pair().await;
        one.write_all(b"of one session").await.unwrap();
        two.write_all(b"of another").await.unwrap();
        // Refused after it was taken.
        drop(take(&from_one.into()).await);
        let rest = take(&from_two.into()).await.pass(&onto.into(), &mut 0).unwrap();
        assert!(rest.is_empty());
        let mut come = [0; 64];
        let length = receiver.read(&mut come).await.unwrap();
        assert_eq!(&come[..length], b"of another");
    }

    #[tokio::test]
    async fn what_a_full_receiver_leaves_is_given_back() {
        let ((mut sender, from), (onto, mut receiver)) = (pair().await, pair().await);
        let (from, onto) = (Socket::from(from), Socket::from(onto));
        let sending = tokio::spawn(async move { sender.write_all(&pattern(32 << 20)).await });
        let (mut passed, mut written, mut rest) = (0, 0, Bytes::new());
        while rest.is_empty() {
            let taken = take(&from).await;
            passed += taken.length();
            rest = taken.pass(&onto, &mut written).unwrap();
        }
        let expected = pattern(passed);
        assert_eq!(written, (passed - rest.len()) as u64);
        assert_eq!(rest, expected[passed - rest.len()..]);
        drop(onto);
        let mut come = Vec::new();
        receiver.read_to_end(&mut come).await.unwrap();
        assert!(come == expected[..passed - rest.len()]);
        sending.abort();
    }
}
