//! Where the gateway listens.

use super::defaults;
use super::entrances::{ListenShape, Listener, OriginalWord, TlsListenShape, TransparentListenShape, UnixListenShape};
use super::node::At;
use super::placed::Placed;
use super::recognition::Recognising;
use super::rules::Notes;
use super::units::Written;
use crate::ca::{GatewaySettings, Shows};
use crate::net::Host;
use crate::proxy::Original;
use crate::session::SessionId;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the gateway listens. Port 0 is any free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The HTTP proxy.
    pub proxy: SocketAddr,
    /// The control API.
    pub control: SocketAddr,
    /// SOCKS5.
    pub socks: Option<SocketAddr>,
    /// The HTTP proxy over TLS.
    pub tls: Option<TlsListen>,
    /// The HTTP proxy at a file.
    pub unix: Option<UnixListen>,
    /// What the network leads here.
    pub transparent: Option<TransparentListen>,
    /// The load balancers before `proxy`, `socks` and `tls`, which speak the PROXY protocol.
    pub balancers: Vec<IpNet>,
}

/// The HTTP proxy at a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixListen {
    /// The file.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
}

/// What the network leads here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparentListen {
    /// Where.
    pub address: SocketAddr,
    /// How the network does it.
    pub original: Original,
    /// Whose connections are that come from no session's source.
    pub session: Option<SessionId>,
}

/// Where agents speak TLS to the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListen {
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub settings: GatewaySettings,
}

impl Listen {
    /// Proxy and control API on free loopback ports, and nothing else.
    #[must_use]
    pub fn on_free_ports() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            proxy: free,
            control: free,
            socks: None,
            tls: None,
            unix: None,
            transparent: None,
            balancers: Vec::new(),
        }
    }

    /// All with an address but the control API, by their keys under `listen`.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, SocketAddr)> {
        let transparent = self.transparent.as_ref().map(|transparent| transparent.address);
        let rest =
            [("socks", self.socks), ("tls", self.tls.as_ref().map(|tls| tls.address)), ("transparent", transparent)];
        let rest = rest.into_iter().filter_map(|(name, address)| Some((name, address?)));
        std::iter::once(("proxy", self.proxy)).chain(rest).collect()
    }

    /// What its listeners can know a session by.
    pub(super) fn recognising(&self) -> Recognising {
        let certificates = self.tls.as_ref().is_some_and(|tls| !tls.settings.clients.is_empty());
        Recognising { certificates, sources: self.transparent.is_some() }
    }
}

type Address = Option<Placed<Written<Listener>>>;

pub(super) fn compile(shape: Option<&ListenShape>, base: &Path, notes: &mut Notes) -> Listen {
    let empty = ListenShape::default();
    let shape = shape.unwrap_or(&empty);
    let address = |placed: &Address| placed.as_ref().map(|placed| placed.value.0.0);
    let listen = Listen {
        proxy: address(&shape.proxy).unwrap_or(defaults::PROXY),
        control: address(&shape.control).unwrap_or(defaults::CONTROL),
        socks: address(&shape.socks),
        tls: shape.tls.as_ref().map(|tls| compile_tls(tls, base, notes)),
        unix: shape.unix.as_ref().map(|unix| compile_unix(unix, base, notes)),
        transparent: shape.transparent.as_ref().map(|transparent| compile_transparent(transparent, notes)),
        balancers: shape.proxy_protocol.iter().flat_map(|shape| &shape.from).map(|range| range.value.0.0).collect(),
    };
    for range in
        shape.proxy_protocol.iter().flat_map(|shape| &shape.from).filter(|range| range.value.0.0.prefix_len() == 0)
    {
        notes.error(&range.at, "everybody would be a load balancer, and could be anyone", "name their addresses");
    }
    note_shared(&listen, shape, notes);
    let beyond = |address: SocketAddr| !address.ip().is_loopback();
    if let Some(Placed { at, .. }) = shape.control.as_ref().filter(|_| beyond(listen.control)) {
        let help = "anyone who reaches it and has the key makes sessions: prefer 127.0.0.1";
        notes.warn(at, "the control API listens beyond this machine", help);
    }
    if let Some(Placed { at, .. }) = shape.socks.as_ref().filter(|placed| beyond(placed.value.0.0)) {
        let help = "tokens go over the network in the clear: prefer 127.0.0.1, or a network of the agents' own";
        notes.warn(at, "SOCKS listens beyond this machine", help);
    }
    listen
}

