//! One admitted request on its way up, and its answer on its way down, in one task.

use super::download::Download;
use super::error::Error;
use super::gate;
use super::headers::{Asks, Nominated};
use super::identify::Identity;
use super::interrupt::Cause;
use super::leg::Leg;
use super::upload::Upload;
use super::{Limits, Shared};
use crate::flow::{Phase, Recorder};
use crate::http1::{Framing, RequestHead, encode};
use crate::net::{Authority, Host, Scheme, Target};
use crate::policy::Permit;
use crate::upstream::Upstream;
use crate::wire::Wire;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
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
    pub(super) target: Target,
    pub(super) permit: Permit,
    pub(super) framing: Framing,
    pub(super) asks: Asks,
    pub(super) identity: Identity,
}

/// Sends the request up and its answer down, all but the last flush of the answer. True: the client's
/// connection stays open.
pub(super) async fn forward(
    shared: &Shared,
    leg: &mut Leg,
    recorder: &mut Recorder,
    admitted: &Admitted,
) -> Result<bool, Error> {
    let close = admitted.asks.close || leg.interrupt.is_draining();
    let mut exchange = Exchange {
        upload: Upload::new(admitted),
        download: Download::new(admitted.target.method.clone(), admitted.head.version, close),
        awaits_continue: admitted.asks.expects_continue,
        client_closed: false,
        sent_at: None,
    };
    let outcome = send(shared, leg, recorder, admitted, &mut exchange).await;
    recorder.findings(exchange.upload.take_findings());
    recorder.add_up(exchange.upload.sent);
    recorder.add_down(exchange.download.received);
    leg.answer_from = exchange.download.answer_from;
    outcome.map(|()| !exchange.download.closes() && exchange.upload.is_read())
}

async fn send(
    shared: &Shared,
    leg: &mut Leg,
    recorder: &mut Recorder,
    admitted: &Admitted,
    exchange: &mut Exchange,
) -> Result<(), Error> {
    if !exchange.awaits_continue {
        look_ahead(leg, &mut exchange.upload).await?;
    }
    loop {
        let (mut upstream, is_reused) = reach(shared, leg, recorder, admitted).await?;
        write_head(upstream.wire.head_buffer(), admitted);
        gate::spend_upload(&admitted.identity, upstream.wire.queued() as u64)?;
        match exchange.run(&shared.limits, leg, &mut upstream.wire, recorder).await {
            Err(Error::UpstreamGone(_)) if is_reused && exchange.may_be_sent_again(&upstream.wire, admitted) => {
                tracing::debug!("a pooled connection was stale; the request goes out on another one");
            }
            Err(error) => return Err(error),
            Ok(()) => {
                let whole = exchange.upload.is_written() && upstream.wire.input.is_empty();
                if whole && exchange.download.upstream_persists {
                    shared.pool.put(&admitted.identity.live.session.id, &admitted.permit, upstream);
                }
                return Ok(());
            }
        }
    }
}

/// Lets the scanner see the first of the body before anything goes up.
async fn look_ahead(leg: &mut Leg, upload: &mut Upload) -> Result<(), Error> {
    let until = Instant::now() + AHEAD_WAIT;
    // The head's deadline was met.
    leg.interrupt.arm(AHEAD_WAIT * 2);
    while upload.advance(&mut leg.wire.input)? && upload.received < AHEAD_MAX {
        match leg.interrupt.during(timeout_at(until, leg.wire.fill())).await.map_err(Error::Interrupted)? {
            Err(_) => return Ok(()),
            Ok(Ok(0)) => return Err(Error::Cut),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::ClientGone(Some(error))),
        }
    }
    Ok(())
}

/// A connection to the permitted destination: an idle one of this session, or a new one.
async fn reach(
    shared: &Shared,
    leg: &mut Leg,
    recorder: &mut Recorder,
    admitted: &Admitted,
) -> Result<(Upstream, bool), Error> {
    let session = &admitted.identity.live.session.id;
    if let Some(upstream) = shared.pool.take(session, &admitted.permit) {
        note_upstream(&upstream, recorder);
        return Ok((upstream, true));
    }
    leg.interrupt.arm(shared.limits.connect_timeout * 3);
    let permit = &admitted.permit;
    // On the heap, and only while it runs: a connection's task would carry its size all its life.
    let connect = Box::pin(async {
        let route = gate::resolve(shared, permit, recorder).await?;
        let dialled = shared.dialler.connect(&route, shared.limits.connect_timeout).await;
        let (socket, address) = dialled.map_err(Error::Connect)?;
        recorder.upstream(address);
        recorder.mark(Phase::Connect);
        let upstream = shared.pool.secure(session, permit, socket, address, shared.limits.connect_timeout).await;
        let upstream = upstream.map_err(Error::Connect)?;
        if permit.scheme() == Scheme::Https {
            recorder.mark(Phase::Tls);
        }
        Ok::<_, Error>(upstream)
    });
    let upstream = leg.interrupt.during(connect).await.map_err(Error::Interrupted)??;
    note_upstream(&upstream, recorder);
    Ok((upstream, false))
}

