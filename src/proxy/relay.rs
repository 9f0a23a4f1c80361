//! Opaque bytes, both ways, until both sides are done.

use super::error::Error;
use super::identify::Identity;
use super::interrupt::Cause;
use super::leg::Leg;
use super::{Shared, gate};
use crate::flow::Recorder;
use crate::net::SshOpening;
use crate::reason::{Denial, Reason};
use crate::wire::Wire;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// One direction of a tunnel.
#[derive(Default)]
struct Direction<'a> {
    state: State,
    bytes: u64,
    /// Whose budget the bytes come out of: nobody's on the way down.
    spends: Option<&'a Identity>,
    /// What must be shown before anything passes.
    opening: Option<SshOpening>,
}

/// Why a direction ends before its sender is done.
enum Stop {
    Broken(io::Error),
    Refused(Denial),
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
    identity: &Identity,
    origin: &mut Wire,
    opening: Option<SshOpening>,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let mut up = Direction { spends: Some(identity), opening, ..Direction::default() };
    let mut down = Direction { opening, ..Direction::default() };
    leg.interrupt.arm(shared.limits().idle_timeout);
    let ended = poll_fn(|cx| {
        let before = (up.bytes, down.bytes);
        let up_ended = up.poll(cx, &mut leg.wire, origin);
        let down_ended = down.poll(cx, origin, &mut leg.wire);
        if before != (up.bytes, down.bytes) {
            leg.interrupt.arm(shared.limits().idle_timeout);
        }
        match (up_ended, down_ended) {
            (Poll::Ready(Err(stop)), _) | (_, Poll::Ready(Err(stop))) => Poll::Ready(Ok(Some(stop))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
            _ => leg.interrupt.poll(cx).map(Err),
        }
    })
    .await;
    recorder.add_up(up.bytes);
    recorder.add_down(down.bytes);
    match ended {
        // Peers end tunnels as they please, by resets too: that is no failure of the flow.
        Ok(None) => Ok(()),
        Ok(Some(Stop::Broken(error))) => {
            recorder.error(format_args!("ended by {error}"));
            Ok(())
        }
        Ok(Some(Stop::Refused(denial))) => Err(denial.into()),
        Err(Cause::Deadline) => {
            recorder.error("idle for too long");
            Ok(())
        }
        Err(cause) => Err(Error::Interrupted(cause)),
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Broken(error)
    }
}

impl Direction<'_> {
    /// How much of what is here may go on.
    fn passing(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let Some(opening) = self.opening.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(bytes.len()) };
        let passing = opening.passes(bytes);
        let denied = |error| Stop::Refused(Denial::new(Reason::TunnelNotSsh).because(error));
        passing.map_err(denied)
    }

    fn spend(&self, length: usize) -> Result<(), Stop> {
        let spent = self.spends.map_or(Ok(()), |identity| gate::spend_upload(identity, length as u64));
        spent.map_err(Stop::Refused)
    }

    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire) -> Poll<Result<(), Stop>> {
        loop {
            let passing = self.passing(&from.input)?;
            if passing > 0 {
                self.spend(passing)?;
                self.bytes += passing as u64;
                to.queue(from.input.split_to(passing).freeze());
                continue;
            }
            ready!(to.poll_flush(cx))?;
            match self.state {
                State::Open if matches!(self.opening, None | Some(SshOpening::Shown)) => {
                    let before = to.written();
                    let passed = ready!(from.poll_pass(cx, to, |length| self.spend(length)));
                    // What a peer has taken before it ended the connection is on record too.
                    self.bytes += passed.as_ref().map_or_else(|_| to.written() - before, |passed| *passed as u64);
                    if passed? == 0 {
                        self.state = State::Closing;
                    }
                }
                // What is shown first is judged as a whole.
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
