//! One flow's record: what it holds and how it becomes a line.

use super::redact::{FIELD, LIST, SHORT_FIELD, cut};
use super::{ClientTls, Downstream, FlowId};
use crate::reason::Reason;
use crate::secrets::Finding;
use crate::telemetry::{Direction, Metrics};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passed.
    Allowed,
    /// Exeat decided against it.
    Denied,
    /// It passed, and would have been denied if the policy were enforced.
    Observed,
    /// The way failed, here, downstream or upstream.
    Failed,
}

/// What was done with the flow's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A request that was judged and sent on.
    Forward,
    /// A tunnel whose bytes were not looked into.
    Relay,
    /// A tunnel whose TLS was opened; its requests have records of their own, with this one as parent.
    Intercept,
    /// WebSocket messages.
    Websocket,
}

/// A stretch of a flow's time, ended by [`Recorder::mark`](super::Recorder::mark).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// From the flow's begin to the decision.
    Decide = 0,
    /// Resolving and vetting the name.
    Dns = 1,
    /// Connecting upstream.
    Connect = 2,
    /// The TLS handshake upstream.
    Tls = 3,
    /// From the way upstream being ready to the first byte of the answer.
    FirstByte = 4,
}

impl Phase {
    /// As the record says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Decide => "decide",
            Phase::Dns => "dns",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::FirstByte => "first_byte",
        }
    }
}

/// Who a flow belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session's id.
    pub id: Arc<str>,
    /// The name of its policy.
    pub policy: Arc<str>,
    /// The hash of the rules that were in force.
    pub policy_hash: Arc<str>,
    /// What the session was opened for.
    pub task: Option<Arc<str>>,
    /// The operator's labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// All of it as records show it, once one has.
    pub(super) shown: OnceLock<Box<[u8]>>,
}

impl SessionInfo {
    /// Whose flows they are that say so.
    #[must_use]
    pub fn new(
        id: Arc<str>,
        policy: Arc<str>,
        policy_hash: Arc<str>,
        task: Option<Arc<str>>,
        labels: BTreeMap<Arc<str>, Arc<str>>,
    ) -> Self {
        Self { id, policy, policy_hash, task, labels, shown: OnceLock::new() }
    }
}

/// What was agreed with the upstream in TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `TLSv1.3`.
    pub version: Option<Cow<'static, str>>,
    /// `h2`, `http/1.1`.
    pub alpn: Option<Cow<'static, str>>,
    /// The name that was sent and checked.
    pub sni: Option<Arc<str>>,
}

impl Verdict {
    /// As the record says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Observed => "observed",
            Verdict::Failed => "failed",
        }
    }
}

impl Mode {
    /// As the record says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Forward => "forward",
            Mode::Relay => "relay",
            Mode::Intercept => "intercept",
            Mode::Websocket => "websocket",
        }
    }
}

/// The target as it is shown.
#[derive(Debug)]
pub(super) struct ShownTarget {
    pub(super) scheme: Option<&'static str>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) method: Cow<'static, str>,
    pub(super) path: Option<String>,
}

/// What decided a flow's end, if it did not simply pass.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    pub(super) rule: Option<Arc<str>>,
    /// What `exeat run --allow` takes to permit it.
    pub(super) permitted_by: Option<String>,
}

/// Everything that is known about one flow.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: FlowId,
    pub(super) ts: Timestamp,
    /// Microseconds from the journal's opening to the flow's begin, on the monotonic clock (T35).
    pub(super) mono: u64,
    pub(super) started: Instant,
    pub(super) marked: Instant,
    pub(super) phases: [Option<u64>; 5],
    pub(super) parent: Option<FlowId>,
    pub(super) session: Option<Arc<SessionInfo>>,
    pub(super) downstream: Downstream,
    /// What the agent's ClientHello showed.
    pub(super) hello: Option<ClientTls>,
    pub(super) target: Option<ShownTarget>,
    pub(super) upstream: Option<SocketAddr>,
    pub(super) tls: Option<UpstreamTls>,
    /// The parent proxy that the way led through.
    pub(super) parent_proxy: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) outcome: Option<Outcome>,
    pub(super) rule: Option<Arc<str>>,
    pub(super) findings: Vec<Finding>,
    pub(super) status: Option<u16>,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) messages: Option<Messages>,
    pub(super) error: Option<String>,
    /// How many flows it stands for.
    pub(super) repeats: Option<u64>,
    pub(super) truncated: bool,
}

