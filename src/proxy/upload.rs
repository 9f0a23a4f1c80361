//! A request's body on its way up: through the scanner and the budget, piece by piece.

use super::client::Client;
use super::error::Error;
use super::forward::Admitted;
use super::identify::Identity;
use super::origin::Origin;
use super::{Limits, gate};
use crate::http1::{Fields, Frame, Framing, RequestHead};
use crate::net::Host;
use crate::policy::{Document, Unreadable};
use crate::reason::{Denial, Reason};
use crate::secrets::{BodyContext, BodyScan, Finding, Guard, Messages, Stopped};
use bytes::Bytes;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Pieces up to this size are held as copies: a byte that the scanner holds back must not keep alive the
/// whole buffer that it was read into.
const COPY_MAX: usize = 4 * 1024;

/// How long a body keeps the processor before others have their turn.
const TURN: Duration = Duration::from_micros(500);

/// The body of one request.
pub(super) struct Upload {
    framing: Framing,
    /// The client has sent all of it.
    is_read: bool,
    scan: Option<Scan>,
    identity: Identity,
    guard: Guard,
    host: Host,
    /// Cleared by the scanner, not yet queued for the origin.
    cleared: Vec<Bytes>,
    trailers: Option<Fields>,
    /// As it came from the client, for who must know what it says before any of it goes up.
    copy: Option<Vec<u8>>,
    findings: Vec<Finding>,
    state: State,
    waits_for: Side,
    /// Bytes of the body that came from the client.
    pub(super) received: u64,
    /// Bytes of the body that went on to the origin.
    pub(super) sent: u64,
    /// When the client could begin to send it.
    started: Option<Instant>,
}

/// Whether a body is a stream of gRPC messages, in binary.
fn is_grpc(content_type: &[u8]) -> bool {
    let lower = content_type.to_ascii_lowercase();
    lower.starts_with(b"application/grpc") && !lower.starts_with(b"application/grpc-web-text")
}

/// What looks into a body: all of it as one, or message by message, so that one can be answered before the next.
enum Scan {
    Body(BodyScan),
    Messages(Messages),
}

/// Does the same with either.
macro_rules! each {
    ($scan:expr, $inner:ident => $call:expr) => {
        match $scan {
            Scan::Body($inner) => $call,
            Scan::Messages($inner) => $call,
        }
    };
}

/// Whose turn it is while a body does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More is to come from the client.
    Reading,
    /// All was read and cleared.
    Read,
    /// All was written.
    Written,
    /// The origin takes no more: its answer is all that counts now.
    Abandoned,
}

impl Upload {
    /// The body of an admitted request.
    pub(super) fn new(admitted: &Admitted) -> Self {
        let Admitted { target, identity, framing, head: RequestHead { fields, .. }, .. } = admitted;
        let framing = *framing;
        let guard = gate::guard(identity, &admitted.permit);
        // Lines of one name are one list (RFC 9110 §5.3): a coding on the second is a coding too.
        let coding = fields.values("content-encoding").collect::<Vec<_>>().join(&b", "[..]);
        let scan = (framing != Framing::None).then(|| {
            let context = BodyContext {
                host: &target.authority.host,
                method: target.method.as_str(),
                path: target.path.path(),
                content_type: fields.first("content-type"),
                content_encoding: Some(&coding),
            };
            let session = (identity.live.memory.clone(), std::time::Instant::now());
            match fields.first("content-type") {
                Some(kind) if is_grpc(kind) => {
                    let coding = fields.first("grpc-encoding").unwrap_or_default();
                    Scan::Messages(guard.messages(&target.authority.host, coding, session))
                }
                _ => Scan::Body(guard.body(&context).in_session(session.0, session.1)),
            }
        });
        Self {
            framing,
            is_read: framing == Framing::None,
            scan,
            identity: identity.clone(),
            guard,
            host: target.authority.host.clone(),
            cleared: Vec::new(),
            trailers: None,
            copy: admitted.permit.provided().map(|_| Vec::new()),
            findings: Vec::new(),
            state: if framing == Framing::None { State::Written } else { State::Reading },
            waits_for: Side::Client,
            received: 0,
            sent: 0,
            started: (framing != Framing::None).then(Instant::now),
        }
    }

