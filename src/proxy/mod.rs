//! The data path: every byte between an agent and the internet.
//!
//! `listener` accepts, `entrance` knows what is spoken there, `connection` reads requests one after another, `identify`
//! finds the session, `gate` decides, scans and resolves, `forward` moves one request and its answer, `tunnel` tells
//! what comes through a CONNECT and `relay`s or opens it. One gate, one `refusal`, one recorder, whatever the way in. It
//! knows nothing of the control API, of files or of how it was configured.

mod admission;
mod client;
mod connection;
mod download;
mod entrance;
mod error;
mod exchange;
mod flood;
mod forward;
mod gate;
mod headers;
mod identify;
mod in_force;
mod interrupt;
mod leg;
mod limits;
mod listener;
mod load;
mod origin;
mod reach;
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
mod work;

pub use admission::Admission;
pub use entrance::{Door, Entrance, Original, Speaks, UnixDoor};
pub use flood::Floods;
pub use in_force::{InForce, Rulesets};
pub use limits::Limits;
pub use listener::listen;
pub use recognition::Recognition;

use crate::ca::Leaves;
use crate::dns::Resolver;
use crate::flow::{Journal, Recorder, Unavailable};
use crate::net::{Authority, Host};
use crate::store::Sessions;
use crate::telemetry::Metrics;
use crate::upstream::{Dialler, Pool};
use arc_swap::ArcSwap;
use interrupt::Interrupt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What every connection of the data path shares.
pub struct Shared {
    /// Who may ask.
    pub sessions: Sessions,
    /// Who is known by something else than a token.
    pub recognition: Recognition,
    /// What they may ask for.
    pub in_force: Arc<InForce>,
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
    /// Bounds; swapped whole.
    pub limits: ArcSwap<Limits>,
    /// Who may still come in.
    pub admission: Arc<Admission>,
    /// Refusals of those who are not known, which come in any number.
    pub floods: Floods,
    /// What is counted besides flows, which the journal counts.
    pub metrics: Arc<Metrics>,
    /// No new work is taken.
    pub draining: CancellationToken,
    /// The drain's grace is over.
    pub killed: CancellationToken,
}

impl Shared {
    fn limits(&self) -> Limits {
        **self.limits.load()
    }

    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn interrupt(&self) -> Interrupt {
        let journal = self.journal_broken.load().as_ref().clone();
        Interrupt::new(self.draining.clone(), self.killed.clone(), journal)
    }

    /// Ends a flow's recorder, before the last bytes of its answer are written: what a client has seen whole is in the
    /// journal's file when the gateway is killed (on the disk where durability is `each`).
    async fn finish(&self, recorder: Recorder, interrupt: &mut Interrupt) -> Result<(), Unavailable> {
        interrupt.arm(recorder.patience());
        interrupt.within(recorder.finish_written()).await.unwrap_or(Err(Unavailable::Stalled))
    }

    /// The entry of a policy's `presets` that means the same as an argument of `--allow`.
    fn preset_entry(argument: &str) -> String {
        match argument.split_once(':') {
            Some((preset, repo)) => format!("{{preset: {preset}, repos: [\"{repo}\"]}}"),
            None => argument.to_owned(),
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
