//! What operators see from outside: counters, histograms, diagnostics on stderr.
//!
//! The record of flows is not here: it is the journal, which is complete and can refuse a flow.
//! Nothing here is ever labelled by host, session or anything else that an agent chooses.

mod escape;
mod log;
mod metrics;

pub use escape::{escape, steers_output};
pub use log::{LogError, LogFormat, init_tracing};
pub use metrics::{Active, Direction, Metrics};
