//! What comes through a tunnel, be it of CONNECT, of SOCKS or of the network: told apart by its first bytes, then
//! relayed or opened.

use super::admission::Handshake;
use super::error::Error;
use super::identify::Identity;
use super::interrupt::Cause;
use super::leg::{Inside, Leg};
use super::reach::Wanted;
use super::work::{Rest, Work};
use super::{Shared, gate, relay};
use crate::flow::{ClientTls, Mode, Phase, Recorder, UpstreamTls};
use crate::http1::Version;
use crate::net::{Authority, ClientHello, HelloError, HelloReader, Host, Scheme, SshOpening};
use crate::policy::{Hidden, Mode as PolicyMode, Permit, Protocol, TlsMode};
use crate::reason::{Denial, Reason};
use crate::upstream::{Dialled, Link};
use crate::wire::{Stream, Transport, Wire};
use std::pin::pin;
use tokio_rustls::TlsAcceptor;

/// A fatal `unrecognized_name` and `handshake_failure` alert (RFC 8446 §6, RFC 6066 §3): what a TLS
/// client understands of a refusal.
const ALERT_UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
const ALERT_HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

/// A tunnel that was admitted, before the client knows.
pub(super) struct Opened {
    pub(super) authority: Authority,
    pub(super) permit: Permit,
    pub(super) identity: Identity,
    /// What is behind it.
    pub(super) way: Way,
    pub(super) recorder: Option<Recorder>,
    /// What tells the client that the tunnel stands.
    pub(super) answer: &'static [u8],
    /// Whether it may carry plain HTTP, whose requests are judged then like those inside TLS. By CONNECT, where the
    /// absolute form is there for that, only what the policy lists for plain HTTP may (T11): Node's proxy agents
    /// and WebSocket clients go this way.
    pub(super) plain: bool,
}

/// What is done with a tunnel.
pub(super) enum Way {
    /// Its bytes go to the origin.
    Relay(Stream),
    /// It is opened, which takes a handshake, and its first request is part of that.
    Open(Handshake, Rest),
}

/// What the first bytes of a tunnel are.
pub(super) enum First {
    Tls(ClientHello),
    Ssh,
    Http,
}

/// Step 7, and step 8 where the tunnel is relayed: a destination that can't be reached is told before
/// the 200. An opened tunnel dials per request, from the pool.
pub(super) async fn prepare(
    shared: &Shared,
    work: Work,
    permit: &Permit,
    recorder: &mut Recorder,
) -> Result<Way, Error> {
    let route = work.part(pin!(gate::resolve(shared, permit, recorder))).await?;
    if permit.tls() == TlsMode::Intercept {
        return Ok(Way::Open(shared.admission.handshake(shared.limits().handshakes)?, work.rest()));
    }
    let dial = pin!(shared.dialler.connect(&route, false, shared.limits().connect_timeout));
    let Dialled { stream, address, .. } = work.part(dial).await.map_err(Error::Connect)?;
    recorder.upstream(address);
    recorder.mark(Phase::Connect);
    Ok(Way::Relay(stream))
}

/// Tells the client that the tunnel stands and serves what comes through it. A tunnel that is opened gives the leg
/// inside; any other is over when this returns.
pub(super) async fn enter(shared: &Shared, mut leg: Leg, opened: Box<Opened>) -> Option<Leg> {
    let Opened { authority, permit, identity, way, recorder, answer, plain } = *opened;
    let mut recorder = recorder?;
    recorder.status(200);
    leg.wire.head_buffer().extend_from_slice(answer);
    leg.interrupt.arm(shared.limits().handshake_timeout);
    if !matches!(leg.interrupt.during(leg.wire.flush()).await, Ok(Ok(()))) {
        return None;
    }
    let outcome = match way {
        Way::Relay(stream) => {
            recorder.mode(Mode::Relay);
            let origin = Wire::new(stream);
            enter_relay(shared, &mut leg, &authority, &permit, &identity, origin, &mut recorder).await
        }
        Way::Open(_under_way, rest) => match enter_intercept(&mut leg, &authority, &mut recorder).await {
            Ok(Opening::Tls(hello)) if permit.scheme() == Scheme::Https => {
                match rest.over(identity.whose(), &mut leg.interrupt).await {
                    Ok(work) => {
                        let offers_http2 = hello.alpn.iter().any(|protocol| **protocol == *b"h2");
                        let http2 = offers_http2
                            && origin_speaks_http2(shared, &mut leg, &permit, &identity, &work, &mut recorder).await;
                        let accept = Box::pin(accept(shared, leg, authority, identity, recorder, http2));
                        let inner = work.part(accept).await;
                        return inner.map(|inner| Leg { work: Some(work.rest()), ..inner });
                    }
                    Err(error) => Err(error),
                }
            }
            Ok(Opening::Tls(_)) => {
                let denial = Denial::new(Reason::DestinationNotListed);
                Err(denial.because("the policy lists this port for plain HTTP, and TLS came").into())
            }
            Ok(Opening::Http) if plain => {
                let inner = inside_plain(leg, authority, identity, recorder);
                return Some(Leg { work: Some(rest), ..inner });
            }
            Ok(Opening::Http) => Err(Reason::TunnelNotTls.into()),
            Err(error) => Err(error),
        },
    };
    Box::pin(conclude(shared, leg, recorder, outcome)).await;
    None
}

