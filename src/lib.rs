//! Exeat: the egress gateway for AI coding agents.

pub mod ca;
pub mod dns;
pub mod flow;
pub mod net;
pub mod policy;
pub mod reason;
pub mod secrets;
pub mod upstream;
