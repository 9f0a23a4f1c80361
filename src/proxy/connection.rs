//! One downstream connection: its requests one after another, and the tunnel that it may become.

use super::client::{Client, Http1Client};
use super::error::Error;
use super::forward::{Admitted, forward};
use super::headers::{check_request, host_fields};
use super::identify::Identity;
use super::interrupt::Cause;
use super::leg::{Goodbye, Leg};
use super::tunnel::{self, Opened};
use super::work::Work;
use super::{Limits, Shared, gate, refusal, streams, websocket};
use crate::flow::{Mode, Recorder, Unavailable};
use crate::http1::{Framing, HeadError, HeadScan, RequestHead, request_framing};
use crate::net::{Authority, Scheme, Target};
use crate::reason::{Denial, Reason};
use http::Method;
use std::sync::Arc;
use tokio::time::timeout;

/// The first byte of a close frame.
const CLOSE_FRAME: u8 = 0x88;

/// What comes after a request.
enum Next {
    /// Another request.
    Request,
    /// The end: all was answered.
    Close,
    /// The end, with unread bytes of a body in the way.
    Linger,
    /// The end in the middle of an answer, which must not look whole.
    Cut,
    /// The end, from outside, between two requests.
    Interrupted(Cause),
    /// The connection is a tunnel now.
    Tunnel(Box<Opened>),
}

/// Serves one connection to its end: the proxy's own leg first, then the inside of the tunnel that it
/// may open. One loop, no recursion; on the heap what a connection is only for a while, for a task carries the size
/// of all that it may be.
pub(super) async fn serve(shared: &Arc<Shared>, mut leg: Leg) {
    loop {
        if leg.speaks_http2() {
            return Box::pin(streams::serve(shared, leg)).await;
        }
        match Box::pin(serve_requests(shared, &mut leg)).await {
            Next::Tunnel(opened) => match Box::pin(tunnel::enter(shared, leg, opened)).await {
                Some(inner) => leg = inner,
                None => return,
            },
            next => return Box::pin(close(leg, next)).await,
        }
    }
}

async fn serve_requests(shared: &Shared, leg: &mut Leg) -> Next {
    loop {
        if leg.wire.input.is_empty()
            && let Some(end) = wait_for_request(shared, leg).await
        {
            return end;
        }
        let opened = Recorder::begin(&shared.journal, leg.peer).await;
        let Ok(mut recorder) = opened else {
            refusal::write_unrecorded(leg.wire.head_buffer(), Reason::LogUnavailable);
            // The connection closes, whether this was read or not.
            let _ = leg.interrupt.during(leg.wire.flush()).await;
            return Next::Linger;
        };
        leg.interrupt.flow_begins(&shared.journal_broken.load());
        leg.answer_from = None;
        let mut request = Request::default();
        let outcome = handle(shared, leg, &mut recorder, &mut request).await;
        let next = match outcome {
            Ok(Next::Tunnel(mut opened)) => {
                opened.recorder = Some(recorder);
                return Next::Tunnel(opened);
            }
            Ok(next) => match shared.finish(recorder, &mut leg.interrupt).await {
                Ok(()) => next,
                // The last bytes were held back until the record was safe; they stay here.
                Err(error) => unrecorded(leg, &error),
            },
            Err(error) => refuse(shared, leg, recorder, &request, &error).await,
        };
        leg.interrupt.arm(shared.limits().idle_timeout);
        match leg.interrupt.during(leg.wire.flush()).await {
            Ok(Ok(())) if matches!(next, Next::Request) => {}
            Ok(Ok(())) => return next,
            _ => return Next::Cut,
        }
    }
}

/// Waits for a request's first byte, or tells how the connection ends without one.
async fn wait_for_request(shared: &Shared, leg: &mut Leg) -> Option<Next> {
    if leg.interrupt.is_draining() {
        return Some(Next::Close);
    }
    leg.wire.release_buffers();
    // Between requests it is the tunnel that must go on to be allowed, and whose flow is under way.
    match &leg.inside {
        None => {
            leg.interrupt.forget_policy();
            leg.interrupt.flow_ended();
        }
        Some(inside) => leg.interrupt.watch_policy(inside.watch()),
    }
    let patience = shared.limits().keep_alive_timeout;
    leg.interrupt.arm(if leg.remembered.is_stranger() { patience.min(Limits::SILENCE) } else { patience });
    match leg.interrupt.while_idle(leg.wire.fill()).await {
        Ok(Ok(read)) if read > 0 => None,
        Ok(_) | Err(Cause::Deadline | Cause::Draining) => Some(Next::Close),
        Err(cause) => Some(Next::Interrupted(cause)),
    }
}

