//! HTTP/2 at both ends: an origin and an agent, each on a runtime of its own, so that tests stay plain calls.

use super::agent::{Agent, Hello};
use super::certs::{self, Identity};
use super::world::World;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// One whole request, as an HTTP/2 origin got it.
#[derive(Clone, Debug)]
pub struct Got {
    pub connection: usize,
    pub method: String,
    pub uri: String,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// An answer over HTTP/2.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub interim: Vec<u16>,
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Said {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }
}

type Stream = (Request<RecvStream>, SendResponse<Bytes>);
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An origin that speaks HTTP/2.
pub struct Http2Origin {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    _stop: oneshot::Sender<()>,
}

impl Http2Origin {
    /// Answers each whole request.
    pub fn answering(answer: impl Fn(&Got) -> Said + Send + Sync + 'static) -> Self {
        Self::offering(&["h2", "http/1.1"], answer)
    }

    /// The same with these protocols.
    pub fn offering(alpn: &[&str], answer: impl Fn(&Got) -> Said + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let own = got.clone();
        Self::start(alpn, got, move |connection, (request, respond)| {
            let (answer, got) = (answer.clone(), own.clone());
            Box::pin(async move {
                let Some(request) = collect(connection, request).await else { return };
                let said = answer(&request);
                got.lock().unwrap().push(request);
                say(respond, said).await;
            })
        })
    }

    /// Does as told with each stream.
    pub fn raw(serve: impl Fn(Stream) -> Task + Send + Sync + 'static) -> Self {
        Self::start(&["h2"], Arc::default(), move |_, stream| serve(stream))
    }

    /// Sends back what comes, piece by piece, and the trailers.
    pub fn echoing() -> Self {
        Self::raw(|(request, mut respond)| {
            Box::pin(async move {
                let mut body = request.into_body();
                let Ok(mut out) = respond.send_response(Response::new(()), false) else { return };
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                    if send(&mut out, data).await.is_err() {
                        return;
                    }
                }
                match body.trailers().await {
                    Ok(Some(trailers)) => drop(out.send_trailers(trailers)),
                    _ => drop(out.send_data(Bytes::new(), true)),
                }
            })
        })
    }

    fn start(
        alpn: &[&str],
        got: Arc<Mutex<Vec<Got>>>,
        serve: impl Fn(usize, Stream) -> Task + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let config = certs::server_config(Identity::Good, alpn);
        let (stop, stopped) = oneshot::channel();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            runtime().block_on(async move {
                tokio::select! {
                    () = listen(TcpListener::from_std(listener).unwrap(), TlsAcceptor::from(config), serve) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, got, _stop: stop }
    }

    /// Every whole request so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn only(&self) -> Got {
        let mut got = self.got();
        assert_eq!(got.len(), 1, "{got:#?}");
        got.remove(0)
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    serve: Arc<impl Fn(usize, Stream) -> Task + Send + Sync + 'static>,
) {
    for number in 0.. {
        let Ok((socket, _)) = listener.accept().await else { return };
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(socket).await else { return };
            if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                return;
            }
            let mut builder = h2::server::Builder::new();
            builder.data_frame_budget(ANY_FRAMES);
            let Ok(mut connection) = builder.handshake(tls).await else { return };
            while let Some(Ok(stream)) = connection.accept().await {
                tokio::spawn(serve(number, stream));
            }
        });
    }
}

async fn collect(connection: usize, request: Request<RecvStream>) -> Option<Got> {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.ok()?;
    let (method, uri) = (parts.method.to_string(), parts.uri.to_string());
    Some(Got { connection, method, uri, fields: parts.headers, body: bytes, trailers })
}

async fn say(mut respond: SendResponse<Bytes>, said: Said) {
    for status in said.interim {
        let _ = respond.send_informational(Response::builder().status(status).body(()).unwrap());
    }
    let mut response = Response::builder().status(said.status);
    for (name, value) in &said.fields {
        response = response.header(*name, value);
    }
    let ended = said.body.is_empty() && said.trailers.is_none();
    let Ok(mut out) = respond.send_response(response.body(()).unwrap(), ended) else { return };
    if !said.body.is_empty() && send(&mut out, said.body.into()).await.is_err() {
        return;
    }
    match said.trailers {
        Some(trailers) => drop(out.send_trailers(trailers)),
        None if !ended => drop(out.send_data(Bytes::new(), true)),
        None => {}
    }
}

