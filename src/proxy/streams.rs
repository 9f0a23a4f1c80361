//! An HTTP/2 connection inside an opened tunnel: every stream is a request of its own, and ends alone.

use super::client::{Client, Http2Client};
use super::error::Error;
use super::forward::{Admitted, forward};
use super::headers::{check_request, host_fields};
use super::identify::Identity;
use super::interrupt::{Cause, Interrupt};
use super::leg::{Inside, Leg};
use super::refusal::{self, Answer};
use super::translate::fields_of;
use super::{Limits, Shared, gate};
use crate::flow::{Downstream, FlowId, Mode, Recorder};
use crate::http1::{RequestHead, stream_framing};
use crate::net::{Authority, HostFields, Target, TargetError};
use crate::reason::{Denial, Reason};
use crate::wire::Stream;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Streams that a client may have open at once. Requests that it has given up may still be ending: beyond twice this
/// number no more are taken in (rapid reset, CVE-2023-44487).
const MOST_STREAMS: u32 = 128;
const MOST_REQUESTS: usize = MOST_STREAMS as usize * 2;
/// What a client may send on one stream, and on all of them, before an origin has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of one answer that wait for the connection to take them.
const SEND_BUFFER: usize = 256 * 1024;
/// Bytes of a request's header section that the library takes; ours refuses, and records, before that.
const HEAD_SLACK: usize = 16 * 1024;

type Requests = Connection<Stream, Bytes>;

/// What the requests of one connection share.
struct Tunnel {
    identity: Identity,
    authority: Authority,
    flow: FlowId,
    peer: Downstream,
}

