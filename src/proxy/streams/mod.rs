//! An HTTP/2 connection of a client: inside an opened tunnel, or to the gateway itself over TLS. Every stream is a
//! request of its own, and ends alone.

mod lanes;
mod request;
mod window;

use super::error::Error;
use super::identify::{Identity, Remembered};
use super::interrupt::{Cause, Interrupt};
use super::leg::{Inside, Leg};
use super::work::Rest;
use super::{Limits, Shared};
use crate::flow::{Downstream, FlowId};
use crate::net::Authority;
use crate::wire::{Cork, Corked};
use bytes::Bytes;
use h2::server::{Builder, Connection};
use lanes::{Arrived, Lanes};
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::task::JoinSet;
use tokio::time::timeout;
use window::Room;

pub(super) use window::Rooms;

/// Streams that a client may have open at once. Requests that it has given up may still be ending: beyond twice this
/// number no more are taken in (rapid reset, CVE-2023-44487).
const MOST_STREAMS: u32 = 128;
const MOST_REQUESTS: usize = MOST_STREAMS as usize * 2;
/// What a client may send on one stream before an origin has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of one answer that wait for the connection to take them.
const SEND_BUFFER: usize = 64 * 1024;
/// The library's bound on small frames that nobody has taken yet: what each lacks of 256 bytes, together. A stream's window
/// may be full of frames of 32 bytes. Of smaller ones so many come in some of the connection's turns, and requests that run
/// take theirs at every one of their own.
const SMALL_FRAMES: usize = 2 << 20;
/// Bytes of a request's header section that the library takes; ours refuses, and records, before that.
const HEAD_SLACK: usize = 16 * 1024;

type Requests = Connection<Corked, Bytes>;

/// What the requests of one connection share.
struct Carrier {
    place: Place,
    peer: Downstream,
    /// What the first of them is part of.
    work: Mutex<Option<Rest>>,
    lanes: Lanes,
}

/// Where the connection leads.
enum Place {
    /// To the gateway itself, over TLS: every request shows who asks. A lock that is held for no wait.
    Gateway { remembered: Mutex<Remembered>, own: Option<Authority> },
    /// Through an opened tunnel: its requests are its session's, and for its authority.
    Tunnel { identity: Identity, authority: Authority, flow: FlowId },
}

/// Serves the connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, leg: Leg) {
    let Leg { wire, peer, mut interrupt, inside, remembered, work, .. } = leg;
    let (stream, _) = wire.into_parts();
    let own = stream.local_address().map(|own| Authority { host: own.ip().into(), port: own.port() });
    let (place, recorder, _slot) = match inside {
        None => (Place::Gateway { remembered: Mutex::new(remembered), own }, None, None),
        Some(Inside { identity, authority, flow, recorder, _slot, .. }) => {
            interrupt.watch_session(&identity.live);
            (Place::Tunnel { identity, authority, flow }, Some(recorder), _slot)
        }
    };
    interrupt.arm(shared.limits().handshake_timeout);
    let (stream, mut cork) = Corked::new(stream);
    let ended = match interrupt.during(cork.during(builder(shared).handshake(stream))).await {
        Ok(Ok(connection)) => {
            let carrier = Carrier { place, peer, work: Mutex::new(work), lanes: Lanes::default() };
            let room = Room::new(&shared.admission.rooms);
            let serving = Serving::new(connection, cork, Arc::new(carrier), room);
            accept(shared, &mut interrupt, serving).await
        }
        Ok(Err(error)) => Err(Error::ClientGone(Some(io::Error::other(error)))),
        Err(cause) => Err(Error::Interrupted(cause)),
    };
    let Some(mut recorder) = recorder else { return };
    match ended {
        Err(Error::Interrupted(Cause::Deadline)) | Ok(()) => {}
        // Clients end connections as they please; a fault of theirs in the protocol is worth a word.
        Err(Error::ClientGone(error)) => recorder.error(error.map_or_else(String::new, |error| error.to_string())),
        Err(error) => recorder.denied(&error.denial()),
    }
    recorder.finish();
}

