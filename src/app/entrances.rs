//! The listeners that agents come in by, bound before anything is served.

use super::StartError;
use crate::ca::{self, CertificateAuthority};
use crate::config::{Listen, UnixListen};
use crate::proxy::{Door, Entrance, Original, Speaks, UnixDoor};
use ipnet::IpNet;
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Connections that wait to be accepted. The one that finds the queue full is not told: it asks again after a second.
const BACKLOG: i32 = 1024;

/// The listeners, bound and not yet served.
pub(super) struct Entrances {
    pub(super) open: Vec<Entrance>,
    pub(super) proxy: SocketAddr,
    /// All of them as the operator is told, the proxy first.
    pub(super) named: Vec<(&'static str, String)>,
    /// Those that have one.
    pub(super) addresses: Vec<SocketAddr>,
    balancers: Arc<[IpNet]>,
}

impl Entrances {
    /// Binds all that are configured.
    pub(super) async fn open(listen: &Listen, authority: &Arc<CertificateAuthority>) -> Result<Self, StartError> {
        let balancers = listen.balancers.clone().into();
        let mut entrances =
            Self { open: Vec::new(), proxy: listen.proxy, named: Vec::new(), addresses: Vec::new(), balancers };
        entrances.proxy = entrances.tcp("proxy", "listen.proxy", listen.proxy, Speaks::Http).await?;
        if let Some(address) = listen.socks {
            entrances.tcp("socks", "listen.socks", address, Speaks::Socks).await?;
        }
        if let Some(tls) = &listen.tls {
            let settings = ca::gateway_config(&tls.settings, authority).map_err(StartError::Tls)?;
            entrances.tcp("tls", "listen.tls", tls.address, Speaks::Tls(settings)).await?;
        }
        if let Some(transparent) = &listen.transparent {
            let address = transparent.address;
            let failed = |source| StartError::Listen { key: "listen.transparent", address, source };
            let listener = bind_transparent(address, transparent.original).map_err(failed)?;
            let speaks = Speaks::Transparent(transparent.original, transparent.session.clone());
            entrances.enter("transparent", address, listener, speaks, Arc::new([]));
        }
        if let Some(unix) = &listen.unix {
            let failed = |source| StartError::ListenUnix { path: unix.path.clone(), source };
            let listener = bind_unix(unix).map_err(failed)?;
            entrances.named.push(("unix", unix.path.display().to_string()));
            let door = Door::Unix(UnixDoor { listener, path: unix.path.clone() });
            entrances.open.push(Entrance { door, speaks: Speaks::Http, balancers: Arc::new([]) });
        }
        Ok(entrances)
    }

    async fn tcp(
        &mut self,
        name: &'static str,
        key: &'static str,
        address: SocketAddr,
        speaks: Speaks,
    ) -> Result<SocketAddr, StartError> {
        let listener = super::bind(key, address)?;
        Ok(self.enter(name, address, listener, speaks, self.balancers.clone()))
    }

    fn enter(
        &mut self,
        name: &'static str,
        asked: SocketAddr,
        listener: TcpListener,
        speaks: Speaks,
        balancers: Arc<[IpNet]>,
    ) -> SocketAddr {
        let address = super::local_address(&listener, asked);
        self.open.push(Entrance { door: Door::Tcp(listener), speaks, balancers });
        self.named.push((name, address.to_string()));
        self.addresses.push(address);
        address
    }
}

/// TPROXY hands over connections to addresses that are not of this machine; the socket must say that it
/// takes them (`CAP_NET_ADMIN`).
fn bind_transparent(address: SocketAddr, original: Original) -> io::Result<TcpListener> {
    bind_with(address, |socket| match original {
        Original::Kept => Ok(setsockopt(socket, sockopt::IpTransparent, &true)?),
        Original::Redirected => Ok(()),
    })
}

/// Binds a socket that was prepared for it.
pub(super) fn bind_with(
    address: SocketAddr,
    prepare: impl FnOnce(&TcpSocket) -> io::Result<()>,
) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // What is accepted inherits it, which saves every connection a call.
    socket.set_nodelay(true)?;
    prepare(&socket)?;
    socket.bind(address)?;
    socket.listen(BACKLOG.unsigned_abs())
}

/// Takes the place of a socket file that nobody listens at any more; its mode holds before anyone can connect.
fn bind_unix(unix: &UnixListen) -> io::Result<UnixListener> {
    remove_stale(&unix.path)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&unix.path)?)?;
    std::fs::set_permissions(&unix.path, Permissions::from_mode(unix.mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is there and is no socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn what_is_accepted_sends_small_answers_at_once() {
        let listener = bind_with("127.0.0.1:0".parse().unwrap(), |_| Ok(())).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(listener.accept().await.unwrap().0.nodelay().unwrap());
    }
}
