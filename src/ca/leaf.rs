//! Leaves: one per host, minted when the host is first opened, kept while they last.

use super::authority::CertificateAuthority;
use super::{Error, PROVIDER, date, random_serial};
use crate::net::Host;
use jiff::Timestamp;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ServerSessionMemoryCache;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

const DAY: i64 = 24 * 60 * 60;
/// How long a leaf is valid from when it is minted.
const LIFETIME: i64 = 7 * DAY;
/// How far back it is valid, for agents whose clock is behind.
const BACKDATE: i64 = DAY;
/// What must be left of a leaf for it to be served once more.
const RESERVE: i64 = DAY;
/// Hosts whose leaves are kept; the least recently used goes first.
const CACHED_HOSTS: u64 = 1_000;
/// TLS 1.2 sessions that are kept per host for clients without tickets.
const STORED_SESSIONS: usize = 32;

/// Mints and keeps the leaves. One process has one, and one leaf key, which is not the CA's.
pub struct Leaves {
    authority: Arc<CertificateAuthority>,
    key: KeyPair,
    signer: Arc<dyn SigningKey>,
    kept: Cache<(Host, bool), Kept>,
    clock: fn() -> Timestamp,
}

/// A leaf with all that serves it.
#[derive(Clone)]
struct Kept {
    config: Arc<ServerConfig>,
    not_before: Timestamp,
    renew_at: Timestamp,
}

/// A certificate for one host.
pub(super) struct Leaf {
    pub(super) certificate: CertificateDer<'static>,
    not_before: i64,
    not_after: i64,
}

impl Leaves {
    /// Leaves of this CA, under a new key.
    pub fn new(authority: Arc<CertificateAuthority>) -> Result<Self, Error> {
        Self::with_clock(authority, Timestamp::now)
    }

    pub(super) fn with_clock(authority: Arc<CertificateAuthority>, clock: fn() -> Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = PROVIDER.key_provider.load_private_key(der)?;
        let kept = Cache::builder().max_capacity(CACHED_HOSTS).eviction_policy(EvictionPolicy::lru()).build();
        Ok(Self { authority, key, signer, kept, clock })
    }

    /// What the gateway serves as `host`. Call it for hosts only that a session has been allowed to
    /// open: it signs whatever name it is given. `alpn_h2` offers HTTP/2 besides HTTP/1.1.
    pub async fn server_config(&self, host: &Host, alpn_h2: bool) -> Result<Arc<ServerConfig>, Error> {
        let slot = (host.clone(), alpn_h2);
        let now = (self.clock)();
        if let Some(kept) = self.kept.get(&slot).await {
            // By the wall clock: a suspended machine's leaves grow old while every timer stands still.
            if kept.not_before <= now && now < kept.renew_at {
                return Ok(kept.config);
            }
            self.kept.invalidate(&slot).await;
        }
        let minted = self.kept.try_get_with_by_ref(&slot, async { self.make(host, alpn_h2, now) }).await;
        minted.map(|kept| kept.config).map_err(Error::Leaf)
    }

    /// How many hosts are kept.
    #[cfg(test)]
    pub(super) async fn kept_hosts(&self) -> u64 {
        self.kept.run_pending_tasks().await;
        self.kept.entry_count()
    }

    fn make(&self, host: &Host, alpn_h2: bool, now: Timestamp) -> Result<Kept, Error> {
        self.authority.check_validity(now)?;
        let leaf = mint(&self.authority, &self.key, host, now)?;
        let (not_before, renew_at) = (moment(leaf.not_before)?, leaf.renew_at(now)?);
        Ok(Kept { config: Arc::new(self.config(leaf, alpn_h2)?), not_before, renew_at })
    }

    fn config(&self, leaf: Leaf, alpn_h2: bool) -> Result<ServerConfig, Error> {
        let chain = std::iter::once(leaf.certificate).chain(self.authority.intermediates()).collect();
        let certified = CertifiedKey::new(chain, self.signer.clone());
        let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.ignore_client_order = true;
        // Ticket keys and sessions of its own for each host: a session of one host resumed as another
        // would never have been shown that host's certificate.
        config.ticketer = Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(STORED_SESSIONS);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if alpn_h2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(config)
    }
}

impl Leaf {
    /// When a new one is to take its place.
    pub(super) fn renew_at(&self, now: Timestamp) -> Result<Timestamp, Error> {
        // Close to the CA's own end there is no day to spare.
        let reserve = RESERVE.min((self.not_after - now.as_second()) / 2);
        moment(self.not_after - reserve)
    }
}

fn moment(seconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_second(seconds).map_err(|_| Error::ClockOutOfRange)
}

/// Signs a certificate for exactly one host.
pub(super) fn mint(
    authority: &CertificateAuthority,
    key: &KeyPair,
    host: &Host,
    now: Timestamp,
) -> Result<Leaf, Error> {
    mint_for(authority, key, std::slice::from_ref(host), now)
}

/// Signs a certificate for exactly these hosts.
pub(super) fn mint_for(
    authority: &CertificateAuthority,
    key: &KeyPair,
    hosts: &[Host],
    now: Timestamp,
) -> Result<Leaf, Error> {
    let not_before = (now.as_second() - BACKDATE).max(authority.not_before().as_second());
    let not_after = (now.as_second() + LIFETIME).min(authority.not_after().as_second());
    let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    // The name stands in the SAN, which an empty subject makes critical (RFC 5280 §4.1.2.6); a common
    // name could not hold more than 64 bytes of it.
    params.distinguished_name = DistinguishedName::new();
    // By default the serial is a hash of the key, which all leaves share, and NSS refuses two
    // certificates of one issuer and serial.
    params.serial_number = Some(random_serial()?);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python from 3.13 on refuses a leaf without.
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, authority.issuer())?;
    Ok(Leaf { certificate: certificate.into(), not_before, not_after })
}
