//! The room's parts together: files on disk here, leaves on the wire and roots below.

mod leaves;
mod roots;

use super::*;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

fn made() -> (TempDir, Settings, CertificateAuthority) {
    let directory = TempDir::new().unwrap();
    let settings = Settings::in_directory(&directory.path().join("made/on/the/way"));
    let authority = CertificateAuthority::open_or_create(&settings).unwrap();
    (directory, settings, authority)
}

/// What an operator's own CA looks like, to be spoilt.
fn own_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Acme Agents CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Puts an operator's own pair on disk.
fn place(params: &CertificateParams, key: &KeyPair) -> (TempDir, Settings) {
    let directory = TempDir::new().unwrap();
    let settings = Settings::in_directory(directory.path());
    fs::write(&settings.certificate, params.self_signed(key).unwrap().pem()).unwrap();
    place_key(&settings.key, &key.serialize_pem(), 0o600);
    (directory, settings)
}

fn place_key(path: &Path, pem: &str, mode: u32) {
    fs::write(path, pem).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_ca_has_the_limits_that_it_should_and_files_that_are_its_owners() {
    let (_directory, settings, authority) = made();
    assert_eq!((mode(&settings.key), mode(&settings.certificate)), (0o600, 0o644));
    assert_eq!(mode(settings.key.parent().unwrap()), 0o700);
    let left: Vec<_> = fs::read_dir(settings.key.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");

    let pem = authority.certificate_pem();
    assert_eq!(pem, fs::read_to_string(&settings.certificate).unwrap());
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(authority.subject().starts_with("CN=Exeat CA ") && authority.subject().len() == 18);
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature(), "the CA's key signs certificates only");
    assert!(parsed.iter_extensions().any(|e| matches!(e.parsed_extension(), ParsedExtension::SubjectKeyIdentifier(_))));
    let now = Timestamp::now();
    assert!(authority.not_before() <= now - SignedDuration::from_hours(23));
    assert!(authority.not_after() <= now + SignedDuration::from_hours(365 * 24));
    assert!(authority.not_after() > now + SignedDuration::from_hours(300 * 24));
}

#[test]
fn a_ca_is_made_once_and_found_again() {
    let (_directory, settings, first) = made();
    let again = CertificateAuthority::open_or_create(&settings).unwrap();
    assert_eq!(again.fingerprint_sha256(), first.fingerprint_sha256());
    assert_eq!(first.fingerprint_sha256().len(), 32 * 3 - 1);
    assert!(matches!(CertificateAuthority::create(&settings), Err(Error::Exists { .. })));
    let (_directory, _, other) = made();
    assert_ne!(other.subject(), first.subject());
}

#[test]
fn many_who_start_at_once_end_with_one_ca() {
    for _ in 0..5 {
        let directory = TempDir::new().unwrap();
        let settings = Settings::in_directory(&directory.path().join("ca"));
        let barrier = std::sync::Barrier::new(8);
        let fingerprints: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        CertificateAuthority::open_or_create(&settings).unwrap().fingerprint_sha256()
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(fingerprints.iter().all(|fingerprint| *fingerprint == fingerprints[0]));
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_helps() {
    let (_directory, settings, _) = made();
    for open in [0o640, 0o604, 0o660, 0o644, 0o601] {
        fs::set_permissions(&settings.key, Permissions::from_mode(open)).unwrap();
        let error = CertificateAuthority::open_or_create(&settings).unwrap_err();
        assert!(matches!(error, Error::KeyOpenToOthers { mode, .. } if mode == open));
        assert!(error.to_string().contains(&format!("chmod 600 {}", settings.key.display())), "{error}");
    }
    fs::set_permissions(&settings.key, Permissions::from_mode(0o400)).unwrap();
    assert!(CertificateAuthority::open(&settings).is_ok());
}

#[test]
fn half_a_pair_is_neither_used_nor_completed() {
    for keep_certificate in [true, false] {
        let (_directory, settings, _) = made();
        fs::remove_file(if keep_certificate { &settings.key } else { &settings.certificate }).unwrap();
        for error in [CertificateAuthority::open_or_create(&settings), CertificateAuthority::open(&settings)]
            .map(Result::unwrap_err)
        {
            let Error::HalfPair { present, .. } = error else { panic!("{error}") };
            assert_eq!(present, if keep_certificate { settings.certificate.clone() } else { settings.key.clone() });
        }
        assert_eq!(settings.certificate.exists(), keep_certificate);
    }
    let nowhere = Settings::in_directory(Path::new("/nonexistent"));
    assert!(matches!(CertificateAuthority::open(&nowhere), Err(Error::Missing { .. })));
}

#[test]
fn a_ca_of_the_operators_own_is_taken_with_every_usual_key() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (_directory, settings) = place(&own_params(), &key);
        let authority = CertificateAuthority::open(&settings).unwrap();
        assert!(authority.subject().contains("Acme Agents CA"));
    }
}

/// A pair that openssl makes; nothing where there is no openssl.
fn by_openssl(key: &[&str], subject: &str) -> Option<(TempDir, Settings)> {
    let directory = TempDir::new().unwrap();
    let settings = Settings::in_directory(directory.path());
    let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).current_dir(&directory).output();
    let Ok(key) = openssl(key) else {
        eprintln!("skipped: there is no openssl");
        return None;
    };
    place_key(&settings.key, &String::from_utf8(key.stdout).unwrap(), 0o600);
    let request = ["req", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", subject];
    let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    assert!(openssl(&[&request[..], &usage].concat()).unwrap().status.success());
    Some((directory, settings))
}

#[test]
fn keys_in_the_forms_that_openssl_writes_are_read() {
    for key in [
        &["ecparam", "-name", "prime256v1", "-genkey"][..],
        &["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
        &["genrsa", "-traditional", "2048"],
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        let Some((_directory, settings)) = by_openssl(key, "/O=Acme/OU=Ops/CN=Acme") else { return };
        let opened = CertificateAuthority::open(&settings);
        assert!(opened.is_ok(), "{key:?}: {:?}", opened.unwrap_err());
    }
}

#[test]
fn a_ca_whose_leaves_would_not_verify_is_refused_at_the_start() {
    let p256 = &["ecparam", "-name", "prime256v1", "-genkey", "-noout"];
    let Some((_directory, settings)) = by_openssl(p256, "/O=Acme/OU=Ops/OU=Agents/CN=Acme") else { return };
    // rcgen keeps one value of each kind, so that the issuer of its leaves would be somebody else.
    assert!(matches!(CertificateAuthority::open(&settings), Err(Error::Unusable { .. })));
    let Some((_directory, settings)) = by_openssl(&["genrsa", "1024"], "/CN=Short") else { return };
    assert!(matches!(CertificateAuthority::open(&settings), Err(Error::BadKey { .. })));
}

#[test]
fn a_ca_that_is_constrained_to_some_names_is_taken() {
    let mut params = own_params();
    let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("acme.test".to_owned())];
    params.name_constraints = Some(rcgen::NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    let (_directory, settings) = place(&params, &KeyPair::generate().unwrap());
    assert!(CertificateAuthority::open(&settings).is_ok());
}

#[test]
fn what_is_no_ca_is_refused_by_name() {
    let key = KeyPair::generate().unwrap();
    let now = Timestamp::now();
    let refused = |change: fn(&mut CertificateParams), key: &KeyPair| {
        let mut params = own_params();
        change(&mut params);
        let (_directory, settings) = place(&params, key);
        CertificateAuthority::open_at(&settings, now).unwrap_err()
    };
    assert!(matches!(refused(|params| params.is_ca = IsCa::ExplicitNoCa, &key), Error::NotAnAuthority { .. }));
    assert!(matches!(refused(|params| params.is_ca = IsCa::NoCa, &key), Error::NotAnAuthority { .. }));
    assert!(matches!(refused(|params| params.key_usages.clear(), &key), Error::MayNotSign { .. }));
    let crl_only: fn(&mut CertificateParams) = |params| params.key_usages = vec![KeyUsagePurpose::CrlSign];
    assert!(matches!(refused(crl_only, &key), Error::MayNotSign { .. }));
    let past: fn(&mut CertificateParams) = |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    assert!(matches!(refused(past, &key), Error::Expired { .. }));
    let future: fn(&mut CertificateParams) = |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1);
    assert!(matches!(refused(future, &key), Error::NotValidYet { .. }));
}

#[test]
fn a_pair_that_is_none_and_files_that_hold_nothing_are_refused() {
    let (_directory, settings) = place(&own_params(), &KeyPair::generate().unwrap());
    place_key(&settings.key, &KeyPair::generate().unwrap().serialize_pem(), 0o600);
    assert!(matches!(CertificateAuthority::open(&settings), Err(Error::KeyMismatch { .. })));
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (pem, certificate) in [("", false), ("garbage", false), ("", true), ("garbage", true)] {
        let (_directory, settings) = place(&own_params(), &ed25519);
        let path = if certificate { &settings.certificate } else { &settings.key };
        place_key(path, pem, 0o600);
        let error = CertificateAuthority::open(&settings).unwrap_err();
        assert!(matches!(error, Error::BadKey { .. } | Error::NoCertificate { .. }), "{error}");
    }
    let (_directory, settings) = place(&own_params(), &KeyPair::generate().unwrap());
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    fs::write(&settings.certificate, broken).unwrap();
    assert!(matches!(CertificateAuthority::open(&settings), Err(Error::BadCertificate { .. })));
}

#[test]
fn a_key_in_the_certificate_file_does_not_get_into_what_agents_read() {
    let key = KeyPair::generate().unwrap();
    let (_directory, settings) = place(&own_params(), &key);
    let both = key.serialize_pem() + &fs::read_to_string(&settings.certificate).unwrap();
    fs::write(&settings.certificate, both).unwrap();
    let authority = CertificateAuthority::open(&settings).unwrap();
    assert!(!authority.certificate_pem().contains("PRIVATE"));
    assert!(!bundle(&authority).contains("PRIVATE"));
    assert!(!format!("{authority:?}").contains("KeyPair"));
}
