//! One admitted request on its way up, and its answer on its way down, in one task.

use super::client::Client;
use super::error::Error;
use super::exchange::Exchange;
use super::headers::{Asks, overrides_method};
use super::identify::Identity;
use super::interrupt::{Cause, Interrupt};
use super::origin::Origin;
use super::reach::{Again, Reached, reach};
use super::upload::Upload;
use super::work::Work;
use super::{Limits, Shared, gate, websocket};
use crate::flow::Recorder;
use crate::http1::{Framing, RequestHead, Version};
use crate::net::Target;
use crate::policy::{Mode as PolicyMode, Permit, Unreadable};
use crate::reason::{Denial, Reason};
use crate::upstream::{Link, Streams, Upstream};
use crate::websocket::{Deflate, Handshake};
use crate::wire::Wire;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// How much of a body is looked at before its head goes up, and how long it is waited for: a secret in
/// a small body is then answered 403 before the origin has heard of the request.
const AHEAD_MAX: u64 = 64 * 1024;
const AHEAD_WAIT: Duration = Duration::from_millis(20);

/// One request, admitted.
pub(super) struct Admitted {
    pub(super) head: RequestHead,
    pub(super) target: Arc<Target>,
    pub(super) permit: Permit,
    pub(super) framing: Framing,
    pub(super) asks: Asks,
    pub(super) identity: Identity,
    /// The request asks for a WebSocket.
    pub(super) handshake: Option<Handshake>,
    /// Done once all of it went up.
    pub(super) work: Work,
}

/// A connection to an origin that is a WebSocket now; the 101 is queued for the client.
pub(super) struct Switched {
    pub(super) origin: Wire,
    pub(super) deflate: Option<Deflate>,
    /// The place on an HTTP/2 connection that it takes, for as long as it lives.
    pub(super) _streams: Option<Streams>,
}

/// Sends the request up and its answer down, all but the last flush of the answer.
pub(super) async fn forward(
    shared: &Shared,
    client: &mut Client<'_>,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    admitted: &Admitted,
) -> Result<Option<Switched>, Error> {
    check_form(admitted, recorder)?;
    let mut exchange = Exchange::new(admitted);
    let outcome = send(shared, client, interrupt, recorder, admitted, &mut exchange).await;
    recorder.findings(exchange.upload.take_findings());
    recorder.add_up(exchange.upload.sent);
    recorder.add_down(exchange.download.received);
    outcome
}

async fn send(
    shared: &Shared,
    client: &mut Client<'_>,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    admitted: &Admitted,
    exchange: &mut Exchange<'_>,
) -> Result<Option<Switched>, Error> {
    if admitted.permit.provided().is_some() {
        admitted.work.part(pin!(judge_body(client, interrupt, recorder, admitted, exchange))).await?;
    } else if !exchange.awaits_continue && !exchange.upload.is_empty() {
        admitted.work.part(pin!(look_ahead(client, interrupt, &mut exchange.upload))).await?;
    }
    let mut again = None;
    loop {
        // A WebSocket takes a connection for itself, whatever it came in.
        let version = if admitted.handshake.is_some() { Version::Http11 } else { client.version() };
        let reached = reach(shared, version, again, interrupt, recorder, admitted);
        let reached = if exchange.upload.is_empty() { reached.await } else { client.gathering(reached).await };
        let Reached { upstream, is_reused } = reached?;
        let Upstream { link, address, tls, by_name } = upstream;
        let streams = match &link {
            Link::Http2(streams) if admitted.handshake.is_some() => {
                ask_for_websockets(shared, interrupt, streams).await?;
                Some(streams.clone())
            }
            _ => None,
        };
        // Another stream once, and then a connection of its own: an origin that resets every stream it is sent would be
        // asked for ever.
        let next = if matches!(link, Link::Http2(_)) && again.is_none() { Again::Pooled } else { Again::Dialled };
        let mut origin = Origin::new(link, by_name.clone(), admitted.target.method.clone());
        let up = origin.request(admitted)?;
        gate::spend_upload(&admitted.identity, up as u64)?;
        if matches!(origin, Origin::Http1(_)) {
            // Requests of this moment are sent one right after another: an origin that is at work needs no waking, and
            // waking it costs more than all of this. HTTP/2 gathers its frames by itself.
            yield_now().await;
        }
        match exchange.run(&shared.limits(), client, interrupt, &mut origin, recorder).await {
            Err(Error::UpstreamGone(_)) if is_reused && exchange.may_be_sent_again(&origin, admitted) => {
                again = Some(next);
                tracing::debug!("a pooled connection was stale; the request goes out on another one");
            }
            Err(error) => return Err(error),
            Ok(()) => {
                if let Some(deflate) = exchange.download.switched {
                    refuse_early_frames(client).await?;
                    return Ok(origin.into_switched().map(|origin| Switched { origin, deflate, _streams: streams }));
                }
                let idle = origin.into_idle().filter(|_| exchange.upload.is_written());
                if let Some(link) = idle {
                    let upstream = Upstream { link, address, tls, by_name };
                    shared.pool.put(&admitted.identity.live.session.id, &admitted.permit, upstream);
                }
                return Ok(None);
            }
        }
    }
}

