//! HTTP/2: streams inside an opened tunnel, origins that speak it, and every pairing with HTTP/1.1.

use crate::support;
use crate::support::http2::{Heard, hear, send};
use crate::support::secrets::github_token;
use crate::support::*;
use bytes::Bytes;
use exeat::wire::Multiplexed;
use h2::SendStream;
use http::{HeaderMap, HeaderValue, Request};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const HOST: &str = "h2.exeat.test";

pub fn world(origin: &Http2Origin) -> World {
    World::start(Setup::new().connect(HOST, &origin.address.to_string()))
}

pub fn echo() -> Http2Origin {
    Http2Origin::answering(|got| Said::ok(format!("{} {}\n{}", got.method, got.uri, got.body.len())))
}

#[test]
fn a_stream_reaches_an_http2_origin_as_a_stream() {
    let origin = echo();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    assert_eq!(agent.get("/a?b=c").text(), "GET https://h2.exeat.test/a?b=c\n0");
    assert_eq!(agent.post("/up", b"body").text(), "POST https://h2.exeat.test/up\n4");
    drop(agent);
    let records = world.into_records();
    let (tunnel, requests) = (records.tunnels()[0], records.requests());
    assert_eq!(requests.len(), 2, "{records:#?}");
    for request in requests {
        assert_eq!((request.verdict(), request.mode(), request.number("/status")), ("allowed", "intercept", Some(200)));
        assert_eq!(request.text("/parent"), Some(tunnel.flow()));
        assert_eq!(request.text("/upstream/tls/alpn"), Some("h2"));
    }
}

#[test]
fn an_agent_is_offered_what_the_origin_speaks() {
    let old = Origin::tls().echo();
    let new = echo();
    let world =
        World::start(Setup::new().origin("old.exeat.test", &old).connect("new.exeat.test", &new.address.to_string()));
    for (host, protocol) in [("old.exeat.test", b"http/1.1".as_slice()), ("new.exeat.test", b"h2")] {
        for _ in 0..2 {
            let mut hello = Hello::to(&world, host);
            hello.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let tls = world.agent().https_with(&format!("{host}:443"), &hello);
            assert_eq!(tls.stream.conn.alpn_protocol(), Some(protocol), "{host}");
        }
    }
}

#[test]
fn an_http1_agent_reaches_an_origin_that_speaks_http2_only() {
    let origin = Http2Origin::offering(&["h2"], |got| Said::ok(got.body.clone()));
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.post(HOST, "/", b"over").text(), "over");
    assert_eq!(tls.get(HOST, "/again").status, 200);
    let chunked = tls.ask("POST", HOST, "/", "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(chunked.text(), "abc");
    assert_eq!(origin.got().iter().filter(|got| got.connection == 0).count(), 0, "the first was refused");
    assert_eq!(origin.got()[0].uri, "https://h2.exeat.test/");
}

#[test]
fn interim_answers_and_trailers_pass_both_ways() {
    let origin = Http2Origin::answering(|got| Said {
        interim: vec![103],
        trailers: got.trailers.clone(),
        ..Said::ok("with trailers")
    });
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let request = agent.request("POST", "/").header("te", "trailers").body(()).unwrap();
    let body = Bytes::from_static(b"body");
    let (interim, heard) = agent.run(async {
        let (mut answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        send(&mut out, body).await.unwrap();
        out.send_trailers(trailers.clone()).unwrap();
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        (interim, hear(answer).await.unwrap())
    });
    assert_eq!(interim.unwrap().unwrap().status(), 103);
    assert_eq!(heard.text(), "with trailers");
    assert_eq!(heard.trailers, Some(trailers.clone()));
    let got = origin.only();
    assert_eq!(
        (got.trailers, got.fields.get("te").map(HeaderValue::as_bytes)),
        (Some(trailers), Some(&b"trailers"[..]))
    );
}

#[test]
fn both_directions_of_a_stream_flow_at_once() {
    let origin = Http2Origin::echoing();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let request = agent.request("POST", "/").body(()).unwrap();
    agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        // Larger than what is held of a body that may be small.
        let line = Bytes::from("a line of text\n".repeat(600));
        send(&mut out, line.clone()).await.unwrap();
        let mut body = answer.await.unwrap().into_body();
        let (mut sent, mut back) = (line.len(), 0);
        for _ in 0..5 {
            // The scanner may hold the last few bytes.
            while back + 64 < sent {
                let data = body.data().await.unwrap().unwrap();
                back += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            send(&mut out, line.clone()).await.unwrap();
            sent += line.len();
        }
        out.send_data(Bytes::new(), true).unwrap();
        while let Some(data) = body.data().await {
            back += data.unwrap().len();
        }
        assert_eq!(back, sent);
    });
}

