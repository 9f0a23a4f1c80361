//! What is to be written to a connection.

use super::Stream;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Parts up to this size are copied together, so that they leave in one write and one TLS record.
const COPY_MAX: usize = 4 * 1024;
/// Slices given to one `writev`.
const SLICES: usize = 16;

/// Queued parts, then the tail that small parts and heads are collected in.
#[derive(Debug, Default)]
pub(super) struct Output {
    parts: VecDeque<Bytes>,
    parts_len: usize,
    pub(super) tail: BytesMut,
    /// Bytes were handed to the stream since its last flush: TLS may still hold records.
    pub(super) unflushed: bool,
    /// Bytes handed to the stream since it began.
    pub(super) written: u64,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.parts_len + self.tail.len()
    }

    pub(super) fn queue(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.seal_tail();
        self.parts_len += bytes.len();
        self.parts.push_back(bytes);
    }

    /// Writes `bytes` at once as far as the stream takes them, and queues a copy of the rest. Nothing may be queued.
    pub(super) fn pass(&mut self, stream: &mut Stream, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, bytes)? else {
                self.queue(Bytes::copy_from_slice(bytes));
                break;
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            (self.unflushed, self.written) = (true, self.written + written as u64);
            bytes = &bytes[written..];
        }
        Ok(())
    }

    pub(super) fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let written = if self.parts.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let tail = std::iter::once(self.tail.as_ref());
                let filled = self.parts.iter().map(Bytes::as_ref).chain(tail).take(SLICES);
                let count = slices.iter_mut().zip(filled).map(|(slot, part)| *slot = IoSlice::new(part)).count();
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Gives back what memory it has, where nothing is in it.
    pub(super) fn release(&mut self) {
        if self.len() == 0 {
            (self.parts, self.tail) = (VecDeque::new(), BytesMut::new());
        }
    }

    pub(super) fn discard(&mut self) {
        self.parts.clear();
        self.parts_len = 0;
        self.tail.clear();
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written as u64;
        while let Some(part) = self.parts.front_mut() {
            let now = written.min(part.len());
            part.advance(now);
            self.parts_len -= now;
            written -= now;
            if !part.is_empty() {
                return;
            }
            self.parts.pop_front();
        }
        self.tail.advance(written);
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts_len += self.tail.len();
            self.parts.push_back(self.tail.split().freeze());
        }
    }
}
