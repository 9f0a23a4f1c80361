//! Certificates of origins, whose chain of signatures is checked once an hour and all else every time.

use super::{Error, PROVIDER};
use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::prelude::{FromDer, X509Certificate};

/// For how many seconds a chain that was found good is not checked again.
const GOOD_FOR: u64 = 60 * 60;
/// Chains that are remembered. An origin that shows more of its own costs the others a check each, and no more.
const REMEMBERED: usize = 1024;

/// Verifies as webpki does. That a chain leads to a root depends on its bytes, the roots and the time alone: all of
/// its sessions may share that, and the signatures of the chain are a tenth of what a new origin costs. That the
/// certificate is for this name, and that the origin has its key, is checked in every handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    good: Mutex<HashMap<Chain, RangeInclusive<u64>>>,
}

/// SHA-256 over every certificate that was shown, in their order, each behind its length.
type Chain = [u8; digest::SHA256_OUTPUT_LEN];

impl Verifier {
    /// There must be a root.
    pub(super) fn new(roots: RootCertStore) -> Result<Self, Error> {
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone()).build();
        let webpki = webpki.map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { webpki, good: Mutex::default() })
    }

    fn is_good(&self, chain: &Chain, now: u64) -> bool {
        // A panic while it was held leaves a map that is whole.
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.get(chain).is_some_and(|span| span.contains(&now))
    }

    fn remember(&self, chain: Chain, span: RangeInclusive<u64>) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= REMEMBERED {
            good.clear();
        }
        good.insert(chain, span);
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = fingerprint(end_entity, intermediates)?;
        if self.is_good(&chain, now.as_secs()) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if let Some(end) = earliest_end(end_entity, intermediates) {
            self.remember(chain, now.as_secs()..=end.min(now.as_secs().saturating_add(GOOD_FOR)));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn fingerprint(end_entity: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<Chain, rustls::Error> {
    let mut hash = digest::Context::new(&digest::SHA256);
    for certificate in std::iter::once(end_entity).chain(intermediates.iter().map(|shown| shown.as_ref())) {
        // Without the lengths, bytes could move from one certificate to the next.
        hash.update(&(certificate.len() as u64).to_be_bytes());
        hash.update(certificate);
    }
    hash.finish().as_ref().try_into().map_err(|_| CertificateError::BadEncoding.into())
}

/// When the first of the certificates ends, be it on the way to the root or not.
fn earliest_end(end_entity: &[u8], intermediates: &[CertificateDer<'_>]) -> Option<u64> {
    let shown = std::iter::once(end_entity).chain(intermediates.iter().map(|shown| shown.as_ref()));
    shown.map(ends).try_fold(u64::MAX, |earliest, end| Some(earliest.min(end?)))
}

fn ends(certificate: &[u8]) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
    use std::time::Duration;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    const BEGIN: u64 = 1_700_000_000;
    const YEAR: u64 = 365 * 24 * 60 * 60;

    fn ca_params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        span(params, YEAR)
    }

    fn span(mut params: CertificateParams, seconds: u64) -> CertificateParams {
        params.not_before = super::super::date(BEGIN as i64).unwrap();
        params.not_after = super::super::date((BEGIN + seconds) as i64).unwrap();
        params
    }

    fn issuer(name: &str) -> Issuer {
        CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap()
    }

    fn below(issuer: &Issuer, name: &str, seconds: u64) -> Issuer {
        let params = span(ca_params(name), seconds);
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
    }

    fn leaf(issuer: &Issuer, seconds: u64) -> CertificateDer<'static> {
        let params = CertificateParams::new(["origin.test".to_owned(), "other.test".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        span(params, seconds).signed_by(&key, issuer).unwrap().into()
    }

    fn verifier(root: &Issuer) -> Verifier {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        Verifier::new(roots).unwrap()
    }

    fn verify(
        verifier: &Verifier,
        shown: &[&CertificateDer<'static>],
        name: &str,
        after: u64,
    ) -> Result<(), rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let intermediates: Vec<_> = shown[1..].iter().map(|shown| (*shown).clone()).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(BEGIN + after));
        verifier.verify_server_cert(shown[0], &intermediates, &name, &[], now).map(|_| ())
    }

    fn remembered(verifier: &Verifier) -> usize {
        verifier.good.lock().unwrap().len()
    }

    #[test]
    fn a_chain_that_is_known_to_be_good_is_good_for_its_own_names_only() {
        let root = issuer("Root");
        let (verifier, leaf) = (verifier(&root), leaf(&root, YEAR));
        for name in ["origin.test", "other.test", "origin.test"] {
            verify(&verifier, &[&leaf], name, 1).unwrap();
            assert!(verify(&verifier, &[&leaf], "elsewhere.test", 1).is_err());
        }
        assert_eq!(remembered(&verifier), 1);
    }

    #[test]
    fn a_chain_is_no_longer_good_when_any_of_its_certificates_has_ended() {
        let root = issuer("Root");
        for (of_issuer, of_leaf) in [(YEAR, 600), (600, YEAR)] {
            let verifier = verifier(&root);
            let middle = below(&root, "Middle", of_issuer);
            let leaf = leaf(&middle, of_leaf);
            verify(&verifier, &[&leaf, middle.der()], "origin.test", 1).unwrap();
            verify(&verifier, &[&leaf, middle.der()], "origin.test", 600).unwrap();
            assert!(verify(&verifier, &[&leaf, middle.der()], "origin.test", 601).is_err());
        }
    }

    #[test]
    fn what_is_good_now_was_not_so_before_and_is_checked_again_after_an_hour() {
        let root = issuer("Root");
        let (verifier, leaf) = (verifier(&root), leaf(&root, YEAR));
        verify(&verifier, &[&leaf], "origin.test", 10).unwrap();
        let chain = fingerprint(&leaf, &[]).unwrap();
        let good = |after| verifier.is_good(&chain, BEGIN + after);
        assert_eq!((good(9), good(10), good(10 + GOOD_FOR), good(11 + GOOD_FOR)), (false, true, true, false));
    }

    #[test]
    fn a_forged_chain_is_never_taken_for_the_good_one() {
        let (root, stranger) = (issuer("Root"), issuer("Root"));
        let verifier = verifier(&root);
        let middle = below(&root, "Middle", YEAR);
        let good = leaf(&middle, YEAR);
        verify(&verifier, &[&good, middle.der()], "origin.test", 1).unwrap();
        // One that another root of the same name has signed.
        let forged = leaf(&stranger, YEAR);
        // One whose signature alone is another.
        let mut bytes = good.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let spoilt = CertificateDer::from(bytes);
        for shown in [vec![&forged], vec![&forged, middle.der()], vec![&spoilt, middle.der()], vec![&good]] {
            for _ in 0..2 {
                assert!(verify(&verifier, &shown, "origin.test", 1).is_err());
            }
        }
        assert_eq!(remembered(&verifier), 1);
    }

    #[test]
    fn bytes_can_not_move_from_one_certificate_to_the_next() {
        let certificate = |bytes: &'static [u8]| CertificateDer::from(bytes);
        let whole = fingerprint(b"ab", &[certificate(b"c")]).unwrap();
        assert_ne!(whole, fingerprint(b"a", &[certificate(b"bc")]).unwrap());
        assert_ne!(whole, fingerprint(b"ab", &[certificate(b"c"), certificate(b"")]).unwrap());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let root = issuer("Root");
        let verifier = verifier(&root);
        for number in 0..REMEMBERED as u64 * 2 {
            let mut chain = [0; 32];
            chain[..8].copy_from_slice(&number.to_be_bytes());
            verifier.remember(chain, 0..=u64::MAX);
            assert!(remembered(&verifier) <= REMEMBERED);
        }
    }
}