#[test]
fn megabytes_pass_both_ways_within_the_windows() {
    let origin = Http2Origin::answering(|got| Said::ok(got.body.clone()));
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let line: Vec<u8> = (0..=255u8).map(|byte| if byte.is_ascii_graphic() { byte } else { b'\n' }).collect();
    let body: Vec<u8> = line.iter().copied().cycle().take(5 << 20).collect();
    let heard = agent.post("/", &body);
    assert!(heard.body == body, "{} bytes of {} came back", heard.body.len(), body.len());
}

/// Sends so many messages of six bytes, some thousands at a time: what takes them may have little of the processor.
pub async fn tiny(out: &mut SendStream<Bytes>, count: usize) -> Result<(), h2::Error> {
    for number in 0..count {
        send(out, Bytes::from(format!("{number:05}\n"))).await?;
        if number % 5000 == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

#[test]
fn tens_of_thousands_of_tiny_messages_at_once_pass_both_ways() {
    let origin = Http2Origin::echoing();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let request = agent.request("POST", "/").body(()).unwrap();
    let heard = agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        let upload = async {
            tiny(&mut out, 30_000).await?;
            out.send_data(Bytes::new(), true)
        };
        tokio::try_join!(upload, hear(answer)).unwrap().1
    });
    let expected: String = (0..30_000).map(|number| format!("{number:05}\n")).collect();
    assert!(heard.body == expected.as_bytes(), "{} bytes came back", heard.body.len());
}

#[test]
fn tiny_messages_wait_for_an_origin_that_does_not_read() {
    let origin = Http2Origin::raw(|(request, mut respond)| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let (mut body, mut got) = (request.into_body(), 0);
            while let Some(Ok(data)) = body.data().await {
                got += data.len();
                let _ = body.flow_control().release_capacity(data.len());
            }
            let mut out = respond.send_response(http::Response::new(()), false).unwrap();
            let _ = out.send_data(Bytes::from(got.to_string()), true);
        })
    });
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let request = agent.request("POST", "/").body(()).unwrap();
    let heard = agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        let upload = async {
            tiny(&mut out, 30_000).await?;
            out.send_data(Bytes::new(), true)
        };
        tokio::try_join!(upload, hear(answer)).unwrap().1
    });
    assert_eq!(heard.text(), (30_000 * 6).to_string());
}

#[test]
fn tiny_pieces_of_an_answer_wait_for_a_client_that_does_not_read() {
    let origin = Http2Origin::raw(|(_, mut respond)| {
        Box::pin(async move {
            let mut out = respond.send_response(http::Response::new(()), false).unwrap();
            let _ = tiny(&mut out, 60_000).await;
            let _ = out.send_data(Bytes::new(), true);
        })
    });
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let request = agent.request("GET", "/").body(()).unwrap();
    let heard = agent.run(async {
        let (answer, _) = agent.sender.clone().send_request(request, true).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        hear(answer).await.unwrap()
    });
    let expected: String = (0..60_000).map(|number| format!("{number:05}\n")).collect();
    assert!(heard.body == expected.as_bytes(), "{} bytes came", heard.body.len());
}

#[test]
fn many_streams_share_one_connection_of_their_session_and_no_other_session_s() {
    let origin = echo();
    let world = World::start(Setup::new().session("other", "agent").connect(HOST, &origin.address.to_string()));
    let agent = Http2Agent::to(&world, HOST);
    agent.run(async {
        let asked = (0..40).map(|number| {
            let request = agent.request("GET", &format!("/{number}")).body(()).unwrap();
            let (answer, _) = agent.sender.clone().send_request(request, true).unwrap();
            hear(answer)
        });
        for heard in futures_util::future::join_all(asked).await {
            assert_eq!(heard.unwrap().status, 200);
        }
    });
    let other = Http2Agent::with(&world.agent_of("other"), HOST, &{
        let mut hello = Hello::to(&world, HOST);
        hello.alpn = vec![b"h2".to_vec()];
        hello
    });
    assert_eq!(other.get("/other").status, 200);
    let got = origin.got();
    let of_first: Vec<usize> = got.iter().filter(|got| !got.uri.ends_with("other")).map(|got| got.connection).collect();
    assert_eq!(of_first.len(), 40);
    assert!(of_first.iter().all(|number| *number == of_first[0]), "{of_first:?}");
    assert!(got.iter().any(|got| got.uri.ends_with("other") && got.connection != of_first[0]));
}

