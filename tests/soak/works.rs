//! What agents do all day, and what goes wrong with it.

use crate::support::agent::{dial, push};
use crate::support::http2::Http2Agent;
use crate::support::message::Wire;
use crate::support::secrets::github_token;
use crate::support::websocket::{self, CLOSE, FIN, PING, TEXT, asking, close};
use crate::support::{Hello, Http2Origin, Origin, Setup, World, policy_for};
use rustls::ClientConfig;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// The host that a work's flows are for, and how many there were; nothing where nobody can say.
pub type Done = Option<(&'static str, u64)>;

type Work = fn(&Works, &World, u64) -> Done;

/// The origins, and what is done with them.
pub struct Works {
    plain: Origin,
    raw: Origin,
    tls: Origin,
    events: Origin,
    websockets: Origin,
    faulty: Origin,
    h2: Http2Origin,
    hello: OnceLock<Arc<ClientConfig>>,
    hello_h2: OnceLock<Arc<ClientConfig>>,
}

const WORKS: [(&str, Work); 12] = [
    ("plain", plain),
    ("intercepted", intercepted),
    ("faults of the origin", faulty_origin),
    ("relayed", relayed),
    ("HTTP/2", http2),
    ("events", events),
    ("refused", refused),
    ("WebSocket", websocket),
    ("gRPC", grpc),
    ("faults of the client", faulty_client),
    ("SOCKS", socks),
    ("a secret", secret),
];

impl Works {
    pub fn new() -> Self {
        Self {
            plain: Origin::plain().echo(),
            raw: Origin::plain().raw(|peer| {
                while let Ok(bytes) = peer.exact(64) {
                    peer.write_all(&bytes)?;
                }
                Ok(())
            }),
            tls: Origin::tls().echo(),
            events: Origin::plain().raw(|peer| {
                while peer.request_head()?.is_some() {
                    peer.write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                    )?;
                    for _ in 0..10 {
                        peer.write_all(b"b\r\ndata: one\n\n\r\n")?;
                        peer.flush()?;
                        thread::sleep(Duration::from_millis(20));
                    }
                    peer.write_all(b"0\r\n\r\n")?;
                }
                Ok(())
            }),
            websockets: Origin::plain().websocket_echo(""),
            faulty: Origin::plain().raw(|peer| {
                let Some(request) = peer.request_head()? else { return Ok(()) };
                match request.target.as_str() {
                    "/reset" => peer.stream.reset(),
                    "/cut" => peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?,
                    "/garbage" => peer.write_all(b"\x00\x01\x02 nonsense\r\n\r\n")?,
                    "/stall" => {
                        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-")?;
                        thread::sleep(Duration::from_millis(300));
                    }
                    _ => {}
                }
                Ok(())
            }),
            h2: Http2Origin::echoing(),
            hello: OnceLock::new(),
            hello_h2: OnceLock::new(),
        }
    }

    pub fn setup(&self) -> Setup {
        let relayed = "host: raw.exeat.test, ports: [443], tls: tunnel, protocols: [any]";
        let hosts = ["plain", "tls", "h2", "grpc", "socks", "sse", "ws", "fault", "leak"];
        let rules: Vec<String> = hosts.iter().map(|name| format!("host: {name}.exeat.test")).collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).chain([relayed]).collect();
        let mut setup = Setup::bare().policy("agent", &policy_for(&rules)).listen("socks: \"127.0.0.1:0\"");
        for session in ["dev", "two", "three", "four"] {
            setup = setup.session(session, "agent");
        }
        let at = |origin: &Origin| origin.address.to_string();
        setup
            .connect("plain.exeat.test", &at(&self.plain))
            .connect("leak.exeat.test", &at(&self.plain))
            .connect("raw.exeat.test", &at(&self.raw))
            .connect("tls.exeat.test", &at(&self.tls))
            .connect("socks.exeat.test", &at(&self.tls))
            .connect("sse.exeat.test", &at(&self.events))
            .connect("ws.exeat.test", &at(&self.websockets))
            .connect("fault.exeat.test", &at(&self.faulty))
            .connect("h2.exeat.test", &self.h2.address.to_string())
            .connect("grpc.exeat.test", &self.h2.address.to_string())
    }

    pub fn pick(&self, number: u64) -> (&'static str, Work) {
        WORKS[usize::try_from(number).unwrap() % WORKS.len()]
    }

    /// Forgets what the origins have seen: this process may not grow either.
    pub fn forget(&self) {
        for origin in [&self.plain, &self.raw, &self.tls, &self.events, &self.websockets, &self.faulty] {
            origin.forget();
        }
    }

    fn hello(&self, world: &World, host: &str, alpn: &[&str], kept: &OnceLock<Arc<ClientConfig>>) -> Hello {
        let mut hello = Hello::to(world, host);
        hello.alpn = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        hello.shared = Some(kept.get_or_init(|| hello.config()).clone());
        hello
    }
}

