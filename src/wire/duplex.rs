//! What a relay needs of a peer's two streams, whatever they run over.

use super::Wire;
use bytes::{Bytes, BytesMut};
use std::io;
use std::task::{Context, Poll};

/// A peer: read ahead on one side, queued on the other. A [`Wire`], or a stream among others on one.
pub trait Duplex {
    /// What was read and not yet used.
    fn input(&mut self) -> &mut BytesMut;

    /// Reads once into [`input`](Duplex::input); 0 bytes: the peer sends no more.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Gives back the buffers where nothing is in them.
    fn release_buffers(&mut self);

    /// A buffer whose bytes are written after all that was queued before.
    fn head_buffer(&mut self) -> &mut BytesMut;

    /// Queues bytes to be written, without copying large ones.
    fn queue(&mut self, bytes: Bytes);

    /// Bytes queued and not yet written.
    fn queued(&self) -> usize;

    /// Writes all that is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Duplex for Wire {
    fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Wire::poll_fill(self, cx)
    }

    fn release_buffers(&mut self) {
        Wire::release_buffers(self);
    }

    fn head_buffer(&mut self) -> &mut BytesMut {
        Wire::head_buffer(self)
    }

    fn queue(&mut self, bytes: Bytes) {
        Wire::queue(self, bytes);
    }

    fn queued(&self) -> usize {
        Wire::queued(self)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_flush(self, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Wire::poll_shutdown(self, cx)
    }
}
