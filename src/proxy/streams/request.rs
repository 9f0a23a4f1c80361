//! One request that came as a stream.

use super::lanes::Arrived;
use super::{Carrier, Place};
use crate::flow::{Mode, Recorder};
use crate::http1::{Fields, RequestHead, stream_framing};
use crate::net::{Authority, HostFields, Target, TargetError};
use crate::proxy::client::{Client, Http2Client};
use crate::proxy::error::Error;
use crate::proxy::forward::{Admitted, Switched, forward};
use crate::proxy::headers::{check_request, host_fields};
use crate::proxy::identify::Identity;
use crate::proxy::interrupt::Interrupt;
use crate::proxy::leg::Leg;
use crate::proxy::refusal::{self, Answer};
use crate::proxy::translate::fields_of;
use crate::proxy::tunnel::{self, Opened};
use crate::proxy::websocket::{self, Agreed, Ends};
use crate::proxy::work::Work;
use crate::proxy::{Limits, Shared, connection, gate};
use crate::reason::{Denial, Reason};
use crate::websocket::Handshake;
use crate::wire::{Stream, Wire};
use bytes::Bytes;
use data_encoding::BASE64;
use h2::ext::Protocol;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use tokio::time::timeout;

/// A request under way.
struct Asked<'a> {
    parts: Parts,
    /// The stream ended with the head.
    is_bodyless: bool,
    interrupt: &'a mut Interrupt,
    recorder: Recorder,
    /// What is known of it when it is refused.
    identity: Option<Identity>,
    authority: Option<Authority>,
}

/// What a request came to.
enum Done {
    /// Its answer is queued.
    Answered,
    /// It was a CONNECT, and is admitted.
    Tunnel(Box<Opened>),
    /// The origin has switched to WebSocket.
    WebSocket(Box<Switched>, Box<Admitted>),
}

/// Serves a lane's requests.
pub(super) async fn serve_all(shared: Arc<Shared>, carrier: Arc<Carrier>) {
    let mut interrupt = shared.interrupt();
    while let Some((arrived, _under_way)) = carrier.lanes.next(&mut interrupt).await {
        interrupt.flow_begins(&shared.journal_broken.load());
        if matches!(carrier.place, Place::Gateway { .. }) {
            // This request may be another session's.
            interrupt.forget_session();
        }
        serve(&shared, &carrier, &mut interrupt, arrived).await;
    }
}

/// Serves one request to its end: steps 2 to 9, its record, and the last of its answer.
async fn serve(shared: &Arc<Shared>, carrier: &Carrier, interrupt: &mut Interrupt, (request, respond): Arrived) {
    let (parts, body) = request.into_parts();
    let is_bodyless = body.is_end_stream();
    let mut client = Http2Client::new(respond, body);
    let opened = Recorder::begin(&shared.journal, carrier.peer).await;
    let Ok(recorder) = opened else {
        unrecorded(&mut client);
        return flush(shared, &mut client, interrupt).await;
    };
    let mut asked = Asked { parts, is_bodyless, interrupt, recorder, identity: None, authority: None };
    match handle(shared, carrier, &mut asked, &mut client).await {
        Ok(Done::Answered) => {
            if shared.finish(asked.recorder, asked.interrupt).await.is_err() {
                unrecorded(&mut client);
            }
        }
        Ok(Done::Tunnel(opened)) => return Box::pin(enter(shared, carrier, asked, client, opened)).await,
        Ok(Done::WebSocket(switched, admitted)) => {
            return Box::pin(serve_websocket(shared, asked, client, *switched, &admitted)).await;
        }
        Err(error) => {
            let interrupt = refuse(shared, &mut client, asked, &error).await;
            return flush(shared, &mut client, interrupt).await;
        }
    }
    flush(shared, &mut client, asked.interrupt).await;
}

/// Writes the last of the answer, or cuts it.
async fn flush(shared: &Shared, client: &mut Http2Client, interrupt: &mut Interrupt) {
    interrupt.arm(shared.limits().idle_timeout);
    let flushed = {
        let mut client = Client::Http2(client);
        interrupt.during(poll_fn(|cx| client.poll_flush(cx))).await
    };
    if !matches!(flushed, Ok(Ok(()))) {
        client.cut();
    }
}

