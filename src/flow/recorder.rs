//! The recorder of one flow: opened with the request, ends in exactly one record.

use super::queue::Wake;
use super::record::{Messages, Mode, Outcome, Phase, Record, SessionInfo, ShownTarget, UpstreamTls, Verdict, micros};
use super::redact::{FIELD, cut, strike_values};
use super::urge;
use super::{ClientTls, Downstream, FlowId, Journal, PATIENCE, Unavailable};
use crate::net::{Authority, Host, Target};
use crate::reason::{Denial, Kind, Reason};
use crate::secrets::Finding;
use http::Method;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Records one flow. It can't be forgotten: dropped without [`finish`](Recorder::finish) it writes its record
/// all the same, as `internal_error` if a panic drops it and as `client_closed` if a cancelled task does.
///
/// Texts are bounded: fields at 8 KiB, lists at 64 entries; what is cut sets `truncated`.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    record: Box<Record>,
    /// What is left of the time that the flow waits for the journal.
    patience: Duration,
    is_handed_over: bool,
}

impl Recorder {
    /// Begins a flow. An error: it can't be recorded and must be refused ([`Reason::LogUnavailable`]).
    pub fn open(journal: &Journal, downstream: Downstream) -> Result<Self, Unavailable> {
        journal.check()?;
        let record = Box::new(Record::new(downstream, journal.shared().health.opened()));
        Ok(Self { journal: journal.clone(), record, patience: PATIENCE, is_handed_over: false })
    }

    /// The same for a flow that can wait while too many records wait for the disk. It waits for the journal once more,
    /// before its answer's last byte: for [`PATIENCE`] in all.
    pub async fn begin(journal: &Journal, downstream: Downstream) -> Result<Self, Unavailable> {
        let waited = journal.ready().await?;
        let mut recorder = Self::open(journal, downstream)?;
        recorder.patience = PATIENCE.saturating_sub(waited);
        Ok(recorder)
    }

    /// How long the flow may still wait for the journal.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The flow's id.
    #[must_use]
    pub fn id(&self) -> FlowId {
        self.record.id
    }

    /// Where it came from.
    #[must_use]
    pub fn downstream(&self) -> Downstream {
        self.record.downstream
    }

    /// How many flows this record stands for, none of which has another.
    pub fn repeats(&mut self, count: u64) {
        self.record.repeats = Some(count);
    }

    /// Writes nothing of this flow: a later record counts it.
    pub fn swallow(mut self) {
        self.is_handed_over = true;
        self.record.count(&self.journal.shared().metrics);
    }

    /// The tunnel that this flow came through.
    pub fn parent(&mut self, tunnel: FlowId) {
        self.record.parent = Some(tunnel);
    }

    /// Whose flow it is.
    pub fn session(&mut self, session: Arc<SessionInfo>) {
        self.record.set_session(session);
    }