/// The library's own bound on small frames that wait would end a test's peer before the gateway.
const ANY_FRAMES: usize = usize::MAX;

/// Sends within the peer's window.
pub async fn send(out: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        out.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| match out.capacity() {
            0 => out.poll_capacity(cx),
            room => std::task::Poll::Ready(Some(Ok(room))),
        });
        let room = room.await.unwrap_or_else(|| Err(h2::Reason::CANCEL.into()))?;
        out.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// An agent's HTTP/2 connection inside a tunnel that the gateway opened.
pub struct Http2Agent {
    runtime: Runtime,
    pub sender: SendRequest<Bytes>,
    host: String,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Heard {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reason of a refusal.
    pub fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["reason"].as_str().unwrap_or("(none)").to_owned()
    }
}

impl Http2Agent {
    /// A connection to this host, port 443; HTTP/2 must be agreed on.
    #[track_caller]
    pub fn to(world: &World, host: &str) -> Self {
        let mut hello = Hello::to(world, host);
        hello.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::with(&world.agent(), host, &hello)
    }

    #[track_caller]
    pub fn with(agent: &Agent<'_>, host: &str, hello: &Hello) -> Self {
        Self::over(agent.tunnel(&format!("{host}:443")).stream, host, hello)
    }

    /// A connection to the gateway itself, on its TLS listener.
    #[track_caller]
    pub fn to_gateway(world: &World) -> Self {
        let mut hello = Hello::to(world, "localhost");
        hello.alpn = vec![b"h2".to_vec()];
        Self::over(std::net::TcpStream::connect(world.listening("tls")).unwrap(), "localhost", &hello)
    }

    #[track_caller]
    fn over(socket: std::net::TcpStream, host: &str, hello: &Hello) -> Self {
        socket.set_nonblocking(true).unwrap();
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let connector = TlsConnector::from(hello.config());
            let socket = TcpStream::from_std(socket).unwrap();
            let tls = connector.connect(host.to_owned().try_into().unwrap(), socket).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was not agreed on");
            let mut builder = h2::client::Builder::new();
            builder.data_frame_budget(ANY_FRAMES);
            let (sender, connection) = builder.handshake(tls).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, host: host.to_owned() }
    }

    /// Runs a future beside the connection.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(super::DEADLINE, work).await.expect("it ends in time") })
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("https://{}{path}", self.host))
    }

    pub fn get(&self, path: &str) -> Heard {
        self.send(self.request("GET", path).body(()).unwrap(), b"", None).unwrap()
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Heard {
        self.send(self.request("POST", path).body(()).unwrap(), body, None).unwrap()
    }

    /// One request to its end.
    pub fn send(&self, request: Request<()>, body: &[u8], trailers: Option<HeaderMap>) -> Result<Heard, h2::Error> {
        let body = Bytes::copy_from_slice(body);
        self.run(async {
            let mut sender = self.sender.clone().ready().await?;
            let ended = body.is_empty() && trailers.is_none();
            let (answer, mut out) = sender.send_request(request, ended)?;
            // An answer may come before all of the body was taken.
            let upload = async {
                if send(&mut out, body).await.is_ok() && !ended {
                    match trailers {
                        Some(trailers) => drop(out.send_trailers(trailers)),
                        None => drop(out.send_data(Bytes::new(), true)),
                    }
                }
                std::future::pending::<()>().await
            };
            tokio::select! {
                heard = hear(answer) => heard,
                () = upload => Err(h2::Reason::CANCEL.into()),
            }
        })
    }
}

/// An answer to its end.
pub async fn hear(answer: h2::client::ResponseFuture) -> Result<Heard, h2::Error> {
    let (parts, mut body) = answer.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?;
    Ok(Heard { status: parts.status.as_u16(), fields: parts.headers, body: bytes, trailers })
}
