//! The room's parts together: files on disk, leaves on the wire, clients that are not ours.

use super::*;
use crate::net::Host;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::HandshakeKind;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

fn host(text: &str) -> Host {
    Host::parse(text.as_bytes()).unwrap()
}

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

#[test]
fn keys_in_the_forms_that_openssl_writes_are_read() {
    for arguments in [
        &["ecparam", "-name", "prime256v1", "-genkey"][..],
        &["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
        &["genrsa", "-traditional", "2048"],
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    ] {
        let directory = TempDir::new().unwrap();
        let settings = Settings::in_directory(directory.path());
        let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).current_dir(&directory).output();
        let Ok(key) = openssl(arguments) else {
            eprintln!("skipped: there is no openssl");
            return;
        };
        place_key(&settings.key, &String::from_utf8(key.stdout).unwrap(), 0o600);
        let request =
            ["req", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/O=Acme/OU=Ops/CN=Acme"];
        let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        assert!(openssl(&[&request[..], &usage].concat()).unwrap().status.success());
        let opened = CertificateAuthority::open(&settings);
        assert!(opened.is_ok(), "{arguments:?}: {:?}", opened.unwrap_err());
    }
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
    let elsewhere: fn(&mut CertificateParams) = |params| {
        let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("acme.test".to_owned())];
        params.name_constraints = Some(rcgen::NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    };
    assert!(matches!(refused(elsewhere, &key), Error::Unusable { .. }));
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

/// The leaf that a configuration serves, by a handshake in memory.
async fn handshake(
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
    name: &str,
) -> std::io::Result<(Vec<CertificateDer<'static>>, HandshakeKind, Option<Vec<u8>>)> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"x").await?;
        stream.shutdown().await
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(client).connect(name, near).await?;
    // Tickets come after the handshake.
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await?;
    serving.await.unwrap()?;
    let connection = stream.get_ref().1;
    let chain = connection.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect();
    Ok((chain, connection.handshake_kind().unwrap(), connection.alpn_protocol().map(<[u8]>::to_vec)))
}

fn client(
    authority: &CertificateAuthority,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.certificate_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = rustls::ClientConfig::builder_with_provider(PROVIDER.clone());
    let mut config =
        builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn leaves() -> (TempDir, Arc<CertificateAuthority>, Leaves) {
    let (directory, _, authority) = made();
    let authority = Arc::new(authority);
    let leaves = Leaves::new(authority.clone()).unwrap();
    (directory, authority, leaves)
}

#[tokio::test]
async fn a_leaf_is_for_one_host_one_week_and_one_purpose() {
    let (_directory, authority, leaves) = leaves();
    let ca_der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca_der).unwrap();
    let mut serials = std::collections::HashSet::new();
    let long = format!("{}.example.test", "a".repeat(63));
    for (written, shown) in [
        ("api.example.test", "api.example.test"),
        (&long, &long),
        ("_acme.example.test", "_acme.example.test"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        let config = leaves.server_config(&host(written), false).await.unwrap();
        let (chain, ..) = handshake(config, client(&authority, rustls::ALL_VERSIONS), shown).await.unwrap();
        assert_eq!(chain.len(), 1, "a root is not sent");
        let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert!(names.critical && names.value.general_names.len() == 1);
        match &names.value.general_names[0] {
            GeneralName::DNSName(name) => assert_eq!(*name, shown),
            GeneralName::IPAddress(octets) => assert!(matches!(octets.len(), 4 | 16)),
            other => panic!("{other:?}"),
        }
        assert_eq!(leaf.subject().iter().count(), 0);
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1, "digitalSignature only");
        let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && !purposes.client_auth && !purposes.any);
        assert_ne!(leaf.public_key().raw, ca.public_key().raw, "never the CA's own key");
        assert_eq!(leaf.issuer().as_raw(), ca.subject().as_raw());
        assert!(
            leaf.iter_extensions().any(|e| matches!(e.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_)))
        );
        let lifetime = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
        assert!(lifetime <= 8 * 86_400);
        assert!(leaf.validity().not_after.timestamp() <= Timestamp::now().as_second() + 7 * 86_400);
        assert!(leaf.validity().not_after.timestamp() <= ca.validity().not_after.timestamp());
        assert!(serials.insert(leaf.raw_serial().to_vec()), "no two leaves share a serial");
    }
}