/// Serves the connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, leg: Leg) {
    let Leg { wire, peer, mut interrupt, inside: Some(inside), .. } = leg else { return };
    let Inside { identity, authority, flow, mut recorder, _slot, .. } = inside;
    interrupt.watch_session(&identity.live.ended);
    interrupt.arm(shared.limits.handshake_timeout);
    let (stream, _) = wire.into_parts();
    let ended = match interrupt.during(builder(shared).handshake(stream)).await {
        Ok(Ok(connection)) => {
            let tunnel = Arc::new(Tunnel { identity, authority, flow, peer });
            accept(shared, &tunnel, &mut interrupt, connection).await
        }
        Ok(Err(error)) => Err(Error::ClientGone(Some(io::Error::other(error)))),
        Err(cause) => Err(Error::Interrupted(cause)),
    };
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
    let head = u32::try_from(shared.limits.head.bytes + HEAD_SLACK).unwrap_or(u32::MAX);
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(head)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Takes requests in until the client, the session or the gateway ends; then lets those under way end.
async fn accept(
    shared: &Arc<Shared>,
    tunnel: &Arc<Tunnel>,
    interrupt: &mut Interrupt,
    connection: Requests,
) -> Result<(), Error> {
    let mut serving = Serving { connection, requests: JoinSet::new(), is_closing: false };
    interrupt.arm(shared.limits.keep_alive_timeout);
    let ended = loop {
        match poll_fn(|cx| serving.poll(cx, interrupt)).await {
            Event::Request(request, respond) => {
                serving.requests.spawn(serve_request(shared.clone(), tunnel.clone(), request, respond));
            }
            Event::RequestEnded => interrupt.arm(shared.limits.keep_alive_timeout),
            Event::Closed(ended) => break ended,
            Event::Interrupted(Cause::Deadline) if !serving.requests.is_empty() => {
                interrupt.arm(shared.limits.keep_alive_timeout);
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
    requests: JoinSet<()>,
    is_closing: bool,
}

enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    RequestEnded,
    Closed(Result<(), Error>),
    Interrupted(Cause),
}

impl Serving {
    fn poll(&mut self, cx: &mut Context<'_>, interrupt: &mut Interrupt) -> Poll<Event> {
        let mut ended = false;
        while let Poll::Ready(Some(joined)) = self.requests.poll_join_next(cx) {
            ended = true;
            if let Err(error) = joined {
                tracing::error!(%error, "a request's task has panicked");
            }
        }
        let gone = |error| Error::ClientGone(Some(io::Error::other(error)));
        if self.requests.len() >= MOST_REQUESTS {
            if let Poll::Ready(closed) = self.connection.poll_closed(cx) {
                return Poll::Ready(Event::Closed(closed.map_err(gone)));
            }
        } else if let Poll::Ready(accepted) = self.connection.poll_accept(cx) {
            return Poll::Ready(match accepted {
                Some(Ok((request, respond))) => Event::Request(request, respond),
                Some(Err(error)) => Event::Closed(Err(gone(error))),
                None => Event::Closed(Ok(())),
            });
        }
        if ended {
            return Poll::Ready(Event::RequestEnded);
        }
        if !self.is_closing && interrupt.poll_draining(cx) {
            return Poll::Ready(Event::Interrupted(Cause::Draining));
        }
        interrupt.poll(cx).map(Event::Interrupted)
    }

    /// Takes no more requests; those under way go on.
    fn close(&mut self) {
        self.is_closing = true;
        self.connection.graceful_shutdown();
    }

    /// What ended the connection ends every request, each of which records that and tells it, for a moment, while the
    /// connection still can.
    async fn finish(mut self) {
        let told = poll_fn(|cx| {
            let closed = self.connection.poll_closed(cx);
            while let Poll::Ready(Some(_)) = self.requests.poll_join_next(cx) {}
            if self.requests.is_empty() && !self.is_closing {
                self.close();
                cx.waker().wake_by_ref();
            }
            closed
        });
        // A client that doesn't take its answers has nothing else coming.
        let _ = timeout(Limits::LINGER, told).await;
        drop(self.connection);
        while self.requests.join_next().await.is_some() {}
    }
}

/// What is known of a request when it is refused.
#[derive(Default)]
struct Known {
    identity: Option<Identity>,
    authority: Option<Authority>,
}

/// Serves one request to its end: steps 2 to 9, its record, and the last of its answer.
async fn serve_request(
    shared: Arc<Shared>,
    tunnel: Arc<Tunnel>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let is_bodyless = body.is_end_stream();
    let mut client = Http2Client::new(respond, body);
    let mut interrupt = shared.interrupt();
    interrupt.watch_session(&tunnel.identity.live.ended);
    let opened = shared.journal.ready().await.and_then(|()| Recorder::open(&shared.journal, tunnel.peer));
    if let Ok(mut recorder) = opened {
        let mut known = Known::default();
        let headless = parts.method == Method::HEAD;
        let outcome =
            handle(&shared, &tunnel, parts, is_bodyless, &mut client, &mut interrupt, &mut recorder, &mut known).await;
        match outcome {
            Ok(()) => {
                if shared.finish(recorder).await.is_err() {
                    unrecorded(&mut client);
                }
            }
            Err(error) => refuse(&mut client, recorder, &known, &error, headless).await,
        }
    } else {
        unrecorded(&mut client);
    }
    interrupt.arm(shared.limits.idle_timeout);
    let mut client = Client::Http2(&mut client);
    let flushed = interrupt.during(poll_fn(|cx| client.poll_flush(cx))).await;
    if let (Client::Http2(client), false) = (client, matches!(flushed, Ok(Ok(())))) {
        client.cut();
    }
}

/// Steps 2 to 9, all but the last flush of the answer.
#[allow(clippy::too_many_arguments)] // each is a part of one request
async fn handle(
    shared: &Shared,
    tunnel: &Tunnel,
    parts: Parts,
    is_bodyless: bool,
    client: &mut Http2Client,
    interrupt: &mut Interrupt,
    recorder: &mut Recorder,
    known: &mut Known,
) -> Result<(), Error> {
    let mut identity = tunnel.identity.clone();
    identity.refresh(shared)?;
    recorder.session(identity.info.clone());
    known.identity = Some(identity.clone());
    if parts.method == Method::CONNECT {
        return Err(Denial::new(Reason::MethodNotSupported).because("a CONNECT inside a tunnel").into());
    }
    let limits = &shared.limits.head;
    let fields = fields_of(&parts.headers, limits.fields).map_err(|error| Error::Head(error.into()))?;
    let path = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let path = Bytes::copy_from_slice(path.as_bytes());
    let head = RequestHead::assemble(parts.method, path, fields, limits).map_err(Error::Head)?;
    let framing = stream_framing(&head.fields, is_bodyless).map_err(Error::Framing)?;
    let asks = check_request(&head.fields, head.version)?;
    if asks.websocket {
        // HTTP/2 has no upgrades (RFC 9113 §8.6).
        return Err(Reason::UpgradeNotAllowed.into());
    }
    let target = target(&head, &parts.uri, &tunnel.authority).map_err(Error::Target)?;
    known.authority = Some(target.authority.clone());
    recorder.mode(Mode::Intercept);
    recorder.parent(tunnel.flow);
    let permit = gate::admit(&identity, &target, &head.fields, recorder)?;
    let admitted = Admitted { head, target, permit, framing, asks, identity, handshake: None };
    forward(shared, &mut Client::Http2(client), interrupt, recorder, &admitted).await.map(drop)
}

/// `:scheme` and `:authority` are the tunnel's, and so is `Host` where it came besides (RFC 9113 §8.3.1).
fn target(head: &RequestHead, uri: &Uri, tunnel: &Authority) -> Result<Target, TargetError> {
    if uri.scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err(TargetError::AuthorityMismatch);
    }
    let inside = |host| Target::inside(head.method.clone(), head.target(), host, tunnel);
    let host = head.fields.first("host").map(|_| host_fields(&head.fields, head.version));
    match (uri.authority(), host) {
        (Some(authority), None) => inside(HostFields::One(authority.as_str().as_bytes())),
        (Some(authority), Some(host)) => {
            inside(host)?;
            inside(HostFields::One(authority.as_str().as_bytes()))
        }
        (None, Some(host)) => inside(host),
        (None, None) => Err(TargetError::HostCount),
    }
}

/// Records and answers a request that ends short of its answer.
async fn refuse(client: &mut Http2Client, recorder: Recorder, known: &Known, error: &Error, headless: bool) {
    let is_silent = !client.take_back_answer() || matches!(error, Error::ClientGone(_));
    let context = refusal::Context {
        flow: Some(recorder.id()),
        session: known.identity.as_ref().map(|identity| identity.live.session.id.as_str()),
        authority: known.authority.as_ref(),
        headless,
        close: false,
    };
    let answer = Answer::new(&error.denial(), &context);
    let recorded = refusal::record(recorder, error, is_silent).await;
    if is_silent {
        client.cut();
    } else if recorded.is_ok() {
        client.refuse(&answer);
    } else {
        unrecorded(client);
    }
}

/// An answer whose record can't be written does not go out: in its place the client is told so, unless a part of it
/// has left.
fn unrecorded(client: &mut Http2Client) {
    if client.take_back_answer() {
        client.refuse(&Answer::unrecorded(Reason::LogUnavailable));
    } else {
        client.cut();
    }
}