    /// Whether there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.framing == Framing::None
    }

    /// Whether the client has sent all of it.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// The body as it came, where its reader asked for it.
    pub(super) fn take_copy(&mut self) -> Result<Vec<u8>, Unreadable> {
        if self.is_beyond_copy() { Err(Unreadable::TooLong) } else { Ok(self.copy.take().unwrap_or_default()) }
    }

    /// Whether the body is longer than what is kept of it.
    pub(super) fn is_beyond_copy(&self) -> bool {
        self.received > Document::MOST as u64
    }

    /// Whether nothing more goes to the origin.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Written | State::Abandoned)
    }

    /// Whether all of it went to the origin.
    pub(super) fn is_written(&self) -> bool {
        self.state == State::Written
    }

    /// Whether what is here of it waits for the origin to take it.
    pub(super) fn waits_for_origin(&self) -> bool {
        !self.is_over() && self.waits_for == Side::Origin
    }

    /// What the scanner has found since it was last asked.
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        if let Some(scan) = &mut self.scan {
            self.findings.extend(each!(scan, inner => inner.take_findings()));
        }
        std::mem::take(&mut self.findings)
    }

    /// Whether the client is waited for and sends too slowly for that.
    pub(super) fn is_too_slow(&self, now: Instant) -> bool {
        let time = self.started.map_or(Duration::ZERO, |started| now - started);
        self.state == State::Reading
            && self.waits_for == Side::Client
            && time >= Limits::BODY_GRACE
            && self.received < Limits::BODY_RATE * time.as_secs()
    }

    /// Takes what is here of the body through budget and scanner. True: more must be read first.
    pub(super) fn advance(&mut self, client: &mut Client<'_>) -> Result<bool, Error> {
        while self.state == State::Reading {
            match client.next_frame()? {
                None => return Ok(true),
                Some(Frame::Data(data)) => self.take(data)?,
                Some(Frame::End(trailers)) => self.end(trailers)?,
            }
        }
        Ok(false)
    }

    /// Moves the body from the client to the origin as far as both go.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client<'_>,
        origin: &mut Origin,
    ) -> Poll<Result<(), Error>> {
        let begun = Instant::now();
        loop {
            let wants_more = self.advance(client)?;
            self.queue(origin);
            // Written before more is read: what the origin doesn't take, the client may not send.
            self.waits_for = Side::Origin;
            let Poll::Ready(flushed) = origin.poll_flush(cx) else {
                client.gather(cx);
                return Poll::Pending;
            };
            if let Err(error) = flushed {
                // The origin may have answered early and closed; its answer decides.
                tracing::debug!(%error, "the origin takes no more of the body");
                self.state = State::Abandoned;
                return Poll::Ready(Ok(()));
            }
            if !wants_more {
                self.state = State::Written;
                return Poll::Ready(Ok(()));
            }
            self.waits_for = Side::Client;
            if begun.elapsed() >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(read) = client.poll_read(cx) else {
                self.rest();
                return Poll::Pending;
            };
            read?;
        }
    }

    /// Clients that do not get to send, or do not want to, hold what was admitted: it is to be little.
    fn rest(&mut self) {
        if let Some(Scan::Body(scan)) = &mut self.scan {
            scan.rest();
        }
        self.cleared.shrink_to_fit();
    }

    fn take(&mut self, data: Bytes) -> Result<(), Error> {
        let length = data.len() as u64;
        self.received += length;
        gate::spend_upload(&self.identity, length)?;
        if let Some(copy) = self.copy.as_mut().filter(|copy| copy.len() <= Document::MOST) {
            copy.extend_from_slice(&data);
        }
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let data = if data.len() <= COPY_MAX { Bytes::copy_from_slice(&data) } else { data };
        let pushed = each!(scan, inner => inner.push(data));
        self.settle(pushed)
    }

    fn end(&mut self, trailers: Fields) -> Result<(), Error> {
        self.is_read = true;
        if let Some(scan) = &mut self.scan {
            let finished = each!(scan, inner => inner.finish());
            self.settle(finished)?;
        }
        if !trailers.is_empty() {
            let length: usize = trailers.iter().map(|field| field.name.len() + field.value.len()).sum();
            gate::spend_upload(&self.identity, length as u64)?;
            let findings = gate::scan_trailers(&self.guard, &self.host, &trailers);
            let denial = gate::blocking(&findings);
            self.findings.extend(findings);
            denial.map_or(Ok(()), |denial| Err(Error::Refused(denial)))?;
        }
        self.trailers = Some(trailers);
        self.state = State::Read;
        Ok(())
    }

    /// Collects what the scanner has cleared, or why it stopped.
    fn settle(&mut self, outcome: Result<(), Stopped>) -> Result<(), Error> {
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let Err(stopped) = outcome else {
            self.cleared.extend(std::iter::from_fn(|| each!(scan, inner => inner.released())));
            return Ok(());
        };
        // What was cleared before the finding could go on, but a body that is cut serves nobody.
        self.findings.extend(each!(scan, inner => inner.take_findings()));
        let named = (stopped.reason == Reason::SecretInRequest).then(|| gate::blocking(&self.findings)).flatten();
        Err(named.unwrap_or_else(|| Denial::new(stopped.reason)).into())
    }

    fn queue(&mut self, origin: &mut Origin) {
        for bytes in self.cleared.drain(..) {
            self.sent += bytes.len() as u64;
            origin.queue(bytes);
        }
        if let Some(trailers) = self.trailers.take() {
            origin.end(&trailers);
        }
    }
}
