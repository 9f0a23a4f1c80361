//! What happened, written down: one record a flow, on every path, in a chain that shows what was changed.
//!
//! A [`Recorder`] is opened when a request arrives and ends in exactly one line of the [`Journal`], a panic
//! included; while the journal can't be written no recorder opens, so no flow passes unrecorded. Holds no
//! policy: it writes what it is told, with query values struck and everything printable. Serves the data
//! path (recorder), the dashboard and `run` (feed), the operator (`exeat flows`).
//!
//! In a line, `timing` is in whole microseconds, `ts` is wall time and `mono` the microseconds since the
//! journal was opened; the order is that of `seq`, which goes on over restarts.

mod chain;
mod downstream;
mod encode;
mod feed;
mod file;
mod health;
mod id;
mod journal;
mod json;
mod lines;
mod queue;
mod record;
mod recorder;
mod redact;
mod settings;
mod syncer;
mod urge;
mod verify;
mod writer;
mod written;

#[cfg(test)]
mod tests;

pub use chain::{GENESIS, Link};
pub use downstream::{ClientTls, Downstream, Process, Way};
pub use feed::{Feed, News};
pub use file::{Error, LOCK_FILE};
pub use health::{PATIENCE, Unavailable};
pub use id::FlowId;
pub use journal::Journal;
pub use lines::{LIVE_FILE, ReverseLines, files, first_seq};
pub use record::{Mode, Phase, SessionInfo, UpstreamTls, Verdict};
pub use recorder::Recorder;
pub use settings::{Durability, Settings};
pub use urge::before_park;
pub use verify::{Break, Fault, Summary, verify};
