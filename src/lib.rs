//! Exeat: the egress gateway for AI coding agents.

pub mod cli;
pub mod control;
pub mod net;
pub mod policy;
pub mod reason;
pub mod secrets;
pub mod session;
pub mod store;
pub mod telemetry;
