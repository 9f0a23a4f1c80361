//! Whose certificates are believed upstream.

use super::verifier::Verifier;
use super::{Error, PROVIDER};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS sessions that one client configuration remembers.
const RESUMED_SESSIONS: usize = 256;

/// `upstream.trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// The roots, all of them: what is not listed is not trusted. An empty list trusts nobody.
    pub roots: Vec<TrustRoot>,
}

/// One entry of `upstream.trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustRoot {
    /// The system's roots, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead.
    System,
    /// The certificates of a PEM file.
    File(PathBuf),
}

/// The system's roots.
impl Default for TrustSettings {
    fn default() -> Self {
        Self { roots: vec![TrustRoot::System] }
    }
}

/// The roots that upstream certificates are verified against, by webpki and with the name that policy
/// allowed.
///
/// Not by rustls-platform-verifier: that one adds the system's roots to whatever it is given, so that a
/// list without `system` would not exclude them. On Linux it does otherwise the same.
#[derive(Clone)]
pub struct Trust {
    template: ClientConfig,
    roots: usize,
}

impl Trust {
    /// Reads the roots. `system` without any root found is an error, and so is a file without any.
    pub fn load(settings: &TrustSettings) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for root in &settings.roots {
            match root {
                TrustRoot::System => add_system(&mut roots)?,
                TrustRoot::File(path) => add_file(&mut roots, path)?,
            }
        }
        let count = roots.len();
        let builder = ClientConfig::builder_with_provider(PROVIDER.clone()).with_safe_default_protocol_versions()?;
        let builder = if roots.is_empty() {
            builder.with_root_certificates(roots)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(roots)?))
        };
        let mut template = builder.with_no_client_auth();
        template.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { template, roots: count })
    }

    /// How many root certificates are trusted.
    #[must_use]
    pub fn roots(&self) -> usize {
        self.roots
    }

    /// A configuration that shares the roots and nothing else: each remembers TLS sessions of its own, so
    /// that with one for each gateway session none resumes another's.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut config = self.template.clone();
        config.resumption = Resumption::in_memory_sessions(RESUMED_SESSIONS);
        Arc::new(config)
    }
}

/// The system's root certificates as they are found, also those that webpki can't use.
pub(super) fn system_roots() -> (Vec<CertificateDer<'static>>, String) {
    let found = rustls_native_certs::load_native_certs();
    let problems: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    for problem in &problems {
        tracing::warn!(%problem, "a part of the system's root certificates can't be read");
    }
    (found.certs, problems.join("; "))
}

fn add_system(roots: &mut RootCertStore) -> Result<(), Error> {
    let (found, problems) = system_roots();
    // Stores hold a few that webpki can't parse; they are left out as every rustls client does.
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 {
        return Err(Error::NoSystemRoots { problems });
    }
    Ok(())
}

pub(super) fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let pem = std::fs::read(path).map_err(Error::read(path))?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| Error::BadCertificate { path: path.to_owned() })?;
        roots.add(certificate).map_err(|source| Error::BadRoot { path: path.to_owned(), source: Box::new(source) })?;
    }
    if roots.len() == before {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(())
}
