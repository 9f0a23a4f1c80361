//! The checks that look at the machine: files, ports, name servers.

use super::check::{Check, Namespaces};
use crate::ca::{CertificateAuthority, Settings, Trust, TrustSettings};
use crate::dns::{self, OwnListeners, Resolver};
use crate::flow;
use crate::policy::Permit;
use jiff::Timestamp;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, access};
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a listener may take to show that it is a gateway.
const PATIENCE: Duration = Duration::from_secs(2);
/// A CA that ends sooner than this is worth a word.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A journal's rotation needs that much.
const DISK: u64 = 128 << 20;

/// An error with its causes, in one line.
pub(super) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(super) fn authority(settings: &Settings, now: Timestamp) -> Check {
    const NAME: &str = "ca";
    let at = settings.certificate.display();
    if !settings.certificate.exists() && !settings.key.exists() {
        return Check::ok(NAME, format!("is made at the first start, at {at}"));
    }
    match CertificateAuthority::open(settings) {
        Err(error) => {
            Check::fail(NAME, told(&error), "mend it, or move both files away: a new pair is made at the next start")
        }
        Ok(authority)
            if authority.not_after().duration_since(now) < jiff::SignedDuration::try_from(SOON).unwrap_or_default() =>
        {
            let found = format!("{at} ends at {:.0}", authority.not_after());
            Check::warn(
                NAME,
                found,
                "move both files away soon: a new pair is made at the next start, and agents need it",
            )
        }
        Ok(authority) => Check::ok(NAME, format!("{at}, until {:.0}", authority.not_after())),
    }
}

pub(super) fn roots(settings: &TrustSettings) -> Check {
    const NAME: &str = "roots";
    match Trust::load(settings) {
        Ok(_) => Check::ok(NAME, "destinations' certificates can be checked"),
        Err(error) => Check::fail(NAME, told(&error), "install ca-certificates, or name a file under upstream.trust"),
    }
}

pub(super) fn journal(directory: &Path) -> Check {
    const NAME: &str = "journal";
    let at = directory.display();
    let Some(existing) = directory.ancestors().find(|path| path.exists()) else {
        return Check::fail(
            NAME,
            format!("{at}: no directory above it exists"),
            "set flows.journal to a place that exists",
        );
    };
    if access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let found = format!("{} can't be written", existing.display());
        return Check::fail(NAME, found, "no flow passes unrecorded: make it writable, or set flows.journal");
    }
    if let Ok(disk) = nix::sys::statvfs::statvfs(existing) {
        #[allow(clippy::useless_conversion, reason = "the count has 32 bits on macOS")]
        let free = u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size());
        if free < DISK {
            let found = format!("{at}: {} MiB are free", free >> 20);
            return Check::warn(NAME, found, "a full disk stops all flows: make room");
        }
    }
    if existing != directory {
        return Check::ok(NAME, format!("is made at the first start, at {at}"));
    }
    match flow::verify(directory, true) {
        Ok(Ok(summary)) => Check::ok(NAME, format!("{at}: {} records, chain holds", summary.records)),
        Ok(Err(fault)) => {
            let found = format!("{} line {}: {}", fault.file.display(), fault.line, fault.fault);
            Check::fail(NAME, found, "someone or something changed it: exeat flows verify, and keep a copy")
        }
        Err(error) => Check::fail(NAME, format!("{at}: {error}"), "make it readable for this user"),
    }
}

/// Whether the listeners could be bound, or a gateway has them already.
pub(super) async fn listeners(proxy: SocketAddr, control: SocketAddr) -> Vec<Check> {
    let (proxy_state, control_state) = (state(proxy).await, state(control).await);
    let gateway = control_state == State::Taken && answers(control).await;
    let judge = |name, address, state| match state {
        State::Free => Check::ok(name, format!("{address} is free")),
        State::Taken if gateway => Check::ok(name, format!("{address}: a gateway is running")),
        State::Taken => Check::fail(
            name,
            format!("{address} is taken by another program"),
            "stop it, or set another port under listen",
        ),
        State::Unusable => Check::fail(
            name,
            format!("{address} can't be listened on"),
            "use an address of this machine, and a port from 1024",
        ),
    };
    vec![judge("proxy", proxy, proxy_state), judge("control", control, control_state)]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Taken,
    Unusable,
}

