//! Real clients and servers: Python's websockets and aiohttp, node's ws and undici (node's own WebSocket), tungstenite.

use super::world;
use crate::support::clients::{Client, Done, Way, from_npm, python};
use crate::support::secrets::github_token;
use crate::support::websocket::*;
use crate::support::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, Message};

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Each sends what it is given, then messages that it must get back, and tells how it was closed.
const WEBSOCKETS: &str = r#"
import asyncio, os, ssl, sys, websockets
async def main():
    context = ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE'])
    async with websockets.connect('wss://ws.exeat.test/chat', proxy=os.environ['HTTPS_PROXY'], ssl=context) as ws:
        messages = sys.argv[1:] + ['hello', 'hello again ' * 30000, b'\0\1\2' * 50000, '']
        try:
            for message in messages:
                await ws.send(message)
                assert await ws.recv() == message
            await (await ws.ping(b'alive'))
            await ws.send(part for part in ['in ', 'three ', 'fragments'])
            assert await ws.recv() == 'in three fragments'
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code, closed.rcvd.reason)
            return
    print(ws.close_code, [extension.name for extension in ws.protocol.extensions])
asyncio.run(main())
"#;

const AIOHTTP: &str = r#"
import aiohttp, asyncio, os, ssl, sys
async def main():
    context = ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE'])
    async with aiohttp.ClientSession() as session:
        proxy, url = os.environ['HTTPS_PROXY'], 'wss://ws.exeat.test/chat'
        async with session.ws_connect(url, proxy=proxy, ssl=context, compress=15) as ws:
            for message in sys.argv[1:] + ['hello', 'hello again ' * 30000, '']:
                await ws.send_str(message)
                answer = await ws.receive()
                if answer.type != aiohttp.WSMsgType.TEXT:
                    print(ws.close_code, answer.extra)
                    return
                assert answer.data == message
            await ws.send_bytes(b'\0\1\2' * 50000)
            assert (await ws.receive()).data == b'\0\1\2' * 50000
        print(ws.close_code, ws.compress)
asyncio.run(main())
"#;

/// `open` makes the socket that both of node's libraries then drive in the same way.
const NODE: &str = r#"
const messages = [...process.argv.slice(2), 'hello', 'hello again '.repeat(30000), ''];
let next = 0;
socket.addEventListener('open', () => socket.send(messages[0]));
socket.addEventListener('message', (event) => {
  if (event.data !== messages[next]) { console.log('another message came back'); process.exit(3); }
  next += 1;
  if (next < messages.length) socket.send(messages[next]); else socket.close(1000, 'done');
});
socket.addEventListener('error', (event) => console.error(event.message || event.error));
socket.addEventListener('close', (event) => { console.log(event.code, event.reason, socket.extensions); process.exit(0); });
"#;

const WS: &str = r#"
const { HttpsProxyAgent } = require('https-proxy-agent');
const WebSocket = require('ws');
const agent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
const socket = new WebSocket('wss://ws.exeat.test/chat', { agent, perMessageDeflate: { threshold: 0 } });
"#;

const UNDICI: &str = r#"
const { WebSocket, ProxyAgent } = require('undici');
const proxy = new URL(process.env.HTTPS_PROXY);
const token = 'Basic ' + Buffer.from(proxy.username + ':' + proxy.password).toString('base64');
const dispatcher = new ProxyAgent({ uri: proxy.origin, token });
const socket = new WebSocket('wss://ws.exeat.test/chat', { dispatcher });
"#;

fn run_python(world: &World, script: &str, first: &[&str]) -> Done {
    Client::behind(python(), world, Way::Intercepted).args(["-c", script]).args(first).run().ok()
}

fn run_node(world: &World, open: &str, first: &[&str]) -> Done {
    std::fs::write(world.path("client.js"), open.to_owned() + NODE).unwrap();
    let client = Client::behind("node", world, Way::Intercepted).args(["client.js"]).args(first);
    client.env("NODE_PATH", from_npm("")).run().ok()
}

/// With compression and without; then a secret, which must end it with 1008.
#[track_caller]
fn assert_works(run: impl Fn(&World, &[&str]) -> Done, packed: &str, plain: &str) {
    for (more, expected) in [(DEFLATE, packed), ("", plain)] {
        let origin = Origin::tls().websocket_echo(more);
        let world = world(&origin);
        assert_eq!(run(&world, &[]).stdout.trim(), expected);
        let secret = github_token();
        let told = run(&world, &[&format!("the token is {secret}")]).stdout;
        assert!(told.starts_with("1008 secret_in_request: rule "), "{told}");
        let records = world.into_records();
        let modes: Vec<_> = records.requests().iter().map(|record| (record.mode(), record.verdict())).collect();
        assert_eq!(modes, [("websocket", "allowed"), ("websocket", "denied")]);
    }
}

