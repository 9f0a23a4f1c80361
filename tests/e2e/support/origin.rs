//! An origin that keeps every byte it got, answers as it is told and never repairs what it reads.

use super::DEADLINE;
use super::certs::{self, Identity};
use super::message::{Fault, Fields, Request, Wire};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

/// What one connection brought.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What came in, decrypted; the first megabyte of it.
    pub bytes: Vec<u8>,
    /// How much came in.
    pub total: u64,
    /// The server name of the handshake.
    pub sni: Option<String>,
    /// The whole requests among the bytes.
    pub requests: Vec<Request>,
    /// Why reading stopped, where it was not a clean end.
    pub fault: Option<String>,
    /// Whether it is over.
    pub ended: bool,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Shared {
    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap()[index]);
        self.changed.notify_all();
    }
}

pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// How an origin listens.
#[derive(Clone)]
pub struct Listen {
    at: &'static str,
    tls: Option<Arc<ServerConfig>>,
}

type Behaviour = Arc<dyn Fn(&mut Wire<Peer>) -> Result<(), Fault> + Send + Sync>;

impl Listen {
    /// On another address than 127.0.0.1.
    pub fn at(mut self, address: &'static str) -> Self {
        self.at = address;
        self
    }

    /// Speaks this way with each connection.
    pub fn raw(self, behaviour: impl Fn(&mut Wire<Peer>) -> Result<(), Fault> + Send + Sync + 'static) -> Origin {
        Origin::listen(self, Arc::new(behaviour))
    }

