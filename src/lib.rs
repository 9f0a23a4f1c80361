//! Exeat: the egress gateway for AI coding agents.

pub mod ca;
pub mod config;
pub mod control;
pub mod dns;
pub mod flow;
pub mod net;
pub mod policy;
pub mod reason;
pub mod secrets;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
