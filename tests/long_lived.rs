//! Event streams and WebSockets that live for long: nothing grows while they do, and nothing is left when they end.
//!
//! `EXEAT_TEST_BINARY=target/release/exeat EXEAT_LONG_LIVED_MINUTES=10 cargo test --test long_lived -- --ignored --nocapture`
//! (`EXEAT_LONG_LIVED_STREAMS`: of each kind; 1000 by default).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "a test says what is wrong by failing"
)]

#[path = "soak/gauges.rs"]
mod gauges;
#[path = "e2e/support/mod.rs"]
mod support;

use gauges::Gauges;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::agent::basic;
use support::certs::{self, Identity};
use support::websocket::{FIN, KEY, TEXT, accept, asking, client, server};
use support::{Hello, Setup, World, policy_for};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HOST: &str = "long.exeat.test";
/// Between two messages of one stream.
const BEAT: Duration = Duration::from_secs(5);
const MESSAGE: &[u8] = b"a message of some length";
/// Handshakes at a time, in a client that is as slow as the gateway.
const AT_A_TIME: usize = 16;

fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Serves `/events` and `/chat`, for as long as their clients are there.
async fn origin(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let mut wire = BufReader::new(tls);
            let head = read_head(&mut wire).await;
            // They end when the client does.
            let _ = if head.starts_with("GET /events ") { send_events(wire).await } else { echo(wire).await };
        });
    }
}

async fn send_events<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut wire: S) -> std::io::Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    loop {
        let event = [b"data: ", MESSAGE, b"\n\n"].concat();
        wire.write_all(format!("{:x}\r\n", event.len()).as_bytes()).await?;
        wire.write_all(&[&event[..], b"\r\n"].concat()).await?;
        wire.flush().await?;
        let mut gone = [0];
        if tokio::time::timeout(BEAT, wire.read(&mut gone)).await.is_ok() {
            return Ok(());
        }
    }
}

async fn echo<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut wire: S) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept(KEY)
    );
    wire.write_all(head.as_bytes()).await?;
    wire.flush().await?;
    let mut frame = [0; 6 + MESSAGE.len()];
    loop {
        wire.read_exact(&mut frame).await?;
        let (key, payload) = frame[2..].split_at(4);
        let message: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        wire.write_all(&server(FIN | TEXT, &message)).await?;
        wire.flush().await?;
    }
}

async fn read_head<S: AsyncBufReadExt + Unpin>(wire: &mut S) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(wire.read_line(&mut head).await.unwrap(), 0, "it ended in the head: {head}");
    }
    head
}

/// What every stream of the agent's knows.
#[derive(Clone)]
struct Agent {
    proxy: SocketAddr,
    connect: String,
    tls: TlsConnector,
    shaking: Arc<Semaphore>,
    up: Arc<AtomicU64>,
    messages: Arc<AtomicU64>,
    over: watch::Receiver<bool>,
}

