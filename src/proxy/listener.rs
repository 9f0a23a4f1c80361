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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an unwanted connection is told so.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many may be told at a time, beyond the connections that are held.
const FAREWELLS: usize = 512;

/// Accepts until the gateway drains. Every connection is a task of `tasks`.
pub async fn listen(shared: Arc<Shared>, entrance: Entrance, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&entrance.door) => accepted,
            () = shared.draining.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Err(reason) = admit(&shared, &socket, tasks.len()) {
                    note(&shared, reason, peer);
                    turn_away(&shared, &entrance, socket, reason, &tasks);
                } else {
                    let active = shared.metrics.connection();
                    // No block around it: one that awaits a future holds it twice. In a box: a task moves its future about.
                    tasks.spawn(Box::pin(enter(shared.clone(), entrance.arrival(socket, peer), active)));
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

/// Whether one more connection is taken.
fn admit(shared: &Shared, socket: &Socket, held: usize) -> Result<(), Reason> {
    if held >= shared.limits().connections || !shared.admission.descriptors.may_keep(socket) {
        return Err(Reason::TooManyConnections);
    }
    // To read whose it is would cost those that are served what is to be spared them.
    if shared.admission.is_overloaded() { Err(Reason::Overloaded) } else { Ok(()) }
}

/// Tells an unwanted connection why, where it understands that and the process can spare the descriptor.
fn turn_away(shared: &Arc<Shared>, entrance: &Entrance, socket: Socket, reason: Reason, tasks: &TaskTracker) {
    let spare =
        shared.admission.descriptors.may_linger(&socket) && tasks.len() < shared.limits().connections + FAREWELLS;
    if entrance.speaks.is_http() && spare {
        tasks.spawn(say_farewell(socket, reason));
    }
}

async fn say_farewell(mut socket: Socket, reason: Reason) {
    let mut answer = BytesMut::new();
    refusal::write_unrecorded(&mut answer, reason);
    let farewell = async {
        socket.write_all(&answer).await?;
        socket.shutdown().await?;
        // Its request, unread, would turn the close into a reset that takes the answer with it.
        let mut unread = [0; 2048];
        while socket.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever doesn't read it finds the connection closed.
    let _ = timeout(FAREWELL, farewell).await;
}

/// Writes down that a connection was one too many, or counts it where it is one of a flood.
pub(super) fn note(shared: &Shared, reason: Reason, peer: Downstream) {
    if shared.floods.swallow(reason, peer, Instant::now()) {
        shared.metrics.refusal(reason.code());
        return;
    }
    // Where nothing can be recorded nothing is let in either.
    let Ok(mut recorder) = Recorder::open(&shared.journal, peer) else { return };
    recorder.denied(&reason.into());
    recorder.status(reason.status());
    recorder.finish();
}
