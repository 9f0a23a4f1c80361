//! What a command's flows came to: built from the journal's lines, told once at the end.

use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Kinds of refusals, hosts and findings that are told apart; what comes after them is only counted.
const KINDS: usize = 500;

/// The sums over a run's records.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Requests and relayed tunnels; a tunnel that was opened counts by its requests.
    pub(super) flows: u64,
    pub(super) bytes: Bytes,
    /// Hosts that answered, and how many flows each took.
    pub(super) reached: BTreeMap<String, u64>,
    /// What was decided against.
    pub(super) refused: Vec<Refusal>,
    /// What would have been, had the policy been enforced.
    pub(super) observed: Vec<Refusal>,
    /// What failed on its way.
    pub(super) failed: Vec<Refusal>,
    pub(super) findings: Vec<Found>,
    /// Requests without the session's token: clients that wait until they are asked for it.
    pub(super) unauthenticated: u64,
    /// Records that could not be told here; the journal has them.
    pub(super) missed: u64,
}

/// Bytes of messages, as they went over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bytes {
    pub(super) up: u64,
    pub(super) down: u64,
}

/// Flows that ended for the same reason at the same place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// `host:port`; empty where no target could be read.
    pub(super) place: String,
    /// Method and path, for reasons that hang on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    pub(super) count: u64,
    /// The argument of `--allow` that would lift it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow: Option<String>,
}

/// Findings of the same rule at the same place.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    pub(super) rule: String,
    /// `header authorization`, `body`.
    pub(super) place: String,
    pub(super) host: String,
    pub(super) disposition: String,
    pub(super) count: u64,
}

/// What is read of a record; the rest is for the journal's readers.
#[derive(Deserialize)]
struct Line {
    verdict: String,
    reason: Option<String>,
    rule: Option<String>,
    permitted_by: Option<String>,
    mode: Option<String>,
    target: Option<Target>,
    #[serde(default)]
    bytes: Bytes,
    #[serde(default)]
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Target {
    scheme: Option<String>,
    host: String,
    port: u16,
    method: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct Finding {
    rule: String,
    surface: String,
    place: Option<String>,
    disposition: String,
}

impl Summary {
    /// Takes in one line of the journal. What is no record (the journal's notes on itself) does not count.
    pub(super) fn add(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        self.add_findings(&line);
        let opened = line.mode.as_deref() == Some("intercept") && line.is_tunnel();
        match line.verdict.as_str() {
            // Its requests have records of their own; its own bytes are the same ones, encrypted
            "allowed" | "observed" if opened => return,
            "allowed" => self.reach(&line),
            "observed" => {
                self.reach(&line);
                let kind = Refusal::of(&line);
                self.missed += count(&mut self.observed, kind);
            }
            "denied" if line.reason.as_deref() == Some(Reason::AuthRequired.code()) => {
                self.unauthenticated += 1;
                return;
            }
            "denied" => self.missed += count(&mut self.refused, Refusal::of(&line)),
            // The agent's own cancellation is nothing to act on
            _ if line.reason.as_deref() == Some(Reason::ClientClosed.code()) => {}
            _ => self.missed += count(&mut self.failed, Refusal::of(&line)),
        }
        self.flows += 1;
        self.bytes.up = self.bytes.up.saturating_add(line.bytes.up);
        self.bytes.down = self.bytes.down.saturating_add(line.bytes.down);
    }

    /// Notes that this many records went by unseen.
    pub(super) fn miss(&mut self, records: u64) {
        self.missed += records;
    }

    /// Whether anything was decided against: what `--quiet` does not silence.
    #[must_use]
    pub(super) fn has_refusals(&self) -> bool {
        !self.refused.is_empty()
    }

    /// The summary with what a reader wants to know besides.
    #[must_use]
    pub(super) fn report<'a>(&'a self, journal: &'a Path) -> super::report::Report<'a> {
        super::report::Report { summary: self, journal }
    }

    fn reach(&mut self, line: &Line) {
        let Some(target) = &line.target else { return };
        if let Some(flows) = self.reached.get_mut(&target.host) {
            *flows += 1;
        } else if self.reached.len() < KINDS {
            self.reached.insert(target.host.clone(), 1);
        }
    }

    fn add_findings(&mut self, line: &Line) {
        // A credential on its way home is how things should be
        for finding in line.findings.iter().filter(|finding| finding.disposition != "credential_used") {
            let place = finding
                .place
                .as_ref()
                .map_or_else(|| finding.surface.clone(), |place| format!("{} {place}", finding.surface));
            let host = line.target.as_ref().map(|target| target.host.clone()).unwrap_or_default();
            let found =
                Found { rule: finding.rule.clone(), place, host, disposition: finding.disposition.clone(), count: 0 };
            self.missed += count(&mut self.findings, found);
        }
    }
}

impl Line {
    fn is_tunnel(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.method.as_deref() == Some("CONNECT"))
    }
}

/// A kind of thing that is counted.
trait Counted: PartialEq {
    fn count(&mut self) -> &mut u64;
    fn is_like(&self, other: &Self) -> bool;
}

impl Counted for Refusal {
    fn count(&mut self) -> &mut u64 {
        &mut self.count
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.reason, &self.place, &self.request, &self.rule)
            == (&other.reason, &other.place, &other.request, &other.rule)
    }
}

impl Counted for Found {
    fn count(&mut self) -> &mut u64 {
        &mut self.count
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.rule, &self.place, &self.host, &self.disposition)
            == (&other.rule, &other.place, &other.host, &other.disposition)
    }
}

/// Counts one more of its kind. Gives 1 if it is of a kind too many, else 0.
fn count<T: Counted>(kinds: &mut Vec<T>, mut one: T) -> u64 {
    if let Some(kind) = kinds.iter_mut().find(|kind| kind.is_like(&one)) {
        *kind.count() += 1;
    } else if kinds.len() < KINDS {
        *one.count() = 1;
        kinds.push(one);
    } else {
        return 1;
    }
    0
}

impl Refusal {
    fn of(line: &Line) -> Self {
        let reason = line.reason.clone().unwrap_or_default();
        let target = line.target.as_ref();
        let hangs_on_request = [Reason::RequestNotListed, Reason::DestinationDenied, Reason::MethodNotSupported]
            .iter()
            .any(|kind| kind.code() == reason);
        Self {
            place: target.map(Target::authority).unwrap_or_default(),
            request: target.filter(|_| hangs_on_request).and_then(Target::request),
            allow: line
                .permitted_by
                .clone()
                .or_else(|| target.filter(|_| reason == Reason::DestinationNotListed.code()).map(Target::allow)),
            rule: line.rule.clone(),
            reason,
            count: 0,
        }
    }
}

impl Target {
    fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    fn request(&self) -> Option<String> {
        let method = self.method.as_ref()?;
        Some(self.path.as_ref().map_or_else(|| method.clone(), |path| format!("{method} {path}")))
    }

    /// A rule without a port is for 443 with https and 80 with http; a tunnel is taken for https.
    fn allow(&self) -> String {
        let default = if self.scheme.as_deref() == Some("http") { 80 } else { 443 };
        if self.port == default { self.bracketed() } else { self.authority() }
    }
}

#[cfg(test)]
mod tests;
