//! A WebSocket between agent and origin, both ways, to its end.
//!
//! `upward` looks through what the agent sends, `downward` holds what comes back to the protocol,
//! `outgoing` writes the frames that go on. It does not care what the two streams run over.

mod downward;
mod flood;
mod outgoing;
mod upward;

use super::Shared;
use super::error::Error;
use super::forward::{Admitted, Switched};
use super::headers::Asks;
use super::identify::Identity;
use super::interrupt::{Cause, Interrupt};
use super::leg::{Goodbye, Leg};
use crate::flow::{Mode, Recorder};
use crate::http1::{Framing, RequestHead, Version, list_tokens};
use crate::net::Target;
use crate::reason::{Denial, Reason};
use crate::websocket::{CloseCode, Deflate, Handshake};
use crate::wire::Duplex;
use bytes::BytesMut;
use downward::Downward;
use http::Method;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::timeout;
use upward::Upward;

/// What is wrong with bytes that come before the 101 (Envoy CVE-2024-23326, Pingora CVE-2026-2833).
pub(super) const EARLY: &str = "frames were sent before the handshake was answered";
/// Payload is taken in pieces of at most this.
const PIECE: usize = 64 * 1024;
/// Bytes queued for one side beyond which the other is not read.
const QUEUED_MAX: usize = 256 * 1024;
/// Bytes that are scanned before other tasks get their turn.
const WORK: usize = 256 * 1024;
/// How long a close frame waits for its answer.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// How long an origin is given to take the last frames.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a request that asks for a WebSocket asks for (RFC 6455 §4.1).
pub(super) fn asked_for(head: &RequestHead, framing: Framing, asks: Asks) -> Result<Handshake, Error> {
    let wrong = |what: &str| Err(Denial::new(Reason::BadWebSocket).because(what).into());
    if head.method != Method::GET {
        return wrong("a WebSocket is asked for with GET");
    }
    if head.version != Version::Http11 {
        return wrong("a WebSocket is asked for in HTTP/1.1");
    }
    if framing != Framing::None || asks.expects_continue {
        return wrong("the request has a body");
    }
    let mut options = head.fields.values("connection").flat_map(list_tokens);
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return wrong("Connection does not name Upgrade");
    }
    Handshake::of_request(&head.fields).map_err(Error::Handshake)
}

/// Serves a connection that has become a WebSocket. The 101 is queued for the agent.
pub(super) async fn serve(
    shared: &Shared,
    leg: &mut Leg,
    mut switched: Switched,
    admitted: &Admitted,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    recorder.mode(Mode::Websocket);
    let ends = Ends { down: &mut leg.wire, up: &mut switched.origin };
    let agreed = Agreed { target: &admitted.target, identity: admitted.identity.clone(), deflate: switched.deflate };
    let ended = relay(shared, &mut leg.interrupt, ends, agreed, recorder).await;
    leg.goodbye = match &ended {
        Ok(()) => None,
        Err(Error::Frames(_)) => Some(Goodbye::Told),
        Err(_) => Some(Goodbye::Answered),
    };
    ended
}

/// The two peers of a WebSocket.
pub(super) struct Ends<'a, D, U> {
    pub(super) down: &'a mut D,
    pub(super) up: &'a mut U,
}

/// What was allowed and agreed on.
pub(super) struct Agreed<'a> {
    pub(super) target: &'a Target,
    pub(super) identity: Identity,
    pub(super) deflate: Option<Deflate>,
}

/// One direction.
trait Half {
    /// Takes frames from `input` and queues what may go on.
    fn advance(&mut self, input: &mut BytesMut, to: &mut impl Duplex) -> Result<Advance, Error>;
}

/// How far a direction came.
enum Advance {
    /// More must be read.
    WantsMore,
    /// More must be written first.
    Full,
    /// There is more to do, and it is others' turn.
    Busy,
    /// The close frame was passed on.
    Closed,
}

/// How a direction ends.
enum End {
    /// With a close frame.
    Closed,
    /// Without one.
    Gone(&'static str, Option<io::Error>),
}

/// Both directions.
struct Both<'a> {
    up: Upward<'a>,
    down: Downward,
    up_is_closed: bool,
    down_is_closed: bool,
}

