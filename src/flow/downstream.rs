//! Where a flow came from.

use serde::Serialize;
use std::net::SocketAddr;

/// Where a flow came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Downstream {
    /// The agent's address; nothing behind a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// What it came in by, where that is not the HTTP proxy.
    #[serde(skip_serializing_if = "Way::is_proxy")]
    pub way: Way,
    /// The load balancer that told the address (PROXY protocol).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<SocketAddr>,
    /// Where the agent meant to go, where the network led it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<SocketAddr>,
    /// The process at the other end of a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// What a flow came in by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_proxy(&self) -> bool {
        *self == Way::Proxy
    }
}

/// An agent that connected to the HTTP proxy from this address.
impl From<SocketAddr> for Downstream {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address), way: Way::Proxy, through: None, original: None, process: None }
    }
}
