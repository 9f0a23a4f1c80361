//! The ways in: what a listener speaks. Every one of them ends at the same gate.

use super::error::Error;
use super::leg::Leg;
use super::{Shared, connection, socks};
use crate::ca::certificate_names;
use crate::flow::{Downstream, Recorder, Way};
use crate::reason::Reason;
use crate::wire::{Socket, Stream, Transport, Wire};
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is listened on, and what is spoken there.
#[derive(Debug)]
pub struct Entrance {
    /// Where connections come from.
    pub door: Door,
    /// What they speak.
    pub speaks: Speaks,
}

/// Where connections come from.
#[derive(Debug)]
pub enum Door {
    /// An address.
    Tcp(TcpListener),
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
}

impl Speaks {
    /// The record's word for it.
    fn way(&self) -> Way {
        match self {
            Speaks::Http => Way::Proxy,
            Speaks::Tls(_) => Way::Tls,
            Speaks::Socks => Way::Socks,
        }
    }

    /// Whether a connection that can't be served is told so in HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Speaks::Http)
    }
}

/// Serves one connection to its end.
pub(super) async fn enter(shared: Arc<Shared>, socket: Socket, peer: Downstream, speaks: Speaks) {
    let peer = Downstream { way: speaks.way(), ..peer };
    let leg = Leg::new(Wire::new(socket.into()), peer, shared.interrupt());
    match speaks {
        Speaks::Http => connection::serve(&shared, leg).await,
        Speaks::Tls(config) => {
            if let Some(leg) = Box::pin(shake_hands(&shared, leg, config)).await {
                connection::serve(&shared, leg).await;
            }
        }
        Speaks::Socks => Box::pin(socks::serve(&shared, leg)).await,
    }
}

/// The leg inside TLS with the gateway itself. A certificate that names a session is remembered for its
/// requests.
async fn shake_hands(shared: &Shared, mut leg: Leg, config: Arc<ServerConfig>) -> Option<Leg> {
    leg.interrupt.arm(shared.limits.keep_alive_timeout);
    // A connection that never says anything is no flow.
    if !matches!(leg.interrupt.while_idle(leg.wire.fill()).await, Ok(Ok(read)) if read > 0) {
        return None;
    }
    leg.interrupt.arm(shared.limits.handshake_timeout);
    let Leg { wire, peer, mut interrupt, .. } = leg;
    let (stream, ahead) = wire.into_parts();
    let handshake = TlsAcceptor::from(config).accept(Transport::new(stream, ahead));
    let failure = match interrupt.during(handshake).await {
        Ok(Ok(tls)) => {
            let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let names = certificate.map(certificate_names).unwrap_or_default();
            match shared.recognition.by_certificate(&names) {
                Ok(session) => {
                    let mut leg = Leg::new(Wire::new(Stream::Downstream(Box::new(tls))), peer, interrupt);
                    leg.remembered.certify(session.cloned());
                    return Some(leg);
                }
                Err(error) => error.to_string(),
            }
        }
        Ok(Err(error)) => error.to_string(),
        Err(cause) => Error::Interrupted(cause).to_string(),
    };
    let recorder = shared.journal.ready().await.and_then(|()| Recorder::open(&shared.journal, peer));
    if let Ok(mut recorder) = recorder {
        recorder.failed(Reason::DownstreamTls, Some(failure));
        recorder.finish();
    }
    None
}
