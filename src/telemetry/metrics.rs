//! Every counter, gauge and histogram there is.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// Every metric, and the registry that tells them. One per process, shared.
///
/// Labels are `&'static str` on purpose: what an agent sends can't become a label,
/// so that the number of series is bounded.
pub struct Metrics {
    registry: Registry,
    flows: Family<FlowLabels, Counter>,
    /// Of these those that simply passed: nearly every flow looks it up.
    passed: Counter,
    refusals: Family<ReasonLabel, Counter>,
    up: Counter,
    down: Counter,
    connections: Gauge,
    tunnels: Gauge,
    decide: Histogram,
    dns: Histogram,
    connect: Histogram,
    sessions: Gauge,
    journal_queue: Gauge,
    work: Gauge,
    tasks: Gauge,
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the agent.
    Up,
    /// To the agent.
    Down,
}

/// One of the things that a gauge counts, for as long as it lives.
#[must_use = "the gauge goes down when this is dropped"]
pub struct Active(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlowLabels {
    verdict: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

/// The verdict on a flow that simply passed.
const PASSED: &str = "allowed";

/// Decisions take microseconds.
const DECIDE: [f64; 8] = [1e-6, 5e-6, 25e-6, 100e-6, 500e-6, 2.5e-3, 10e-3, 100e-3];
/// Networks take milliseconds to seconds.
const NETWORK: [f64; 11] = [1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0, 2.5, 5.0];

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let flows = Family::<FlowLabels, Counter>::default();
        let passed = flows.get_or_create(&FlowLabels { verdict: PASSED, reason: "" }).clone();
        let mut metrics = Self {
            registry: Registry::with_prefix("exeat"),
            flows,
            passed,
            refusals: Family::default(),
            up: Counter::default(),
            down: Counter::default(),
            connections: Gauge::default(),
            tunnels: Gauge::default(),
            decide: Histogram::new(DECIDE),
            dns: Histogram::new(NETWORK),
            connect: Histogram::new(NETWORK),
            sessions: Gauge::default(),
            journal_queue: Gauge::default(),
            work: Gauge::default(),
            tasks: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        to.register("flows", "Flows that ended, by verdict and reason", self.flows.clone());
        to.register("refusals", "Refusals sent, by reason", self.refusals.clone());
        let bytes = Family::<DirectionLabel, Counter>::default();
        for (direction, counter) in [("up", &mut self.up), ("down", &mut self.down)] {
            *counter = bytes.get_or_create(&DirectionLabel { direction }).clone();
        }
        to.register_with_unit("transferred", "Bytes of flows, by direction", Unit::Bytes, bytes);
        to.register("connections", "Downstream connections open now", self.connections.clone());
        to.register("tunnels", "Tunnels open now", self.tunnels.clone());
        to.register_with_unit("decide", "Time to decide on a request", Unit::Seconds, self.decide.clone());
        to.register_with_unit("dns", "Time to resolve and vet a name", Unit::Seconds, self.dns.clone());
        to.register_with_unit("connect", "Time to connect upstream", Unit::Seconds, self.connect.clone());
        to.register("sessions", "Live sessions", self.sessions.clone());
        to.register("journal_queue", "Records that wait to be written", self.journal_queue.clone());
        to.register("work", "Requests, openings of tunnels and handshakes that are worked at", self.work.clone());
        to.register("tasks", "Tasks alive now", self.tasks.clone());
    }

    /// A flow ended: `verdict` and `reason` as the record has them; no reason is the empty one.
    pub fn flow(&self, verdict: &'static str, reason: Option<&'static str>) {
        match reason {
            None if verdict == PASSED => self.passed.inc(),
            _ => self.flows.get_or_create(&FlowLabels { verdict, reason: reason.unwrap_or_default() }).inc(),
        };
    }

    /// A refusal was sent.
    pub fn refusal(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Bytes went through.
    pub fn bytes(&self, direction: Direction, count: u64) {
        let counter = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        counter.inc_by(count);
    }

    /// A downstream connection opened.
    pub fn connection(&self) -> Active {
        Active::of(&self.connections)
    }

    /// A tunnel opened.
    pub fn tunnel(&self) -> Active {
        Active::of(&self.tunnels)
    }

    /// A request was decided on.
    pub fn decided_in(&self, time: Duration) {
        self.decide.observe(time.as_secs_f64());
    }

    /// A name was resolved and vetted, or was not.
    pub fn resolved_in(&self, time: Duration) {
        self.dns.observe(time.as_secs_f64());
    }

    /// An upstream connection was made, or was not.
    pub fn connected_in(&self, time: Duration) {
        self.connect.observe(time.as_secs_f64());
    }

    /// How many sessions are live.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many records wait to be written.
    pub fn set_journal_queue(&self, count: usize) {
        self.journal_queue.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many pieces of work are under way.
    pub fn set_work(&self, count: usize) {
        self.work.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many tasks are alive.
    pub fn set_tasks(&self, count: usize) {
        self.tasks.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// All of them in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(4096);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Active {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::new();
        metrics.flow("allowed", None);
        metrics.flow("denied", Some("dest_not_listed"));
        metrics.flow("denied", Some("dest_not_listed"));
        metrics.refusal("proxy_auth_required");
        metrics.bytes(Direction::Up, 10);
        metrics.bytes(Direction::Down, 20);
        metrics.resolved_in(Duration::from_millis(3));
        metrics.set_sessions(4);
        metrics.set_journal_queue(5);
        metrics.set_tasks(6);
        metrics.set_work(7);
        let open = metrics.connection();
        drop(metrics.tunnel());
        let text = metrics.encode().unwrap();
        for line in [
            "exeat_flows_total{verdict=\"allowed\",reason=\"\"} 1",
            "exeat_flows_total{verdict=\"denied\",reason=\"dest_not_listed\"} 2",
            "exeat_refusals_total{reason=\"proxy_auth_required\"} 1",
            "exeat_transferred_bytes_total{direction=\"up\"} 10",
            "exeat_transferred_bytes_total{direction=\"down\"} 20",
            "exeat_dns_seconds_bucket{le=\"0.005\"} 1",
            "exeat_dns_seconds_bucket{le=\"0.0025\"} 0",
            "exeat_sessions 4",
            "exeat_journal_queue 5",
            "exeat_tasks 6",
            "exeat_work 7",
            "exeat_connections 1",
            "exeat_tunnels 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        drop(open);
        assert!(metrics.encode().unwrap().contains("exeat_connections 0\n"));
    }
}