async fn state(address: SocketAddr) -> State {
    match TcpListener::bind(address).await {
        Ok(_) => State::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => State::Taken,
        Err(_) => State::Unusable,
    }
}

/// Whether a gateway's control API is there.
async fn answers(control: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(control).await?;
        stream
            .write_all(format!("GET /healthz HTTP/1.1\r\nHost: {control}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(&answer == b"HTTP/1.1 200")
    };
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(true)))
}

/// Whether a name that policy allows can be looked up and dialled.
pub(super) async fn names(settings: dns::Settings, permit: Option<&Permit>) -> Check {
    const NAME: &str = "dns";
    let Some(permit) = permit else {
        return Check::ok(NAME, "not asked: no policy allows one of the names to try");
    };
    let host = &permit.authority().host;
    let advice = "set resolver.nameservers, or resolver.connect where names are not to be looked up";
    let resolver = match Resolver::new(settings, OwnListeners::new([])) {
        Ok(resolver) => resolver,
        Err(error) => return Check::fail(NAME, told(&error), advice),
    };
    match resolver.resolve(permit).await {
        Ok(vetted) => Check::ok(NAME, format!("{host} has {} addresses", vetted.addresses().len())),
        Err(error) => Check::fail(NAME, format!("{host}: {}", told(&error)), advice),
    }
}

pub(super) fn descriptors() -> Check {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    super::check::descriptors(soft)
}

pub(super) fn namespaces() -> Option<Check> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let [maximum, clone, apparmor] = [
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/kernel/unprivileged_userns_clone",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ]
    .map(|path| fs::read_to_string(path).ok());
    let namespaces = Namespaces { maximum: maximum.as_deref(), clone: clone.as_deref(), apparmor: apparmor.as_deref() };
    Some(namespaces.judge())
}

/// The proxies in our own environment, by name.
pub(super) fn environment() -> Check {
    let proxies = ["http_proxy", "https_proxy", "all_proxy"];
    let set = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (!value.is_empty() && proxies.contains(&name.to_ascii_lowercase().as_str())).then_some(name)
    });
    super::check::environment(&set.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::check::Level;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_ca_that_is_not_there_yet_is_no_fault_and_a_readable_key_is() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings::in_directory(directory.path());
        assert_eq!(authority(&settings, Timestamp::now()).level, Level::Ok);
        CertificateAuthority::create(&settings).unwrap();
        let now = Timestamp::now();
        assert_eq!(authority(&settings, now).level, Level::Ok);
        let end = CertificateAuthority::open(&settings).unwrap().not_after();
        assert_eq!(authority(&settings, end - jiff::SignedDuration::from_hours(24)).level, Level::Warn);
        fs::set_permissions(&settings.key, fs::Permissions::from_mode(0o644)).unwrap();
        let check = authority(&settings, now);
        assert_eq!((check.level, check.found.contains("ca.key")), (Level::Fail, true), "{check}");
    }

    #[test]
    fn a_journal_that_was_changed_fails_with_file_and_line() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(journal(&directory.path().join("not/yet")).level, Level::Ok);
        fs::write(directory.path().join("flows.jsonl"), "{}\n").unwrap();
        let check = journal(directory.path());
        assert_eq!((check.level, check.found.contains("flows.jsonl line 1")), (Level::Fail, true), "{check}");
    }

    #[tokio::test]
    async fn a_port_is_free_or_taken_or_a_gateways() {
        let (proxy, control) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (proxy_address, control_address) = (proxy.local_addr().unwrap(), control.local_addr().unwrap());
        let gateway = tokio::spawn(async move {
            let (mut stream, _) = control.accept().await.unwrap();
            let mut request = [0; 12];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            control
        });
        let checks = listeners(proxy_address, control_address).await;
        assert!(checks.iter().all(|check| check.found.ends_with("a gateway is running")), "{checks:?}");
        drop(gateway.await.unwrap());
        let checks = listeners(proxy_address, control_address).await;
        let levels: Vec<_> = checks.iter().map(|check| check.level).collect();
        assert_eq!(levels, [Level::Fail, Level::Ok], "{checks:?}");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(told(error.as_ref()), "outer: inner");
    }
}
