//! HTTP/2 connections to origins: many streams on one, all of one session.

use super::Error;
use crate::wire::{Corked, Stream};
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// What an origin may send on one stream before the agent has taken it: on one of a few, enough for 20 MB/s over a path
/// of 50 ms, and on one of many.
const WIDE: u32 = 1 << 20;
const NARROW: u32 = 128 * 1024;
const FEW: usize = 4;
/// The same on all of a connection: as much as its streams may together, so that those whose agent does not read keep
/// none of the others waiting.
const CONNECTION_WINDOW: u32 = FEW as u32 * WIDE + (MOST_STREAMS - FEW) as u32 * NARROW;
/// Bytes of one stream that wait for the connection to take them.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams opened at once on one connection, whatever the origin allows.
const MOST_STREAMS: usize = 100;
/// Bytes of an answer's header section.
const HEAD_MAX: u32 = 64 * 1024;

/// A place on an HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Streams {
    /// What opens a stream.
    pub sender: SendRequest<Bytes>,
    /// Held by every request under way, and once by the pool.
    users: Arc<()>,
    /// Asks the origin whether it is there: what it says first has come then.
    pings: Arc<Mutex<Option<PingPong>>>,
}

impl Streams {
    /// Speaks HTTP/2 on a connection where it was agreed on. The connection is driven by a task of its own, which
    /// ends with the last that uses it.
    pub(super) async fn open(stream: Stream, deadline: Duration) -> Result<Self, Error> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(NARROW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_MAX)
            .max_send_buffer_size(SEND_BUFFER);
        let (stream, mut cork) = Corked::new(stream);
        let opened = timeout(deadline, cork.during(builder.handshake::<_, Bytes>(stream))).await;
        let (sender, mut connection) = opened.map_err(|_| Error::HandshakeTimeout)?.map_err(Error::Http2)?;
        let pings = Arc::new(Mutex::new(connection.ping_pong()));
        let users = Arc::new(());
        let mut windows = Windows { users: Arc::downgrade(&users), of_now: NARROW, few_since: None };
        tokio::spawn(async move {
            let driven = poll_fn(|cx| {
                windows.fit(&mut connection);
                Pin::new(&mut connection).poll(cx)
            });
            if let Err(error) = cork.during(driven).await {
                // Every request on it is told, and records it.
                tracing::debug!(%error, "an HTTP/2 connection to an origin ends");
            }
        });
        Ok(Self { sender, users, pings })
    }

    /// Whether it takes WebSockets as streams (RFC 8441 §3), which the first of its settings tell.
    pub async fn takes_websockets(&self) -> bool {
        if !self.sender.is_extended_connect_protocol_enabled()
            && let Some(pings) = self.pings.lock().await.as_mut()
        {
            // The answer comes behind the settings; without one the connection is over, as its requests will tell.
            let _ = pings.ping(Ping::opaque()).await;
        }
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Whether it takes no new streams any more.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Whether another stream has room now.
    pub(super) fn has_room(&self) -> bool {
        self.in_use() < self.sender.current_max_send_streams().min(MOST_STREAMS)
    }

    /// Requests under way, seen from the pool.
    pub(super) fn in_use(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }
}

/// The windows of a connection's streams: wide once they have been few for a while. Until the origin has acknowledged a
/// change none can follow, so that of many that come at once none may find the windows wide.
struct Windows {
    users: Weak<()>,
    of_now: u32,
    few_since: Option<Instant>,
}

impl Windows {
    /// How long streams are few before their windows are wide.
    const SETTLED: Duration = Duration::from_millis(100);

    /// Looked after whenever something is to be done, which is before a new stream's head is written.
    fn fit<T: AsyncRead + AsyncWrite + Unpin>(&mut self, connection: &mut Connection<T, Bytes>) {
        // One of them is the pool.
        let fitting = if self.users.strong_count() > FEW + 1 {
            self.few_since = None;
            NARROW
        } else if self.of_now == WIDE || self.few_since.get_or_insert_with(Instant::now).elapsed() >= Self::SETTLED {
            WIDE
        } else {
            NARROW
        };
        // The origin may still have to acknowledge the last change: then it is for another time.
        if fitting != self.of_now && connection.set_initial_window_size(fitting).is_ok() {
            self.of_now = fitting;
        }
    }
}
