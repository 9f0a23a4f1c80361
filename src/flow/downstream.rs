//! Where a flow came from.

use serde::Serialize;
use std::net::SocketAddr;

/// Where a flow came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downstream {
    /// The agent's address; nothing behind a Unix socket.
    pub address: Option<SocketAddr>,
    /// What it came in by, where that is not the HTTP proxy.
    pub way: Way,
    /// The load balancer that told the address (PROXY protocol).
    pub through: Option<SocketAddr>,
    /// Where the agent meant to go, where the network led it here.
    pub original: Option<SocketAddr>,
    /// The process at the other end of a Unix socket.
    pub process: Option<Process>,
}

/// What a flow came in by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The HTTP proxy.
    #[default]
    Proxy,
    /// The HTTP proxy over TLS.
    Tls,
    /// SOCKS5.
    Socks,
    /// The network, which led it here without the agent's doing.
    Transparent,
}

/// What an agent's ClientHello showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientTls {
    /// The server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The application protocols offered, the first few of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
    /// Whether Encrypted ClientHello was there, real or greased.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ech: bool,
    /// What kind of client it is of.
    pub ja4: String,
}

/// A process, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its user.
    pub uid: u32,
    /// Its id, where the kernel tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

impl Way {
    /// As the record says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Way::Proxy => "proxy",
            Way::Tls => "tls",
            Way::Socks => "socks",
            Way::Transparent => "transparent",
        }
    }
}

/// An agent that connected to the HTTP proxy from this address.
impl From<SocketAddr> for Downstream {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address), way: Way::Proxy, through: None, original: None, process: None }
    }
}
