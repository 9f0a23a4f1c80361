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

/// A time that is promised. Beside other work a test can only see that it ends; with `EXEAT_ALONE=1` the machine has
/// nothing else to do, and the promise is held to the letter.
pub fn promised(time: Duration) -> Duration {
    if std::env::var_os("EXEAT_ALONE").is_some() { time } else { time + DEADLINE }
}

/// Waits until it holds, for as long as [`DEADLINE`].
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    within(DEADLINE, what, condition);
}

/// Waits until it holds, for so long.
#[track_caller]
pub fn within(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
