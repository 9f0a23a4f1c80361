//! Accepts downstream connections, as many as may be held.

use super::entrance::{Door, Entrance, enter};
use super::{Shared, refusal};
use crate::flow::{Downstream, Process, Recorder, Way};
use crate::reason::Reason;
use crate::wire::Socket;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an unwanted connection is told so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Accepts until the gateway drains. Every connection is a task of `tasks`.
pub async fn listen(shared: Arc<Shared>, entrance: Entrance, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&entrance.door) => accepted,
            () = shared.draining.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                if tasks.len() >= shared.limits().connections {
                    note(&shared, peer);
                    if entrance.speaks.is_http() {
                        tasks.spawn(turn_away(socket));
                    }
                } else {
                    let active = shared.metrics.connection();
                    let serving = enter(shared.clone(), entrance.arrival(socket, peer));
                    tasks.spawn(async move {
                        serving.await;
                        drop(active);
                    });
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Descriptors or memory have run out: connections that end give some back.
                tracing::warn!(%error, "accepting is paused");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(door: &Door) -> io::Result<(Socket, Downstream)> {
    match door {
        Door::Tcp(listener) => {
            let (socket, peer) = listener.accept().await?;
            // For speed only; without it the flow is still right.
            let _ = socket.set_nodelay(true);
            Ok((socket.into(), peer.into()))
        }
        Door::Unix(door) => {
            let (socket, _) = door.listener.accept().await?;
            let peer = socket.peer_cred().ok();
            let process = peer.map(|peer| Process { uid: peer.uid(), pid: peer.pid() });
            let peer = Downstream { address: None, way: Way::Proxy, through: None, original: None, process };
            Ok((socket.into(), peer))
        }
    }
}

/// Errors of the connection that was about to be accepted, not of the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Writes down that a connection was one too many, or counts it where it is one of a flood.
fn note(shared: &Shared, peer: Downstream) {
    if shared.floods.swallow(Reason::TooManyConnections, peer, Instant::now()) {
        return;
    }
    // Where nothing can be recorded nothing is let in either.
    let Ok(mut recorder) = Recorder::open(&shared.journal, peer) else { return };
    recorder.denied(&Reason::TooManyConnections.into());
    recorder.status(Reason::TooManyConnections.status());
    recorder.finish();
}

async fn turn_away(mut socket: Socket) {
    let mut answer = BytesMut::new();
    refusal::write_unrecorded(&mut answer, Reason::TooManyConnections);
    // Whoever doesn't read it finds the connection closed.
    let _ = timeout(FAREWELL, socket.write_all(&answer)).await;
}