fn session(number: u64) -> &'static str {
    ["dev", "two", "three", "four"][usize::try_from(number / 12 % 4).unwrap()]
}

fn plain(_: &Works, world: &World, number: u64) -> Done {
    let agent = world.agent_of(session(number));
    let mut wire = agent.dial();
    for round in 0..5 {
        let url = format!("http://plain.exeat.test/{number}/{round}");
        let body = vec![b'x'; 2000 * round];
        let fields = format!("Content-Length: {}\r\n", body.len());
        push(&mut wire, &[agent.head("POST", &url, &fields).as_bytes(), &body].concat());
        let response = wire.response_to("POST").unwrap();
        assert_eq!((response.status, response.body.len() > body.len()), (200, true));
    }
    Some(("plain.exeat.test", 5))
}

fn intercepted(works: &Works, world: &World, number: u64) -> Done {
    let hello = works.hello(world, "tls.exeat.test", &["http/1.1"], &works.hello);
    let mut tls = world.agent_of(session(number)).https_with("tls.exeat.test:443", &hello);
    for round in 0..4 {
        assert_eq!(tls.post("tls.exeat.test", "/", &vec![b'y'; 3000 * round]).status, 200);
    }
    Some(("tls.exeat.test", 5))
}

fn relayed(_: &Works, world: &World, number: u64) -> Done {
    let mut wire = world.agent_of(session(number)).tunnel("raw.exeat.test:443");
    for _ in 0..5 {
        push(&mut wire, &[7; 64]);
        assert_eq!(wire.exact(64).unwrap(), [7; 64]);
    }
    Some(("raw.exeat.test", 1))
}

fn http2(works: &Works, world: &World, number: u64) -> Done {
    let hello = works.hello(world, "h2.exeat.test", &["h2"], &works.hello_h2);
    let agent = Http2Agent::with(&world.agent_of(session(number)), "h2.exeat.test", &hello);
    for round in 0..4 {
        let heard = agent.post("/", &vec![b'z'; 5000 * round]);
        assert_eq!((heard.status, heard.body.len()), (200, 5000 * round));
    }
    Some(("h2.exeat.test", 5))
}

fn grpc(works: &Works, world: &World, number: u64) -> Done {
    let hello = works.hello(world, "grpc.exeat.test", &["h2"], &works.hello_h2);
    let agent = Http2Agent::with(&world.agent_of(session(number)), "grpc.exeat.test", &hello);
    let message = [&[0, 0, 0, 0, 5][..], b"hello"].concat().repeat(3);
    for _ in 0..3 {
        let request =
            agent.request("POST", "/a.B/C").header("content-type", "application/grpc").header("te", "trailers");
        let heard = agent.send(request.body(()).unwrap(), &message, None).unwrap();
        assert_eq!((heard.status, &heard.body), (200, &message));
    }
    Some(("grpc.exeat.test", 4))
}

