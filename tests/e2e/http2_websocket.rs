//! WebSockets to origins that speak HTTP/2 only (RFC 8441).

use crate::http2::{HOST, websocket};
use crate::support;
use crate::support::certs::{Identity, server_config};
use crate::support::secrets::github_token;
use crate::support::*;
use bytes::Bytes;
use exeat::wire::Multiplexed;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// An origin that speaks HTTP/2 only and takes WebSockets in streams, or none: echoes their bytes as they are told.
fn websocket_origin(takes: bool, reply: fn(&Request<()>) -> u16) -> (std::net::SocketAddr, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(server_config(Identity::Good, &["h2"]));
    runtime.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(socket).await else { return };
                let mut builder = h2::server::Builder::new();
                if takes {
                    builder.enable_connect_protocol();
                }
                let Ok(mut connection) = builder.handshake::<_, Bytes>(tls).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let (parts, body) = request.into_parts();
                    let status = reply(&Request::from_parts(parts, ()));
                    let answer = http::Response::builder().status(status).body(()).unwrap();
                    let out = respond.send_response(answer, status != 200).unwrap();
                    tokio::spawn(async move {
                        let mut stream = Multiplexed::new(body, out);
                        while let Ok(byte) = stream.read_u8().await {
                            // The gateway masks with keys of its own; a server's frames have none.
                            let length = usize::from(stream.read_u8().await.unwrap() & 0x7f);
                            let mut rest = vec![0; length + 4];
                            stream.read_exact(&mut rest).await.unwrap();
                            let (key, payload) = rest.split_at(4);
                            let plain: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
                            stream.write_all(&support::websocket::server(byte, &plain)).await.unwrap();
                        }
                    });
                }
            });
        }
    });
    (address, runtime)
}

#[test]
fn a_websocket_reaches_an_origin_that_speaks_http2_only_as_a_stream() {
    let (address, _runtime) = websocket_origin(true, |request| {
        let protocol = request.extensions().get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().to_owned());
        let key = request.headers().contains_key("sec-websocket-key");
        let fits = request.method() == "CONNECT" && request.uri().path() == "/chat" && !key;
        if fits && protocol.as_deref() == Some("websocket") { 200 } else { 404 }
    });
    let world = World::start(Setup::new().connect("**", &address.to_string()));
    let secret = github_token();
    // From HTTP/1.1 and from a stream of HTTP/2.
    let mut tls = world.agent().https(HOST);
    let asking = support::websocket::asking("");
    agent::push(&mut tls, format!("GET /chat HTTP/1.1\r\nHost: {HOST}\r\n{asking}\r\n").as_bytes());
    let answer = tls.response_to("GET").unwrap();
    assert_eq!((answer.status, answer.field("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    agent::push(&mut tls, &support::websocket::client(0x81, b"hello"));
    assert_eq!(tls.exact(7).unwrap(), support::websocket::server(0x81, b"hello"));
    agent::push(&mut tls, &support::websocket::client(0x81, secret.as_bytes()));
    assert_eq!(tls.exact(1).unwrap(), [0x88]);
    let agent = Http2Agent::to(&world, HOST);
    // The gateway's settings have come with this.
    assert_eq!(agent.get("/").status, 404);
    agent.run(async {
        let (mut stream, _) = websocket(&agent, &[]).await.unwrap();
        stream.write_all(&support::websocket::client(0x82, b"again")).await.unwrap();
        let mut back = [0; 7];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back[..], support::websocket::server(0x82, b"again"));
    });
    drop((agent, tls));
    let records = world.into_records();
    let sockets: Vec<_> = records.iter().filter(|record| record.mode() == "websocket").collect();
    assert_eq!(sockets.len(), 2, "{records:#?}");
    assert!(sockets.iter().any(|record| record.reason() == "secret_in_request"), "{records:#?}");
    assert_eq!(sockets[0].text("/upstream/tls/alpn"), Some("h2"));
}

#[test]
fn an_origin_of_http2_only_that_takes_no_websocket_is_told_as_such() {
    for (takes, status) in [(false, 502), (true, 404)] {
        let (address, _runtime) = websocket_origin(takes, |_| 404);
        let world = World::start(Setup::new().connect("**", &address.to_string()));
        let mut tls = world.agent().https(HOST);
        let asking = support::websocket::asking("");
        agent::push(&mut tls, format!("GET /chat HTTP/1.1\r\nHost: {HOST}\r\n{asking}\r\n").as_bytes());
        assert_eq!(tls.response_to("GET").unwrap().status, status, "takes: {takes}");
    }
}
