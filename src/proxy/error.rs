//! Everything that ends a request short of its answer.

use super::interrupt::Cause;
use crate::http1::{ChunkError, FramingError, HeadError};
use crate::net::socks::SocksError;
use crate::net::{AuthorityError, ProxyHeaderError, TargetError};
use crate::reason::{Denial, Kind, Reason};
use crate::websocket::{HandshakeError, Violation};
use crate::{dns, upstream};
use std::error::Error as _;
use std::io;

/// Why a request ends short of its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A decision against it.
    #[error("refused: {}", .0.reason)]
    Refused(Denial),
    /// The request's head has no single reading.
    #[error("the request's head is refused")]
    Head(#[source] HeadError),
    /// Its length is unclear.
    #[error("the request's length is unclear")]
    Framing(#[source] FramingError),
    /// Its body's chunks are malformed.
    #[error("the request's body is not well-formed")]
    Body(#[source] ChunkError),
    /// Its target is refused.
    #[error("the request's target is refused")]
    Target(#[source] TargetError),
    /// A SOCKS message is refused.
    #[error("the SOCKS message is refused")]
    Socks(#[source] SocksError),
    /// What a load balancer says is refused.
    #[error("the load balancer is refused")]
    Balancer(#[source] ProxyHeaderError),
    /// The client closed its side in the middle of its request.
    #[error("the request is cut short")]
    Cut,
    /// The client closed or broke the connection.
    #[error("the client is gone")]
    ClientGone(#[source] Option<io::Error>),
    /// The client was too slow.
    #[error("the client was too slow")]
    ClientSlow,
    /// Name resolution or vetting.
    #[error("resolving failed")]
    Dns(#[source] dns::Error),
    /// Connection or TLS handshake.
    #[error("connecting failed")]
    Connect(#[source] upstream::Error),
    /// The origin closed or broke the connection before its answer was whole.
    #[error("the origin closed the connection")]
    UpstreamGone(#[source] Option<io::Error>),
    /// The origin was too slow.
    #[error("the origin was too slow")]
    UpstreamSlow,
    /// The origin's head has no single reading, or answers what was not asked.
    #[error("the origin's answer is refused: {0}")]
    BadResponse(String),
    /// The request asks for a WebSocket in a way that no server may take.
    #[error("the WebSocket handshake is refused")]
    Handshake(#[source] HandshakeError),
    /// The origin's 101 is not to this request.
    #[error("the answer to the WebSocket handshake is refused")]
    UpstreamHandshake(#[source] HandshakeError),
    /// The client's frames.
    #[error("the client's frames are refused")]
    Frames(#[from] Violation),
    /// The origin's frames.
    #[error("the origin's frames are refused")]
    UpstreamFrames(#[source] Violation),
    /// The wait was ended from outside.
    #[error("ended from outside: {0:?}")]
    Interrupted(Cause),
}

impl Error {
    /// The stable reason.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Error::Refused(denial) => denial.reason,
            Error::Head(HeadError::TooLarge | HeadError::Fields(crate::http1::FieldsError::TooMany)) => {
                Reason::HeadTooLarge
            }
            Error::Head(HeadError::TargetTooLong) => Reason::TargetTooLong,
            Error::Head(HeadError::BadVersion) => Reason::VersionNotSupported,
            Error::Head(_) => Reason::BadRequest,
            Error::Framing(FramingError::OtherCoding) => Reason::CodingNotSupported,
            Error::Framing(_) | Error::Body(_) => Reason::BadFraming,
            Error::Socks(SocksError::Host(_) | SocksError::Port) => Reason::BadAuthority,
            Error::Socks(SocksError::Command) => Reason::MethodNotSupported,
            Error::Socks(_) | Error::Balancer(_) => Reason::BadRequest,
            Error::Cut => Reason::RequestCut,
            Error::Target(error) => target_reason(*error),
            Error::ClientGone(_) => Reason::ClientClosed,
            Error::ClientSlow => Reason::RequestTimeout,
            Error::Dns(error) => error.reason(),
            Error::Connect(error) => error.reason(),
            Error::UpstreamGone(_) => Reason::UpstreamClosed,
            Error::UpstreamSlow => Reason::UpstreamTimeout,
            Error::BadResponse(_) | Error::UpstreamHandshake(_) | Error::UpstreamFrames(_) => {
                Reason::BadUpstreamResponse
            }
            Error::Frames(Violation::Bomb) => Reason::InflateLimit,
            Error::Handshake(_) | Error::Frames(_) => Reason::BadWebSocket,
            Error::Interrupted(Cause::SessionEnded) => Reason::SessionEnded,
            Error::Interrupted(Cause::PolicyChanged) => Reason::PolicyChanged,
            Error::Interrupted(Cause::CrowdedOut) => Reason::TooManyConnections,
            Error::Interrupted(Cause::JournalBroken) => Reason::LogUnavailable,
            Error::Interrupted(Cause::Draining | Cause::Killed) => Reason::ShuttingDown,
            Error::Interrupted(Cause::Deadline) => Reason::UpstreamTimeout,
        }
    }

    /// What the client is told. Faults of the request are named, what lies upstream is not.
    pub(super) fn denial(&self) -> Denial {
        if let Error::Refused(denial) = self {
            return denial.clone();
        }
        let denial = Denial::new(self.reason());
        match self {
            Error::Head(_) | Error::Framing(_) | Error::Body(_) | Error::Target(_) | Error::Socks(_) => {
                denial.because(self.innermost())
            }
            Error::Handshake(_) | Error::UpstreamHandshake(_) | Error::Frames(_) | Error::UpstreamFrames(_) => {
                denial.because(self.innermost())
            }
            Error::Dns(error) => denial.because(error.detail()),
            _ => denial,
        }
    }

    /// The whole chain of causes, for the record: nothing where a decision says it all.
    pub(super) fn cause(&self) -> Option<String> {
        if matches!(self, Error::Refused(_)) || self.reason().kind() == Kind::Denied && self.source().is_none() {
            return None;
        }
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Some(text)
    }

    fn innermost(&self) -> String {
        let mut error: &dyn std::error::Error = self;
        while let Some(source) = error.source() {
            error = source;
        }
        error.to_string()
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Error::Refused(denial)
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Error::Refused(Denial::new(reason))
    }
}

fn target_reason(error: TargetError) -> Reason {
    match error {
        TargetError::WrongForm | TargetError::HttpsInAbsoluteForm | TargetError::Path(_) => Reason::BadTarget,
        TargetError::Authority(AuthorityError::NoPort) => Reason::BadTarget,
        TargetError::Authority(_) => Reason::BadAuthority,
        TargetError::Host(_) | TargetError::HostCount | TargetError::HostMismatch => Reason::BadHost,
        TargetError::AuthorityMismatch => Reason::AuthorityMismatch,
    }
}