impl Record {
    /// Counts the flow, now that it has ended.
    pub(super) fn count(&self, metrics: &Metrics) {
        let outcome = self.outcome.as_ref();
        let reason = outcome.map(|outcome| outcome.reason.code());
        metrics.flow(outcome.map_or(Verdict::Allowed, |outcome| outcome.verdict).as_str(), reason);
        if self.up > 0 {
            metrics.bytes(Direction::Up, self.up);
        }
        if self.down > 0 {
            metrics.bytes(Direction::Down, self.down);
        }
        let took = |phase: Phase| self.phases[phase as usize].map(Duration::from_micros);
        if let Some(time) = took(Phase::Decide) {
            metrics.decided_in(time);
        }
        if let Some(time) = took(Phase::Dns) {
            metrics.resolved_in(time);
        }
        if let Some(time) = took(Phase::Connect) {
            metrics.connected_in(time);
        }
    }

    pub(super) fn new(downstream: Downstream, opened: Instant) -> Self {
        let (ts, now) = (Timestamp::now(), Instant::now());
        Self {
            id: FlowId::at(ts),
            ts,
            mono: micros(now.saturating_duration_since(opened)),
            started: now,
            marked: now,
            phases: [None; 5],
            parent: None,
            session: None,
            downstream,
            hello: None,
            target: None,
            upstream: None,
            tls: None,
            parent_proxy: None,
            mode: None,
            outcome: None,
            rule: None,
            findings: Vec::new(),
            status: None,
            up: 0,
            down: 0,
            messages: None,
            error: None,
            repeats: None,
            truncated: false,
        }
    }

    /// The text within the bound of a field; notes on the record if it was cut.
    pub(super) fn fit<'a>(&mut self, text: &'a str, limit: usize) -> &'a str {
        let (text, was_cut) = cut(text, limit);
        self.truncated |= was_cut;
        text
    }

    /// The same for a text that is shared: copied only if it must be cut.
    pub(super) fn fit_shared(&mut self, text: Arc<str>, limit: usize) -> Arc<str> {
        if text.len() <= limit { text } else { self.fit(&text, limit).into() }
    }

    pub(super) fn add_findings(&mut self, findings: Vec<Finding>) {
        for mut finding in findings {
            if self.findings.len() >= LIST {
                self.truncated = true;
                return;
            }
            finding.rule = self.fit_shared(finding.rule, SHORT_FIELD);
            finding.place = finding.place.map(|place| self.fit_shared(place, SHORT_FIELD));
            self.findings.push(finding);
        }
    }

    pub(super) fn set_session(&mut self, session: Arc<SessionInfo>) {
        let texts = [&session.id, &session.policy, &session.policy_hash].into_iter().chain(&session.task);
        let fits = texts.into_iter().all(|text| text.len() <= FIELD)
            && session.labels.len() <= LIST
            && session.labels.iter().all(|(name, value)| name.len() <= SHORT_FIELD && value.len() <= FIELD);
        self.session = Some(if fits { session } else { Arc::new(self.cut_session(&session)) });
    }

    fn cut_session(&mut self, session: &SessionInfo) -> SessionInfo {
        self.truncated |= session.labels.len() > LIST;
        let mut fit = |text: &Arc<str>, limit| self.fit_shared(Arc::clone(text), limit);
        let [id, policy, policy_hash] =
            [&session.id, &session.policy, &session.policy_hash].map(|text| fit(text, FIELD));
        let task = session.task.as_ref().map(|task| fit(task, FIELD));
        let labels = session.labels.iter().take(LIST);
        let labels = labels.map(|(name, value)| (fit(name, SHORT_FIELD), fit(value, FIELD))).collect();
        SessionInfo::new(id, policy, policy_hash, task, labels)
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// WebSocket messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    pub(super) up: u64,
    pub(super) down: u64,
}
