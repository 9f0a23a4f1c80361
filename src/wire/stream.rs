//! A plain socket, TLS on either side of one, or a stream among others.

use super::{Multiplexed, Socket, Transport};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

/// A connection's stream.
#[derive(Debug)]
pub enum Stream {
    /// A socket of the system.
    Plain(Socket),
    /// TLS with a client of ours.
    Downstream(Box<server::TlsStream<Transport>>),
    /// TLS with an origin.
    Upstream(Box<client::TlsStream<Transport>>),
    /// A tunnel on a client's HTTP/2 connection.
    Multiplexed(Box<Multiplexed>),
}

impl Stream {
    /// The address at this end, however many layers of TLS are above it.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Stream::Plain(socket) => socket.local_address(),
            Stream::Downstream(tls) => tls.get_ref().0.stream().local_address(),
            Stream::Upstream(tls) => tls.get_ref().0.stream().local_address(),
            Stream::Multiplexed(_) => None,
        }
    }

    /// Has the system ask whether a silent peer is still there, however many layers of TLS are above the socket. What
    /// lasts no minute does without, as setting it takes three calls.
    pub fn keep_alive(&self) {
        match self {
            Stream::Plain(socket) => socket.keep_alive(),
            Stream::Downstream(tls) => tls.get_ref().0.stream().keep_alive(),
            Stream::Upstream(tls) => tls.get_ref().0.stream().keep_alive(),
            Stream::Multiplexed(_) => {}
        }
    }

    /// Pending while it is known that a read would be: a buffer need not be at hand before.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_readable(cx),
            // What they have decrypted lies above their sockets; they want more only where that was read.
            Stream::Downstream(tls) if tls.get_ref().1.wants_read() => tls.get_ref().0.poll_readable(cx),
            Stream::Upstream(tls) if tls.get_ref().1.wants_read() => tls.get_ref().0.poll_readable(cx),
            Stream::Downstream(_) | Stream::Upstream(_) | Stream::Multiplexed(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the close tells the peer of the end by itself, where all was read that it sent: there is no close_notify
    /// nor anything else to be written before it.
    #[must_use]
    pub fn says_end_at_close(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    /// Makes the close a reset, where there is such a thing: the peer must not take it for a clean end.
    pub(super) fn reset_at_close(&mut self) {
        match self {
            Stream::Plain(socket) => socket.reset_at_close(),
            Stream::Downstream(tls) => tls.get_mut().0.stream_mut().reset_at_close(),
            Stream::Upstream(tls) => tls.get_mut().0.stream_mut().reset_at_close(),
            Stream::Multiplexed(stream) => stream.cut(),
        }
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Stream::Plain(socket)
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Stream::Plain(socket.into())
    }
}

impl Stream {
    /// The protocol that was agreed on in TLS (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Stream::Plain(_) | Stream::Multiplexed(_) => None,
            Stream::Downstream(tls) => tls.get_ref().1.alpn_protocol(),
            Stream::Upstream(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }
}

/// Does the same on the stream, whichever it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Plain($inner) => $call,
            Stream::Downstream($inner) => $call,
            Stream::Upstream($inner) => $call,
            Stream::Multiplexed($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_read(cx, out))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(&mut *self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
