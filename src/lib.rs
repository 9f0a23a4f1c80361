//! Exeat: the egress gateway for AI coding agents.

pub mod ca;
pub mod cli;
pub mod dns;
pub mod net;
pub mod policy;
pub mod reason;
pub mod secrets;
pub mod upstream;
