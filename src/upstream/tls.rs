//! The TLS handshake with an origin.

use super::Error;
use crate::flow::UpstreamTls;
use crate::net::Host;
use crate::wire::Transport;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use rustls_pki_types::ServerName;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Speaks TLS on a connection. `host` is the host that policy allowed: it is the SNI (none for an
/// address, RFC 6066 §3) and the name that the certificate must be for.
pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    host: &Host,
    stream: Transport,
    deadline: Duration,
) -> Result<TlsStream<Transport>, Error> {
    let name = match host.as_ip() {
        Some(address) => ServerName::IpAddress(address.into()),
        None => ServerName::try_from(host.to_string()).map_err(|_| Error::BadName)?,
    };
    match timeout(deadline, TlsConnector::from(config).connect(name, stream)).await {
        Ok(finished) => finished.map_err(Error::from_handshake),
        Err(_) => Err(Error::HandshakeTimeout),
    }
}

/// What was agreed, for the record. `host` is what went up as SNI, unless it is an address.
pub(super) fn agreed(connection: &ClientConnection, host: &Host) -> UpstreamTls {
    UpstreamTls {
        version: connection.protocol_version().map(|version| match version {
            ProtocolVersion::TLSv1_3 => Cow::Borrowed("TLSv1.3"),
            ProtocolVersion::TLSv1_2 => Cow::Borrowed("TLSv1.2"),
            other => Cow::Owned(format!("{other:?}")),
        }),
        alpn: connection.alpn_protocol().map(|protocol| match protocol {
            b"http/1.1" => Cow::Borrowed("http/1.1"),
            b"h2" => Cow::Borrowed("h2"),
            other => Cow::Owned(String::from_utf8_lossy(other).into_owned()),
        }),
        sni: match host {
            Host::Name(name) => Some(name.clone()),
            Host::V4(_) | Host::V6(_) => None,
        },
    }
}
