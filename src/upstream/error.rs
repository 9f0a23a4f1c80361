//! Why there is no upstream connection.

use super::ParentError;
use crate::reason::Reason;
use nix::errno::Errno;
use rustls::{AlertDescription, CertificateError};
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why there is no upstream connection. `Display` names addresses and what the peer sent: it is for the
/// record; the agent gets the sentence of [`reason`](Error::reason).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every address was tried and none took the connection.
    #[error("no address took the connection: {0}")]
    Connect(Attempts),
    /// The deadline came first.
    #[error("no address took the connection in time: {0}")]
    ConnectTimeout(Attempts),
    /// The peer's certificate was refused.
    #[error("certificate refused: {0}")]
    Certificate(CertificateError),
    /// The handshake failed otherwise: an alert, an old version, no TLS at all.
    #[error("TLS handshake failed: {0}")]
    Tls(rustls::Error),
    /// The peer speaks none of the versions of HTTP that were offered.
    #[error("the peer speaks no version of HTTP that was offered")]
    NoCommonProtocol,
    /// HTTP/2 was agreed on, and the peer does not speak it.
    #[error("HTTP/2 failed: {0}")]
    Http2(h2::Error),
    /// The connection broke during the handshake.
    #[error("connection lost during the TLS handshake")]
    HandshakeLost(#[source] io::Error),
    /// The handshake took longer than its deadline.
    #[error("TLS handshake not finished in time")]
    HandshakeTimeout,
    /// The parent proxy can't be reached.
    #[error("the parent proxy can't be reached")]
    NoParent(#[source] Box<Error>),
    /// The parent proxy opened no tunnel.
    #[error("the parent proxy opened no way")]
    Parent(#[source] ParentError),
    /// The parent proxy did not answer in time.
    #[error("the parent proxy did not answer in time")]
    ParentTimeout,
    /// The host is no name that TLS could ask for.
    #[error("the host can't be named in TLS")]
    BadName,
}

/// What became of the addresses that were tried.
#[derive(Debug, Default)]
pub struct Attempts(pub(super) Vec<(SocketAddr, io::Error)>);

impl Attempts {
    /// Whether the process had no descriptor for one of them.
    fn are_out_of_descriptors(&self) -> bool {
        let is_own = |error: &io::Error| {
            error.kind() == io::ErrorKind::QuotaExceeded
                || matches!(error.raw_os_error(), Some(code) if code == Errno::EMFILE as i32 || code == Errno::ENFILE as i32)
        };
        self.0.iter().any(|(_, error)| is_own(error))
    }
}

/// The first four: a record has an end.
impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        if self.0.is_empty() {
            return f.write_str("no attempt has ended");
        }
        for (index, (address, error)) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "; and {more} more"),
        }
    }
}

impl Error {
    /// The reason of the failure.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Error::Connect(attempts) if attempts.are_out_of_descriptors() => Reason::TooManyConnections,
            Error::Connect(_) => Reason::ConnectFailed,
            Error::ConnectTimeout(_) | Error::HandshakeTimeout => Reason::ConnectTimeout,
            Error::Certificate(error) => certificate_reason(error),
            Error::Parent(ParentError::Status(_) | ParentError::Code(_) | ParentError::Credentials) => {
                Reason::UpstreamParentRefused
            }
            Error::Parent(_) | Error::NoParent(_) => Reason::UpstreamParentFailed,
            Error::ParentTimeout => Reason::UpstreamParentTimeout,
            Error::Tls(_) | Error::HandshakeLost(_) | Error::NoCommonProtocol | Error::BadName => {
                Reason::UpstreamTlsFailed
            }
            Error::Http2(_) => Reason::BadUpstreamResponse,
        }
    }

    /// What a failed handshake comes back as from tokio-rustls: a rustls error in an I/O error.
    pub(super) fn from_handshake(error: io::Error) -> Self {
        match error.downcast::<rustls::Error>() {
            Ok(rustls::Error::InvalidCertificate(error)) => Error::Certificate(error),
            Ok(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => Error::NoCommonProtocol,
            Ok(error) => Error::Tls(error),
            Err(error) => Error::HandshakeLost(error),
        }
    }
}

fn certificate_reason(error: &CertificateError) -> Reason {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::UpstreamTlsExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Reason::UpstreamTlsWrongName
        }
        // Unknown issuer, bad signature, wrong purpose, revoked, and what rustls may add.
        _ => Reason::UpstreamTlsUntrusted,
    }
}
