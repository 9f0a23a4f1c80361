//! Making a certificate authority: once, however many processes start at the same time.

use super::authority::Settings;
use super::{Error, date, files, random_serial};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use std::fs::File;
use zeroize::Zeroizing;

const DAY: i64 = 24 * 60 * 60;
/// From its first valid second to its last.
const LIFETIME: i64 = 365 * DAY;
/// How far back it is valid, for clocks that are behind.
const BACKDATE: i64 = DAY;

/// Makes the pair if neither file is there. Whoever comes second finds it made.
pub(super) fn create_if_missing(settings: &Settings, now: Timestamp) -> Result<(), Error> {
    if settings.certificate.exists() && settings.key.exists() {
        return Ok(());
    }
    files::make_parent(&settings.key)?;
    files::make_parent(&settings.certificate)?;
    // Held until the pair is whole; where a file system has no locks, the links in `write_new` still
    // let one process through only.
    let directory = File::open(files::parent(&settings.key)).map_err(Error::read(&settings.key))?;
    let _ = directory.lock();
    match (settings.certificate.exists(), settings.key.exists()) {
        (true, true) => Ok(()),
        (false, false) => create(settings, now),
        (certificate, _) => Err(half_pair(settings, certificate)),
    }
}

/// What to say when one file of the pair is there.
pub(super) fn half_pair(settings: &Settings, certificate_is_there: bool) -> Error {
    let (present, missing) = if certificate_is_there {
        (settings.certificate.clone(), settings.key.clone())
    } else {
        (settings.key.clone(), settings.certificate.clone())
    };
    Error::HalfPair { present, missing }
}

/// The key first: a certificate that is there has its key.
fn create(settings: &Settings, now: Timestamp) -> Result<(), Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params(now)?.self_signed(&key)?;
    let key = Zeroizing::new(key.serialize_pem());
    files::write_new(&settings.key, key.as_bytes(), 0o600)?;
    files::write_new(&settings.certificate, certificate.pem().as_bytes(), 0o644)
}

fn params(now: Timestamp) -> Result<CertificateParams, Error> {
    let mut suffix = [0; 3];
    aws_lc_rs::rand::fill(&mut suffix).map_err(|_| Error::NoRandomness)?;
    let suffix = data_encoding::HEXLOWER.encode(&suffix);
    let not_before = now.as_second() - BACKDATE;

    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Several installations on one machine are told apart by it; nothing in it names the machine.
    params.distinguished_name.push(DnType::CommonName, format!("Exeat CA {suffix}"));
    params.serial_number = Some(random_serial()?);
    params.not_before = date(not_before)?;
    params.not_after = date(not_before + LIFETIME)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}
