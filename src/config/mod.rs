//! From files to parts: every mistake told at once with its place, or a [`Config`] whose parts are
//! compiled, so that nothing in a request can fail because of configuration.
//!
//! Sits above all rooms and builds their settings; no room knows of it. Never shows the value of a
//! secret. Serves `app` and `cli`.

mod catalogue;
mod compile;
mod defaults;
mod diagnostic;
mod entrances;
mod file;
mod known;
mod listen;
mod load;
mod locate;
mod node;
mod parent;
mod placed;
mod policies;
pub mod preset;
mod read;
mod recognition;
mod rules;
mod run;
mod schema;
mod secret;
mod secrets;
mod sessions;
mod shapes;
mod similar;
mod units;
mod wire;
mod words;

pub use crate::secrets::{Action, Permitted};
pub use catalogue::{OwnRules, load_rules};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use known::{KnownError, read_known};
pub use listen::{Listen, TlsListen, TransparentListen, UnixListen};
pub use load::{load, load_places, load_policies, load_policy, policy_from};
pub use run::{RUN_POLICY, RunOptions};
pub use schema::{file_schema, policy_schema};
pub use secret::{SecretError, SecretSource, SourceError};
pub use wire::Ruleset;

use crate::{ca, dns, flow, proxy, session, upstream};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration, compiled.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from; none where the defaults hold.
    pub file: Option<PathBuf>,
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
    /// The proxy that destinations are reached through.
    pub parent: Option<upstream::Parent>,
    /// The journal.
    pub flows: flow::Settings,
    /// The folder of what must outlive a restart.
    pub state: PathBuf,
    /// The policies by name.
    pub rulesets: HashMap<Arc<str>, Arc<Ruleset>>,
    /// The sessions of the file.
    pub sessions: Vec<session::Session>,
    /// What they are known by besides their tokens.
    pub recognition: proxy::Recognition,
    /// How long flows may go on after a request to stop.
    pub drain: Duration,
    /// Bounds of the whole process.
    pub limits: proxy::Limits,
    /// What is worth a second look.
    pub warnings: Diagnostics,
}

#[cfg(test)]
mod tests;