    /// What is asked for. `redact` takes the secrets out of a text that stands behind another
    /// (`Guard::redact_after`); the values of the query are struck before, whatever it does.
    pub fn target(&mut self, target: &Target, redact: impl for<'a> Fn(&str, &'a str) -> Cow<'a, str>) {
        let mut path = redact(target.authority.host.as_name().unwrap_or_default(), target.path.path()).into_owned();
        if let Some(query) = target.path.query() {
            path.push('?');
            path.push_str(&redact("", &strike_values(query)));
        }
        let shown = ShownTarget {
            scheme: Some(target.scheme.as_str()),
            host: self.show_host(&target.authority.host, &redact),
            port: target.authority.port,
            method: self.show_method(&target.method, &redact),
            path: Some(self.fit(path)),
        };
        self.record.target = Some(shown);
    }

    /// The tunnel that is asked for; `redact` as in [`target`](Recorder::target).
    pub fn tunnel(&mut self, authority: &Authority, redact: impl for<'a> Fn(&str, &'a str) -> Cow<'a, str>) {
        let host = self.show_host(&authority.host, &redact);
        let method = Cow::Borrowed("CONNECT");
        self.record.target = Some(ShownTarget { scheme: None, host, port: authority.port, method, path: None });
    }

    /// The rule that allowed it.
    pub fn rule(&mut self, rule: Arc<str>) {
        self.record.rule = Some(self.record.fit_shared(rule, FIELD));
    }

    /// The address that was dialled, or that was refused.
    pub fn upstream(&mut self, address: SocketAddr) {
        self.record.upstream = Some(address);
    }

    /// What the agent's ClientHello showed.
    pub fn hello(&mut self, mut hello: ClientTls) {
        for protocol in &mut hello.alpn {
            *protocol = self.fit(std::mem::take(protocol));
        }
        self.record.hello = Some(hello);
    }

    /// The parent proxy that the way leads through, without its credentials.
    pub fn parent_proxy(&mut self, parent: impl fmt::Display) {
        self.record.parent_proxy = Some(parent.to_string());
    }

    /// What was agreed in TLS upstream.
    pub fn upstream_tls(&mut self, tls: UpstreamTls) {
        let mut fit = |text: Cow<'static, str>| match cut(&text, FIELD) {
            (_, false) => text,
            (start, true) => {
                self.record.truncated = true;
                Cow::Owned(start.to_owned())
            }
        };
        let (version, alpn) = (tls.version.map(&mut fit), tls.alpn.map(&mut fit));
        let sni = tls.sni.map(|sni| self.record.fit_shared(sni, FIELD));
        self.record.tls = Some(UpstreamTls { version, alpn, sni });
    }

    /// What is done with the flow's bytes.
    pub fn mode(&mut self, mode: Mode) {
        self.record.mode = Some(mode);
    }

    /// What the scanner found; adds to what it found before.
    pub fn findings(&mut self, findings: Vec<Finding>) {
        self.record.add_findings(findings);
    }

    /// The status that the client got.
    pub fn status(&mut self, status: u16) {
        self.record.status = Some(status);
    }

    /// Bytes that went from downstream to upstream.
    pub fn add_up(&mut self, bytes: u64) {
        self.record.up = self.record.up.saturating_add(bytes);
    }

    /// Bytes that went from upstream to downstream.
    pub fn add_down(&mut self, bytes: u64) {
        self.record.down = self.record.down.saturating_add(bytes);
    }

    /// WebSocket messages that went up and down.
    pub fn messages(&mut self, up: u64, down: u64) {
        self.record.messages = Some(Messages { up, down });
    }

    /// A phase ends now: its time is what has gone by since the mark before, or since the flow began.
    pub fn mark(&mut self, phase: Phase) {
        let now = Instant::now();
        self.took(phase, now.saturating_duration_since(self.record.marked));
        self.record.marked = now;
    }

    /// A phase's time as it was measured elsewhere.
    pub fn took(&mut self, phase: Phase, duration: Duration) {
        self.record.phases[phase as usize] = Some(micros(duration));
    }

    /// It passes only because the policy observes; a later verdict stands above this one.
    pub fn observed(&mut self, denial: &Denial) {
        if self.record.outcome.is_none() {
            self.conclude(Verdict::Observed, denial);
        }
    }

    /// It was refused. The denial's detail becomes the record's `error`.
    pub fn denied(&mut self, denial: &Denial) {
        let verdict = match denial.reason.kind() {
            Kind::Denied => Verdict::Denied,
            Kind::Failed => Verdict::Failed,
        };
        self.conclude(verdict, denial);
    }

    /// The way failed. `error` is a sentence for the operator: no secret, no bytes of a peer.
    pub fn failed(&mut self, reason: Reason, error: Option<String>) {
        let denial = Denial { detail: error, ..Denial::new(reason) };
        self.conclude(Verdict::Failed, &denial);
    }

    /// A sentence for the operator beside the verdict; replaces the one that came with it.
    pub fn error(&mut self, sentence: impl fmt::Display) {
        let sentence = self.fit(sentence.to_string());
        self.record.error = Some(sentence);
    }

    /// Hands the record to the writer. Waits for nothing.
    pub fn finish(mut self) {
        self.hand_over(Wake::Writer);
    }

    /// Hands the record to the writer and waits until it is written: in the file, or on the disk where
    /// durability is `each`. Before every refusal, and before an answer's last byte.
    ///
    /// Fails after two seconds at the latest; the record stays in the queue and is written if it can be.
    /// Cancel safe: the record is handed over before the first wait.
    pub async fn finish_durable(self) -> Result<(), Unavailable> {
        timeout(self.patience, self.finish_written()).await.unwrap_or(Err(Unavailable::Stalled))
    }

    /// The same without an end to the wait, which is up to whoever has a timer already: [`patience`](Self::patience),
    /// and then [`Unavailable::Stalled`].
    pub async fn finish_written(mut self) -> Result<(), Unavailable> {
        let parks = urge::parks();
        let wake = if parks { Wake::Writer } else { Wake::Nobody };
        let ticket = self.hand_over(wake).ok_or(Unavailable::Closed)?;
        if parks {
            urge::later(self.journal.shared(), ticket);
        } else {
            let urging = Urging { journal: self.journal.clone(), ticket };
            // Flows that end at this moment add their records first: one write serves all of them.
            yield_now().await;
            drop(urging);
        }
        self.journal.written(ticket).await
    }

    fn conclude(&mut self, verdict: Verdict, denial: &Denial) {
        let rule = denial.rule.clone().map(|rule| self.record.fit_shared(rule, FIELD));
        let permitted_by = denial.permitted_by.as_ref().map(|argument| self.record.fit(argument, FIELD).to_owned());
        self.record.outcome = Some(Outcome { verdict, reason: denial.reason, rule, permitted_by });
        if let Some(detail) = &denial.detail {
            self.record.error = Some(self.record.fit(detail, FIELD).to_owned());
        }
    }

    fn fit(&mut self, mut text: String) -> String {
        let kept = self.record.fit(&text, FIELD).len();
        text.truncate(kept);
        text
    }

    fn show_host(&mut self, host: &Host, redact: &impl for<'a> Fn(&str, &'a str) -> Cow<'a, str>) -> String {
        match host {
            Host::Name(name) => self.fit(redact("", name).into_owned()),
            address => {
                let mut text = String::with_capacity(40);
                address.push_to(&mut text);
                text
            }
        }
    }

    fn show_method(
        &mut self,
        method: &Method,
        redact: &impl for<'a> Fn(&str, &'a str) -> Cow<'a, str>,
    ) -> Cow<'static, str> {
        let known = KNOWN_METHODS.iter().find(|known| **known == method.as_str());
        known.map_or_else(
            || Cow::Owned(self.fit(redact("", method.as_str()).into_owned())),
            |known| Cow::Borrowed(*known),
        )
    }

    /// Serialises into this thread's buffer and appends to the batch; the record's ticket.
    fn hand_over(&mut self, wake: Wake) -> Option<u64> {
        self.is_handed_over = true;
        let ticket = BUFFER.try_with(|buffer| match buffer.try_borrow_mut() {
            Ok(mut buffer) => self.append(&mut buffer, wake),
            Err(_) => self.append(&mut Vec::new(), wake),
        });
        // The thread is ending and its buffer is gone.
        let ticket = ticket.unwrap_or_else(|_| self.append(&mut Vec::new(), wake));
        if ticket.is_none() {
            tracing::error!(flow.id = %self.record.id, "a flow ended after the journal was closed; its record is lost");
        }
        ticket
    }

    fn append(&self, buffer: &mut Vec<u8>, wake: Wake) -> Option<u64> {
        buffer.clear();
        self.record.write(buffer);
        let shared = self.journal.shared();
        self.record.count(&shared.metrics);
        let ticket = shared.queue.append(buffer, wake);
        buffer.shrink_to(KEPT);
        ticket
    }
}

/// Sees to it that the record is written now, even if who waits for it goes away.
struct Urging {
    journal: Journal,
    ticket: u64,
}

impl Drop for Urging {
    fn drop(&mut self) {
        self.journal.shared().queue.urge(self.ticket);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.is_handed_over {
            return;
        }
        if std::thread::panicking() {
            self.failed(Reason::InternalError, None);
        } else if !self.record.outcome.as_ref().is_some_and(|outcome| outcome.verdict != Verdict::Observed) {
            self.failed(Reason::ClientClosed, None);
        }
        self.hand_over(Wake::Writer);
    }
}

/// Capacity that a thread's buffer keeps after a large record.
const KEPT: usize = 64 << 10;

const KNOWN_METHODS: [&str; 9] = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
