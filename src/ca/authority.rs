//! The certificate authority whose leaves the agents see.

use super::create::{create_if_missing, half_pair};
use super::leaf::mint;
use super::{Error, PROVIDER, files};
use crate::net::Host;
use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

/// Where the CA's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The certificate, and the chain above it if it is no root; PEM.
    pub certificate: PathBuf,
    /// The key, PEM (PKCS #8, SEC 1 or PKCS #1), mode 0600.
    pub key: PathBuf,
}

impl Settings {
    /// The pair's usual names in a directory.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self { certificate: directory.join("ca.pem"), key: directory.join("ca.key") }
    }
}

/// A CA that has been checked: it may sign, its key is its own, and a leaf of it verifies.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    path: PathBuf,
    subject: String,
    self_issued: bool,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl CertificateAuthority {
    /// Opens the pair, or makes it if neither file is there.
    pub fn open_or_create(settings: &Settings) -> Result<Self, Error> {
        let now = Timestamp::now();
        create_if_missing(settings, now)?;
        Self::open_at(settings, now)
    }

    /// Makes the pair; an existing file is an error.
    pub fn create(settings: &Settings) -> Result<Self, Error> {
        for path in [&settings.certificate, &settings.key] {
            if path.exists() {
                return Err(Error::Exists { path: path.clone() });
            }
        }
        Self::open_or_create(settings)
    }

    /// Opens the pair.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        Self::open_at(settings, Timestamp::now())
    }

    pub(super) fn open_at(settings: &Settings, now: Timestamp) -> Result<Self, Error> {
        match (settings.certificate.exists(), settings.key.exists()) {
            (true, true) => {}
            (false, false) => {
                return Err(Error::Missing { certificate: settings.certificate.clone(), key: settings.key.clone() });
            }
            (certificate, _) => return Err(half_pair(settings, certificate)),
        }
        let key = read_key(&settings.key)?;
        let chain = read_chain(&settings.certificate)?;
        let authority = Self::check(settings, key, chain, now)?;
        authority.warn_before_the_end(now);
        Ok(authority)
    }

    fn check(
        settings: &Settings,
        key: KeyPair,
        chain: Vec<CertificateDer<'static>>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let path = settings.certificate.clone();
        let bad = || Error::BadCertificate { path: path.clone() };
        let der = chain.first().ok_or_else(bad)?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| bad())?;
        if parsed.public_key().subject_public_key.data != key.der_bytes() {
            return Err(Error::KeyMismatch { certificate: path, key: settings.key.clone() });
        }
        if !parsed.is_ca() {
            return Err(Error::NotAnAuthority { path });
        }
        let usage = parsed.key_usage().map_err(|_| bad())?;
        if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
            return Err(Error::MayNotSign { path });
        }
        let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| bad());
        let authority = Self {
            issuer: Issuer::from_ca_cert_der(der, key).map_err(|_| bad())?,
            subject: parsed.subject().to_string(),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            not_before: moment(parsed.validity().not_before.timestamp())?,
            not_after: moment(parsed.validity().not_after.timestamp())?,
            path,
            chain: chain.clone(),
        };
        authority.check_validity(now)?;
        authority.check_a_leaf(&probe(&parsed), now)?;
        Ok(authority)
    }

    /// An error before and after the CA's own dates.
    pub(super) fn check_validity(&self, now: Timestamp) -> Result<(), Error> {
        if now < self.not_before {
            return Err(Error::NotValidYet { path: self.path.clone(), not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(Error::Expired { path: self.path.clone(), not_after: self.not_after });
        }
        Ok(())
    }

    /// Signs a leaf and verifies it as a client would: whatever else is odd about a CA of the user's own
    /// (a subject that rcgen writes otherwise than it stands there, a key that verifiers don't take)
    /// shows at the start and not in the first agent's handshake.
    fn check_a_leaf(&self, name: &str, now: Timestamp) -> Result<(), Error> {
        let unusable = |source: rustls::Error| Error::Unusable { path: self.path.clone(), source: Box::new(source) };
        let general = |error: &dyn fmt::Display| unusable(rustls::Error::General(error.to_string()));
        let leaf = mint(self, &KeyPair::generate()?, &Host::Name(name.into()), now)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate().clone()).map_err(unusable)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone())
            .build()
            .map_err(|error| general(&error))?;
        let name = ServerName::try_from(name).map_err(|error| general(&error))?;
        let seconds = u64::try_from(now.as_second()).map_err(|_| Error::ClockOutOfRange)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier.verify_server_cert(&leaf.certificate, &[], &name, &[], now).map_err(unusable)?;
        Ok(())
    }

    fn warn_before_the_end(&self, now: Timestamp) {
        if self.not_after.duration_since(now) < SignedDuration::from_hours(30 * 24) {
            tracing::warn!(not_after = %self.not_after, "the CA ends soon: `exeat ca init` makes a new one once the old is gone");
        }
    }

    /// The CA's certificate and, if it is no root, the chain above it; PEM. Never anything else that
    /// may stand in the file.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(|certificate| super::bundle::pem(certificate)).collect()
    }

    /// SHA-256 over the certificate, as openssl and browsers show it: `AB:CD:…`.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.certificate());
        let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// The subject: `CN=Exeat CA 1a2b3c`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The first moment of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last moment of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The certificates that a client needs besides the leaf: none under a root.
    pub(super) fn intermediates(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.chain.iter().filter(|_| !self.self_issued).cloned()
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    fn certificate(&self) -> &CertificateDer<'static> {
        // `check` wants one.
        &self.chain[0]
    }
}

/// Without the key.
impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("subject", &self.subject)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// A name that the CA may sign for: one inside its name constraints, if it has any.
fn probe(certificate: &X509Certificate<'_>) -> String {
    let constraints = certificate.name_constraints().ok().flatten();
    let permitted = constraints.and_then(|constraints| constraints.value.permitted_subtrees.as_ref());
    let below = permitted.and_then(|subtrees| {
        subtrees.iter().find_map(|subtree| match subtree.base {
            GeneralName::DNSName(name) => Some(name.trim_start_matches('.')),
            _ => None,
        })
    });
    format!("exeat.{}", below.unwrap_or("invalid"))
}

fn read_key(path: &Path) -> Result<KeyPair, Error> {
    let pem = Zeroizing::new(files::read_private(path)?);
    let bad = || Error::BadKey { path: path.to_owned() };
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| bad())?;
    KeyPair::try_from(&der).map_err(|_| bad())
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = std::fs::read(path).map_err(Error::read(path))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::BadCertificate { path: path.to_owned() })?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}