/// Steps 2 to 9, all but the last flush of the answer; a CONNECT gives its tunnel, or its WebSocket.
async fn handle(
    shared: &Shared,
    carrier: &Carrier,
    asked: &mut Asked<'_>,
    client: &mut Http2Client,
) -> Result<Done, Error> {
    let limits = &shared.limits().head;
    let fields = fields_of(&asked.parts.headers, limits.fields).map_err(|error| Error::Head(error.into()))?;
    let identity = match &carrier.place {
        Place::Gateway { remembered, .. } => {
            // What it remembers is whole at every step.
            remembered.lock().unwrap_or_else(PoisonError::into_inner).identify(shared, &fields)?
        }
        Place::Tunnel { identity, .. } => {
            let mut identity = identity.clone();
            identity.refresh(shared)?;
            identity
        }
    };
    asked.recorder.session(identity.info.clone());
    asked.interrupt.watch_session(&identity.live);
    asked.identity = Some(identity.clone());
    let rest = carrier.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let work = match rest {
        Some(rest) => rest.over(identity.whose(), asked.interrupt).await?,
        None => shared.admission.work(identity.whose(), asked.interrupt).await?,
    };
    let protocol = asked.parts.extensions.get::<Protocol>();
    if asked.parts.method == Method::CONNECT && protocol.is_none() {
        return connect(shared, carrier, asked, identity, work).await.map(|opened| Done::Tunnel(Box::new(opened)));
    }
    let is_websocket = match protocol.map(Protocol::as_str) {
        None => false,
        Some("websocket") => true,
        Some(_) => return Err(Reason::UpgradeNotAllowed.into()),
    };
    let path = asked.parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let path = Bytes::copy_from_slice(path.as_bytes());
    let (method, fields) = if is_websocket { websocket_get(&fields)? } else { (asked.parts.method.clone(), fields) };
    let head = RequestHead::assemble(method, path, fields, limits).map_err(Error::Head)?;
    let handshake = is_websocket.then(|| Handshake::of_request(&head.fields).map_err(Error::Handshake)).transpose()?;
    // A WebSocket's frames are no body.
    let ended = asked.is_bodyless || is_websocket;
    let framing = stream_framing(&head.fields, ended).map_err(Error::Framing)?;
    let asks = check_request(&head.fields, head.version)?;
    if asks.websocket {
        // HTTP/2 has no upgrades (RFC 9113 §8.6).
        return Err(Reason::UpgradeNotAllowed.into());
    }
    let target = Arc::new(target(&head, &asked.parts.uri, &carrier.place).map_err(Error::Target)?);
    asked.authority = Some(target.authority.clone());
    match carrier.place {
        Place::Gateway { .. } => asked.recorder.mode(Mode::Forward),
        Place::Tunnel { flow, .. } => {
            asked.recorder.mode(Mode::Intercept);
            asked.recorder.parent(flow);
        }
    }
    let permit = gate::admit(&identity, &target, &head.fields, asked.interrupt, &mut asked.recorder)?;
    let admitted = Admitted { head, target, permit, framing, asks, identity, handshake, work };
    let mut client = Client::Http2(client);
    Ok(match forward(shared, &mut client, asked.interrupt, &mut asked.recorder, &admitted).await? {
        Some(switched) => Done::WebSocket(Box::new(switched), Box::new(admitted)),
        None => Done::Answered,
    })
}

/// An extended CONNECT for a WebSocket (RFC 8441 §5) as the GET that it stands for; the key that it goes without is
/// ours, for an origin on HTTP/1.1.
fn websocket_get(fields: &Fields) -> Result<(Method, Fields), Error> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Reason::InternalError)?;
    let key = BASE64.encode(&nonce);
    let others = fields.iter().filter(|field| !field.is("sec-websocket-key")).map(|field| (field.name, field.value));
    let with_key = Fields::collect(others.chain([(&b"sec-websocket-key"[..], key.as_bytes())]), usize::MAX);
    Ok((Method::GET, with_key.map_err(|error| Error::Head(error.into()))?))
}

/// Serves a stream that has become a WebSocket, to its end.
async fn serve_websocket(
    shared: &Shared,
    asked: Asked<'_>,
    client: Http2Client,
    switched: Switched,
    admitted: &Admitted,
) {
    let Asked { interrupt, mut recorder, .. } = asked;
    let Switched { mut origin, deflate, _streams } = switched;
    let stream = match client.into_tunnel() {
        Ok(stream) => Stream::Multiplexed(Box::new(stream)),
        Err(error) => {
            recorder.denied(&Error::ClientGone(Some(io::Error::other(error))).denial());
            return recorder.finish();
        }
    };
    recorder.mode(Mode::Websocket);
    let mut down = Wire::new(stream);
    let ends = Ends { down: &mut down, up: &mut origin };
    let agreed = Agreed { target: &admitted.target, identity: admitted.identity.clone(), deflate };
    let recorded = match websocket::relay(shared, interrupt, ends, agreed, &mut recorder).await {
        Ok(()) => shared.finish(recorder, interrupt).await,
        Err(error) => refusal::record(shared, recorder, &error, true).await,
    };
    if recorded.is_err() {
        down.discard_queued();
    }
    // A client that doesn't take its close frame has nothing else coming.
    let _ = timeout(Limits::LINGER, async {
        down.flush().await?;
        down.shutdown().await
    })
    .await;
}

