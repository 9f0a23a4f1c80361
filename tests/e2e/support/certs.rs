//! The origins' own authority, and certificates that are good or bad in one way each.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use time::{Duration, OffsetDateTime};

/// How the certificate that an origin shows is good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// For the name asked for, by the trusted authority.
    Good,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// For another name.
    WrongName,
    /// By itself.
    SelfSigned,
    /// By an authority that nobody trusts.
    Untrusted,
    /// For clients only (T44).
    ClientAuth,
}

/// The authority that the worlds trust through `upstream.trust`.
pub static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("Exeat tests: origins"));
/// The authority of the agents' own certificates.
pub static CLIENTS: LazyLock<Authority> = LazyLock::new(|| Authority::new("Exeat tests: agents"));
static UNTRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("Exeat tests: nobody"));
static SERIAL: AtomicU64 = AtomicU64::new(1);

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = around_now(-1, 30);
        Self(CertifiedIssuer::self_signed(params, key()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client certificate with these alternative names, and its key; PEM.
    pub fn client(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = around_now(-1, 1);
        let key = key();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
        params.signed_by(key, &self.0).unwrap().der().clone()
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn around_now(from_days: i64, to_days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now + Duration::days(from_days), now + Duration::days(to_days))
}

fn certified(identity: Identity, name: &str) -> CertifiedKey {
    let name = if identity == Identity::WrongName { "other.exeat.test" } else { name };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from(SERIAL.fetch_add(1, Ordering::Relaxed)));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match identity {
        Identity::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    (params.not_before, params.not_after) = match identity {
        Identity::Expired => around_now(-20, -10),
        Identity::NotYetValid => around_now(10, 20),
        _ => around_now(-1, 20),
    };
    let key = key();
    let certificate = match identity {
        Identity::SelfSigned => {
            params.distinguished_name = named(name);
            params.use_authority_key_identifier_extension = false;
            params.self_signed(&key).unwrap().der().clone()
        }
        Identity::Untrusted => UNTRUSTED.sign(&params, &key),
        _ => TRUSTED.sign(&params, &key),
    };
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    CertifiedKey::new(vec![certificate], aws_lc_rs::sign::any_supported_type(&private).unwrap())
}

/// Shows a certificate for whatever name the client asks for; without SNI one for 127.0.0.1.
#[derive(Debug)]
struct ByName(Identity);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(certified(self.0, hello.server_name().unwrap_or("127.0.0.1"))))
    }
}

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What a TLS origin listens with.
pub fn server_config(identity: Identity, alpn: &[&str]) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName(identity)));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// The settings of an origin that turns away clients without a certificate of [`CLIENTS`].
pub fn server_config_for_clients() -> Arc<ServerConfig> {
    let roots = Arc::new(roots(&[&CLIENTS.pem()]));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByName(Identity::Good)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The roots of one or more PEM files' texts.
pub fn roots(pems: &[&str]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
    }
    roots
}