/// Judges the first bytes of a tunnel that is relayed, then relays it to its end.
async fn enter_relay(
    shared: &Shared,
    leg: &mut Leg,
    authority: &Authority,
    permit: &Permit,
    identity: &Identity,
    mut origin: Wire,
    recorder: &mut Recorder,
) -> Result<(), Error> {
    let mut opening = None;
    if !permit.protocols().contains(Protocol::Any) {
        let first = read_first(leg).await;
        opening = matches!(first, Ok(First::Ssh)).then(SshOpening::default);
        if let Ok(First::Tls(hello)) = &first {
            recorder.hello(seen(hello));
            recorder.upstream_tls(offered(hello));
        }
        let judged = first.and_then(|first| judge_relay(&first, authority, permit));
        observe_or(judged, identity, recorder)?;
    }
    // Observing stops nothing.
    opening = opening.filter(|_| identity.ruleset.policy.mode() == PolicyMode::Enforce);
    relay::relay(shared, leg, identity, &mut origin, opening, recorder).await
}

/// How a tunnel that is opened begins.
enum Opening {
    Tls(ClientHello),
    Http,
}

/// Tells what comes through a tunnel that is opened. Of a ClientHello only the name and the protocols that it offers
/// matter, as ours goes up in its place.
async fn enter_intercept(leg: &mut Leg, authority: &Authority, recorder: &mut Recorder) -> Result<Opening, Error> {
    recorder.mode(Mode::Intercept);
    match read_first(leg).await? {
        First::Tls(hello) => {
            recorder.hello(seen(&hello));
            match &hello.sni {
                Some(name) if *name != authority.host => Err(Reason::SniMismatch.into()),
                _ => Ok(Opening::Tls(hello)),
            }
        }
        First::Http => Ok(Opening::Http),
        First::Ssh => Err(Reason::TunnelNotTls.into()),
    }
}

/// Whether the client may be offered HTTP/2: it is offered what the origin speaks. An origin that this session has not
/// seen is called now, and the connection is kept for the first request.
async fn origin_speaks_http2(
    shared: &Shared,
    leg: &mut Leg,
    permit: &Permit,
    identity: &Identity,
    work: &Work,
    recorder: &mut Recorder,
) -> bool {
    let session = &identity.live.session.id;
    if let Some(known) = shared.pool.speaks_http2(session, permit) {
        return known;
    }
    leg.interrupt.arm(shared.limits().connect_timeout * 3);
    let wanted = Wanted { session, permit, version: Version::Http2, upgrades: false };
    let call = Box::pin(wanted.dial(shared, recorder));
    // An origin that can't be reached is told to the first request, which calls it again.
    let Ok(Ok(upstream)) = leg.interrupt.during(work.part(call)).await else { return false };
    let speaks = matches!(upstream.link, Link::Http2(_));
    shared.pool.put(session, permit, upstream);
    speaks
}

/// The leg inside a tunnel of plain HTTP: every request is judged, and is for the tunnel's authority.
fn inside_plain(mut leg: Leg, authority: Authority, identity: Identity, recorder: Recorder) -> Leg {
    let slot = leg.take_slot();
    let flow = recorder.id();
    let inside = Inside { identity, authority, scheme: Scheme::Http, flow, recorder, _slot: slot };
    Leg::inside(leg.wire, leg.peer, leg.interrupt, inside)
}

/// Finishes the handshake with a minted leaf; the leg inside inherits session and authority.
async fn accept(
    shared: &Shared,
    leg: Leg,
    authority: Authority,
    identity: Identity,
    mut recorder: Recorder,
    http2: bool,
) -> Option<Leg> {
    let mut leg = leg;
    let slot = leg.take_slot();
    let Leg { wire, peer, mut interrupt, .. } = leg;
    let (stream, ahead) = wire.into_parts();
    interrupt.arm(shared.limits().handshake_timeout);
    let handshake = async {
        let config = shared.leaves.server_config(&authority.host, http2).await.map_err(|error| error.to_string())?;
        let transport = Transport::new(stream, ahead);
        TlsAcceptor::from(config).accept(transport).await.map_err(|error| error.to_string())
    };
    let failure = match interrupt.during(handshake).await {
        Ok(Ok(stream)) => {
            recorder.mark(Phase::Tls);
            let wire = Wire::new(Stream::Downstream(Box::new(stream)));
            let flow = recorder.id();
            let inside = Inside { identity, authority, scheme: Scheme::Https, flow, recorder, _slot: slot };
            return Some(Leg::inside(wire, peer, interrupt, inside));
        }
        Ok(Err(error)) => error,
        Err(cause) => format!("{cause:?}"),
    };
    recorder.failed(Reason::DownstreamTls, Some(failure));
    recorder.finish();
    None
}

