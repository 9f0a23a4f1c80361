//! The ways in: what a listener speaks. Every one of them ends at the same gate.

use super::error::Error;
use super::leg::Leg;
use super::{Shared, connection, listener, socks, transparent, tunnel};
use crate::ca::certificate_names;
use crate::flow::{Downstream, Recorder, Way};
use crate::net::ProxyHeader;
use crate::reason::Reason;
use crate::session::SessionId;
use crate::telemetry::Active;
use crate::wire::{Socket, Stream, Transport, Wire};
use bytes::Buf;
use ipnet::IpNet;
use nix::sys::socket::{getsockopt, sockopt};
use rustls::ServerConfig;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

/// What is listened on, and what is spoken there.
#[derive(Debug)]
pub struct Entrance {
    /// Where connections come from.
    pub door: Door,
    /// What they speak.
    pub speaks: Speaks,
    /// The load balancers, which tell by the PROXY protocol for whom they speak, and must.
    pub balancers: Arc<[IpNet]>,
}

/// Where connections come from.
#[derive(Debug)]
pub enum Door {
    /// An address.
    Tcp(TcpListener),
    /// A file.
    Unix(UnixDoor),
}

/// A Unix socket's listener, and the file that goes with it.
#[derive(Debug)]
pub struct UnixDoor {
    /// The listener.
    pub listener: UnixListener,
    /// Its file.
    pub path: PathBuf,
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        // A file that stays behind is taken for what it is at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a connection speaks to the gateway.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// HTTP: absolute-form and CONNECT.
    Http,
    /// The same over TLS; a client certificate can name the session.
    Tls(Arc<ServerConfig>),
    /// SOCKS5 with username and password.
    Socks,
    /// Whatever agents speak that know of no proxy. The session is that of the source, or this one.
    Transparent(Original, Option<SessionId>),
}

/// How the kernel tells where a connection was meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// REDIRECT and DNAT: connection tracking knows.
    Redirected,
    /// TPROXY: it is the socket's own address.
    Kept,
}

impl Speaks {
    /// The record's word for it.
    fn way(&self) -> Way {
        match self {
            Speaks::Http => Way::Proxy,
            Speaks::Tls(_) => Way::Tls,
            Speaks::Socks => Way::Socks,
            Speaks::Transparent(..) => Way::Transparent,
        }
    }

    /// Whether a connection that can't be served is told so in HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Speaks::Http)
    }
}

/// Serves one connection to its end, which `_active` counts.
pub(super) async fn enter(shared: Arc<Shared>, arrival: Arrival, _active: Active) {
    let Arrival { socket, peer, speaks, is_balancer } = arrival;
    let peer = Downstream { way: speaks.way(), ..peer };
    let mut leg = Leg::new(Wire::new(socket.into()), peer, shared.interrupt());
    if is_balancer && Box::pin(hear_balancer(&shared, &mut leg)).await.is_none() {
        return;
    }
    let from = leg.peer.address.map(|address| address.ip());
    let stranger = shared.admission.stranger(from, shared.limits().connections_per_source);
    leg.interrupt.watch_crowd(&stranger.crowded_out);
    leg.remembered.meet(stranger);
    match speaks {
        Speaks::Http => connection::serve(&shared, leg).await,
        Speaks::Tls(config) => {
            if let Some(leg) = Box::pin(shake_hands(&shared, leg, config)).await {
                connection::serve(&shared, leg).await;
            }
        }
        Speaks::Socks => Box::pin(socks::serve(&shared, leg)).await,
        Speaks::Transparent(_, session) => Box::pin(transparent::serve(&shared, leg, session.as_ref())).await,
    }
}

/// One connection, before anything was read of it.
pub(super) struct Arrival {
    pub(super) socket: Socket,
    pub(super) peer: Downstream,
    pub(super) speaks: Speaks,
    /// A load balancer's.
    pub(super) is_balancer: bool,
}

impl Entrance {
    /// What is known of a connection from its socket alone.
    pub(super) fn arrival(&self, socket: Socket, mut peer: Downstream) -> Arrival {
        if let (Socket::Tcp(socket), Speaks::Transparent(original, _), Door::Tcp(own)) =
            (&socket, &self.speaks, &self.door)
        {
            peer.original = original_destination(socket, *original, own.local_addr().ok());
        }
        let is_balancer = peer
            .address
            .is_some_and(|from| self.balancers.iter().any(|range| range.contains(&from.ip().to_canonical())));
        Arrival { socket, peer, speaks: self.speaks.clone(), is_balancer }
    }
}