/// An origin that speaks HTTP/2 only may take a WebSocket in a stream (RFC 8441), or none.
async fn ask_for_websockets(shared: &Shared, interrupt: &mut Interrupt, streams: &Streams) -> Result<(), Error> {
    interrupt.arm(shared.limits().connect_timeout);
    if interrupt.during(streams.takes_websockets()).await.map_err(Error::Interrupted)? {
        return Ok(());
    }
    let what = "the origin speaks HTTP/2 only, and takes no WebSocket over it";
    Err(Denial::new(Reason::BadUpstreamResponse).because(what).into())
}

/// What a permit for a method or for what a service does can't cover: another method by a field, a WebSocket,
/// a body where a read has none.
fn check_form(admitted: &Admitted, recorder: &mut Recorder) -> Result<(), Error> {
    let Admitted { head, target, permit, framing, handshake, .. } = admitted;
    let what = if permit.minds_methods() && overrides_method(&head.fields, &target.method) {
        "a field asks for another method than the one that was judged"
    } else if permit.is_by_service() && handshake.is_some() {
        "a WebSocket is no read, and nothing else that the rule knows"
    } else if permit.is_by_service() && *framing != Framing::None && target.method.is_safe() {
        "a read has no body"
    } else {
        return Ok(());
    };
    observe_or(Denial::new(Reason::RequestNotListed).by_rule(permit.rule().clone()).because(what), admitted, recorder)
}

/// In observe mode a denial is written down, and the request goes on.
fn observe_or(denial: Denial, admitted: &Admitted, recorder: &mut Recorder) -> Result<(), Error> {
    if admitted.identity.ruleset.policy.mode() == PolicyMode::Observe {
        recorder.observed(&denial);
        return Ok(());
    }
    Err(denial.into())
}

/// Reads the whole body before any of the request goes up, where the permit hangs on what it says.
async fn judge_body(
    client: &mut Client<'_>,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    admitted: &Admitted,
    exchange: &mut Exchange<'_>,
) -> Result<(), Error> {
    let upload = &mut exchange.upload;
    let body = if exchange.awaits_continue {
        Err(Unreadable::HeldBack)
    } else {
        interrupt.arm(Limits::BODY_GRACE);
        while upload.advance(client)? && !upload.is_beyond_copy() {
            match interrupt.during(client.read()).await {
                Ok(read) => read?,
                Err(Cause::Deadline) if upload.is_too_slow(Instant::now()) => return Err(Error::ClientSlow),
                Err(Cause::Deadline) => interrupt.arm(Limits::BODY_GRACE),
                Err(cause) => return Err(Error::Interrupted(cause)),
            }
        }
        upload.take_copy()
    };
    let fields = &admitted.head.fields;
    let content_type = fields.first("content-type").filter(|_| fields.first("content-encoding").is_none());
    let judged =
        admitted.permit.judge_body(body.as_ref().map(|body| (content_type, &body[..])).map_err(|error| *error));
    judged.or_else(|denial| observe_or(gate::redacted(&admitted.identity, denial), admitted, recorder))
}

/// Frames may not be sent before the 101 is seen (RFC 6455 §4.1), and it has not been sent.
async fn refuse_early_frames(client: &mut Client<'_>) -> Result<(), Error> {
    let closed = poll_fn(|cx| Poll::Ready(client.poll_closed(cx, 1))).await;
    if client.is_ahead() {
        return Err(Denial::new(Reason::BadWebSocket).because(websocket::EARLY).into());
    }
    match closed {
        Poll::Pending => Ok(()),
        Poll::Ready(closed) => closed.and(Err(Error::ClientGone(None))),
    }
}

/// Lets the scanner see the first of the body before anything goes up.
async fn look_ahead(client: &mut Client<'_>, interrupt: &mut Interrupt, upload: &mut Upload) -> Result<(), Error> {
    if !upload.advance(client)? {
        return Ok(());
    }
    let until = Instant::now() + AHEAD_WAIT;
    // The head's deadline was met.
    interrupt.arm(AHEAD_WAIT * 2);
    while upload.received < AHEAD_MAX {
        match interrupt.during(timeout_at(until, client.read())).await.map_err(Error::Interrupted)? {
            Err(_) => break,
            Ok(read) => read?,
        }
        if !upload.advance(client)? {
            break;
        }
    }
    Ok(())
}