/// Steps 4 to 7 for a CONNECT, all before its 200.
async fn connect(
    shared: &Shared,
    carrier: &Carrier,
    asked: &mut Asked<'_>,
    identity: Identity,
    work: Work,
) -> Result<Opened, Error> {
    let Place::Gateway { own, .. } = &carrier.place else {
        return Err(Denial::new(Reason::MethodNotSupported).because("a CONNECT inside a tunnel").into());
    };
    let target = asked.parts.uri.authority().map_or("", |authority| authority.as_str());
    let authority = Target::connect(target.as_bytes(), HostFields::None, || own.clone()).map_err(Error::Target)?;
    asked.authority = Some(authority.clone());
    let permit = gate::admit_tunnel(&identity, &authority, asked.interrupt, &mut asked.recorder)?;
    asked.interrupt.arm(shared.limits().connect_timeout * 3);
    let dial = Box::pin(tunnel::prepare(shared, work, &permit, &mut asked.recorder));
    let way = asked.interrupt.during(dial).await.map_err(Error::Interrupted)??;
    let plain = identity.ruleset.policy.lists_plain(&authority);
    Ok(Opened { authority, permit, identity, way, recorder: None, answer: b"", plain })
}

/// Serves what comes through a stream that became a tunnel.
async fn enter(
    shared: &Arc<Shared>,
    carrier: &Carrier,
    asked: Asked<'_>,
    client: Http2Client,
    mut opened: Box<Opened>,
) {
    let Asked { interrupt, mut recorder, .. } = asked;
    let stream = match client.into_tunnel() {
        Ok(stream) => Stream::Multiplexed(Box::new(stream)),
        Err(error) => {
            recorder.denied(&Error::ClientGone(Some(io::Error::other(error))).denial());
            return recorder.finish();
        }
    };
    // What is inside is a connection of its own.
    let leg = Leg::new(Wire::new(stream), carrier.peer, std::mem::replace(interrupt, shared.interrupt()));
    opened.recorder = Some(recorder);
    if let Some(inner) = tunnel::enter(shared, leg, opened).await {
        serve_inside(shared, inner).await;
    }
}

/// A tunnel's inside may be HTTP/2 again: a future of a size that can be known.
fn serve_inside(shared: &Arc<Shared>, inner: Leg) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(connection::serve(shared, inner))
}

/// Inside a tunnel `:scheme` and `:authority` are the tunnel's; `Host` is the same where it came besides (RFC 9113
/// §8.3.1).
fn target(head: &RequestHead, uri: &Uri, place: &Place) -> Result<Target, TargetError> {
    let build = |host: HostFields<'_>, authority: &[u8]| match place {
        Place::Tunnel { authority: tunnel, .. } if uri.scheme_str().is_none_or(|scheme| scheme == "https") => {
            Target::inside(head.method.clone(), head.target(), host, tunnel)
        }
        Place::Tunnel { .. } => Err(TargetError::AuthorityMismatch),
        Place::Gateway { .. } => {
            let scheme = uri.scheme_str().unwrap_or("http").as_bytes();
            let absolute = [scheme, b"://", authority, head.target()].concat();
            Target::absolute(head.method.clone(), &absolute, host)
        }
    };
    let host = head.fields.first("host").map(|_| host_fields(&head.fields, head.version));
    match (uri.authority().map(|authority| authority.as_str().as_bytes()), host) {
        (Some(authority), None) => build(HostFields::One(authority), authority),
        (Some(authority), Some(host)) => {
            build(host, authority)?;
            build(HostFields::One(authority), authority)
        }
        (None, Some(HostFields::One(host))) => build(HostFields::One(host), host),
        (None, _) => Err(TargetError::HostCount),
    }
}

/// Records and answers a request that ends short of its answer.
async fn refuse<'a>(shared: &Shared, client: &mut Http2Client, asked: Asked<'a>, error: &Error) -> &'a mut Interrupt {
    let is_silent = !client.take_back_answer() || matches!(error, Error::ClientGone(_));
    let context = refusal::Context {
        flow: Some(asked.recorder.id()),
        session: asked.identity.as_ref().map(|identity| identity.live.session.id.as_str()),
        authority: asked.authority.as_ref(),
        headless: asked.parts.method == Method::HEAD,
        close: false,
    };
    let answer = Answer::new(&error.denial(), &context);
    let recorded = refusal::record(shared, asked.recorder, error, is_silent).await;
    if is_silent {
        client.cut();
    } else if recorded.is_ok() {
        client.refuse(&answer);
    } else {
        unrecorded(client);
    }
    asked.interrupt
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