fn note_upstream(upstream: &Upstream, recorder: &mut Recorder) {
    recorder.upstream(upstream.address);
    if let Some(tls) = &upstream.tls {
        recorder.upstream_tls(tls.clone());
    }
}

/// The request as it goes up: origin form, one `Host`, one framing, nothing that was for this hop.
fn write_head(out: &mut BytesMut, admitted: &Admitted) {
    let Admitted { head, target, framing, asks, .. } = admitted;
    encode::request_line(out, target.method.as_str(), target.path.sent());
    out.extend_from_slice(b"Host: ");
    out.extend_from_slice(host_value(&target.authority, target.scheme).as_bytes());
    out.extend_from_slice(b"\r\n");
    let nominated = Nominated::of(&head.fields);
    for field in head.fields.iter() {
        let ours = field.is("host") || nominated.is_for_this_hop(field);
        if !ours && (asks.expects_continue || !field.is("expect")) {
            encode::field(out, field);
        }
    }
    if head.fields.values("te").any(|value| value.eq_ignore_ascii_case(b"trailers")) {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if *framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    encode::end_of_head(out);
}

/// A `Host` without the scheme's own port, as every client writes it.
fn host_value(authority: &Authority, scheme: Scheme) -> String {
    match (&authority.host, authority.port == scheme.default_port()) {
        (Host::V6(address), true) => format!("[{address}]"),
        (host, true) => host.to_string(),
        (_, false) => authority.to_string(),
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
    fn may_be_sent_again(&self, up: &Wire, admitted: &Admitted) -> bool {
        let untouched = self.download.is_untouched() && up.input.is_empty();
        self.upload.is_empty() && untouched && admitted.target.method.is_idempotent()
    }

    async fn run(
        &mut self,
        limits: &Limits,
        leg: &mut Leg,
        up: &mut Wire,
        recorder: &mut Recorder,
    ) -> Result<(), Error> {
        leg.interrupt.arm(self.patience(limits));
        loop {
            match poll_fn(|cx| self.poll(cx, limits, leg, up, recorder)).await {
                // A deadline passed: the end, unless it was only a look at a body that comes well enough.
                Err(Error::Interrupted(Cause::Deadline)) => match self.overdue() {
                    Some(error) => return Err(error),
                    None => leg.interrupt.arm(self.patience(limits)),
                },
                ended => return ended,
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        leg: &mut Leg,
        up: &mut Wire,
        recorder: &mut Recorder,
    ) -> Poll<Result<(), Error>> {
        let (before, was_clients_turn) = (self.progress(), self.is_clients_turn());
        let down = &mut leg.wire;
        if !self.upload.is_over() {
            if let Poll::Ready(Err(error)) = self.upload.poll(cx, down, up) {
                return Poll::Ready(Err(error));
            }
        } else if let Poll::Ready(Err(error)) = up.poll_flush(cx) {
            // Reading the answer will tell what this means.
            tracing::debug!(%error, "the origin took no head");
        }
        let ended = self.download.poll(cx, up, down);
        if let (None, Some(status)) = (before.2, self.download.status) {
            recorder.mark(Phase::FirstByte);
            recorder.status(status);
        }
        if ended.is_ready() {
            return ended;
        }
        let mut closed_now = false;
        if self.upload.is_read() && !self.client_closed {
            match poll_client_closed(cx, down, limits) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::ClientGone(Some(error)))),
                Poll::Ready(Ok(())) => (self.client_closed, closed_now) = (true, true),
                Poll::Pending => {}
            }
        }
        if self.upload.is_over() && self.sent_at.is_none() {
            self.sent_at = Some(Instant::now());
            leg.interrupt.arm(self.patience(limits));
        } else if closed_now || was_clients_turn != self.is_clients_turn() {
            leg.interrupt.arm(self.patience(limits));
        } else if !was_clients_turn && before != self.progress() {
            // A body on its way is not among these: each of its bytes would put off the look at its rate.
            leg.interrupt.arm(self.patience(limits));
        }
        leg.interrupt.poll(cx).map(|cause| Err(Error::Interrupted(cause)))
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

/// While an answer is waited for, a client that closes is noticed, so that nothing is done for nobody;
/// what it sends ahead (pipelining) is kept, within bounds.
fn poll_client_closed(cx: &mut Context<'_>, down: &mut Wire, limits: &Limits) -> Poll<io::Result<()>> {
    while down.input.len() < limits.head.bytes {
        if ready!(down.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
    Poll::Pending
}