#[test]
fn python_websockets_speaks_through_it() {
    assert_works(|world, first| run_python(world, WEBSOCKETS, first), "1000 ['permessage-deflate']", "1000 []");
}

/// `ws://` through a proxy is a CONNECT to port 80.
#[test]
fn plain_websockets_of_clients_that_tunnel_them_are_opened_and_looked_into() {
    type Run<'a> = &'a dyn Fn(&World, &[&str]) -> Done;
    let plain = |script: &str| script.replace("wss://", "ws://").replace(", ssl=context", "");
    let [python, ws, undici] = [WEBSOCKETS, WS, UNDICI].map(plain);
    let by: [Run<'_>; 3] = [
        &|world, first| run_python(world, &python, first),
        &|world, first| run_node(world, &ws, first),
        &|world, first| run_node(world, &undici, first),
    ];
    for run in by {
        let origin = Origin::plain().websocket_echo("");
        let world = world(&origin);
        assert!(run(&world, &[]).stdout.starts_with("1000 "));
        let told = run(&world, &[&github_token()]).stdout;
        assert!(told.starts_with("1008 secret_in_request: rule "), "{told}");
        let records = world.into_records();
        let modes: Vec<_> = records.requests().iter().map(|record| (record.mode(), record.verdict())).collect();
        assert_eq!(modes, [("websocket", "allowed"), ("websocket", "denied")]);
    }
}

#[test]
fn aiohttp_speaks_through_it() {
    assert_works(|world, first| run_python(world, AIOHTTP, first), "1000 15", "1000 0");
}

#[test]
fn nodes_ws_speaks_through_it() {
    assert_works(|world, first| run_node(world, WS, first), "1000 done permessage-deflate", "1000 done");
}

#[test]
fn nodes_own_websocket_speaks_through_it() {
    assert_works(|world, first| run_node(world, UNDICI, first), "1000 done permessage-deflate", "1000 done");
}

/// A server of its own on a port that it prints.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PYTHON_SERVER: &str = r#"
import asyncio, sys, websockets
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    compression = sys.argv[1] if sys.argv[1] != 'none' else None
    async with websockets.serve(echo, '127.0.0.1', 0, compression=compression, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"#;

#[test]
fn a_python_server_answers_through_it_with_compression_and_without() {
    for compression in ["deflate", "none"] {
        let mut child = Command::new(python())
            .args(["-c", PYTHON_SERVER, compression])
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/run.sh installs what the tests need");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let _server = Server(child);
        let world = World::start(Setup::new().connect("**.exeat.test", &format!("127.0.0.1:{}", port.trim())));
        let (mut wire, response) = ask(&world.agent(), DEFLATE);
        let agreed = response.field("sec-websocket-extensions").is_some();
        assert_eq!((response.status, agreed), (101, compression == "deflate"));
        for size in [0, 1, 126, 70_000] {
            crate::support::agent::push(&mut wire, &client(FIN | BINARY, &vec![b'x'; size]));
            let (first, payload) = wire.message().unwrap();
            assert_eq!((first & RSV1 != 0, first & 15), (agreed, BINARY));
            // A thousand of one byte are a few bytes.
            assert!(if agreed { payload.len() < 100 } else { payload.len() == size }, "{}", payload.len());
        }
    }
}

#[test]
fn tungstenite_speaks_through_it_on_both_ends() {
    let origin = Origin::tls().raw(|peer| {
        let mut socket = tungstenite::accept(peer).map_err(|error| Fault::Malformed(error.to_string()))?;
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                socket.send(message).map_err(|error| Fault::Malformed(error.to_string()))?;
            }
        }
        Ok(())
    });
    let world = world(&origin);
    let stream = world.agent().https(HOST);
    let request = "wss://ws.exeat.test/chat".into_client_request().unwrap();
    let (mut socket, response) = tungstenite::client(request, stream).unwrap();
    assert_eq!(response.status(), 101);
    for message in [Message::text("hello"), Message::binary(vec![7; 200_000]), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping("alive".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("alive".into()));
    socket.close(None).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
}
