//! Opaque bytes, both ways, until both sides are done.

use super::Shared;
use super::connection::Leg;
use super::error::Error;
use super::interrupt::Cause;
use crate::flow::Recorder;
use crate::wire::Wire;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// One direction of a tunnel.
#[derive(Default)]
struct Direction {
    state: State,
    bytes: u64,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender is done; the receiver is to be told.
    Closing,
    Done,
}

/// Relays until both directions are done, or one breaks, or nothing moves for the idle time. A side
/// that closes early is passed on as such (half-close), and the other may go on.
pub(super) async fn relay(
    shared: &Shared,
    leg: &mut Leg,
    origin: &mut Wire,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    leg.interrupt.arm(shared.limits.idle_timeout);
    let ended = poll_fn(|cx| {
        let before = (up.bytes, down.bytes);
        let up_ended = up.poll(cx, &mut leg.wire, origin);
        let down_ended = down.poll(cx, origin, &mut leg.wire);
        if before != (up.bytes, down.bytes) {
            leg.interrupt.arm(shared.limits.idle_timeout);
        }
        match (up_ended, down_ended) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Ok(Some(error))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
            _ => leg.interrupt.poll(cx).map(Err),
        }
    })
    .await;
    recorder.add_up(up.bytes);
    recorder.add_down(down.bytes);
    match ended {
        // Peers end tunnels as they please, by resets too: that is no failure of the flow.
        Ok(error) => {
            if let Some(error) = error {
                recorder.error(format_args!("ended by {error}"));
            }
            Ok(())
        }
        Err(Cause::Deadline) => {
            recorder.error("idle for too long");
            Ok(())
        }
        Err(cause) => Err(Error::Interrupted(cause)),
    }
}

impl Direction {
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire) -> Poll<io::Result<()>> {
        loop {
            if !from.input.is_empty() {
                self.bytes += from.input.len() as u64;
                to.queue(from.input.split().freeze());
            }
            ready!(to.poll_flush(cx))?;
            match self.state {
                State::Open => {
                    if ready!(from.poll_fill(cx))? == 0 {
                        self.state = State::Closing;
                    }
                }
                State::Closing => {
                    ready!(to.poll_shutdown(cx))?;
                    self.state = State::Done;
                }
                State::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
