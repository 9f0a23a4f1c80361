//! Accepts downstream connections, as many as may be held.

use super::{Shared, connection, refusal};
use crate::reason::Reason;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the process is out of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an unwanted connection is told so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Accepts until the gateway drains. Every connection is a task of `tasks`.
pub async fn listen(shared: Arc<Shared>, listener: TcpListener, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.draining.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                // For speed only; without it the flow is still right.
                let _ = socket.set_nodelay(true);
                if tasks.len() >= shared.limits.connections {
                    tasks.spawn(turn_away(socket));
                } else {
                    let active = shared.metrics.connection();
                    let serving = connection::serve(shared.clone(), socket, peer);
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

/// Errors of the connection that was about to be accepted, not of the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn turn_away(mut socket: TcpStream) {
    let mut answer = BytesMut::new();
    refusal::write_unrecorded(&mut answer, Reason::TooManyConnections);
    // Whoever doesn't read it finds the connection closed.
    let _ = timeout(FAREWELL, socket.write_all(&answer)).await;
}