fn builder(shared: &Shared) -> Builder {
    let mut builder = Builder::new();
    let head = u32::try_from(shared.limits().head.bytes + HEAD_SLACK).unwrap_or(u32::MAX);
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(Room::WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(head)
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        .enable_connect_protocol();
    builder
}

/// Takes requests in until the client, the session or the gateway ends; then lets those under way end.
async fn accept(shared: &Arc<Shared>, interrupt: &mut Interrupt, mut serving: Serving) -> Result<(), Error> {
    interrupt.arm(shared.limits().keep_alive_timeout);
    let ended = loop {
        match poll_fn(|cx| serving.poll(cx, interrupt)).await {
            Event::Request(arrived) => serving.begin(shared, arrived),
            Event::RequestEnded => interrupt.arm(shared.limits().keep_alive_timeout),
            Event::Closed(ended) => break ended,
            Event::Interrupted(Cause::Deadline) if serving.carrier.lanes.under_way() > 0 => {
                interrupt.arm(shared.limits().keep_alive_timeout);
            }
            Event::Interrupted(Cause::Deadline | Cause::Draining) if !serving.is_closing => {
                interrupt.arm(Limits::LINGER);
                serving.close();
            }
            Event::Interrupted(Cause::Deadline) => break Ok(()),
            Event::Interrupted(cause) => break Err(Error::Interrupted(cause)),
        }
    };
    serving.finish().await;
    ended
}

/// A connection and the requests that came on it.
struct Serving {
    connection: Requests,
    cork: Cork,
    carrier: Arc<Carrier>,
    room: Room,
    /// The lanes' tasks.
    tasks: JoinSet<()>,
    /// Requests that have ended, as far as was seen.
    ended: usize,
    is_closing: bool,
}

enum Event {
    Request(Arrived),
    RequestEnded,
    Closed(Result<(), Error>),
    Interrupted(Cause),
}

impl Serving {
    fn new(connection: Requests, cork: Cork, carrier: Arc<Carrier>, room: Room) -> Self {
        Self { connection, cork, carrier, room, tasks: JoinSet::new(), ended: 0, is_closing: false }
    }

    fn begin(&mut self, shared: &Arc<Shared>, arrived: Arrived) {
        if !self.carrier.lanes.give(arrived) {
            // In a box: a task moves its future about, and this one is large.
            self.tasks.spawn(Box::pin(request::serve_all(shared.clone(), self.carrier.clone())));
        }
        if let Some(window) = self.room.fit(self.carrier.lanes.under_way()) {
            self.connection.set_target_window_size(window);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, interrupt: &mut Interrupt) -> Poll<Event> {
        while let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(cx) {
            if let Err(error) = joined {
                tracing::error!(%error, "a request's task has panicked");
            }
        }
        let gone = |error| Error::ClientGone(Some(io::Error::other(error)));
        if self.carrier.lanes.poll_room(cx, MOST_REQUESTS).is_pending() {
            if let Poll::Ready(closed) = self.connection.poll_closed(cx) {
                return Poll::Ready(Event::Closed(closed.map_err(gone)));
            }
        } else if let Poll::Ready(accepted) = self.connection.poll_accept(cx) {
            return Poll::Ready(match accepted {
                Some(Ok(arrived)) => Event::Request(arrived),
                Some(Err(error)) => Event::Closed(Err(gone(error))),
                None => Event::Closed(Ok(())),
            });
        }
        let ended = self.carrier.lanes.ended();
        if std::mem::replace(&mut self.ended, ended) != ended {
            return Poll::Ready(Event::RequestEnded);
        }
        if !self.is_closing && interrupt.poll_draining(cx) {
            return Poll::Ready(Event::Interrupted(Cause::Draining));
        }
        if let Poll::Ready(cause) = interrupt.poll(cx) {
            return Poll::Ready(Event::Interrupted(cause));
        }
        self.cork.poll_flush(cx);
        Poll::Pending
    }

    /// Takes no more requests; those under way go on.
    fn close(&mut self) {
        self.is_closing = true;
        self.connection.graceful_shutdown();
    }

    /// What ended the connection ends every request, each of which records that and tells it, for a moment, while the
    /// connection still can.
    async fn finish(mut self) {
        self.carrier.lanes.close();
        let told = poll_fn(|cx| {
            let closed = self.connection.poll_closed(cx);
            while let Poll::Ready(Some(_)) = self.tasks.poll_join_next(cx) {}
            if self.tasks.is_empty() && !self.is_closing {
                self.close();
                cx.waker().wake_by_ref();
            }
            if closed.is_pending() {
                self.cork.poll_flush(cx);
            }
            closed
        });
        // A client that doesn't take its answers has nothing else coming.
        let _ = timeout(Limits::LINGER, told).await;
        drop(self.connection);
        while self.tasks.join_next().await.is_some() {}
    }
}
