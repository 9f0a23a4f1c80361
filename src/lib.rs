//! Exeat: the egress gateway for AI coding agents.

pub mod cli;
pub mod flow;
pub mod net;
pub mod policy;
pub mod reason;
pub mod sandbox;
pub mod secrets;
