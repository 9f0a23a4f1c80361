//! From files to parts: every mistake told at once with its place, or a [`Config`] whose parts are
//! compiled, so that nothing in a request can fail because of configuration.
//!
//! Sits above all rooms and builds their settings; no room knows of it. Never shows the value of a
//! secret. Serves `app` and `cli`.

mod compile;
mod defaults;
mod diagnostic;
mod file;
mod known;
mod load;
mod locate;
mod node;
mod placed;
mod policies;
pub mod preset;
mod read;
mod rules;
mod run;
mod schema;
mod secret;
mod sessions;
mod shapes;
mod similar;
mod units;
mod wire;
mod words;

pub use crate::secrets::{Action, Permitted};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{load, load_places, load_policy};
pub use run::{RUN_POLICY, RunOptions};
pub use schema::{file_schema, policy_schema};
pub use secret::{SecretError, SecretSource, SourceError};
pub use wire::Ruleset;

use crate::{ca, dns, flow, session};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration, compiled.
#[derive(Debug)]
pub struct Config {
    /// Where the gateway listens.
    pub listen: Listen,
    /// The certificate authority's files.
    pub ca: ca::Settings,
    /// The operators' key.
    pub control_key: SecretSource,
    /// How names become addresses.
    pub resolver: dns::Settings,
    /// Whose certificates are trusted.
    pub trust: ca::TrustSettings,
    /// The journal.
    pub flows: flow::Settings,
    /// The folder of what must outlive a restart.
    pub state: PathBuf,
    /// The policies by name.
    pub rulesets: HashMap<Arc<str>, Arc<Ruleset>>,
    /// The sessions of the file.
    pub sessions: Vec<session::Session>,
    /// How long flows may go on after a request to stop.
    pub drain: Duration,
    /// Bounds of the whole process.
    pub limits: GatewayLimits,
    /// What is worth a second look.
    pub warnings: Diagnostics,
}

/// Where the gateway listens. Port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The proxy.
    pub proxy: SocketAddr,
    /// The control API.
    pub control: SocketAddr,
}

/// Bounds of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Connections of all sessions at one time.
    pub connections: NonZeroU32,
    /// How long a request's head may take to arrive.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take, on either side.
    pub handshake_timeout: Duration,
    /// How long a destination may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a destination may think before its answer begins.
    pub response_timeout: Duration,
    /// How long a tunnel or a stream may be silent.
    pub idle_timeout: Duration,
    /// How long a connection is kept for its next request.
    pub keep_alive_timeout: Duration,
}

/// Models think for minutes before the first byte, and stream with long pauses.
impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections: NonZeroU32::new(10_000).unwrap_or(NonZeroU32::MIN),
            head_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(600),
            keep_alive_timeout: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests;
