//! What the tests are made of: a whole gateway, an agent, an origin, a nameserver. No sleeping: events and deadlines.

pub mod agent;
pub mod certs;
pub mod check;
pub mod clients;
pub mod frames;
pub mod hello;
pub mod http2;
pub mod journal;
pub mod message;
pub mod nameserver;
pub mod origin;
pub mod secrets;
pub mod setup;
pub mod websocket;
pub mod world;

pub use agent::{Agent, Hello, Tls};
pub use check::{assert_failed, assert_refused, assert_refused_with, problem};
pub use http2::{Http2Agent, Http2Origin, Said};
pub use journal::{Record, Records};
pub use message::{Fault, Request, Response, Wire};
pub use nameserver::{Answer, Nameserver};
pub use origin::{Origin, Reply};
pub use setup::{Setup, policy_for};
pub use world::World;

use std::time::{Duration, Instant};

/// After this long a thing that should have happened is taken as not happening.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until it holds, for as long as [`DEADLINE`].
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
