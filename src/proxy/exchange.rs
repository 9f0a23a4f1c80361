//! The two directions of one request under way, and who is waited for.

use super::Limits;
use super::client::Client;
use super::download::Download;
use super::error::Error;
use super::forward::Admitted;
use super::interrupt::{Cause, Interrupt};
use super::origin::Origin;
use super::upload::Upload;
use super::work::Work;
use crate::flow::{Phase, Recorder};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may move for a client that has closed its side. TCP does not tell a client that is
/// gone from one that only has no more to say, and the latter deserves its answer.
const HALF_CLOSED: Duration = Duration::from_millis(750);

/// The two directions of one request.
pub(super) struct Exchange<'a> {
    pub(super) upload: Upload,
    work: &'a Work,
    pub(super) download: Download,
    /// The client holds its body back until the origin asks for it.
    pub(super) awaits_continue: bool,
    /// The client has closed its side: it may be gone, or it may only have no more to say.
    client_closed: bool,
    /// The request was all sent: the answer's time runs.
    is_sent: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(admitted: &'a Admitted) -> Self {
        Self {
            upload: Upload::new(admitted),
            work: &admitted.work,
            download: Download::default(),
            awaits_continue: admitted.asks.expects_continue,
            client_closed: false,
            is_sent: false,
        }
    }

    /// Whether nothing was lost with the connection that broke: there was no body and no answer yet,
    /// and doing it twice does no harm (RFC 9110 §9.2.2).
    pub(super) fn may_be_sent_again(&self, origin: &Origin, admitted: &Admitted) -> bool {
        let untouched = self.download.is_untouched() && origin.is_untouched();
        self.upload.is_empty() && untouched && admitted.target.method.is_idempotent()
    }

    /// Moves both to their ends.
    pub(super) async fn run(
        &mut self,
        limits: &Limits,
        client: &mut Client<'_>,
        interrupt: &mut Interrupt,
        origin: &mut Origin,
        recorder: &mut Recorder,
    ) -> Result<(), Error> {
        let (work, has_body) = (self.work, !self.upload.is_empty());
        // Without a body all is sent at the first poll, which sets it.
        if has_body || self.is_sent {
            interrupt.arm(self.patience(limits));
        }
        loop {
            let both = poll_fn(|cx| self.poll(cx, limits, client, interrupt, origin, recorder));
            match if has_body { work.part(both).await } else { both.await } {
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
        if self.upload.is_over() && !self.is_sent {
            self.is_sent = true;
            // An answer is waited for, which is no work.
            self.work.done();
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