#[test]
fn a_refused_stream_ends_alone() {
    let origin = echo();
    let setup = Setup::allowing(&[r#"host: "h2.exeat.test", paths: ["/open/**"]"#]);
    let world = World::start(setup.connect(HOST, &origin.address.to_string()));
    let agent = Http2Agent::to(&world, HOST);
    let refused = agent.get("/closed");
    assert_eq!((refused.status, refused.reason()), (403, "request_not_listed".to_owned()));
    assert!(refused.fields["proxy-status"].to_str().unwrap().contains("request_not_listed"));
    assert_eq!(agent.get("/open/x").status, 200);
    drop(agent);
    let records = world.into_records();
    records.only("denied", "request_not_listed");
    assert_eq!(origin.only().uri, "https://h2.exeat.test/open/x");
}

#[test]
fn a_secret_is_stopped_wherever_in_a_stream_it_is() {
    let origin = echo();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let secret = github_token();
    let trailers: HeaderMap =
        [("x-note".parse().unwrap(), HeaderValue::from_str(&secret).unwrap())].into_iter().collect();
    let refused = |request: Request<()>, body: &[u8], trailers| {
        let heard = agent.send(request, body, trailers).unwrap();
        assert_eq!((heard.status, heard.reason()), (403, "secret_in_request".to_owned()));
    };
    refused(agent.request("GET", &format!("/{secret}")).body(()).unwrap(), b"", None);
    refused(agent.request("GET", &format!("/?q={secret}")).body(()).unwrap(), b"", None);
    refused(agent.request("GET", "/").header("x-note", &secret).body(()).unwrap(), b"", None);
    refused(agent.request("POST", "/").body(()).unwrap(), secret.as_bytes(), None);
    refused(agent.request("POST", "/").body(()).unwrap(), b"nothing here", Some(trailers));
    assert!(origin.got().is_empty());
}

#[test]
fn a_secret_late_in_a_body_cuts_the_stream_before_the_origin_has_it() {
    let origin = Http2Origin::echoing();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let secret = github_token();
    let request = agent.request("POST", "/").body(()).unwrap();
    let back = agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        send(&mut out, Bytes::from(vec![b'\n'; 200_000])).await.unwrap();
        let mut body = answer.await.unwrap().into_body();
        let _ = send(&mut out, Bytes::from(format!("key {secret} end\n{}", "\n".repeat(64)))).await;
        let mut back = Vec::new();
        loop {
            match body.data().await {
                Some(Ok(data)) => {
                    let _ = body.flow_control().release_capacity(data.len());
                    back.extend_from_slice(&data);
                }
                Some(Err(error)) => break Err((error, back)),
                None => break Ok(back),
            }
        }
    });
    let (_, back) = back.expect_err("the answer does not look whole");
    assert!(!String::from_utf8_lossy(&back).contains(&secret[..10]));
    assert_eq!(agent.get("/").status, 200, "the connection lives on");
    drop(agent);
    world.into_records().only("denied", "secret_in_request");
}

#[test]
fn a_stream_is_for_its_tunnel_s_authority() {
    let origin = echo();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let status = |request: Request<()>| agent.send(request, b"", None).unwrap().status;
    assert_eq!(status(Request::get("https://other.exeat.test/").body(()).unwrap()), 421);
    assert_eq!(status(Request::get("https://h2.exeat.test:444/").body(()).unwrap()), 421);
    assert_eq!(status(Request::get("http://h2.exeat.test/").body(()).unwrap()), 421);
    assert_eq!(status(agent.request("GET", "/").header("host", "other.exeat.test").body(()).unwrap()), 421);
    assert_eq!(status(agent.request("GET", "/").header("host", HOST).body(()).unwrap()), 200);
    assert_eq!(origin.got().len(), 1);
}