fn compile_unix(shape: &UnixListenShape, base: &Path, notes: &mut Notes) -> UnixListen {
    let mode = shape.mode.as_ref().map(|placed| (&placed.at, u32::from_str_radix(&placed.value, 8)));
    let mode = match mode {
        None => 0o600,
        // Others than owner and group are nobody's agents.
        Some((_, Ok(mode @ (0o600 | 0o660 | 0o620)))) => mode,
        Some((at, _)) => {
            notes.error(at, "the mode lets the owner and at most a group connect", "write \"0600\" or \"0660\"");
            0o600
        }
    };
    UnixListen { path: base.join(&shape.path.value), mode }
}

fn compile_transparent(shape: &TransparentListenShape, notes: &mut Notes) -> TransparentListen {
    let session = shape.session.as_ref().and_then(|placed| match placed.value.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            let error: crate::session::SessionIdError = error;
            notes.error(&placed.at, error.to_string(), "name one of `sessions`");
            None
        }
    });
    let original = match shape.original {
        None | Some(OriginalWord::Redirect) => Original::Redirected,
        Some(OriginalWord::Tproxy) => Original::Kept,
    };
    TransparentListen { address: shape.address.value.0.0, original, session }
}

fn compile_tls(shape: &Placed<TlsListenShape>, base: &Path, notes: &mut Notes) -> TlsListen {
    let Placed { at, value: shape } = shape;
    let address = shape.address.value.0.0;
    let names = || shape.names.iter().flatten();
    let shows = match (&shape.certificate, &shape.key) {
        (Some(certificate), Some(key)) => {
            if let Some(name) = names().next() {
                notes.error(&name.at, "the names of a certificate from a file stand in it", "leave `names` out");
            }
            let [certificate, key] = [certificate, key].map(|file| file_of(file, base, notes));
            Shows::Files { certificate, key }
        }
        (None, None) => Shows::Minted(own_names(address.ip(), names(), notes)),
        _ => {
            notes.error(at, "certificate and key go together", "name both files, or neither: the CA mints one then");
            Shows::Minted(Vec::new())
        }
    };
    let clients: Vec<PathBuf> = shape.clients.iter().flatten().map(|file| file_of(file, base, notes)).collect();
    let require_client = shape.require_client.as_ref().is_some_and(|placed| placed.value);
    if let Some(Placed { at, .. }) = shape.require_client.as_ref().filter(|_| require_client && clients.is_empty()) {
        notes.error(at, "no client certificate could be checked", "name their roots under `clients`");
    }
    TlsListen { address, settings: GatewaySettings { shows, clients, require_client } }
}

/// The address that it listens on, and this machine by its usual names; then those of the file.
fn own_names<'s>(ip: IpAddr, names: impl Iterator<Item = &'s Placed<String>>, notes: &mut Notes) -> Vec<Host> {
    let mut own: Vec<Host> = Vec::new();
    if ip.is_loopback() || ip.is_unspecified() {
        own.push(Host::Name("localhost".into()));
        own.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)].map(Host::from));
    }
    if !ip.is_unspecified() && !own.contains(&ip.into()) {
        own.push(ip.into());
    }
    for name in names {
        match Host::parse(name.value.as_bytes()) {
            Ok(host) if !own.contains(&host) => own.push(host),
            Ok(_) => {}
            Err(error) => notes.error(&name.at, error.to_string(), "write gateway.example.com or an address"),
        }
    }
    own
}

pub(super) fn file_of(file: &Placed<String>, base: &Path, notes: &mut Notes) -> PathBuf {
    let path = base.join(&file.value);
    if let Err(error) = std::fs::File::open(&path) {
        notes.error(&file.at, format!("the file can't be read: {error}"), "name a PEM file");
    }
    path
}

/// Two listeners at one address.
fn note_shared(listen: &Listen, shape: &ListenShape, notes: &mut Notes) {
    let written: [(&str, Option<&At>); 5] = [
        ("proxy", shape.proxy.as_ref().map(|placed| &placed.at)),
        ("control", shape.control.as_ref().map(|placed| &placed.at)),
        ("socks", shape.socks.as_ref().map(|placed| &placed.at)),
        ("tls", shape.tls.as_ref().map(|placed| &placed.value.address.at)),
        ("transparent", shape.transparent.as_ref().map(|shape| &shape.address.at)),
    ];
    let at = |key: &str| written.iter().find(|(name, _)| *name == key).and_then(|(_, at)| *at);
    let mut taken = listen.named();
    taken.insert(1, ("control", listen.control));
    for (position, (key, address)) in taken.iter().enumerate().filter(|(_, (_, address))| address.port() != 0) {
        let Some((earlier, _)) = taken[..position].iter().find(|(_, other)| other == address) else { continue };
        if let Some(at) = at(key).or(at(earlier)) {
            let message = format!("listen.{earlier} and listen.{key} can't share an address");
            notes.error(at, message, "give each its own port");
        }
    }
}
