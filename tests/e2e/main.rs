//! Whole-gateway tests: the built binary on loopback, with an agent, an origin and a nameserver of the tests' own.
//!
//! One binary; this file is its index.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test says what is wrong by failing"
)]

mod support;

/// What is no DNS answer, no ClientHello and no answer of an origin, row by row.
mod bad_input;
/// A gibibyte each way.
mod bodies;
/// What the gateway shows of itself to origins that ask.
mod client_certificates;
/// Real clients against registries of the tests' own.
mod clients;
/// CONNECT, and the relay of what may not be opened.
mod connect;
/// The operators' API.
mod control;
/// Names, addresses, and those that are never dialled.
mod dns;
/// Ways around, each of them closed.
mod evasion;
/// Faults of both sides by chance.
mod faults_chaos;
/// The wall clock jumps.
mod faults_clock;
/// The disk of the journal is full, read-only or gone.
mod faults_disk;
/// Name servers that die, come back and dawdle.
mod faults_dns;
/// The reader of the journal stops.
mod faults_journal;
/// Origins that close, reset and stall at every stage.
mod faults_origin;
/// Signals in the midst of work.
mod faults_process;
/// Which header fields pass, and how.
mod fields;
/// What floods hold of the memory.
mod floods;
/// Plain HTTP in absolute form.
mod forward;
/// The cases of h2spec, against the side that agents speak to.
mod h2spec;
/// Streams inside an opened tunnel, and origins that speak HTTP/2.
mod http2;
/// Frames that no library would send.
mod http2_frames;
/// The same on the TLS listener.
mod http2_listener;
mod http2_stuck;
/// WebSockets to origins that speak HTTP/2 only.
mod http2_websocket;
/// Who asks: credentials, sessions, their end.
mod identity;
/// Thousands of connections on which nothing moves.
mod idle;
/// TLS opened with a minted leaf.
mod intercept;
/// One record a flow, and none without.
mod journal;
/// Drain and restart.
mod lifecycle;
/// Unix sockets and the PROXY protocol.
mod listeners;
/// The sixty malformed requests, plain and inside TLS.
mod malformed;
/// The tests' own reader is as strict as it must be.
mod oracle;
/// More than it takes.
mod overload;
mod overload_rates;
/// Parent proxies.
mod parents;
/// What a session may reach.
mod policy;
/// Connections to origins that are kept.
mod pool;
/// The configuration read again.
mod reload;
/// One command behind a gateway of its own.
mod run;
/// The same in bodies.
mod secret_bodies;
/// What an operator says about secrets.
mod secret_settings;
/// Scanning files, listing rules, rules of the users own.
mod secret_tools;
/// What must not leave.
mod secrets;
/// Reading told from writing.
mod services;
/// Peers that stall, and descriptors that run out.
mod slow;
/// One stream, one reading.
mod smuggling;
/// SOCKS5: the same gate by another door.
mod socks;
/// What is wrong at the start is told before anything is bound.
mod start;
/// The HTTP proxy over TLS, and sessions known by their certificates.
mod tls_listener;
/// What relayed tunnels carry, told apart: SSH, hidden names, kinds of clients.
mod told_apart;
/// What the network leads here.
mod transparent;
/// Origins that are broken or hostile.
mod upstream_faults;
/// WebSockets: handshakes, frames, what is in them, how they end, real clients.
mod websocket;
