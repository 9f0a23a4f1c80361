//! Bounds of the data path: every wait has an end, every buffer a bound.

use crate::http1::HeadLimits;
use std::time::Duration;

/// Bounds of the data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at once; more are answered 503 and closed.
    pub connections: usize,
    /// Connections of one source that have not shown who they are; beyond that the oldest of them closes.
    pub connections_per_source: usize,
    /// TLS handshakes with clients under way at once; more are refused.
    pub handshakes: usize,
    /// Bytes, fields and target of a head.
    pub head: HeadLimits,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// From the 200 of a CONNECT to the end of the ClientHello, and for the handshake after it.
    pub handshake_timeout: Duration,
    /// For resolving, connecting and the TLS handshake upstream, each.
    pub connect_timeout: Duration,
    /// From the end of a request to the first byte of its answer.
    pub response_timeout: Duration,
    /// Without a byte in either direction of a tunnel or an answer: long polls and event streams live on it.
    pub idle_timeout: Duration,
    /// Between two requests of a connection.
    pub keep_alive_timeout: Duration,
}

impl Limits {
    /// Bytes a second that a request's body must bring on average once [`Limits::BODY_GRACE`] is over,
    /// as long as no answer has begun: slow-body attacks hold a connection for nothing.
    pub const BODY_RATE: u64 = 1000;
    /// How long a body may be slow.
    pub const BODY_GRACE: Duration = Duration::from_secs(10);
    /// How long a connection may say nothing at all.
    pub const SILENCE: Duration = Duration::from_secs(30);
    /// How long a refused body is read on and thrown away, so that the refusal is seen and not a reset.
    pub const LINGER: Duration = Duration::from_secs(2);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_source: 1_000,
            handshakes: 2_000,
            head: HeadLimits::default(),
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(600),
            keep_alive_timeout: Duration::from_secs(60),
        }
    }
}
