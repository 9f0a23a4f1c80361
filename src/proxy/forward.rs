//! One admitted request on its way up, and its answer on its way down, in one task.

use super::client::Client;
use super::download::Download;
use super::error::Error;
use super::headers::{Asks, overrides_method};
use super::identify::Identity;
use super::interrupt::{Cause, Interrupt};
use super::origin::Origin;
use super::upload::Upload;
use super::{Limits, Shared, gate, websocket};
use crate::flow::{Phase, Recorder};
use crate::http1::{Framing, RequestHead, Version};
use crate::net::{Scheme, Target};
use crate::policy::{Mode as PolicyMode, Permit, Unreadable};
use crate::reason::{Denial, Reason};
use crate::session::SessionId;
use crate::upstream::{self, ByName, Link, Streams, Upstream};
use crate::websocket::{Deflate, Handshake};
use crate::wire::Wire;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// How much of a body is looked at before its head goes up, and how long it is waited for: a secret in
/// a small body is then answered 403 before the origin has heard of the request.
const AHEAD_MAX: u64 = 64 * 1024;
const AHEAD_WAIT: Duration = Duration::from_millis(20);
/// How long nothing may move for a client that has closed its side. TCP does not tell a client that is
/// gone from one that only has no more to say, and the latter deserves its answer.
const HALF_CLOSED: Duration = Duration::from_millis(750);

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
    let mut exchange = Exchange {
        upload: Upload::new(admitted),
        download: Download::default(),
        awaits_continue: admitted.asks.expects_continue,
        client_closed: false,
        sent_at: None,
    };
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
    exchange: &mut Exchange,
) -> Result<Option<Switched>, Error> {
    if admitted.permit.provided().is_some() {
        judge_body(client, interrupt, recorder, admitted, exchange).await?;
    } else if !exchange.awaits_continue {
        look_ahead(client, interrupt, &mut exchange.upload).await?;
    }
    let mut again = None;
    loop {
        // A WebSocket takes a connection for itself, whatever it came in.
        let version = if admitted.handshake.is_some() { Version::Http11 } else { client.version() };
        let Reached { upstream, is_reused } = reach(shared, version, again, interrupt, recorder, admitted).await?;
        let Upstream { link, address, tls, by_name } = upstream;
        let streams = match &link {
            Link::Http2(streams) if admitted.handshake.is_some() => {
                ask_for_websockets(shared, interrupt, streams).await?;
                Some(streams.clone())
            }
            _ => None,
        };
        let this = if matches!(link, Link::Http1(_)) { Again::Dialled } else { Again::Pooled };
        let mut origin = Origin::new(link, by_name.clone(), admitted.target.method.clone());
        let up = origin.request(admitted)?;
        gate::spend_upload(&admitted.identity, up as u64)?;
        if matches!(origin, Origin::Http1(_)) {
            // Requests of this moment are sent one right after another: an origin that is at work needs no waking, and
            // waking it costs more than all of this. HTTP/2 gathers its frames by itself.
            yield_now().await;
        }
        match exchange.run(&shared.limits(), client, interrupt, &mut origin, recorder).await {
            // Once: an origin that resets every stream it is sent would be asked for ever.
            Err(Error::UpstreamGone(_))
                if is_reused && again.is_none() && exchange.may_be_sent_again(&origin, admitted) =>
            {
                again = Some(this);
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
    exchange: &mut Exchange,
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
    let mut types = fields.values("content-type");
    let content_type = types.next().filter(|_| types.next().is_none() && fields.first("content-encoding").is_none());
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
    let until = Instant::now() + AHEAD_WAIT;
    // The head's deadline was met.
    interrupt.arm(AHEAD_WAIT * 2);
    while upload.advance(client)? && upload.received < AHEAD_MAX {
        match interrupt.during(timeout_at(until, client.read())).await.map_err(Error::Interrupted)? {
            Err(_) => return Ok(()),
            Ok(read) => read?,
        }
    }
    Ok(())
}

/// Which connection a request goes out on that is sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A new one: the others of the pool may be as stale as the first.
    Dialled,
    /// Any whose streams are alive.
    Pooled,
}

/// A connection to the permitted destination.
struct Reached {
    upstream: Upstream,
    is_reused: bool,
}

/// A connection to the permitted destination: one of this session's, or a new one. `version` is the client's: the
/// origin's is the same where it speaks it.
async fn reach(
    shared: &Shared,
    version: Version,
    again: Option<Again>,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    admitted: &Admitted,
) -> Result<Reached, Error> {
    let session = &admitted.identity.live.session.id;
    let permit = &admitted.permit;
    let upgrades = admitted.handshake.is_some();
    // A parent that takes requests one by one upgrades none of them.
    let serves = |upstream: &Upstream| !upgrades || !matches!(upstream.by_name, Some(ByName::Requests(_)));
    if again != Some(Again::Dialled)
        && let Some(upstream) = shared.pool.take(session, permit, version).filter(serves)
    {
        note_upstream(&upstream, recorder);
        return Ok(Reached { upstream, is_reused: true });
    }
    interrupt.arm(shared.limits().connect_timeout * 3);
    // On the heap, and only while it runs: a connection's task would carry its size all its life.
    let connect = Box::pin(dial(shared, session, permit, version, upgrades, recorder));
    let upstream = interrupt.during(connect).await.map_err(Error::Interrupted)??;
    note_upstream(&upstream, recorder);
    Ok(Reached { upstream, is_reused: false })
}

/// A connection to the permitted destination: a new one, or one that another request has opened meanwhile for many.
pub(super) async fn dial(
    shared: &Shared,
    session: &SessionId,
    permit: &Permit,
    version: Version,
    upgrades: bool,
    recorder: &mut Recorder,
) -> Result<Upstream, Error> {
    let opening = if upgrades { None } else { shared.pool.opening(session, permit, version) };
    let Some(opening) = opening else {
        return dial_new(shared, session, permit, version, upgrades, recorder).await;
    };
    let turn = opening.turn().await;
    if let Some(upstream) = shared.pool.take(session, permit, version) {
        return Ok(upstream);
    }
    let dialled = dial_new(shared, session, permit, version, upgrades, recorder).await;
    turn.ended(&dialled);
    dialled
}

/// Steps 7 and 8: resolves, vets and connects. An origin that speaks HTTP/2 only is called again for a client that
/// does not.
async fn dial_new(
    shared: &Shared,
    session: &SessionId,
    permit: &Permit,
    version: Version,
    upgrades: bool,
    recorder: &mut Recorder,
) -> Result<Upstream, Error> {
    match dial_once(shared, session, permit, version, upgrades, recorder).await {
        Err(Error::Connect(upstream::Error::NoCommonProtocol)) if version != Version::Http2 => {
            dial_once(shared, session, permit, version, upgrades, recorder).await
        }
        ended => ended,
    }
}

async fn dial_once(
    shared: &Shared,
    session: &SessionId,
    permit: &Permit,
    version: Version,
    upgrades: bool,
    recorder: &mut Recorder,
) -> Result<Upstream, Error> {
    let route = gate::resolve(shared, permit, recorder).await?;
    let patience = shared.limits().connect_timeout;
    let requests = permit.scheme() == Scheme::Http && !upgrades;
    let dialled = shared.dialler.connect(&route, requests, patience).await.map_err(Error::Connect)?;
    recorder.upstream(dialled.address);
    recorder.mark(Phase::Connect);
    let secured = shared.pool.secure(session, permit, version, dialled, patience).await;
    let upstream = secured.map_err(Error::Connect)?;
    if permit.scheme() == Scheme::Https {
        recorder.mark(Phase::Tls);
    }
    Ok(upstream)
}

fn note_upstream(upstream: &Upstream, recorder: &mut Recorder) {
    recorder.upstream(upstream.address);
    if let Some(tls) = &upstream.tls {
        recorder.upstream_tls(tls.clone());
    }
}

/// The two directions of one request.
struct Exchange {
    upload: Upload,
    download: Download,
    /// The client holds its body back until the origin asks for it.
    awaits_continue: bool,
    /// The client has closed its side: it may be gone, or it may only have no more to say.
    client_closed: bool,
    /// When the request was all sent: the answer's time runs from here.
    sent_at: Option<Instant>,
}

impl Exchange {
    /// Whether nothing was lost with the connection that broke: there was no body and no answer yet,
    /// and doing it twice does no harm (RFC 9110 §9.2.2).
    fn may_be_sent_again(&self, origin: &Origin, admitted: &Admitted) -> bool {
        let untouched = self.download.is_untouched() && origin.is_untouched();
        self.upload.is_empty() && untouched && admitted.target.method.is_idempotent()
    }

    async fn run(
        &mut self,
        limits: &Limits,
        client: &mut Client<'_>,
        interrupt: &mut Interrupt,
        origin: &mut Origin,
        recorder: &mut Recorder,
    ) -> Result<(), Error> {
        interrupt.arm(self.patience(limits));
        loop {
            match poll_fn(|cx| self.poll(cx, limits, client, interrupt, origin, recorder)).await {
                // A deadline passed: the end, unless it was only a look at a body that comes well enough.
                Err(Error::Interrupted(Cause::Deadline)) => match self.overdue() {
                    Some(error) => return Err(error),
                    None => interrupt.arm(self.patience(limits)),
                },
                ended => return ended,
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        client: &mut Client<'_>,
        interrupt: &mut Interrupt,
        origin: &mut Origin,
        recorder: &mut Recorder,
    ) -> Poll<Result<(), Error>> {
        let (before, was_clients_turn) = (self.progress(), self.is_clients_turn());
        if !self.upload.is_over() {
            if let Poll::Ready(Err(error)) = self.upload.poll(cx, client, origin) {
                return Poll::Ready(Err(error));
            }
        } else if let Poll::Ready(Err(error)) = origin.poll_flush(cx) {
            // Reading the answer will tell what this means.
            tracing::debug!(%error, "the origin took no head");
        }
        let ended = self.download.poll(cx, origin, client);
        if let (None, Some(status)) = (before.2, self.download.status) {
            recorder.mark(Phase::FirstByte);
            recorder.status(status);
        }
        if ended.is_ready() {
            return ended;
        }
        let mut closed_now = false;
        if self.upload.is_read() && !self.client_closed {
            // While an answer is waited for, a client that closes is noticed, so that nothing is done for nobody.
            match client.poll_closed(cx, limits.head.bytes) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => (self.client_closed, closed_now) = (true, true),
                Poll::Pending => {}
            }
        }
        if self.upload.is_over() && self.sent_at.is_none() {
            self.sent_at = Some(Instant::now());
            interrupt.arm(self.patience(limits));
        } else if closed_now || was_clients_turn != self.is_clients_turn() {
            interrupt.arm(self.patience(limits));
        } else if !was_clients_turn && before != self.progress() {
            // A body on its way is not among these: each of its bytes would put off the look at its rate.
            interrupt.arm(self.patience(limits));
        }
        interrupt.poll(cx).map(|cause| Err(Error::Interrupted(cause)))
    }

    fn progress(&self) -> (u64, u64, Option<u16>) {
        (self.upload.received, self.download.received, self.download.status)
    }

    /// Whether the client is at fault if nothing moves.
    fn is_clients_turn(&self) -> bool {
        let asked = !self.awaits_continue || self.upload.received > 0 || !self.download.is_untouched();
        let sends = !self.upload.is_read() && !self.upload.waits_for_origin();
        self.download.status.is_none() && sends && asked
    }

    /// How long the peer that is waited for may keep silent.
    fn patience(&self, limits: &Limits) -> Duration {
        if self.client_closed {
            HALF_CLOSED
        } else if self.download.status.is_some() {
            limits.idle_timeout
        } else if self.is_clients_turn() {
            Limits::BODY_GRACE
        } else {
            limits.response_timeout
        }
    }

    fn overdue(&self) -> Option<Error> {
        if self.client_closed {
            return Some(Error::ClientGone(None));
        }
        if !self.is_clients_turn() {
            return Some(Error::UpstreamSlow);
        }
        self.upload.is_too_slow(Instant::now()).then_some(Error::ClientSlow)
    }
}
