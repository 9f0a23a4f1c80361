//! Streams of one connection beside some that do not move: none waits for another.

use super::http2::{HOST, world};
use crate::support::http2::{hear, send};
use crate::support::*;
use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use tokio::sync::watch;

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