fn events(_: &Works, world: &World, number: u64) -> Done {
    let agent = world.agent_of(session(number));
    let response = agent.get("http://sse.exeat.test/stream");
    assert_eq!((response.status, response.body.len()), (200, 110));
    Some(("sse.exeat.test", 1))
}

fn websocket(_: &Works, world: &World, number: u64) -> Done {
    let agent = world.agent_of(session(number));
    let mut wire = agent.send(agent.head("GET", websocket::URL, &asking("")));
    assert_eq!(wire.response_to("GET").unwrap().status, 101);
    for round in 0..5 {
        push(&mut wire, &websocket::client(FIN | if round == 2 { PING } else { TEXT }, b"hello"));
        assert_eq!(wire.frame().unwrap().payload, b"hello");
    }
    push(&mut wire, &websocket::client(FIN | CLOSE, &close(1000, "bye")));
    assert_eq!(wire.frame().unwrap().closing().0, 1000);
    Some(("ws.exeat.test", 1))
}

fn socks(works: &Works, world: &World, number: u64) -> Done {
    let (id, host) = (session(number), "socks.exeat.test");
    let string = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut wire = dial(world.listening("socks"));
    push(&mut wire, &[&[5, 1, 2, 1], &string(id)[..], &string(world.token(id))].concat());
    assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 0]);
    push(&mut wire, &[&[5, 1, 0, 3], &string(host)[..], &443u16.to_be_bytes()].concat());
    assert_eq!(wire.exact(10).unwrap()[1], 0);
    let hello = works.hello(world, host, &["http/1.1"], &works.hello);
    let mut tls = hello.shake(wire).unwrap();
    for _ in 0..2 {
        assert_eq!(tls.get(host, "/").status, 200);
    }
    Some(("socks.exeat.test", 3))
}

fn refused(_: &Works, world: &World, number: u64) -> Done {
    let agent = world.agent_of(session(number));
    assert_eq!(agent.get("http://elsewhere.invalid/").status, 403);
    assert_eq!(agent.refused("elsewhere.invalid:443").status, 403);
    Some(("elsewhere.invalid", 2))
}

fn secret(_: &Works, world: &World, number: u64) -> Done {
    let token = format!("token={}", github_token());
    let response = world.agent_of(session(number)).post("http://leak.exeat.test/", token.as_bytes());
    assert_eq!(response.status, 403, "{}", response.text());
    Some(("leak.exeat.test", 1))
}

fn faulty_origin(_: &Works, world: &World, number: u64) -> Done {
    let path = ["/reset", "/cut", "/garbage", "/stall", "/close"][usize::try_from(number / 12 % 5).unwrap()];
    let agent = world.agent_of(session(number));
    let mut wire = agent.send(agent.head("GET", &format!("http://fault.exeat.test{path}"), ""));
    match wire.response_to("GET") {
        Ok(response) => assert_eq!(response.status, 502, "{path}"),
        Err(_) => assert_eq!(path, "/cut"),
    }
    Some(("fault.exeat.test", 1))
}

fn faulty_client(_: &Works, world: &World, number: u64) -> Done {
    let agent = world.agent_of(session(number));
    let reset = |wire: &Wire<TcpStream>| socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    match number / 12 % 6 {
        0 => reset(&agent.send("GET http://plain.exe")),
        1 => reset(&agent.send(agent.head("POST", "http://gone.exeat.test/", "Content-Length: 100\r\n"))),
        2 => drop(agent.send("CONNECT gone.exeat.test:443 HTTP/1.1\r\n")),
        3 => {
            let mut wire = agent.send("\u{1}\u{2}nonsense\r\n\r\n");
            assert_eq!(wire.response_to("GET").unwrap().status, 400);
        }
        4 => {
            let wire = agent.send(agent.head("GET", "http://gone.exeat.test/", ""));
            wire.stream.shutdown(Shutdown::Both).unwrap();
        }
        _ => reset(&agent.dial()),
    }
    None
}