/// Relays until both sides have closed, or one is gone, or something ends it. On an error the agent's close frame is
/// queued: it is for the caller to record the flow and then to flush it.
pub(super) async fn relay<D: Duplex, U: Duplex>(
    shared: &Shared,
    interrupt: &mut Interrupt,
    ends: Ends<'_, D, U>,
    agreed: Agreed<'_>,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let Ends { down, up } = ends;
    let mut both = Both {
        up: Upward::new(agreed.target, agreed.identity, agreed.deflate),
        down: Downward::new(agreed.deflate.is_some()),
        up_is_closed: false,
        down_is_closed: false,
    };
    interrupt.arm(shared.limits().idle_timeout);
    let ended = poll_fn(|cx| both.poll(cx, shared, interrupt, down, up)).await;
    let ended = match ended {
        Ok(End::Closed) => Ok(()),
        Ok(End::Gone(side, error)) => {
            let cause = error.map(|error| format!(": {error}")).unwrap_or_default();
            recorder.error(format_args!("the {side} left without a close frame{cause}"));
            Ok(())
        }
        Err(error) => {
            let (code, reason) = both.farewell(&error);
            let told = both.down.out.close(code, &reason, down).and(both.up.out.close(code, "", up));
            match error {
                Error::Interrupted(Cause::Deadline) => {
                    recorder.error(if both.is_closing() {
                        "a close frame was not answered"
                    } else {
                        "idle for too long"
                    });
                    told
                }
                error => Err(error),
            }
        }
    };
    let goodbye = poll_fn(|cx| match ready!(up.poll_flush(cx)) {
        Ok(()) => up.poll_shutdown(cx),
        Err(error) => Poll::Ready(Err(error)),
    });
    // An origin that does not take its last frames has lost them.
    let _ = timeout(FAREWELL, goodbye).await;
    recorder.findings(std::mem::take(&mut both.up.findings));
    recorder.add_up(both.up.out.sent);
    recorder.add_down(both.down.out.sent);
    recorder.messages(both.up.messages, both.down.messages);
    ended
}

impl Both<'_> {
    fn poll<D: Duplex, U: Duplex>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        interrupt: &mut Interrupt,
        down: &mut D,
        up: &mut U,
    ) -> Poll<Result<End, Error>> {
        self.up.refresh(shared)?;
        let (before, was_closing) = (self.progress(), self.is_closing());
        if !self.up_is_closed {
            match poll_half(&mut self.up, cx, down, up, ["client", "origin"])? {
                Poll::Ready(End::Closed) => self.up_is_closed = true,
                Poll::Ready(gone) => return Poll::Ready(Ok(gone)),
                Poll::Pending => {}
            }
        }
        if !self.down_is_closed {
            match poll_half(&mut self.down, cx, up, down, ["origin", "client"])? {
                Poll::Ready(End::Closed) => self.down_is_closed = true,
                Poll::Ready(gone) => return Poll::Ready(Ok(gone)),
                Poll::Pending => {}
            }
        }
        if self.up_is_closed && self.down_is_closed {
            return Poll::Ready(Ok(End::Closed));
        }
        if self.is_closing() != was_closing {
            interrupt.arm(CLOSE_WAIT);
        } else if !was_closing && before != self.progress() {
            interrupt.arm(shared.limits().idle_timeout);
        }
        interrupt.poll_idle(cx).map(|cause| Err(Error::Interrupted(cause)))
    }

    fn progress(&self) -> (u64, u64) {
        (self.up.received, self.down.received)
    }

    fn is_closing(&self) -> bool {
        self.up_is_closed || self.down_is_closed
    }

    /// What the sides are closed with, and what the agent is told.
    fn farewell(&self, error: &Error) -> (CloseCode, String) {
        let code = match error {
            Error::Frames(violation) | Error::UpstreamFrames(violation) => violation.close_code(),
            Error::Interrupted(Cause::Deadline) => return (CloseCode::GOING_AWAY, "idle".to_owned()),
            error => match error.reason() {
                Reason::InflateLimit => CloseCode::TOO_BIG,
                Reason::ShuttingDown => CloseCode::GOING_AWAY,
                Reason::LogUnavailable | Reason::ScannerUnavailable | Reason::InternalError => CloseCode::INTERNAL,
                _ => CloseCode::POLICY,
            },
        };
        let Denial { reason, detail, .. } = error.denial();
        (code, detail.map_or_else(|| reason.code().to_owned(), |detail| format!("{}: {detail}", reason.code())))
    }
}

/// Moves one direction as far as both of its ends go. An error is a reason to end it, and an end that is not clean
/// is none: peers leave as they please.
fn poll_half<F: Duplex, T: Duplex>(
    half: &mut impl Half,
    cx: &mut Context<'_>,
    from: &mut F,
    to: &mut T,
    [sender, receiver]: [&'static str; 2],
) -> Result<Poll<End>, Error> {
    loop {
        let advance = half.advance(from.input(), to)?;
        match to.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Ok(Poll::Ready(End::Gone(receiver, Some(error)))),
            Poll::Pending => return Ok(Poll::Pending),
        }
        match advance {
            Advance::Closed => return Ok(Poll::Ready(End::Closed)),
            Advance::Full => continue,
            Advance::Busy => {
                cx.waker().wake_by_ref();
                return Ok(Poll::Pending);
            }
            Advance::WantsMore => {}
        }
        match from.poll_fill(cx) {
            Poll::Ready(Ok(0)) => return Ok(Poll::Ready(End::Gone(sender, None))),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Ok(Poll::Ready(End::Gone(sender, Some(error)))),
            Poll::Pending => {
                // A WebSocket that waits holds no buffers.
                from.release_buffers();
                return Ok(Poll::Pending);
            }
        }
    }
}