impl Agent {
    /// Asks, inside a tunnel that the gateway opens.
    async fn ask(&self, head: String) -> BufReader<impl AsyncReadExt + AsyncWriteExt + Unpin + use<>> {
        let _shaking = self.shaking.acquire().await.unwrap();
        let mut socket = BufReader::new(TcpStream::connect(self.proxy).await.unwrap());
        socket.write_all(self.connect.as_bytes()).await.unwrap();
        let answer = read_head(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let mut tls = self.tls.connect(HOST.try_into().unwrap(), socket.into_inner()).await.unwrap();
        tls.write_all(head.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        self.up.fetch_add(1, Ordering::SeqCst);
        BufReader::new(tls)
    }

    async fn listen(mut self) {
        let mut wire = self.ask(format!("GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
        assert!(read_head(&mut wire).await.starts_with("HTTP/1.1 200"));
        let mut line = Vec::new();
        loop {
            line.clear();
            tokio::select! {
                read = wire.read_until(b'\n', &mut line) => assert_ne!(read.unwrap(), 0, "an event stream ended"),
                _ = self.over.changed() => return,
            }
            if line.starts_with(b"data: ") {
                assert_eq!(line[6..line.len() - 1], *MESSAGE);
                self.messages.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn talk(mut self) {
        let mut wire = self.ask(format!("GET /chat HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", asking(""))).await;
        assert!(read_head(&mut wire).await.starts_with("HTTP/1.1 101"));
        let mut frame = [0; 2 + MESSAGE.len()];
        loop {
            wire.write_all(&client(FIN | TEXT, MESSAGE)).await.unwrap();
            wire.flush().await.unwrap();
            wire.read_exact(&mut frame).await.expect("a WebSocket ended");
            assert_eq!(frame[2..], *MESSAGE);
            self.messages.fetch_add(1, Ordering::Relaxed);
            if tokio::time::timeout(BEAT, self.over.changed()).await.is_ok() {
                return;
            }
        }
    }
}

/// What the gateway holds, once it fulfils the condition.
async fn held(world: &World, condition: impl Fn(&Gauges) -> bool) -> Gauges {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let gauges = tokio::task::block_in_place(|| Gauges::of(world));
        if condition(&gauges) {
            return gauges;
        }
        assert!(Instant::now() < end, "it never came to that: {gauges}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: see the top of this file"]
async fn streams_that_live_for_long_hold_no_more_with_time_and_leave_nothing() {
    let (minutes, each) = (option("EXEAT_LONG_LIVED_MINUTES", 10), option("EXEAT_LONG_LIVED_STREAMS", 1000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rule = format!("host: {HOST}");
    let policy = format!("{}\nlimits: {{connections: {}}}", policy_for(&[&rule]), each * 3);
    let setup = Setup::under(&policy).connect("**", &listener.local_addr().unwrap().to_string());
    let world = World::start(setup);
    tokio::spawn(origin(listener, TlsAcceptor::from(certs::server_config(Identity::Good, &["http/1.1"]))));
    let (end, over) = watch::channel(false);
    let connect = format!(
        "CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nProxy-Authorization: {}\r\n\r\n",
        basic("dev", world.token("dev"))
    );
    let agent = Agent {
        proxy: world.proxy,
        connect,
        tls: TlsConnector::from(Hello::to(&world, HOST).config()),
        shaking: Arc::new(Semaphore::new(AT_A_TIME)),
        up: Arc::default(),
        messages: Arc::default(),
        over,
    };
    let before = held(&world, |_| true).await;
    println!("before: {before}");
    let mut streams = JoinSet::new();
    for _ in 0..each {
        streams.spawn(agent.clone().listen());
        streams.spawn(agent.clone().talk());
    }
    let all = each * 2;
    held(&world, |gauges| agent.up.load(Ordering::SeqCst) == all && gauges.connections >= all).await;
    let mut seen = Vec::new();
    for minute in 0..=minutes {
        seen.push(held(&world, |_| true).await);
        println!("minute {minute}: {}, {} messages", seen.last().unwrap(), agent.messages.load(Ordering::Relaxed));
        if minute < minutes {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        // One that failed has ended.
        assert!(streams.try_join_next().is_none(), "a stream ended early");
    }
    end.send(true).unwrap();
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
    // Connections to the origin are kept idle for half a minute.
    let after = held(&world, |gauges| gauges.connections == 0 && gauges.descriptors <= before.descriptors + 8).await;
    println!("after: {after}");
    let (first, last) = (seen[usize::from(minutes > 1)], seen[seen.len() - 1]);
    assert_eq!(first.connections, last.connections);
    // One is the look at them itself.
    assert!(last.descriptors <= first.descriptors + 8, "descriptors grew");
    assert!(last.tasks <= first.tasks + 8, "tasks grew");
    assert!(last.rss_kib <= first.rss_kib + first.rss_kib / 20, "memory grew");
    assert!(after.tasks <= before.tasks + 8, "tasks are left");
    let records = tokio::task::block_in_place(|| world.into_records());
    let closed = records.requests().len() as u64;
    assert_eq!(closed, all, "each has its record");
}
