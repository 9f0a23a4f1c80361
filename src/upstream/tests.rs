//! TLS with origins that are good, wrong, or no TLS at all.

use super::{Error, tls};
use crate::ca::{Trust, TrustRoot, TrustSettings};
use crate::net::Host;
use crate::reason::Reason;
use crate::wire::Transport;
use bytes::BytesMut;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::BufRead;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const DEADLINE: Duration = Duration::from_secs(5);

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Chain = (Vec<CertificateDer<'static>>, KeyPair);

/// The operator's private CA, trusted by way of a file.
struct Root {
    directory: TempDir,
    issuer: Issuer,
    trust: Trust,
}

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn root() -> Root {
    let directory = TempDir::new().unwrap();
    let issuer = authority("Origin CA");
    let path = directory.path().join("root.pem");
    std::fs::write(&path, issuer.pem()).unwrap();
    let trust = Trust::load(&TrustSettings { roots: vec![TrustRoot::File(path)] }).unwrap();
    Root { directory, issuer, trust }
}

fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::new(["origin.test".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn leaf(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> Chain {
    let mut params = leaf_params();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (vec![params.signed_by(&key, issuer).unwrap().into()], key)
}

fn server(chain: Chain) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.1.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain.0, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// What an origin has seen: the SNI, or nothing if the handshake failed.
type Seen = tokio::task::JoinHandle<Option<Option<String>>>;

async fn origin(config: Arc<ServerConfig>) -> (Transport, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let seen = tokio::spawn(async move {
        let (accepted, _) = listener.accept().await.unwrap();
        let mut tls = TlsAcceptor::from(config).accept(accepted).await.ok()?;
        let name = tls.get_ref().1.server_name().map(str::to_owned);
        tls.write_all(b"x").await.ok()?;
        tls.shutdown().await.ok()?;
        Some(name)
    });
    (transport(stream), seen)
}

fn transport(stream: TcpStream) -> Transport {
    Transport::new(stream, BytesMut::new())
}

async fn refused(trust: &Trust, chain: Chain, host: &str) -> Error {
    let (stream, seen) = origin(server(chain)).await;
    let host = Host::parse(host.as_bytes()).unwrap();
    let error = tls::handshake(trust.client_config(), &host, stream, DEADLINE).await.unwrap_err();
    assert_eq!(seen.await.unwrap(), None, "no request can have been sent");
    error
}

#[tokio::test]
async fn a_good_origin_is_spoken_to_by_its_name_or_address() {
    let root = root();
    for (host, sni) in [("origin.test", Some("origin.test")), ("127.0.0.1", None)] {
        let (stream, seen) = origin(server(leaf(&root.issuer, |_| ()))).await;
        let config = root.trust.client_config();
        let host = Host::parse(host.as_bytes()).unwrap();
        let mut tls = tls::handshake(config, &host, stream, DEADLINE).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "only what we speak is offered");
        tls.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(seen.await.unwrap().unwrap().as_deref(), sni);
    }
}

#[tokio::test]
async fn every_kind_of_bad_certificate_is_refused_with_its_reason() {
    let root = root();
    let issuer = &root.issuer;
    let other = authority("Other CA");
    // The same name as the CA and another key: the signature is what tells.
    let forged = authority("Origin CA");
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        (vec![leaf_params().self_signed(&key).unwrap().into()], key)
    };
    let as_authority = {
        // A leaf that signs another.
        let signer = CertifiedIssuer::signed_by(leaf_params(), KeyPair::generate().unwrap(), issuer).unwrap();
        let mut chain = leaf(&signer, |_| ());
        chain.0.push(signer.der().clone());
        chain
    };
    let cn_only = leaf(issuer, |params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, "origin.test");
    });
    let rows: Vec<(&str, Chain, &str, Reason)> = vec![
        (
            "expired",
            leaf(issuer, |p| p.not_after = date_time_ymd(2020, 1, 1)),
            "origin.test",
            Reason::UpstreamTlsExpired,
        ),
        (
            "early",
            leaf(issuer, |p| p.not_before = date_time_ymd(3000, 1, 1)),
            "origin.test",
            Reason::UpstreamTlsExpired,
        ),
        ("other name", leaf(issuer, |_| ()), "other.test", Reason::UpstreamTlsWrongName),
        ("name below", leaf(issuer, |_| ()), "x.origin.test", Reason::UpstreamTlsWrongName),
        ("other address", leaf(issuer, |_| ()), "127.0.0.2", Reason::UpstreamTlsWrongName),
        ("common name only", cn_only, "origin.test", Reason::UpstreamTlsWrongName),
        ("self-signed", self_signed, "origin.test", Reason::UpstreamTlsUntrusted),
        ("other issuer", leaf(&other, |_| ()), "origin.test", Reason::UpstreamTlsUntrusted),
        ("forged", leaf(&forged, |_| ()), "origin.test", Reason::UpstreamTlsUntrusted),
        ("issued by a leaf", as_authority, "origin.test", Reason::UpstreamTlsUntrusted),
        (
            "for clients",
            leaf(issuer, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "origin.test",
            Reason::UpstreamTlsUntrusted,
        ),
    ];
    for (kind, chain, host, expected) in rows {
        let error = refused(&root.trust, chain, host).await;
        assert_eq!(error.reason(), expected, "{kind}: {error}");
        assert!(matches!(error, Error::Certificate(_)), "{kind}: {error}");
    }
}

#[tokio::test]
async fn a_list_without_roots_trusts_nobody() {
    let root = root();
    let nobody = Trust::load(&TrustSettings { roots: vec![] }).unwrap();
    let error = refused(&nobody, leaf(&root.issuer, |_| ()), "origin.test").await;
    assert_eq!(error.reason(), Reason::UpstreamTlsUntrusted);
}

#[tokio::test]
async fn a_chain_without_end_is_refused() {
    let root = root();
    let mut chain = leaf(&root.issuer, |_| ());
    let filler = chain.0[0].clone();
    chain.0.extend(std::iter::repeat_n(filler, 2_000));
    assert_eq!(refused(&root.trust, chain, "origin.test").await.reason(), Reason::UpstreamTlsFailed);
}

#[tokio::test]
async fn what_is_no_tls_is_a_failed_handshake() {
    let root = root();
    let host = Host::parse(b"origin.test").unwrap();
    // An alert that the version is not supported; HTTP; nothing.
    for answer in [&[0x15, 3, 1, 0, 2, 2, 70][..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = transport(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (mut accepted, _) = listener.accept().await.unwrap();
        let serving = tokio::spawn(async move {
            // The ClientHello's first bytes; what comes after them makes no difference.
            accepted.read_exact(&mut [0; 64]).await.unwrap();
            accepted.write_all(answer).await.unwrap();
        });
        let error = tls::handshake(root.trust.client_config(), &host, stream, DEADLINE).await.unwrap_err();
        assert_eq!(error.reason(), Reason::UpstreamTlsFailed, "{error}");
        serving.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    let root = root();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = transport(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    let host = Host::parse(b"origin.test").unwrap();
    let error = tls::handshake(root.trust.client_config(), &host, stream, DEADLINE).await.unwrap_err();
    assert!(matches!(error, Error::HandshakeTimeout));
    assert_eq!(error.reason(), Reason::ConnectTimeout);
}

#[tokio::test]
async fn a_session_is_resumed_within_one_configuration_only() {
    let root = root();
    let server = server(leaf(&root.issuer, |_| ()));
    let host = Host::parse(b"origin.test").unwrap();
    let kind = async |config: &Arc<ClientConfig>| {
        let (stream, seen) = origin(server.clone()).await;
        let mut tls = tls::handshake(config.clone(), &host, stream, DEADLINE).await.unwrap();
        tls.read_to_end(&mut Vec::new()).await.unwrap();
        seen.await.unwrap().unwrap();
        tls.get_ref().1.handshake_kind().unwrap()
    };
    let (first, second) = (root.trust.client_config(), root.trust.client_config());
    assert_eq!(kind(&first).await, HandshakeKind::Full);
    assert_eq!(kind(&first).await, HandshakeKind::Resumed);
    assert_eq!(kind(&second).await, HandshakeKind::Full, "another session's tickets are not ours to show");
}

/// What rustls can't be made to serve: a short RSA key, an old version.
#[tokio::test]
async fn an_origin_of_the_last_century_is_refused() {
    let root = root();
    let in_root = |name: &str| root.directory.path().join(name);
    std::fs::write(in_root("root.key"), root.issuer.key().serialize_pem()).unwrap();
    std::fs::write(in_root("extensions"), "subjectAltName=DNS:origin.test\n").unwrap();
    let openssl = |arguments: &str| {
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&root.directory)
            .output()
            .map(|o| o.status.success())
    };
    if openssl("version").is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    for (bits, more) in [(1024, "-tls1_3"), (1024, "-tls1_2"), (2048, "-tls1_1"), (2048, "-tls1")] {
        let request = format!("req -new -newkey rsa:{bits} -nodes -keyout leaf.key -subj /CN=x -out leaf.csr");
        assert!(openssl(&request).unwrap());
        let sign = "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -days 2 -extfile extensions -out leaf.pem";
        assert!(openssl(sign).unwrap());
        let arguments =
            ["s_server", "-accept", "127.0.0.1:0", "-cert", "leaf.pem", "-key", "leaf.key", "-naccept", "1"];
        let mut child = Command::new("openssl")
            .args(arguments)
            .args(["-cipher", "ALL:@SECLEVEL=0", more])
            .current_dir(&root.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let accept = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
        let stream = transport(TcpStream::connect(accept.expect("openssl listens")).await.unwrap());
        let host = Host::parse(b"origin.test").unwrap();
        let result = tls::handshake(root.trust.client_config(), &host, stream, DEADLINE).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let error = result.expect_err(more);
        let expected = if bits == 1024 { Reason::UpstreamTlsUntrusted } else { Reason::UpstreamTlsFailed };
        assert_eq!(error.reason(), expected, "{bits} {more}: {error}");
    }
}