/// An answer whose record can't be written does not go out: in its place the client is told so, unless a
/// part of it has left.
fn unrecorded(leg: &mut Leg, error: &Unavailable) -> Next {
    tracing::warn!(%error, "an answer is held back: its record can't be written");
    if !leg.take_back_answer() {
        leg.wire.discard_queued();
        return Next::Cut;
    }
    refusal::write_unrecorded(leg.wire.head_buffer(), Reason::LogUnavailable);
    Next::Linger
}

/// What is known of a request when it is refused.
#[derive(Default)]
struct Request {
    method: Option<Method>,
    authority: Option<Authority>,
    identity: Option<Identity>,
    /// Nothing of it is left to be read.
    is_read: bool,
}

/// Steps 2 to 9 for one request. What it returns is recorded, then flushed.
async fn handle(shared: &Shared, leg: &mut Leg, recorder: &mut Recorder, request: &mut Request) -> Result<Next, Error> {
    let head = read_head(shared, leg).await?;
    request.method = Some(head.method.clone());
    let framing = request_framing(&head).map_err(Error::Framing)?;
    let asks = check_request(&head.fields, head.version)?;
    request.is_read = framing == Framing::None && !asks.close;
    if leg.inside.is_none() && head.fields.values("via").any(|via| shared.dialler.is_named_in(via)) {
        return Err(Reason::LoopDetected.into());
    }
    let handshake = if asks.websocket { Some(websocket::asked_for(&head, framing, asks)?) } else { None };
    let identity = identify(shared, leg, &head)?;
    recorder.session(identity.info.clone());
    request.identity = Some(identity.clone());
    leg.interrupt.watch_session(&identity.live);
    let work = match leg.work.take() {
        Some(rest) => rest.over(identity.whose(), &mut leg.interrupt).await?,
        None => shared.admission.work(identity.whose(), &mut leg.interrupt).await?,
    };
    if head.method == Method::CONNECT {
        if framing != Framing::None {
            return Err(Denial::new(Reason::BadFraming).because("a CONNECT has no body").into());
        }
        return connect(shared, leg, recorder, request, &head, identity, work).await;
    }
    let host = host_fields(&head.fields, head.version);
    let target = match &leg.inside {
        None => Target::absolute(head.method.clone(), head.target(), host),
        Some(inside) => {
            let parse = if inside.scheme == Scheme::Http { Target::inside_plain } else { Target::inside };
            parse(head.method.clone(), head.target(), host, &inside.authority)
        }
    };
    let target = Arc::new(target.map_err(Error::Target)?);
    request.authority = Some(target.authority.clone());
    match &leg.inside {
        None => recorder.mode(Mode::Forward),
        Some(inside) => {
            recorder.mode(if inside.scheme == Scheme::Http { Mode::Forward } else { Mode::Intercept });
            recorder.parent(inside.flow);
        }
    }
    let permit = gate::admit(&identity, &target, &head.fields, &mut leg.interrupt, recorder)?;
    if handshake.is_some() && !leg.wire.input.is_empty() {
        return Err(Denial::new(Reason::BadWebSocket).because(websocket::EARLY).into());
    }
    let admitted = Admitted { head, target, permit, framing, asks, identity, handshake, work };
    request.is_read = false;
    let close = asks.close || leg.interrupt.is_draining();
    let mut client = Client::Http1(Http1Client::new(&mut leg.wire, admitted.head.version, framing, close));
    let outcome = forward(shared, &mut client, &mut leg.interrupt, recorder, &admitted).await;
    let Client::Http1(client) = client else { return Ok(Next::Cut) };
    leg.answer_from = client.answer_from;
    match outcome {
        Ok(Some(switched)) => {
            let serving = websocket::serve(shared, leg, switched, &admitted, recorder);
            Box::pin(serving).await.map(|()| Next::Linger)
        }
        Ok(None) if !client.close && client.is_read() => Ok(Next::Request),
        Ok(None) if framing == Framing::None => Ok(Next::Close),
        Ok(None) => Ok(Next::Linger),
        Err(error) => {
            request.is_read = framing == Framing::None && !asks.close;
            Err(error)
        }
    }
}

/// Step 2: a whole head, within its time and size.
async fn read_head(shared: &Shared, leg: &mut Leg) -> Result<RequestHead, Error> {
    leg.interrupt.arm(shared.limits().head_timeout);
    let limits = &shared.limits().head;
    let mut scan = HeadScan::default();
    loop {
        // SOCKS, TLS and the PROXY protocol have no line whose end could be waited for (T48).
        if leg.wire.input.first().is_some_and(|&first| !first.is_ascii_graphic() && first != b'\n') {
            return Err(Error::Head(HeadError::BadRequestLine));
        }
        if let Some(length) = scan.find_end(&leg.wire.input, limits).map_err(Error::Head)? {
            return RequestHead::take(&mut leg.wire.input, length, limits).map_err(Error::Head);
        }
        match leg.interrupt.during(leg.wire.fill()).await {
            Ok(Ok(0)) => return Err(Error::Cut),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Error::ClientGone(Some(error))),
            Err(Cause::Deadline) => return Err(Error::ClientSlow),
            Err(cause) => return Err(Error::Interrupted(cause)),
        }
    }
}

