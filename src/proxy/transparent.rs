//! Connections that the network leads here, of agents that know of no proxy.
//!
//! The name that the agent shows (SNI, `Host`) is what is decided on, resolved, vetted and dialled; of the
//! address that it meant to reach only the port counts. An address that lies about its name leads nowhere
//! but to that name.

use super::connection;
use super::error::Error;
use super::identify::Identity;
use super::leg::Leg;
use super::refusal;
use super::tunnel::{self, First, Opened};
use super::{Limits, Shared, gate};
use crate::flow::Recorder;
use crate::http1::{HeadScan, RequestHead};
use crate::net::{Authority, Host};
use crate::reason::{Denial, Reason};
use crate::session::SessionId;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;

/// A fatal `access_denied` alert (RFC 8446 §6.2).
const ALERT_ACCESS_DENIED: &[u8] = &[21, 3, 3, 0, 2, 2, 49];

/// How a flow's end is told to a client that knows of no proxy.
#[derive(Clone, Copy, Default)]
enum Understands {
    #[default]
    Nothing,
    Tls,
    Http,
}

/// Serves one connection to its end. `default` is whose it is where its source is no session's.
pub(super) async fn serve(shared: &Arc<Shared>, mut leg: Leg, default: Option<&SessionId>) {
    if !leg.begins(shared.limits().handshake_timeout).await {
        return;
    }
    let recorder = Recorder::begin(&shared.journal, leg.peer).await;
    let Ok(mut recorder) = recorder else { return };
    leg.interrupt.arm(shared.limits().handshake_timeout);
    let mut understands = Understands::Nothing;
    match admit(shared, &mut leg, default, &mut recorder, &mut understands).await {
        Ok(mut opened) => {
            opened.recorder = Some(recorder);
            if let Some(inner) = tunnel::enter(shared, leg, Box::new(opened)).await {
                connection::serve(shared, inner).await;
            }
        }
        Err(error) => refuse(leg, recorder, &error, understands).await,
    }
}

/// Steps 3 to 8.
async fn admit(
    shared: &Shared,
    leg: &mut Leg,
    default: Option<&SessionId>,
    recorder: &mut Recorder,
    understands: &mut Understands,
) -> Result<Opened, Error> {
    let direct = || Denial::new(Reason::SelfConnection).because("the connection was made to the listener itself");
    let original = leg.peer.original.ok_or_else(direct)?;
    let identity = identify(shared, leg, default)?;
    recorder.session(identity.info.clone());
    leg.interrupt.watch_session(&identity.live);
    let first = tunnel::read_first(leg).await?;
    // Now, and not when it was accepted: our own end knows of the connection when it writes, not before.
    if leg.peer.address.is_some_and(|peer| shared.dialler.is_own(peer, original)) {
        *understands = if matches!(first, First::Http) { Understands::Http } else { Understands::Tls };
        return Err(Reason::LoopDetected.into());
    }
    let authority = match &first {
        First::Tls(hello) => {
            *understands = Understands::Tls;
            recorder.hello(tunnel::seen(hello));
            named_by_sni(hello.sni.clone(), original)?
        }
        First::Http => {
            *understands = Understands::Http;
            named_by_host(shared, leg, original).await?
        }
        First::Ssh => return Err(Reason::TunnelNotTls.into()),
    };
    // What was waited for until here is the client.
    let work = shared.admission.work(identity.whose(), &mut leg.interrupt).await?;
    let permit = gate::admit_tunnel(&identity, &authority, &mut leg.interrupt, recorder)?;
    leg.interrupt.arm(shared.limits().connect_timeout * 3);
    let dial = Box::pin(tunnel::prepare(shared, work, &permit, recorder));
    let way = leg.interrupt.during(dial).await.map_err(Error::Interrupted)??;
    Ok(Opened { authority, permit, identity, way, recorder: None, answer: b"", plain: true })
}

/// Step 3: by the source, or as the listener is set.
fn identify(shared: &Shared, leg: &mut Leg, default: Option<&SessionId>) -> Result<Identity, Error> {
    let by_source = leg.peer.address.and_then(|address| shared.recognition.by_source(address.ip()));
    let unknown = || Denial::new(Reason::AuthRequired).because("no session is known by this source");
    let id = by_source.or(default).ok_or_else(unknown)?;
    let live = shared.sessions.show(id.as_str()).ok_or(Reason::AuthRequired)?;
    Ok(leg.remembered.assume(shared, live)?)
}

fn named_by_sni(sni: Option<Host>, original: SocketAddr) -> Result<Authority, Error> {
    match sni {
        Some(host @ Host::Name(_)) => Ok(Authority { host, port: original.port() }),
        _ => Err(Reason::SniMissing.into()),
    }
}

/// The name in the `Host` of the first request, which stays to be read. Later ones must name the same.
async fn named_by_host(shared: &Shared, leg: &mut Leg, original: SocketAddr) -> Result<Authority, Error> {
    leg.interrupt.arm(shared.limits().head_timeout);
    let limits = &shared.limits().head;
    let mut scan = HeadScan::default();
    let length = loop {
        match scan.find_end(&leg.wire.input, limits).map_err(Error::Head)? {
            Some(length) => break length,
            None => tunnel::fill(leg).await?,
        }
    };
    let mut copy = leg.wire.input.clone();
    let head = RequestHead::take(&mut copy, length, limits).map_err(Error::Head)?;
    let mut hosts = head.fields.values("host");
    let bad = |why: &str| Error::from(Denial::new(Reason::BadHost).because(why));
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("there is not exactly one Host field"));
    };
    let authority = Authority::parse_or(host, 80).map_err(|error| bad(&error.to_string()))?;
    match authority.host {
        Host::Name(_) if authority.port == original.port() => Ok(authority),
        Host::Name(_) => Err(bad("the port is not the one that the connection was made to")),
        Host::V4(_) | Host::V6(_) => Err(bad("the Host field holds an address: a name is needed")),
    }
}

/// Records what ends short of a tunnel, and tells the client in its own language.
async fn refuse(mut leg: Leg, mut recorder: Recorder, error: &Error, understands: Understands) {
    let denial = error.denial();
    recorder.denied(&denial);
    if let Some(cause) = error.cause() {
        recorder.error(cause);
    }
    if matches!(understands, Understands::Http) {
        recorder.status(denial.reason.status());
    }
    let flow = recorder.id();
    // Recorded before the client sees it; if the journal is broken the connection closes all the same.
    let _ = recorder.finish_durable().await;
    let out = leg.wire.head_buffer();
    match understands {
        Understands::Nothing => return,
        Understands::Tls => out.extend_from_slice(ALERT_ACCESS_DENIED),
        Understands::Http => {
            let context =
                refusal::Context { flow: Some(flow), session: None, authority: None, headless: false, close: true };
            refusal::write(out, &denial, &context);
        }
    }
    let goodbye = async {
        if leg.wire.flush().await.is_err() || leg.wire.shutdown().await.is_err() {
            return;
        }
        // Unread bytes would turn the close into a reset that takes the answer with it.
        while matches!(leg.wire.fill().await, Ok(read) if read > 0) {
            leg.wire.input.clear();
        }
    };
    // Whoever does not read its answer has nothing else coming.
    let _ = timeout(Limits::LINGER, goodbye).await;
}