#[tokio::test]
async fn a_leaf_of_one_host_is_for_no_other() {
    let (_directory, authority, leaves) = leaves();
    let config = leaves.server_config(&host("a.test"), false).await.unwrap();
    for name in ["b.test", "x.a.test", "test", "127.0.0.1"] {
        let client = client(&authority, rustls::ALL_VERSIONS);
        assert!(handshake(config.clone(), client, name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_host_is_minted_once_however_many_ask() {
    let (_directory, _, leaves) = leaves();
    let leaves = Arc::new(leaves);
    let asks: tokio::task::JoinSet<_> = (0..50)
        .map(|_| {
            let leaves = leaves.clone();
            async move { leaves.server_config(&host("a.test"), false).await.unwrap() }
        })
        .collect();
    let all = asks.join_all().await;
    assert!(all.iter().all(|config| Arc::ptr_eq(config, &all[0])));
    let other = leaves.server_config(&host("a.test"), true).await.unwrap();
    assert!(!Arc::ptr_eq(&other, &all[0]), "another ALPN list is another configuration");
}

#[tokio::test]
async fn h2_is_offered_only_where_it_is_asked_for() {
    let (_directory, authority, leaves) = leaves();
    for (h2, expected) in [(true, "h2"), (false, "http/1.1")] {
        let config = leaves.server_config(&host("a.test"), h2).await.unwrap();
        let (.., alpn) = handshake(config, client(&authority, rustls::ALL_VERSIONS), "a.test").await.unwrap();
        assert_eq!(alpn.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_session_is_resumed_at_its_own_host_and_at_no_other() {
    let (_directory, authority, leaves) = leaves();
    let a = leaves.server_config(&host("a.test"), false).await.unwrap();
    let b = leaves.server_config(&host("b.test"), false).await.unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = client(&authority, &[version]);
        let kind = |server: &Arc<rustls::ServerConfig>| handshake(server.clone(), client.clone(), "a.test");
        assert_eq!(kind(&a).await.unwrap().1, HandshakeKind::Full);
        assert_eq!(kind(&a).await.unwrap().1, HandshakeKind::Resumed, "{version:?}");
        // The ticket of a.test at b.test: not taken, so the certificate is shown, and it is the wrong one.
        let error = kind(&b).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{version:?}: {error}");
    }
}

/// The clock of the renewal test alone.
static SECONDS: AtomicI64 = AtomicI64::new(0);

#[tokio::test]
async fn a_leaf_is_renewed_before_its_last_day_and_when_the_clock_jumps_back() {
    const HOUR: i64 = 3600;
    let (_directory, _, authority) = made();
    let begun = Timestamp::now().as_second();
    let end = authority.not_after().as_second();
    let clock = || Timestamp::from_second(SECONDS.load(Ordering::SeqCst)).unwrap();
    let leaves = Leaves::with_clock(Arc::new(authority), clock).unwrap();
    let at = async |seconds: i64| {
        SECONDS.store(seconds, Ordering::SeqCst);
        leaves.server_config(&host("a.test"), false).await
    };
    let first = at(begun).await.unwrap();
    assert!(Arc::ptr_eq(&first, &at(begun + 6 * 24 * HOUR - 1).await.unwrap()));
    let second = at(begun + 6 * 24 * HOUR).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "less than a day is left");
    assert!(!Arc::ptr_eq(&second, &at(begun).await.unwrap()), "not valid yet at this time");

    // Near the CA's end leaves get shorter and are kept for half of what is left.
    let last = at(end - 10 * HOUR).await.unwrap();
    assert!(Arc::ptr_eq(&last, &at(end - 6 * HOUR).await.unwrap()));
    assert!(!Arc::ptr_eq(&last, &at(end - 5 * HOUR).await.unwrap()));
    let error = at(end + 1).await.unwrap_err();
    assert!(matches!(error, Error::Leaf(inner) if matches!(*inner, Error::Expired { .. })));
}

#[tokio::test]
async fn no_more_than_a_thousand_hosts_are_kept() {
    let (_directory, _, leaves) = leaves();
    for n in 0..1_100 {
        leaves.server_config(&host(&format!("h{n}.test")), false).await.unwrap();
    }
    assert!(leaves.kept_hosts().await <= 1_000);
}

#[tokio::test]
async fn python_in_strict_mode_accepts_the_chain() {
    const SCRIPT: &str = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as plain:
    with context.wrap_socket(plain, server_hostname=sys.argv[3]) as tls:
        assert tls.recv(1) == b'x'
";
    let (_directory, settings, authority) = made();
    let leaves = Leaves::new(Arc::new(authority)).unwrap();
    for name in ["api.example.test", "192.0.2.1", "2001:db8::1"] {
        let written = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        let config = leaves.server_config(&host(&written), false).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let certificate = settings.certificate.clone();
        let python = tokio::task::spawn_blocking(move || {
            Command::new("python3").args(["-c", SCRIPT]).arg(certificate).args([&port, name]).output()
        });
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = TlsAcceptor::from(config).accept(stream).await?;
            stream.write_all(b"x").await?;
            stream.shutdown().await
        });
        let Ok(output) = python.await.unwrap() else {
            eprintln!("skipped: there is no python3");
            return;
        };
        serving.abort();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

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
            .args(["--exact", "ca::tests::the_systems_roots_are_those_that_the_variables_name"])
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
