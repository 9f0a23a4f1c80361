//! `listen` as it is typed.

use super::placed::Placed;
use super::shapes::Range;
use super::units::Written;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::SocketAddr;

/// Where the gateway listens: ADDRESS:PORT; port 0 is any free one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenShape {
    /// The HTTP proxy: absolute-form and CONNECT.
    pub(super) proxy: Option<Placed<Written<Listener>>>,
    /// The control API, /metrics, /healthz and /readyz.
    pub(super) control: Option<Placed<Written<Listener>>>,
    /// SOCKS5: the session's id as username, its token as password. Left out: none.
    pub(super) socks: Option<Placed<Written<Listener>>>,
    /// The HTTP proxy over TLS (a proxy URL of `https://`). Left out: none.
    pub(super) tls: Option<Placed<TlsListenShape>>,
    /// The HTTP proxy at a Unix socket. Left out: none.
    pub(super) unix: Option<UnixListenShape>,
    /// What the network leads here (REDIRECT, TPROXY), of agents that know of no proxy. Left out: none.
    pub(super) transparent: Option<TransparentListenShape>,
    /// Load balancers before proxy, socks and tls. Left out: none.
    pub(super) proxy_protocol: Option<ProxyProtocolShape>,
}

/// The HTTP proxy at a Unix socket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnixListenShape {
    /// The file; one that nobody listens at any more is replaced.
    pub(super) path: Placed<String>,
    /// Who may connect: "0600" the owner, "0660" the group too; left out: 0600.
    pub(super) mode: Option<Placed<String>>,
}

/// Where the network leads agents that know of no proxy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TransparentListenShape {
    /// ADDRESS:PORT.
    pub(super) address: Placed<Written<Listener>>,
    /// How the network leads there; left out: redirect.
    pub(super) original: Option<OriginalWord>,
    /// Whose connections are that come from no session's `sources`; left out: nobody's.
    pub(super) session: Option<Placed<String>>,
}

/// How the network leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OriginalWord {
    /// By a REDIRECT or DNAT rule.
    Redirect,
    /// By a TPROXY rule.
    Tproxy,
}

/// Load balancers that tell for whom they speak.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxyProtocolShape {
    /// Their addresses: each connection from there must begin with a header of version 2, and none from elsewhere may.
    pub(super) from: Vec<Placed<Written<Range>>>,
}

/// Where agents speak TLS to the gateway itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsListenShape {
    /// ADDRESS:PORT.
    pub(super) address: Placed<Written<Listener>>,
    /// The gateway's certificate and its chain, PEM; left out: the CA mints one.
    pub(super) certificate: Option<Placed<String>>,
    /// Its key, PEM, mode 0600.
    pub(super) key: Option<Placed<String>>,
    /// Names of the gateway besides the address and, on this machine, localhost: for a minted certificate.
    pub(super) names: Option<Vec<Placed<String>>>,
    /// PEM files with the roots of client certificates; left out: none is asked for.
    pub(super) clients: Option<Vec<Placed<String>>>,
    /// Whether a client without a certificate is turned away; left out: no.
    pub(super) require_client: Option<Placed<bool>>,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener(pub(super) SocketAddr);
