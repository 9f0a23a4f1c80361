//! git over SSH through CONNECT: OpenSSH at both ends.

use crate::support::clients::{Client, prepare};
use crate::support::*;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOST: &str = "git.exeat.test";

/// A real server, for this user alone.
struct Sshd {
    child: Child,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Sshd {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        for key in ["host", "agent"] {
            prepare("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key], home.path());
        }
        std::fs::copy(home.path().join("agent.pub"), home.path().join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Where the daemon parts with its privileges, if it has any.
        let _ = std::fs::create_dir_all("/run/sshd");
        let path = |name: &str| home.path().join(name).display().to_string();
        let options = [
            format!("Port={port}"),
            "ListenAddress=127.0.0.1".into(),
            format!("HostKey={}", path("host")),
            format!("AuthorizedKeysFile={}", path("authorized")),
            "StrictModes=no".into(),
            "PasswordAuthentication=no".into(),
            "UsePAM=no".into(),
            "PermitRootLogin=yes".into(),
            "PidFile=none".into(),
        ];
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", "/dev/null"]);
        options.iter().for_each(|option| _ = command.args(["-o", option]));
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.expect("sshd is there; tests/run.sh installs what the tests need");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let end = Instant::now() + DEADLINE;
        while TcpStream::connect(address).is_err() {
            let log = std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "sshd does not listen: {log}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Self { child, address, home }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn world(server: &Sshd, rule: &str) -> World {
    let rule = format!("host: {HOST}, ports: [{}], {rule}", server.address.port());
    World::start(Setup::allowing(&[&rule]).connect(HOST, &server.address.to_string()))
}

/// git whose ssh goes through the gateway.
fn git(server: &Sshd, world: &World, arguments: &[&str]) -> Client {
    let (token, port) = (world.token("dev"), world.proxy.port());
    let proxy = format!("socat - PROXY:127.0.0.1:%h:%p,proxyport={port},proxyauth=dev:{token}");
    let key = server.home.path().join("agent").display().to_string();
    let ssh = format!(
        "ssh -F none -i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o BatchMode=yes -o 'ProxyCommand={proxy}'"
    );
    let client = Client::new("git", world.directory.path()).args(arguments).env("GIT_SSH_COMMAND", ssh);
    client.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0")
}

fn repository(home: &Path) -> String {
    let run = |arguments: &[&str]| prepare("git", arguments, home);
    run(&["init", "-q", "-b", "main", "work"]);
    std::fs::write(home.join("work/file.txt"), "over ssh\n").unwrap();
    run(&["-C", "work", "add", "-A"]);
    run(&["-C", "work", "-c", "user.name=t", "-c", "user.email=t@exeat.test", "commit", "-q", "-m", "First"]);
    run(&["clone", "-q", "--bare", "work", "repo.git"]);
    home.join("repo.git").display().to_string()
}

fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name
}

#[test]
fn git_clones_and_pushes_over_ssh() {
    let server = Sshd::start();
    let path = repository(server.home.path());
    let world = world(&server, "tls: tunnel, protocols: [ssh]");
    let url = format!("ssh://{}@{HOST}:{}{path}", user(), server.address.port());
    git(&server, &world, &["clone", "-q", &url, "clone"]).run().ok();
    assert_eq!(std::fs::read_to_string(world.path("clone/file.txt")).unwrap(), "over ssh\n");
    git(&server, &world, &["-C", "clone", "push", "-q", "origin", "HEAD:refs/heads/pushed"]).run().ok();
    let records = world.into_records();
    assert!(records.iter().all(|record| (record.mode(), record.verdict()) == ("relay", "allowed")), "{records:#?}");
    assert_eq!(records.len(), 2);
}

#[test]
fn ssh_does_not_pass_where_only_tls_may() {
    let server = Sshd::start();
    let world = world(&server, "tls: tunnel");
    let url = format!("ssh://{}@{HOST}:{}/nothing", user(), server.address.port());
    git(&server, &world, &["ls-remote", &url]).run().failed();
    world.into_records().only("denied", "tunnel_not_tls");
}
