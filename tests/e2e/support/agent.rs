//! An agent: raw bytes to the proxy, and TLS of its own inside a tunnel.

use super::DEADLINE;
use super::certs;
use super::message::{Response, Wire};
use super::world::World;
use data_encoding::BASE64;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, NamedGroup, StreamOwned, SupportedProtocolVersion};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

/// TLS inside a tunnel.
pub type Tls = StreamOwned<ClientConnection, Wire<TcpStream>>;

pub struct Agent<'w> {
    world: &'w World,
    credentials: Option<(String, String)>,
}

/// How an agent begins TLS.
#[derive(Clone)]
pub struct Hello {
    /// Who it wants the certificate to be for.
    pub name: String,
    /// Whether it says so in the handshake.
    pub sni: bool,
    pub alpn: Vec<Vec<u8>>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// One configuration for several connections, so that tickets of earlier ones can be offered.
    pub shared: Option<Arc<ClientConfig>>,
    /// The authorities that it trusts, as PEM.
    pub trust: String,
}

impl Hello {
    /// As clients do, trusting the gateway's CA.
    pub fn to(world: &World, name: &str) -> Self {
        let alpn = vec![b"http/1.1".to_vec()];
        let trust = world.ca();
        Self { name: name.into(), sni: true, alpn, versions: rustls::ALL_VERSIONS, shared: None, trust }
    }

    /// Trusting the origins' authority only, as an agent whose TLS is not opened.
    pub fn through(name: &str) -> Self {
        let (alpn, trust) = (vec![b"http/1.1".to_vec()], certs::TRUSTED.pem());
        Self { name: name.into(), sni: true, alpn, versions: rustls::ALL_VERSIONS, shared: None, trust }
    }

    pub fn without_sni(mut self) -> Self {
        self.sni = false;
        self
    }

    pub fn speaking(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// The same, offering every ticket that it ever got to every host.
    pub fn crossing_tickets(&self) -> Arc<ClientConfig> {
        let mut config = Arc::unwrap_or_clone(self.config());
        config.resumption = Resumption::store(Arc::new(Crossing(ClientSessionMemoryCache::new(8))));
        Arc::new(config)
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        if let Some(shared) = &self.shared {
            return shared.clone();
        }
        let mut config = ClientConfig::builder_with_provider(certs::provider())
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(certs::roots(&[&self.trust]))
            .with_no_client_auth();
        config.enable_sni = self.sni;
        config.alpn_protocols.clone_from(&self.alpn);
        Arc::new(config)
    }

    pub fn connection(&self) -> ClientConnection {
        ClientConnection::new(self.config(), ServerName::try_from(self.name.clone()).unwrap()).unwrap()
    }

    /// Shakes hands over the tunnel.
    pub fn shake(&self, mut wire: Wire<TcpStream>) -> io::Result<Wire<Tls>> {
        let mut connection = self.connection();
        while connection.is_handshaking() {
            connection.complete_io(&mut wire)?;
        }
        Ok(Wire::new(StreamOwned::new(connection, wire)))
    }
}

/// A connection whose reads end by the deadline.
pub fn dial(address: SocketAddr) -> Wire<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    Wire::new(stream)
}

/// Writes what the peer takes: one that has refused already may have closed.
pub fn push(wire: &mut impl Write, bytes: &[u8]) {
    let _ = wire.write_all(bytes).and_then(|()| wire.flush());
}

/// Tells the peer that nothing more comes.
pub fn finish(wire: &Wire<TcpStream>) {
    let _ = wire.stream.shutdown(Shutdown::Write);
}

pub fn basic(id: &str, token: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{id}:{token}").as_bytes()))
}

impl<'w> Agent<'w> {
    pub fn new(world: &'w World, credentials: Option<(String, String)>) -> Self {
        Self { world, credentials }
    }

    /// The line with the credentials, or nothing.
    pub fn field(&self) -> String {
        let line = |(id, token): &(String, String)| format!("Proxy-Authorization: {}\r\n", basic(id, token));
        self.credentials.as_ref().map(line).unwrap_or_default()
    }

