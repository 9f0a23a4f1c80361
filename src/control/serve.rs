//! Connections of the control listener.

use super::callers::{Caller, Callers};
use crate::wire::Descriptors;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// No more are held, so that nobody takes the data path's descriptors through this door. For one more the one goes that
/// has waited longest for a request: whoever says nothing keeps no operator out.
const CONNECTIONS_MAX: usize = 256;
/// A head arrives, or an idle connection is used again, within this time.
const HEAD_IN: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 16 << 10;
/// No connection lives longer, however slowly its peer reads.
const LIFE_MAX: Duration = Duration::from_secs(900);
/// What is being answered may still be finished.
const GRACE: Duration = Duration::from_secs(5);
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves the routes until `shutdown`, then finishes what is being answered, for 5 s at most.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let descriptors = Descriptors::of_process();
    let most = CONNECTIONS_MAX.min(descriptors.for_operators());
    let (tracker, mut callers) = (TaskTracker::new(), Callers::default());
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let has_room = callers.count() < most && descriptors.may_serve(&stream);
                if has_room || callers.make_room().await {
                    let caller = callers.next();
                    let serving = connection(stream, peer, caller.clone(), router.clone(), shutdown.clone());
                    callers.serve(caller, tracker.spawn(serving));
                }
            }
            // Out of descriptors, or the peer left: neither is a reason to stop (T38).
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the control listener accepts nothing");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, caller: Caller, router: Router, shutdown: CancellationToken) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let begun = caller.begin().map(|at_work| (at_work, routes.call(request)));
        async move {
            let (at_work, answer) = begun?;
            let Ok(answer) = answer.await;
            let until_sent = move |body: Body| {
                Body::new(body.map_frame(move |frame| {
                    let _ = &at_work;
                    frame
                }))
            };
            io::Result::Ok(answer.map(until_sent))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_IN).max_buf_size(HEAD_MAX).max_headers(64);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = async { tokio::select! { () = shutdown.cancelled() => {} () = sleep(LIFE_MAX) => {} } } => {
            serving.as_mut().graceful_shutdown();
            timeout(GRACE, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a control connection ended badly");
    }
}
