//! The CA file for agents: the system's roots plus ours. Many clients take the file that a variable
//! names in place of their own roots, and relayed tunnels end at certificates that we did not make.

use super::trust::system_roots;
use super::{CertificateAuthority, Error, files};
use std::path::Path;

/// The system's roots and the CA, PEM, in an order that is the same each time.
#[must_use]
pub fn bundle(authority: &CertificateAuthority) -> String {
    let own = authority.certificate_pem();
    let (roots, _) = system_roots();
    if roots.is_empty() {
        tracing::warn!("no root certificates are found on this system: the agents' CA file holds ours alone");
    }
    let mut all: Vec<String> = roots.iter().map(|root| pem(root)).collect();
    all.sort_unstable();
    all.dedup();
    // Under `exeat run` inside `exeat run` the system's file may be a bundle with ours in it already.
    all.retain(|root| !own.contains(root.as_str()));
    all.push(own);
    all.concat()
}

/// Writes [`bundle`] for every agent to read. A file that is the same already is left alone, so that
/// its time stamp tells when it last changed.
pub fn write_bundle(authority: &CertificateAuthority, path: &Path) -> Result<(), Error> {
    let bundle = bundle(authority);
    if std::fs::read(path).is_ok_and(|there| there == bundle.as_bytes()) {
        return Ok(());
    }
    files::make_parent(path)?;
    files::replace(path, bundle.as_bytes(), 0o644)
}

/// One certificate in PEM form (RFC 7468).
pub(super) fn pem(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut text = String::with_capacity(base64.len() * 66 / 64 + 64);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
