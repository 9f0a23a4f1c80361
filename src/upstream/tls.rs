//! The TLS handshake with an origin.

use super::Error;
use crate::net::Host;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Speaks TLS on a connection. `host` is the host that policy allowed: it is the SNI (none for an
/// address, RFC 6066 §3) and the name that the certificate must be for.
pub async fn handshake(
    config: Arc<ClientConfig>,
    host: &Host,
    stream: TcpStream,
    deadline: Duration,
) -> Result<TlsStream<TcpStream>, Error> {
    let name = match host.as_ip() {
        Some(address) => ServerName::IpAddress(address.into()),
        None => ServerName::try_from(host.to_string()).map_err(|_| Error::BadName)?,
    };
    match timeout(deadline, TlsConnector::from(config).connect(name, stream)).await {
        Ok(finished) => finished.map_err(Error::from_handshake),
        Err(_) => Err(Error::HandshakeTimeout),
    }
}