#[test]
fn a_revoked_session_s_streams_end() {
    let origin = Http2Origin::echoing();
    let world = world(&origin);
    let minted = world.session("agent", "1h");
    let mut hello = Hello::to(&world, HOST);
    hello.alpn = vec![b"h2".to_vec()];
    let agent = Http2Agent::with(&world.agent_as(&minted), HOST, &hello);
    let request = agent.request("POST", "/").body(()).unwrap();
    let ended = agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        send(&mut out, Bytes::from(vec![b'\n'; 8192])).await.unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(world.control("DELETE", &format!("/v1/sessions/{}", minted.id), "").status, 204);
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => drop(body.flow_control().release_capacity(data.len())),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    assert!(ended.is_err(), "the stream looks whole");
    drop(agent);
    let records = world.into_records();
    assert!(records.requests().iter().any(|record| record.reason() == "session_ended"), "{records:#?}");
}

/// A world whose origin speaks HTTP/2 first, and WebSocket over HTTP/1.1 ever after: what many origins are.
fn with_websocket(echo_as: &'static str) -> (World, Http2Agent, Origin, Http2Origin) {
    let (new, old) = (echo(), Origin::tls().websocket_echo(echo_as));
    let world = World::start(Setup::new().connect(HOST, &changing(new.address, old.address).to_string()));
    let agent = Http2Agent::to(&world, HOST);
    assert_eq!(agent.get("/").status, 200);
    (world, agent, old, new)
}

/// A WebSocket in a stream (RFC 8441), with these fields.
pub async fn websocket(agent: &Http2Agent, fields: &[(&str, &str)]) -> Result<(Multiplexed, HeaderMap), Heard> {
    let request =
        Request::connect(format!("https://{HOST}/chat")).extension(h2::ext::Protocol::from_static("websocket"));
    let fields = [("sec-websocket-version", "13")].into_iter().chain(fields.iter().copied());
    let request = fields.fold(request, |request, (name, value)| request.header(name, value));
    let mut sender = agent.sender.clone().ready().await.unwrap();
    assert!(sender.is_extended_connect_protocol_enabled());
    let (answer, out) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    let (parts, body) = answer.await.unwrap().into_parts();
    match parts.status.as_u16() {
        200 => Ok((Multiplexed::new(body, out), parts.headers)),
        status => Err(Heard { status, fields: parts.headers, body: Vec::new(), trailers: None }),
    }
}

#[test]
fn a_websocket_in_a_stream_reaches_an_origin_on_http1() {
    let (world, agent, old, _new) = with_websocket("Sec-WebSocket-Protocol: chat\r\n");
    agent.run(async {
        let (mut stream, fields) = websocket(&agent, &[("sec-websocket-protocol", "chat, other")]).await.unwrap();
        assert_eq!(fields["sec-websocket-protocol"], "chat");
        assert!(!fields.contains_key("sec-websocket-accept") && !fields.contains_key("upgrade"), "{fields:?}");
        for text in ["hello", "again"] {
            stream.write_all(&support::websocket::client(0x81, text.as_bytes())).await.unwrap();
            let mut back = [0; 7];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back[..], support::websocket::server(0x81, text.as_bytes()));
        }
        stream.write_all(&support::websocket::client(0x88, &1000u16.to_be_bytes())).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest[2..], support::websocket::close(1000, ""));
        assert_eq!(agent.sender.clone().ready().await.map(drop).err().map(|error| error.to_string()), None);
    });
    let asked = old.requests();
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("GET", "/chat"));
    assert_eq!(asked[0].field("sec-websocket-key").map(str::len), Some(24));
    drop(agent);
    let records = world.into_records();
    let record = records.iter().find(|record| record.mode() == "websocket").unwrap();
    assert_eq!((record.verdict(), record.text("/target/path")), ("allowed", Some("/chat")));
}

#[test]
fn a_secret_in_a_websocket_in_a_stream_closes_it() {
    let (world, agent, old, _new) = with_websocket("");
    let secret = github_token();
    agent.run(async {
        let (mut stream, _) = websocket(&agent, &[]).await.unwrap();
        stream.write_all(&support::websocket::client(0x81, format!("key {secret}").as_bytes())).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!((rest[0], u16::from_be_bytes([rest[2], rest[3]])), (0x88, 1008), "{rest:?}");
    });
    assert!(!String::from_utf8_lossy(&old.bytes()).contains(&secret[4..]));
    assert_eq!(agent.get("/").status, 200, "the connection lives on");
    drop(agent);
    world.into_records().only("denied", "secret_in_request");
}

#[test]
fn alt_svc_is_taken_out_of_a_stream_s_answer() {
    let origin = Http2Origin::answering(|_| Said { fields: vec![("alt-svc", "h3=\":443\"".into())], ..Said::ok("x") });
    let world = world(&origin);
    let heard = Http2Agent::to(&world, HOST).get("/");
    assert!(heard.status == 200 && !heard.fields.contains_key("alt-svc"), "{heard:?}");
}

