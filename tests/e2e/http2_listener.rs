//! HTTP/2 to the gateway itself, on its TLS listener: each stream a request or a tunnel that shows who asks.

use crate::http2::tiny;
use crate::support::agent::basic;
use crate::support::http2::{Heard, hear, send};
use crate::support::nameserver::Answer;
use crate::support::*;
use bytes::Bytes;
use exeat::wire::Multiplexed;
use http::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

const HOST: &str = "over.exeat.test";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin(HOST, origin).session("other", "agent").listen("tls: {address: \"127.0.0.1:0\"}"))
}

fn credentials(world: &World, session: &str) -> String {
    basic(session, world.token(session))
}

fn get(agent: &Http2Agent, uri: &str, credentials: Option<&str>) -> Heard {
    let request =
        credentials.iter().fold(Request::get(uri), |request, value| request.header("proxy-authorization", *value));
    agent.send(request.body(()).unwrap(), b"", None).unwrap()
}

#[test]
fn each_request_shows_who_asks() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = Http2Agent::to_gateway(&world);
    let (dev, other) = (credentials(&world, "dev"), credentials(&world, "other"));
    let uri = "http://over.exeat.test/a?b";
    assert_eq!(get(&agent, uri, Some(&dev)).text(), "GET /a?b\n");
    assert_eq!(get(&agent, uri, Some(&other)).status, 200);
    let stranger = get(&agent, uri, None);
    assert_eq!((stranger.status, stranger.reason()), (407, "proxy_auth_required".to_owned()));
    assert!(stranger.fields.contains_key("proxy-authenticate"));
    assert_eq!(get(&agent, "https://over.exeat.test/", Some(&dev)).status, 400);
    assert_eq!(get(&agent, "http://evil.test/", Some(&dev)).reason(), "dest_not_listed");
    drop(agent);
    assert_eq!(origin.requests().len(), 2);
    assert!(origin.requests().iter().all(|request| request.field("proxy-authorization").is_none()));
    let records = world.into_records();
    let sessions: Vec<_> = records.iter().filter(|r| r.verdict() == "allowed").map(|r| r.text("/session/id")).collect();
    assert_eq!(sessions, [Some("dev"), Some("other")]);
    assert!(records.iter().all(|record| record.text("/downstream/way") == Some("tls")), "{records:#?}");
}

#[test]
fn tiny_messages_wait_for_a_name_to_be_looked_up() {
    let sent = Arc::new(AtomicBool::new(false));
    let all_sent = sent.clone();
    let nameserver = Nameserver::start(move |_| {
        let until = Instant::now() + Duration::from_secs(4);
        while !all_sent.load(Ordering::Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        Answer::of(&["127.0.0.1"])
    });
    let origin = Origin::plain().echo();
    let port = origin.address.port();
    let policy = format!("allow: [{{host: slow.exeat.test, ports: [{port}], addresses: [\"127.0.0.0/8\"]}}]");
    let setup = Setup::under(&policy).nameserver(&nameserver).listen("tls: {address: \"127.0.0.1:0\"}");
    let world = World::start(setup);
    let agent = Http2Agent::to_gateway(&world);
    let request = Request::post(format!("http://slow.exeat.test:{port}/"));
    let request = request.header("proxy-authorization", credentials(&world, "dev")).body(()).unwrap();
    let heard = agent.run(async {
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        let upload = async {
            tiny(&mut out, 30_000).await?;
            out.send_data(Bytes::new(), true)?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            sent.store(true, Ordering::Relaxed);
            Ok(())
        };
        tokio::try_join!(upload, hear(answer)).unwrap().1
    });
    assert_eq!(heard.status, 200, "{}", heard.text());
    assert_eq!(origin.only_request().body.len(), 30_000 * 6);
}

/// A tunnel in a stream.
async fn tunnel(agent: &Http2Agent, authority: &str, credentials: &str) -> Result<Multiplexed, u16> {
    let request = Request::connect(authority).header("proxy-authorization", credentials).body(()).unwrap();
    let (answer, out) = agent.sender.clone().send_request(request, false).unwrap();
    let answer = answer.await.unwrap();
    if answer.status() == 200 { Ok(Multiplexed::new(answer.into_body(), out)) } else { Err(answer.status().as_u16()) }
}

#[test]
fn a_stream_becomes_a_tunnel_that_is_opened_like_any() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let agent = Http2Agent::to_gateway(&world);
    let dev = credentials(&world, "dev");
    let hello = Hello::to(&world, HOST);
    agent.run(async {
        assert_eq!(tunnel(&agent, "evil.test:443", &dev).await.err(), Some(403));
        assert_eq!(tunnel(&agent, "over.exeat.test:443", "Basic bm9ib2R5Og==").await.err(), Some(407));
        let stream = tunnel(&agent, "over.exeat.test:443", &dev).await.unwrap();
        let connector = TlsConnector::from(hello.config());
        let mut tls = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
        tls.write_all(b"GET /inside HTTP/1.1\r\nHost: over.exeat.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let _ = tls.read_to_string(&mut text).await;
        assert!(text.contains("GET /inside"), "{text}");
    });
    drop(agent);
    let records = world.into_records();
    let inside = records.requests().into_iter().find(|record| record.text("/target/path") == Some("/inside")).unwrap();
    assert!(records.tunnels().iter().any(|tunnel| Some(tunnel.flow()) == inside.text("/parent")), "{records:#?}");
    records.only("denied", "dest_not_listed");
}

#[test]
fn a_tunnel_in_a_stream_is_relayed_both_ways_and_ends_with_its_session() {
    let origin = Origin::plain().raw(|peer| {
        let mut bytes = [0; 5];
        while std::io::Read::read_exact(peer, &mut bytes).is_ok() {
            std::io::Write::write_all(peer, &bytes)?;
            std::io::Write::flush(peer)?;
        }
        Ok(())
    });
    let rule = r#"host: "over.exeat.test", tls: tunnel, protocols: [any]"#;
    let setup = Setup::allowing(&[rule]).origin(HOST, &origin).listen("tls: {address: \"127.0.0.1:0\"}");
    let world = World::start(setup);
    let minted = world.session("agent", "1h");
    let agent = Http2Agent::to_gateway(&world);
    let credentials = basic(&minted.id, &minted.token);
    agent.run(async {
        let mut stream = tunnel(&agent, "over.exeat.test:443", &credentials).await.unwrap();
        for _ in 0..3 {
            stream.write_all(b"hello").await.unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"hello");
        }
        assert_eq!(world.control("DELETE", &format!("/v1/sessions/{}", minted.id), "").status, 204);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        // Another session's requests go on beside it.
        let request = Request::get("http://over.exeat.test/").body(()).unwrap();
        let (answer, mut out) = agent.sender.clone().send_request(request, false).unwrap();
        let _ = send(&mut out, Bytes::new()).await;
        assert_eq!(answer.await.unwrap().status(), 407);
    });
    drop(agent);
    let records = world.into_records();
    records.only("denied", "session_ended");
}