/// Step 3: the session of this request. Inside a tunnel it is the tunnel's, under the policy of now.
fn identify(shared: &Shared, leg: &mut Leg, head: &RequestHead) -> Result<Identity, Error> {
    match &mut leg.inside {
        None => Ok(leg.remembered.identify(shared, &head.fields)?),
        Some(inside) => {
            inside.identity.refresh(shared)?;
            Ok(inside.identity.clone())
        }
    }
}

/// Steps 4 to 7 for a CONNECT, all before its 200; a relay is dialled before it too.
async fn connect(
    shared: &Shared,
    leg: &mut Leg,
    recorder: &mut Recorder,
    request: &mut Request,
    head: &RequestHead,
    identity: Identity,
    work: Work,
) -> Result<Next, Error> {
    if leg.inside.is_some() {
        return Err(Denial::new(Reason::MethodNotSupported).because("a CONNECT inside a tunnel").into());
    }
    let wire = &leg.wire;
    let own = || wire.stream().local_address().map(|own| Authority { host: own.ip().into(), port: own.port() });
    let host = host_fields(&head.fields, head.version);
    let authority = Target::connect(head.target(), host, own).map_err(Error::Target)?;
    request.authority = Some(authority.clone());
    let permit = gate::admit_tunnel(&identity, &authority, &mut leg.interrupt, recorder)?;
    leg.interrupt.arm(shared.limits().connect_timeout * 3);
    let dial = Box::pin(tunnel::prepare(shared, work, &permit, recorder));
    let way = leg.interrupt.during(dial).await.map_err(Error::Interrupted)??;
    let answer = b"HTTP/1.1 200 OK\r\n\r\n";
    let plain = identity.ruleset.policy.lists_plain(&authority);
    Ok(Next::Tunnel(Box::new(Opened { authority, permit, identity, way, recorder: None, answer, plain })))
}

/// Records and answers a request that ends short of its answer.
async fn refuse(shared: &Shared, leg: &mut Leg, recorder: Recorder, request: &Request, error: &Error) -> Next {
    let denial = error.denial();
    // Half an answer is on its way, or nobody is there to read one.
    let is_silent = leg.goodbye.is_some() || !leg.take_back_answer() || matches!(error, Error::ClientGone(_));
    let flow = recorder.id();
    let recorded = refusal::record(shared, recorder, error, is_silent).await;
    if leg.goodbye.is_some() {
        return Next::Linger;
    }
    if is_silent {
        leg.wire.discard_queued();
        // All that is left is to cut it where the client can see it: no last chunk, no clean end.
        return Next::Cut;
    }
    let headless = request.method.as_ref() == Some(&Method::HEAD);
    let close = !request.is_read || recorded.is_err() || shared.is_draining() || loses_step(denial.reason);
    let context = refusal::Context {
        flow: Some(flow),
        session: request.identity.as_ref().map(|identity| identity.live.session.id.as_str()),
        authority: request.authority.as_ref(),
        headless,
        close,
    };
    match recorded {
        Ok(()) => refusal::write(leg.wire.head_buffer(), &denial, &context),
        Err(_) => refusal::write_unrecorded(leg.wire.head_buffer(), Reason::LogUnavailable),
    }
    if close { Next::Linger } else { Next::Request }
}

/// Whether client and gateway may differ about where the next request begins, or whether there is one.
fn loses_step(reason: Reason) -> bool {
    !matches!(reason.status(), 403 | 405 | 407 | 421 | 429 | 502..=504)
}

/// Closes a connection so that its last answer arrives: written off, then (where unread bytes would
/// turn the close into a reset) read on for a moment and thrown away.
async fn close(mut leg: Leg, end: Next) {
    if let Some(mut inside) = leg.inside.take() {
        if let Next::Interrupted(cause) = end {
            inside.recorder.denied(&Error::Interrupted(cause).denial());
        }
        inside.recorder.finish();
    }
    if matches!(end, Next::Cut) {
        leg.wire.abort();
        return;
    }
    // Of many that are turned away at once each would hold the head that it had begun.
    leg.wire.input.clear();
    let goodbye = async {
        if leg.goodbye == Some(Goodbye::Answered) {
            // Its answer is alone in what it sends; whatever else comes is frames that were on their way.
            while matches!(leg.wire.fill().await, Ok(read) if read > 0) && leg.wire.input.first() != Some(&CLOSE_FRAME)
            {
                leg.wire.input.clear();
            }
        }
        if leg.wire.shutdown().await.is_err() || !matches!(end, Next::Linger) {
            return;
        }
        while matches!(leg.wire.fill().await, Ok(read) if read > 0) {
            leg.wire.input.clear();
        }
    };
    // Whatever is left after that is the peer's loss.
    let _ = timeout(Limits::LINGER, goodbye).await;
}