#[test]
fn nothing_but_websocket_is_asked_for_in_an_extended_connect() {
    let (_world, agent, _old, _new) = with_websocket("");
    agent.run(async {
        for protocol in ["connect-udp", "connect-ip", "webtransport", "WebSocket"] {
            let request = Request::connect(format!("https://{HOST}/")).extension(h2::ext::Protocol::from(protocol));
            let (answer, _out) = agent.sender.clone().send_request(request.body(()).unwrap(), false).unwrap();
            assert_eq!(hear(answer).await.unwrap().reason(), "upgrade_not_allowed", "{protocol}");
        }
        let heard = websocket(&agent, &[("sec-websocket-version", "12")]).await.err().unwrap();
        assert_eq!(heard.status, 400);
    });
}

/// Passes the first connection on to one address, and all others to another.
fn changing(first: std::net::SocketAddr, then: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let targets = std::iter::once(first).chain(std::iter::repeat(then));
        for (stream, target) in listener.incoming().map_while(Result::ok).zip(targets) {
            let Ok(to) = TcpStream::connect(target) else { return };
            for (mut from, mut to) in [(stream.try_clone().unwrap(), to.try_clone().unwrap()), (to, stream)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    address
}

/// Streams are promised, and then the origin turns out to speak HTTP/1.1: the downgrade that smuggling lives on.
pub fn downgraded<T>(old: &Origin, open: impl Fn(&World) -> T) -> (World, Http2Agent, T) {
    let new = echo();
    let world = World::start(Setup::new().connect(HOST, &changing(new.address, old.address).to_string()));
    let agent = Http2Agent::to(&world, HOST);
    let opened = open(&world);
    drop(new);
    // A request without a body finds the old connection closed, and goes out on a new one.
    assert_eq!(agent.get("/first").status, 200);
    (world, agent, opened)
}

#[test]
fn a_stream_becomes_one_http1_request_with_one_framing() {
    let old = Origin::tls().http(|request| {
        Reply::ok(request.text())
            .chunked(3)
            .trailer("x-sum", "42")
            .with("Connection", "keep-alive, x-hop")
            .with("x-hop", "1")
    });
    let (_world, agent, ()) = downgraded(&old, |_| ());
    let crumbs = agent.request("POST", "/").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-up", HeaderValue::from_static("7"));
    let heard = agent.send(crumbs.body(()).unwrap(), b"in pieces", Some(trailers)).unwrap();
    assert_eq!((heard.status, heard.text().as_str()), (200, "in pieces"));
    assert_eq!(heard.trailers.unwrap()["x-sum"], "42");
    assert!(!heard.fields.contains_key("x-hop") && !heard.fields.contains_key("connection"));
    let sized = agent.request("POST", "/").header("content-length", "5").body(()).unwrap();
    assert_eq!(agent.send(sized, b"sized", None).unwrap().text(), "sized");
    let requests = old.requests();
    let (chunked, sized) = (&requests[1], &requests[2]);
    assert_eq!(chunked.field("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.field("cookie"), Some("a=1; b=2"));
    assert_eq!(chunked.field("host"), Some(HOST));
    assert_eq!(chunked.trailers, [("x-up".to_owned(), "7".to_owned())]);
    assert_eq!((sized.field("content-length"), sized.field("transfer-encoding")), (Some("5"), None));
    old.assert_one_reading();
}

#[test]
fn a_header_list_beyond_the_limit_is_refused() {
    let origin = echo();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let mut large = agent.request("GET", "/");
    for number in 0..70 {
        large = large.header(format!("x-{number}"), "a".repeat(1000));
    }
    let heard = agent.send(large.body(()).unwrap(), b"", None).unwrap();
    assert_eq!(heard.status, 431);
    let mut many = agent.request("GET", "/");
    for number in 0..300 {
        many = many.header(format!("x-{number}"), "a");
    }
    assert_eq!(agent.send(many.body(()).unwrap(), b"", None).unwrap().reason(), "head_too_large");
    assert!(origin.got().is_empty());
}

#[test]
fn a_connect_inside_a_stream_is_refused() {
    let origin = echo();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let request = Request::connect("h2.exeat.test:443").body(()).unwrap();
    assert_eq!(agent.send(request, b"", None).unwrap().status, 405);
}
