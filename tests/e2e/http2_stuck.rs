//! Streams of one connection beside some that do not move: none waits for another.

use super::http2::{HOST, world};
use crate::support::agent::basic;
use crate::support::http2::{hear, send};
use crate::support::*;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// An origin that answers what is asked for under `/held` once it may.
fn holding() -> (Http2Origin, watch::Sender<bool>) {
    let (release, may) = watch::channel(false);
    let origin = Http2Origin::raw(move |(request, mut respond)| {
        let mut may = may.clone();
        Box::pin(async move {
            if request.uri().path().starts_with("/held") && may.wait_for(|may| *may).await.is_err() {
                return;
            }
            let Ok(mut out) = respond.send_response(Response::new(()), false) else { return };
            let _ = send(&mut out, Bytes::from_static(b"ok")).await;
            let _ = out.send_data(Bytes::new(), true);
        })
    });
    (origin, release)
}

/// A lane that serves a stream may not be given another: the second would wait for the first one's end.
#[test]
fn no_stream_waits_for_another_that_is_stuck() {
    let (origin, release) = holding();
    let world = world(&origin);
    let agent = Http2Agent::to(&world, HOST);
    let ask = |path: String| {
        let request = agent.request("GET", &path).body(()).unwrap();
        hear(agent.sender.clone().send_request(request, true).unwrap().0)
    };
    let mut held = Vec::new();
    for round in 0..60 {
        agent.run(async {
            // Some at once, so that there are lanes that wait; then one that stays.
            for many in [round % 12 + 1, round % 5 + 1] {
                let quick = join_all((0..many).map(|number| ask(format!("/quick/{number}")))).await;
                assert!(quick.into_iter().all(|heard| heard.unwrap().status == 200));
            }
            held.push(ask(format!("/held/{round}")));
        });
    }
    release.send_replace(true);
    let heard = agent.run(join_all(held));
    assert!(heard.into_iter().all(|heard| heard.unwrap().text() == "ok"));
}

/// An origin that takes connections and reads nothing, nor has much room for what it is sent.
fn deaf() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).collect::<Vec<_>>());
    address
}

/// Bodies that their origin does not read fill no window that the others share (RFC 9113 §5.2.2).
#[test]
fn no_body_waits_for_others_whose_origin_does_not_read() {
    let listening = Origin::plain().echo();
    let setup = Setup::new().origin("plain.exeat.test", &listening).connect("deaf.exeat.test", &deaf().to_string());
    let world = World::start(setup.listen("tls: {address: \"127.0.0.1:0\"}"));
    let agent = Http2Agent::to_gateway(&world);
    let post = |url: &str| {
        let shown = basic("dev", world.token("dev"));
        Request::post(url).header("proxy-authorization", shown).body(()).unwrap()
    };
    let mut stuck = Vec::new();
    for round in [3, 10, 60] {
        // As much as is taken: the origin's socket takes a little, the stream's window the rest.
        stuck.extend(agent.run(join_all((0..round).map(|_| async {
            let mut sender = agent.sender.clone().ready().await.unwrap();
            let (answer, mut out) = sender.send_request(post("http://deaf.exeat.test/"), false).unwrap();
            let _ = timeout(Duration::from_secs(1), send(&mut out, Bytes::from(vec![b'x'; 2 << 20]))).await;
            (answer, out)
        }))));
        let heard = agent.send(post("http://plain.exeat.test/"), &vec![b'y'; 100_000], None).unwrap();
        assert_eq!(heard.status, 200, "beside {} that are stuck: {}", stuck.len(), heard.text());
    }
}