    pub fn dial(&self) -> Wire<TcpStream> {
        dial(self.world.proxy)
    }

    /// Sends these bytes on a connection of their own.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Wire<TcpStream> {
        let mut wire = self.dial();
        push(&mut wire, bytes.as_ref());
        wire
    }

    /// The head of a request in absolute form, with credentials.
    pub fn head(&self, method: &str, url: &str, fields: &str) -> String {
        let host = url.split('/').nth(2).unwrap_or_default();
        format!("{method} {url} HTTP/1.1\r\nHost: {host}\r\n{}{fields}\r\n", self.field())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn request(&self, method: &str, url: &str, fields: &str, body: &[u8]) -> Response {
        let mut wire = self.send([self.head(method, url, fields).as_bytes(), body].concat());
        wire.response_to(method).unwrap_or_else(|fault| panic!("{method} {url}: {fault:?}"))
    }

    #[track_caller]
    pub fn get(&self, url: &str) -> Response {
        self.request("GET", url, "", b"")
    }

    #[track_caller]
    pub fn post(&self, url: &str, body: &[u8]) -> Response {
        self.request("POST", url, &format!("Content-Length: {}\r\n", body.len()), body)
    }

    /// A CONNECT as told, and whatever it is answered with.
    #[track_caller]
    pub fn connect(&self, authority: &str, fields: &str) -> (Wire<TcpStream>, Response) {
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}{fields}\r\n", self.field());
        let mut wire = self.send(head);
        let response = wire.response_to("CONNECT").unwrap_or_else(|fault| panic!("CONNECT {authority}: {fault:?}"));
        (wire, response)
    }

    /// An open tunnel.
    #[track_caller]
    pub fn tunnel(&self, authority: &str) -> Wire<TcpStream> {
        let (wire, response) = self.connect(authority, "");
        assert_eq!(response.status, 200, "{}", response.text());
        wire
    }

    /// The refusal of a tunnel.
    #[track_caller]
    pub fn refused(&self, authority: &str) -> Response {
        let (_, response) = self.connect(authority, "");
        assert_ne!(response.status, 200, "CONNECT {authority} was let through");
        response
    }

    /// TLS to this host, port 443, opened by the gateway.
    #[track_caller]
    pub fn https(&self, host: &str) -> Wire<Tls> {
        self.https_with(&format!("{host}:443"), &Hello::to(self.world, host))
    }

    #[track_caller]
    pub fn https_with(&self, authority: &str, hello: &Hello) -> Wire<Tls> {
        hello.shake(self.tunnel(authority)).unwrap_or_else(|error| panic!("TLS to {authority}: {error}"))
    }
}

/// What agents say inside a tunnel.
impl Wire<Tls> {
    #[track_caller]
    pub fn ask(&mut self, method: &str, host: &str, path: &str, fields: &str, body: &[u8]) -> Response {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        push(self, &[head.as_bytes(), body].concat());
        self.response_to(method).unwrap_or_else(|fault| panic!("{method} {host}{path}: {fault:?}"))
    }

    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> Response {
        self.ask("GET", host, path, "", b"")
    }

    #[track_caller]
    pub fn post(&mut self, host: &str, path: &str, body: &[u8]) -> Response {
        self.ask("POST", host, path, &format!("Content-Length: {}\r\n", body.len()), body)
    }

    /// The certificate that the gateway showed, and its issuer's place after it.
    pub fn leaf(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Keeps tickets under one name, whoever gave them, as an agent would that tries to cross hosts.
#[derive(Debug)]
struct Crossing(ClientSessionMemoryCache);

fn anyone() -> ServerName<'static> {
    ServerName::try_from("anyone.exeat.test").unwrap()
}

impl ClientSessionStore for Crossing {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(anyone(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&anyone())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(anyone(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&anyone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&anyone());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(anyone(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&anyone())
    }
}
