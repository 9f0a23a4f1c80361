//! Exeat: the egress gateway for AI coding agents.

pub mod http1;
pub mod control;
pub mod flow;
pub mod ca;
pub mod cli;
pub mod control;
pub mod dns;
pub mod flow;
pub mod net;
pub mod policy;
pub mod reason;
pub mod sandbox;
pub mod secrets;
pub mod wire;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
