//! The data path: every byte between an agent and the internet.
//!
//! `listener` accepts, `entrance` knows what is spoken there, `connection` reads requests one after another, `identify` finds the session,
//! `gate` decides, scans and resolves, `forward` moves one request and its answer, `tunnel` tells what
//! comes through a CONNECT and `relay`s or opens it. One gate, one `refusal`, one recorder, whatever the
//! way in. It knows nothing of the control API, of files or of how it was configured.

mod admission;
mod client;
mod connection;
mod download;
mod entrance;
mod error;
mod forward;
mod gate;
mod headers;
mod identify;
mod interrupt;
mod leg;
mod limits;
mod listener;
mod load;
mod origin;
mod recognition;
mod refusal;
mod relay;
mod socks;
mod stream_body;
mod streams;
mod translate;
mod transparent;
mod tunnel;
mod upload;
mod websocket;

pub use admission::Admission;
pub use entrance::{Door, Entrance, Original, Speaks, UnixDoor};
pub use limits::Limits;
pub use listener::listen;
pub use recognition::Recognition;

use crate::ca::Leaves;
use crate::dns::Resolver;
use crate::flow::{Durability, Journal, Recorder, Unavailable};
use crate::net::{Authority, Host};
use crate::session::Ruleset;
use crate::store::Sessions;
use crate::telemetry::Metrics;
use crate::upstream::{Dialler, Pool};
use arc_swap::ArcSwap;
use interrupt::Interrupt;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The policies in force, by name.
pub type Rulesets = HashMap<Arc<str>, Arc<Ruleset>>;

/// What every connection of the data path shares.
pub struct Shared {
    /// Who may ask.
    pub sessions: Sessions,
    /// Who is known by something else than a token.
    pub recognition: Recognition,
    /// What they may ask for; swapped whole.
    pub rulesets: ArcSwap<Rulesets>,
    /// Names to vetted addresses.
    pub resolver: Resolver,
    /// The ways out.
    pub dialler: Dialler,
    /// Connections to origins.
    pub pool: Pool,
    /// Certificates for intercepted hosts.
    pub leaves: Leaves,
    /// Where every flow is written down.
    pub journal: Journal,
    /// Cancelled while the journal can't be written; a new one is put in its place when it can.
    pub journal_broken: ArcSwap<CancellationToken>,
    /// Bounds.
    pub limits: Limits,
    /// Who may still come in.
    pub admission: Arc<Admission>,
    /// What is counted besides flows, which the journal counts.
    pub metrics: Arc<Metrics>,
    /// No new work is taken.
    pub draining: CancellationToken,
    /// The drain's grace is over.
    pub killed: CancellationToken,
}

impl Shared {
    fn ruleset(&self, policy: &str) -> Option<Arc<Ruleset>> {
        self.rulesets.load().get(policy).cloned()
    }

    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn interrupt(&self) -> Interrupt {
        let journal = self.journal_broken.load().as_ref().clone();
        Interrupt::new(self.draining.clone(), self.killed.clone(), journal)
    }

    /// Ends a flow's recorder, before the last bytes of its answer are written. Where durability is
    /// `each` the record is on the disk when this returns.
    async fn finish(&self, recorder: Recorder) -> Result<(), Unavailable> {
        match self.journal.durability() {
            Durability::Each => recorder.finish_durable().await,
            Durability::Batched => {
                recorder.finish();
                Ok(())
            }
        }
    }

    /// What `--allow` takes to allow this destination.
    fn allow_argument(authority: &Authority) -> String {
        match (&authority.host, authority.port) {
            (Host::V6(_), _) => authority.to_string(),
            (host, 80 | 443) => host.to_string(),
            _ => authority.to_string(),
        }
    }
}
