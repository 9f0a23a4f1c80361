//! Leaves as clients see them, ours and others'.

use super::made;
use crate::ca::{CertificateAuthority, Error, Leaves, PROVIDER};
use crate::net::Host;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, HandshakeKind};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

fn host(text: &str) -> Host {
    Host::parse(text.as_bytes()).unwrap()
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

fn roots(authority: &CertificateAuthority) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.certificate_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

fn client(
    authority: &CertificateAuthority,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<rustls::ClientConfig> {
    let builder = rustls::ClientConfig::builder_with_provider(PROVIDER.clone());
    let mut config = builder
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(authority))
        .with_no_client_auth();
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

/// One TLS record of a handshake message's bytes.
fn record(content: &[u8]) -> Vec<u8> {
    let mut record = vec![0x16, 3, 1];
    record.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    record.extend(content);
    record
}

#[tokio::test]
async fn a_handshake_that_is_abused_ends_and_the_next_is_served() {
    let (_directory, authority, leaves) = leaves();
    let config = leaves.server_config(&host("a.test"), false).await.unwrap();
    // A ClientHello that claims 60 KB and 16 MB, in pieces; one of TLS 1.0; an alert, application data and
    // garbage before any handshake.
    let claims = |length: [u8; 3]| {
        let mut bytes = record(&[&[1][..], &length].concat());
        for _ in 0..8 {
            bytes.extend(record(&[0xff; 8_000]));
        }
        bytes
    };
    let tls10 = {
        let mut hello = vec![1, 0, 0, 45, 3, 1];
        hello.extend([7; 32]);
        hello.extend([0, 0, 4, 0x00, 0x2f, 0x00, 0x35, 1, 0, 0, 0]);
        record(&hello)
    };
    let empty_fragments = record(&[]).repeat(1_000);
    for bytes in [
        claims([0, 0xea, 0x60]),
        claims([0xff, 0xff, 0xff]),
        tls10,
        empty_fragments,
        vec![0x15, 3, 3, 0, 2, 1, 0],
        vec![0x17, 3, 3, 0, 1, 0],
        vec![0x80, 0x2e, 1, 0, 2],
        vec![0xff; 4_096],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let (mut near, far) = tokio::io::duplex(1024 * 1024);
        near.write_all(&bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(TlsAcceptor::from(config.clone()).accept(far).await.is_err(), "{:?}", &bytes[..bytes.len().min(16)]);
    }
    handshake(config, client(&authority, rustls::ALL_VERSIONS), "a.test").await.unwrap();
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

#[tokio::test]
async fn the_suite_that_processors_are_fast_at_is_taken_whatever_the_client_has_first() {
    let (_directory, authority, leaves) = leaves();
    let server = leaves.server_config(&host("api.example.test"), false).await.unwrap();
    let suites = rustls::crypto::aws_lc_rs::default_provider().cipher_suites;
    for (offered, taken) in
        [(&suites[..], CipherSuite::TLS13_AES_128_GCM_SHA256), (&suites[..1], CipherSuite::TLS13_AES_256_GCM_SHA384)]
    {
        assert_eq!(offered[0].suite(), CipherSuite::TLS13_AES_256_GCM_SHA384, "what the client has first");
        let provider = CryptoProvider { cipher_suites: offered.to_vec(), ..(**PROVIDER).clone() };
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider));
        let versions = builder.with_safe_default_protocol_versions().unwrap();
        let config = versions.with_root_certificates(roots(&authority)).with_no_client_auth();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(TlsAcceptor::from(server.clone()).accept(far));
        let name = ServerName::try_from("api.example.test").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, near).await.unwrap();
        assert_eq!(stream.get_ref().1.negotiated_cipher_suite().unwrap().suite(), taken);
        drop(serving.await.unwrap());
    }
}
