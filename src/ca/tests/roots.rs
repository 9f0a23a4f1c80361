//! Whose roots are trusted, and the file that agents get.

use super::{made, mode};
use crate::ca::{Error, Trust, TrustRoot, TrustSettings, bundle, write_bundle};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn only_listed_roots_are_trusted_and_empty_sources_are_errors() {
    let (directory, settings, _) = made();
    let load = |roots: &[TrustRoot]| Trust::load(&TrustSettings { roots: roots.to_vec() });
    assert_eq!(load(&[]).unwrap().roots(), 0, "nobody is trusted, which is safe");
    assert_eq!(load(&[TrustRoot::File(settings.certificate)]).unwrap().roots(), 1, "the system's roots are not added");
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "no certificate here\n").unwrap();
    assert!(matches!(load(&[TrustRoot::File(empty)]), Err(Error::NoCertificate { .. })));
    assert!(matches!(load(&[TrustRoot::File("/nonexistent.pem".into())]), Err(Error::Read { .. })));
    assert_eq!(TrustSettings::default().roots, [TrustRoot::System]);
}

/// Runs itself again with the variables set: a test must not change its own process's.
#[test]
fn the_systems_roots_are_those_that_the_variables_name() {
    let system = || Trust::load(&TrustSettings::default());
    if let Ok(expected) = std::env::var("EXEAT_TEST_ROOTS") {
        let (_directory, _, authority) = made();
        match expected.as_str() {
            "one" => {
                assert_eq!(system().unwrap().roots(), 1);
                assert_eq!(bundle(&authority).matches("BEGIN CERTIFICATE").count(), 2);
            }
            _ => {
                let error = system().err().unwrap();
                assert!(matches!(error, Error::NoSystemRoots { .. }), "{error}");
                assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
                assert_eq!(bundle(&authority), authority.certificate_pem());
            }
        }
        return;
    }
    let (directory, settings, _) = made();
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (expected, variable, value) in [
        ("one", "SSL_CERT_FILE", &settings.certificate),
        ("one", "SSL_CERT_DIR", &settings.certificate.parent().unwrap().to_owned()),
        ("none", "SSL_CERT_FILE", &"/nonexistent.pem".into()),
        ("none", "SSL_CERT_DIR", &empty),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ca::tests::roots::the_systems_roots_are_those_that_the_variables_name"])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env("EXEAT_TEST_ROOTS", expected)
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{variable}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_agents_file_is_for_all_to_read_and_rewritten_only_when_it_changes() {
    let (directory, _, authority) = made();
    let path = directory.path().join("state/ca-bundle.pem");
    write_bundle(&authority, &path).unwrap();
    assert_eq!(mode(&path), 0o644);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with(&authority.certificate_pem()));
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        certificate.unwrap();
    }
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&path);
    write_bundle(&authority, &path).unwrap();
    assert_eq!(inode(&path), before);
    fs::write(&path, "stale").unwrap();
    write_bundle(&authority, &path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
