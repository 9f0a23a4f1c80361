//! Whom the gateway is for its agents, and whom it trusts upstream.
//!
//! The certificate authority that leaves are minted with, the leaves, and the roots that upstream
//! certificates are checked against. The CA's key never leaves this room: it is not logged, not shown,
//! not in any answer. No leaf is ever a CA, lives for more than a week or uses the CA's key.

mod authority;
mod bundle;
mod client;
mod create;
mod error;
mod files;
mod gateway;
mod leaf;
mod trust;
mod verifier;

#[cfg(test)]
mod tests;

pub use authority::{CertificateAuthority, Settings};
pub use bundle::{bundle, write_bundle};
pub use client::ClientCertificates;
pub use error::Error;
pub use gateway::{GatewaySettings, Shows, certificate_names, gateway_config};
pub use leaf::Leaves;
pub use trust::{Trust, TrustRoot, TrustSettings};

use rustls::CipherSuite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::CryptoProvider;
use std::sync::{Arc, LazyLock};

/// The one crypto provider. rustls' own default panics when two are compiled in by anyone.
///
/// AES-128-GCM with SHA-256 comes first, as browsers and Go have it (RFC 8446 §9.1: the one that all must have):
/// processors have instructions for SHA-256 and seldom for SHA-384, which takes a tenth of a whole handshake.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !matches!(suite.suite(), TLS13_AES_128_GCM_SHA256));
    Arc::new(provider)
});

/// A positive serial number of 127 random bits (CA/B BR §7.1 asks for 64).
fn random_serial() -> Result<rcgen::SerialNumber, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(rcgen::SerialNumber::from_slice(&bytes))
}

/// Seconds since 1970 as rcgen takes them.
fn date(seconds: i64) -> Result<time::OffsetDateTime, Error> {
    time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::ClockOutOfRange)
}