/// Where a connection was meant to go; nothing where it was meant for the listener itself.
fn original_destination(socket: &TcpStream, original: Original, own: Option<SocketAddr>) -> Option<SocketAddr> {
    let here = socket.local_addr().ok()?;
    let meant = match original {
        Original::Kept => here,
        Original::Redirected => redirected(socket, here)?,
    };
    let is_own = meant == here && original == Original::Redirected
        || own.is_some_and(|own| own.port() == meant.port() && (own.ip().is_unspecified() || own.ip() == meant.ip()));
    (!is_own).then_some(meant)
}

fn redirected(socket: &TcpStream, here: SocketAddr) -> Option<SocketAddr> {
    if here.ip().to_canonical().is_ipv4() {
        let found = getsockopt(socket, sockopt::OriginalDst).ok()?;
        let address = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
        return Some((address, u16::from_be(found.sin_port)).into());
    }
    let found = getsockopt(socket, sockopt::Ip6tOriginalDst).ok()?;
    Some((Ipv6Addr::from(found.sin6_addr.s6_addr), u16::from_be(found.sin6_port)).into())
}

/// Reads for whom a load balancer speaks, which it must say first. Nothing: the connection is over.
async fn hear_balancer(shared: &Shared, leg: &mut Leg) -> Option<()> {
    leg.interrupt.arm(shared.limits().head_timeout);
    loop {
        let error = match ProxyHeader::parse(&leg.wire.input) {
            Ok(Some((header, length))) => {
                leg.wire.input.advance(length);
                if let ProxyHeader::For(client) = header {
                    leg.peer = Downstream { address: Some(client), through: leg.peer.address, ..leg.peer };
                }
                return Some(());
            }
            Ok(None) => match tunnel::fill(leg).await {
                Ok(()) => continue,
                // A balancer that looks whether somebody is there says nothing.
                Err(_) if leg.wire.input.is_empty() => return None,
                Err(error) => error,
            },
            Err(error) => Error::Balancer(error),
        };
        let recorder = Recorder::begin(&shared.journal, leg.peer).await;
        if let Ok(mut recorder) = recorder {
            recorder.denied(&error.denial());
            recorder.error(error.cause().unwrap_or_default());
            recorder.finish();
        }
        return None;
    }
}

/// The leg inside TLS with the gateway itself. A certificate that names a session is remembered for its
/// requests.
async fn shake_hands(shared: &Shared, mut leg: Leg, config: Arc<ServerConfig>) -> Option<Leg> {
    if !leg.begins(shared.limits().keep_alive_timeout).await {
        return None;
    }
    let admission = &shared.admission;
    let work = admission.work(None, &mut leg.interrupt).await.ok();
    leg.interrupt.arm(shared.limits().handshake_timeout);
    let under_way = admission.handshake(shared.limits().handshakes).ok();
    let (Some(work), Some(under_way)) = (work, under_way) else {
        listener::note(shared, Reason::Overloaded, leg.peer);
        return None;
    };
    let Leg { wire, peer, mut interrupt, remembered, .. } = leg;
    let (stream, ahead) = wire.into_parts();
    let handshake = TlsAcceptor::from(config).accept(Transport::new(stream, ahead));
    let shaken = work.part(pin!(interrupt.during(handshake))).await;
    drop(under_way);
    let failure = match shaken {
        Ok(Ok(tls)) => {
            let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let names = certificate.map(certificate_names).unwrap_or_default();
            match shared.recognition.by_certificate(&names) {
                Ok(session) => {
                    let mut leg = Leg::new(Wire::new(Stream::Downstream(Box::new(tls))), peer, interrupt);
                    leg.remembered = remembered;
                    leg.remembered.certify(session.cloned());
                    leg.work = Some(work.rest());
                    return Some(leg);
                }
                Err(error) => error.to_string(),
            }
        }
        Ok(Err(error)) => error.to_string(),
        Err(cause) => Error::Interrupted(cause).to_string(),
    };
    record_unshaken(shared, peer, failure).await
}

/// Records a connection that ends before there is TLS.
async fn record_unshaken(shared: &Shared, peer: Downstream, failure: String) -> Option<Leg> {
    let recorder = Recorder::begin(&shared.journal, peer).await;
    if let Ok(mut recorder) = recorder {
        recorder.failed(Reason::DownstreamTls, Some(failure));
        recorder.finish();
    }
    None
}
