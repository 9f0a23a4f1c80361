//! Exeat: the egress gateway for AI coding agents.
//!
//! # The rooms
//!
//! Imports go down only; `tests/layers.rs` holds the code to this table.
//!
//! | level | room | what it is for |
//! | --- | --- | --- |
//! | 10 | [`cli`] | argv to exit code, one file a verb |
//! | 9 | [`app`] | a configuration becomes a running gateway |
//! | 8 | [`config`] | a file becomes a configuration, or all its mistakes at once |
//! | 7 | [`proxy`] [`control`] [`sandbox`] | the data path · the operators' API · what `run` hands to its command |
//! | 6 | [`upstream`] | vetted addresses become connections, kept per session |
//! | 5 | [`dns`] [`ca`] [`wire`] | names become vetted addresses · certificates · a connection's bytes |
//! | 4 | [`store`] | the live sessions, and what survives a restart |
//! | 3 | [`flow`] | every flow written down, in a chain |
//! | 2 | [`session`] | who asks, and how much they may |
//! | 1 | [`policy`] [`secrets`] [`websocket`] | where requests may go · what must not be in them · WebSocket frames |
//! | 0 | [`net`] [`http1`] [`reason`] [`telemetry`] | hosts and targets · messages · refusals · diagnostics |
//!
//! # The way of a request
//!
//! accept → read → identify → parse → decide → scan the head → resolve and vet → connect → inspect and
//! relay → record. The order is compulsory by type: only [`policy`] makes a [`policy::Permit`]; only
//! [`dns`] makes a [`dns::Vetted`], and wants a permit for it; only a vetted address can be dialled.
//! There is one gate, one refusal, one recorder, whatever the way in.

pub mod app;
pub mod ca;
pub mod cli;
pub mod config;
pub mod control;
pub mod dns;
pub mod flow;
pub mod http1;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod reason;
pub mod sandbox;
pub mod secrets;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod websocket;
pub mod wire;