/// Records how a tunnel ended, and tells a TLS client why where it can still hear it.
async fn conclude(shared: &Shared, mut leg: Leg, mut recorder: Recorder, outcome: Result<(), Error>) {
    let Err(error) = outcome else {
        recorder.finish();
        return;
    };
    let denial = error.denial();
    recorder.denied(&denial);
    if let Some(cause) = error.cause() {
        recorder.error(cause);
    }
    // Recorded before the client sees it; if the journal is broken the tunnel closes all the same.
    let _ = recorder.finish_durable().await;
    let alert = match denial.reason {
        Reason::SniMismatch | Reason::SniMissing => ALERT_UNRECOGNIZED_NAME,
        Reason::EchNotInspectable => ALERT_HANDSHAKE_FAILURE,
        _ => return,
    };
    leg.wire.head_buffer().extend_from_slice(alert);
    leg.interrupt.arm(shared.limits().handshake_timeout);
    if matches!(leg.interrupt.during(leg.wire.flush()).await, Ok(Ok(()))) {
        // A client that does not read its alert has nothing else coming.
        let _ = leg.interrupt.during(leg.wire.shutdown()).await;
    }
}

/// Reads until the first bytes tell what they are: TLS (with its whole ClientHello), SSH or HTTP.
pub(super) async fn read_first(leg: &mut Leg) -> Result<First, Error> {
    let mut reader = HelloReader::default();
    loop {
        match tell(&leg.wire.input, &mut reader)? {
            Some(first) => return Ok(first),
            None => fill(leg).await?,
        }
    }
}

/// Reads more, which must come.
pub(super) async fn fill(leg: &mut Leg) -> Result<(), Error> {
    match leg.interrupt.during(leg.wire.fill()).await {
        Ok(Ok(0)) => Err(Error::ClientGone(None)),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Error::ClientGone(Some(error))),
        Err(Cause::Deadline) => Err(Error::ClientSlow),
        Err(cause) => Err(Error::Interrupted(cause)),
    }
}

fn tell(bytes: &[u8], reader: &mut HelloReader) -> Result<Option<First>, Error> {
    const SSH: &[u8] = b"SSH-";
    match bytes {
        [] => Ok(None),
        [b'S', ..] if SSH.starts_with(&bytes[..bytes.len().min(SSH.len())]) => {
            Ok((bytes.len() >= SSH.len()).then_some(First::Ssh))
        }
        [b'A'..=b'Z', ..] => Ok(Some(First::Http)),
        _ => match reader.read(bytes) {
            Ok(hello) => Ok(hello.map(First::Tls)),
            Err(HelloError::BadName(error)) => Err(Denial::new(Reason::SniMismatch).because(error).into()),
            Err(error) => Err(Denial::new(Reason::TunnelNotTls).because(error).into()),
        },
    }
}

/// What a ClientHello shows of the client, for the record.
pub(super) fn seen(hello: &ClientHello) -> ClientTls {
    ClientTls {
        sni: hello.sni.as_ref().map(ToString::to_string),
        alpn: hello.alpn.iter().take(8).map(|protocol| String::from_utf8_lossy(protocol).into_owned()).collect(),
        ech: hello.ech,
        ja4: hello.ja4.clone(),
    }
}

/// What a relayed ClientHello shows; what is agreed on behind it stays unknown.
fn offered(hello: &ClientHello) -> UpstreamTls {
    let sni = match &hello.sni {
        Some(Host::Name(name)) => Some(name.clone()),
        _ => None,
    };
    UpstreamTls { version: None, alpn: None, sni }
}

fn judge_relay(first: &First, authority: &Authority, permit: &Permit) -> Result<(), Error> {
    let protocols = permit.protocols();
    match first {
        First::Ssh if protocols.contains(Protocol::Ssh) => Ok(()),
        First::Http if protocols.contains(Protocol::Http) => Ok(()),
        First::Tls(hello) if protocols.contains(Protocol::Tls) => judge_hello(hello, authority, permit.hidden()),
        _ => Err(Reason::TunnelNotTls.into()),
    }
}

/// What the origin will see must be what was allowed (T09, T10).
fn judge_hello(hello: &ClientHello, authority: &Authority, hidden: Hidden) -> Result<(), Error> {
    if hello.ech && !hidden.ech {
        return Err(Reason::EchNotInspectable.into());
    }
    match &hello.sni {
        Some(name) if *name == authority.host => Ok(()),
        Some(_) => Err(Reason::SniMismatch.into()),
        // RFC 6066 §3: addresses are not sent as SNI.
        None if hidden.sni || authority.host.as_ip().is_some() => Ok(()),
        None => Err(Reason::SniMissing.into()),
    }
}

/// In observe mode a denial is written down and the tunnel goes on.
fn observe_or(judged: Result<(), Error>, identity: &Identity, recorder: &mut Recorder) -> Result<(), Error> {
    match judged {
        Err(Error::Refused(denial)) if identity.ruleset.policy.mode() == PolicyMode::Observe => {
            recorder.observed(&denial);
            Ok(())
        }
        judged => judged,
    }
}
