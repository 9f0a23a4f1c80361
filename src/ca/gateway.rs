//! What the gateway shows for itself, where agents speak TLS to it.

use super::authority::CertificateAuthority;
use super::leaf::{Leaf, mint_for};
use super::{Error, PROVIDER, files};
use crate::net::Host;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How the gateway speaks TLS to its agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// What it shows.
    pub shows: Shows,
    /// The roots of client certificates; none: none is asked for.
    pub clients: Vec<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub require_client: bool,
}

/// The gateway's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// From files: the chain and its key, PEM.
    Files {
        /// The certificate, and what is between it and its root.
        certificate: PathBuf,
        /// Its key, mode 0600.
        key: PathBuf,
    },
    /// Minted by the gateway's CA for these names, and anew before it ends.
    Minted(Vec<Host>),
}

/// The TLS settings of a listener.
pub fn gateway_config(
    settings: &GatewaySettings,
    authority: &Arc<CertificateAuthority>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(PROVIDER.clone()).with_safe_default_protocol_versions()?;
    let builder = if settings.clients.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        settings.clients.iter().try_for_each(|path| super::trust::add_file(&mut roots, path))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone());
        let verifier = if settings.require_client { verifier } else { verifier.allow_unauthenticated() };
        builder.with_client_cert_verifier(verifier.build().map_err(|source| Error::ClientRoots { source })?)
    };
    let mut config = builder.with_cert_resolver(match &settings.shows {
        Shows::Files { certificate, key } => Arc::new(Fixed(read_pair(certificate, key)?)),
        Shows::Minted(names) => Arc::new(Minted::new(authority.clone(), names.clone())?),
    });
    config.ignore_client_order = true;
    // Every connection shows its certificate anew: a ticket would outlive a client certificate's end.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The names that a client certificate is for: URIs (a SPIFFE ID is one) as they stand, DNS names in lower
/// case. Only what stands in the subject's alternative names counts, never a common name.
#[must_use]
pub fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        // A colon is in every URI and in no DNS name, so that neither can pass for the other.
        GeneralName::DNSName(name) if !name.contains(':') => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

pub(super) fn read_pair(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let pem = std::fs::read(certificate).map_err(Error::read(certificate))?;
    let bad = || Error::BadCertificate { path: certificate.to_owned() };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { path: certificate.to_owned() });
    }
    let pem = zeroize::Zeroizing::new(files::read_private(key)?);
    let bad_key = || Error::BadKey { path: key.to_owned() };
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad_key())?;
    let certified = CertifiedKey::from_der(chain, der, &PROVIDER).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            Error::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        _ => bad_key(),
    })?;
    Ok(Arc::new(certified))
}

/// A pair that was read once.
#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// One certificate for all names of the gateway, whatever name a client asks for: no client makes it sign
/// another.
struct Minted {
    authority: Arc<CertificateAuthority>,
    names: Vec<Host>,
    key: KeyPair,
    signer: Arc<dyn SigningKey>,
    present: Mutex<Option<(Timestamp, Arc<CertifiedKey>)>>,
}

impl Minted {
    fn new(authority: Arc<CertificateAuthority>, names: Vec<Host>) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = PROVIDER.key_provider.load_private_key(der)?;
        Ok(Self { authority, names, key, signer, present: Mutex::default() })
    }

    fn certified(&self, now: Timestamp) -> Result<Arc<CertifiedKey>, Error> {
        // A panic while it was held leaves a pair that is whole, or none.
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, certified)) = present.as_ref().filter(|(renew_at, _)| now < *renew_at) {
            return Ok(certified.clone());
        }
        self.authority.check_validity(now)?;
        let leaf: Leaf = mint_for(&self.authority, &self.key, &self.names, now)?;
        let chain = std::iter::once(leaf.certificate.clone()).chain(self.authority.intermediates()).collect();
        let certified = Arc::new(CertifiedKey::new(chain, self.signer.clone()));
        *present = Some((leaf.renew_at(now)?, certified.clone()));
        Ok(certified)
    }
}

impl ResolvesServerCert for Minted {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certified = self.certified(Timestamp::now());
        certified.inspect_err(|error| tracing::error!(%error, "the gateway has no certificate of its own")).ok()
    }
}

/// Without the key.
impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted").field("names", &self.names).finish_non_exhaustive()
    }
}