    /// Answers each request; `Expect: 100-continue` is granted first.
    pub fn http(self, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Origin {
        self.raw(move |peer| {
            while let Some(request) = next_request(peer)? {
                let reply = answer(&request);
                peer.stream.keep(request.clone());
                peer.write_all(&reply.bytes(&request.method))?;
                peer.flush()?;
                if reply.close {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Answers each request with these bytes.
    pub fn answer(self, bytes: impl Into<Vec<u8>>) -> Origin {
        let bytes = bytes.into();
        self.http(move |_| Reply::raw(bytes.clone()))
    }

    /// Answers each request with these bytes and ends the connection.
    pub fn answer_and_close(self, bytes: impl Into<Vec<u8>>) -> Origin {
        let bytes = bytes.into();
        self.http(move |_| Reply { close: true, ..Reply::raw(bytes.clone()) })
    }

    /// Answers each request with the request line and body that it got.
    pub fn echo(self) -> Origin {
        self.http(|request| Reply::ok(format!("{} {}\n{}", request.method, request.target, request.text())))
    }

    /// Keeps what comes and says nothing.
    pub fn silent(self) -> Origin {
        self.raw(|peer| peer.rest().map(|_| ()))
    }
}

fn next_request(peer: &mut Wire<Peer>) -> Result<Option<Request>, Fault> {
    let Some(mut request) = peer.request_head()? else { return Ok(None) };
    if request.field("expect").is_some() {
        peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        peer.flush()?;
    }
    (request.body, request.trailers) = peer.body(super::message::request_framing(&request)?)?;
    Ok(Some(request))
}

impl Origin {
    pub fn plain() -> Listen {
        Listen { at: "127.0.0.1:0", tls: None }
    }

    pub fn tls() -> Listen {
        Self::tls_as(Identity::Good)
    }

    pub fn tls_as(identity: Identity) -> Listen {
        Listen { at: "127.0.0.1:0", tls: Some(certs::server_config(identity, &["http/1.1"])) }
    }

    /// It turns away clients without a certificate.
    pub fn tls_for_clients() -> Listen {
        Listen { at: "127.0.0.1:0", tls: Some(certs::server_config_for_clients()) }
    }

    fn listen(listen: Listen, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(listen.at).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, tls, behaviour) = (own.clone(), listen.tls.clone(), behaviour.clone());
                let index = {
                    let mut seen = shared.seen.lock().unwrap();
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                shared.changed.notify_all();
                thread::spawn(move || serve(stream, index, tls, &behaviour, &shared));
            }
        });
        Self { address, shared }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.shared.seen.lock().unwrap()
    }

    /// Every connection so far.
    pub fn connections(&self) -> Vec<Seen> {
        self.seen().clone()
    }

    /// Every whole request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen().iter().flat_map(|seen| seen.requests.clone()).collect()
    }

    /// The only request so far.
    #[track_caller]
    pub fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// All that ever came in, over all connections.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen().iter().flat_map(|seen| seen.bytes.clone()).collect()
    }

    /// Forgets what connections brought that are over: a test that goes on for hours may not grow.
    pub fn forget(&self) {
        let mut seen = self.seen();
        seen.iter_mut().filter(|seen| seen.ended).for_each(|seen| (seen.bytes, seen.requests) = Default::default());
    }

    /// Nothing was ever said to this origin.
    #[track_caller]
    pub fn assert_untouched(&self) {
        let seen = self.seen();
        assert!(seen.iter().all(|seen| seen.total == 0), "the origin got {:#?}", *seen);
    }

    /// Not even a connection was made.
    #[track_caller]
    pub fn assert_never_contacted(&self) {
        let seen = self.seen();
        assert!(seen.is_empty(), "the origin got {:#?}", *seen);
    }

    /// Whatever came in had one reading (the oracle of http-garden's method).
    #[track_caller]
    pub fn assert_one_reading(&self) {
        for seen in self.seen().iter() {
            let malformed = seen.fault.as_ref().is_some_and(|fault| fault.contains("malformed"));
            assert!(!malformed, "{seen:#?}");
        }
    }

    /// Waits until what came in fulfils the condition.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let end = Instant::now() + DEADLINE;
        let mut seen = self.seen();
        while !condition(&seen) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the origin never saw {what}: {:#?}", *seen);
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, index: usize, tls: Option<Arc<ServerConfig>>, behaviour: &Behaviour, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(DEADLINE));
    let io = match tls {
        None => Io::Plain(stream),
        Some(config) => match handshake(config, stream) {
            Ok(stream) => Io::Tls(Box::new(stream)),
            Err(error) => {
                shared.update(index, |seen| {
                    seen.fault = Some(format!("handshake: {error}"));
                    seen.ended = true;
                });
                return;
            }
        },
    };
    if let Io::Tls(stream) = &io {
        let sni = stream.conn.server_name().map(str::to_owned);
        shared.update(index, |seen| seen.sni = sni);
    }
    let mut peer = Wire::new(Peer { io, index, shared: shared.clone() });
    let result = behaviour(&mut peer);
    peer.stream.close();
    shared.update(index, |seen| {
        seen.fault = result.err().map(|fault| fault.to_string());
        seen.ended = true;
    });
}

fn handshake(config: Arc<ServerConfig>, mut stream: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

enum Io {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// The gateway, as an origin sees it.
pub struct Peer {
    io: Io,
    index: usize,
    shared: Arc<Shared>,
}

impl Peer {
    /// Notes a whole request.
    pub fn keep(&self, request: Request) {
        self.shared.update(self.index, |seen| seen.requests.push(request));
    }

    fn socket(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => &stream.sock,
        }
    }

    /// Ends it as TLS and TCP want it ended.
    pub fn close(&mut self) {
        if let Io::Tls(stream) = &mut self.io {
            stream.conn.send_close_notify();
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Ends it with a reset.
    pub fn reset(&self) {
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(std::time::Duration::ZERO));
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Ends TCP without TLS's close_notify.
    pub fn cut(&self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.io {
            Io::Plain(stream) => stream.read(buffer)?,
            Io::Tls(stream) => stream.read(buffer)?,
        };
        self.shared.update(self.index, |seen| {
            seen.total += count as u64;
            if seen.bytes.len() < 1 << 20 {
                seen.bytes.extend_from_slice(&buffer[..count]);
            }
        });
        Ok(count)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.io {
            Io::Plain(stream) => stream.write(bytes),
            Io::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.io {
            Io::Plain(stream) => stream.flush(),
            Io::Tls(stream) => stream.flush(),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    fields: String,
    body: Vec<u8>,
    chunks: Option<usize>,
    trailers: Fields,
    raw: Option<Vec<u8>>,
    pub close: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        let (fields, trailers) = (String::new(), Fields::new());
        Self { status, fields, body: Vec::new(), chunks: None, trailers, raw: None, close: false }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::status(200) }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// In chunks of this size.
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunks = Some(size);
        self
    }

    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("HTTP/1.1 {} Told\r\n{}", self.status, self.fields);
        let bodiless = matches!(self.status, 204 | 304);
        match self.chunks {
            Some(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
            None if bodiless => {}
            None => _ = write!(head, "Content-Length: {}\r\n", self.body.len()),
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if method == "HEAD" || bodiless {
            return bytes;
        }
        let Some(size) = self.chunks else {
            bytes.extend_from_slice(&self.body);
            return bytes;
        };
        for chunk in self.body.chunks(size) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}
