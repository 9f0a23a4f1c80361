//! The proxy at a Unix socket, and behind load balancers that speak the PROXY protocol.

use crate::support::agent::{dial, finish, push};
use crate::support::clients::Client;
use crate::support::*;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

const HOST: &str = "plain.exeat.test";

fn get(agent: &Agent<'_>) -> String {
    agent.head("GET", "http://plain.exeat.test/x", "")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_unix_socket_serves_and_tells_who_connects() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin(HOST, &origin).listen("unix: {path: own.sock}"));
    assert_eq!(mode(&world.path("own.sock")), 0o600);
    let mut wire = Wire::new(UnixStream::connect(world.path("own.sock")).unwrap());
    push(&mut wire, get(&world.agent()).as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().text(), "GET /x\n");
    let mut stranger = Wire::new(UnixStream::connect(world.path("own.sock")).unwrap());
    push(&mut stranger, get(&world.stranger()).as_bytes());
    assert_refused(&stranger.response_to("GET").unwrap(), "proxy_auth_required");
    let path = world.path("own.sock");
    let records = world.into_records();
    let downstream = &records.only("allowed", "(none)")["downstream"];
    assert_eq!(downstream["process"]["uid"], nix::unistd::getuid().as_raw());
    assert_eq!(downstream["process"]["pid"], std::process::id());
    assert_eq!(downstream.get("address"), None);
    assert!(!path.exists(), "the file stayed behind");
}

#[test]
fn curl_tunnels_through_a_unix_socket() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("in.exeat.test", &origin).listen("unix: {path: own.sock}"));
    // curl knows Unix sockets as the way to a server; the server here is the proxy.
    let script = "
import socket, ssl, sys
s = socket.socket(socket.AF_UNIX); s.connect('own.sock')
s.sendall(b'CONNECT in.exeat.test:443 HTTP/1.1\\r\\nHost: in.exeat.test:443\\r\\nProxy-Authorization: Bearer %s\\r\\n\\r\\n' % sys.argv[1].encode())
assert s.recv(4096).startswith(b'HTTP/1.1 200')
t = ssl.create_default_context(cafile='ca.pem').wrap_socket(s, server_hostname='in.exeat.test')
t.sendall(b'GET /unix HTTP/1.1\\r\\nHost: in.exeat.test\\r\\nConnection: close\\r\\n\\r\\n')
print(t.recv(4096).decode().splitlines()[0])
";
    let client = Client::new(crate::support::clients::python(), world.directory.path());
    let done = client.args(["-c", script, world.token("dev")]).run().ok();
    assert!(done.stdout.starts_with("HTTP/1.1 200"), "{done:?}");
    assert_eq!(origin.requests()[0].target, "/unix");
}

#[test]
fn the_mode_of_the_socket_is_the_operators() {
    let world = World::start(Setup::new().listen("unix: {path: own.sock, mode: \"0660\"}"));
    assert_eq!(mode(&world.path("own.sock")), 0o660);
    for mode in ["\"0666\"", "\"0777\"", "\"x\""] {
        let setup = Setup::new().listen(&format!("unix: {{path: own.sock, mode: {mode}}}"));
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
        std::fs::write(home.path().join("exeat.yaml"), setup.yaml()).unwrap();
        let done =
            crate::support::world::exeat(home.path()).args(["check", "--config", "exeat.yaml"]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains("at most a group"), "{said}");
    }
}

#[test]
fn a_socket_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let origin = Origin::plain().echo();
    let mut world = World::start(Setup::new().origin(HOST, &origin).listen("unix: {path: own.sock}"));
    world.signal(nix::sys::signal::Signal::SIGKILL);
    world.wait();
    assert!(world.path("own.sock").exists());
    let world = world.restart_dead();
    let mut wire = Wire::new(UnixStream::connect(world.path("own.sock")).unwrap());
    push(&mut wire, get(&world.agent()).as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    // A second gateway leaves the first one's door alone.
    let setup = Setup::new().listen(&format!("unix: {{path: {:?}}}", world.path("own.sock")));
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
    std::fs::write(home.path().join("exeat.yaml"), setup.yaml()).unwrap();
    let mut command = crate::support::world::exeat(home.path());
    command.env("EXEAT_TEST_TOKEN_DEV", "0123456789abcdef0123456789abcdef");
    let done = command.args(["serve", "--config", "exeat.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("somebody listens there"), "{said}");
    assert!(UnixStream::connect(world.path("own.sock")).is_ok());
}

/// A header of version 2 for this client.
fn proxy_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, body].concat()
}

const CLIENT: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0x30, 0x39, 0x0c, 0x38];

fn balanced(origin: &Origin, from: &str) -> World {
    let listen = format!("proxy_protocol: {{from: [{from:?}]}}");
    World::start(Setup::new().origin(HOST, origin).listen(&listen))
}

#[test]
fn a_load_balancer_tells_the_real_source() {
    let origin = Origin::plain().echo();
    let world = balanced(&origin, "127.0.0.0/8");
    let addition = [0x20, 0, 1, b'x'];
    let cases = [
        (proxy_header(0x21, 0x11, &CLIENT), Some("203.0.113.9:12345")),
        (proxy_header(0x21, 0x11, &[&CLIENT[..], &addition].concat()), Some("203.0.113.9:12345")),
        (proxy_header(0x20, 0, &[]), None),
    ];
    for (header, _) in &cases {
        let mut wire = dial(world.proxy);
        for byte in header {
            push(&mut wire, &[*byte]);
        }
        push(&mut wire, get(&world.agent()).as_bytes());
        assert_eq!(wire.response_to("GET").unwrap().text(), "GET /x\n");
    }
    let records = world.into_records();
    for (record, (_, client)) in records.iter().zip(cases) {
        match client {
            Some(client) => {
                assert_eq!(record.text("/downstream/address"), Some(client));
                assert!(record.text("/downstream/through").unwrap().starts_with("127.0.0.1:"));
            }
            None => assert!(record.text("/downstream/address").unwrap().starts_with("127.0.0.1:")),
        }
    }
}

#[test]
fn a_load_balancer_that_does_not_say_is_refused() {
    let origin = Origin::plain().echo();
    let world = balanced(&origin, "127.0.0.0/8");
    let v1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 1 2\r\n".to_vec();
    let cases = [
        vec![],
        v1,
        proxy_header(0x21, 0x12, &CLIENT),
        proxy_header(0x21, 0x11, &CLIENT[..8]),
        proxy_header(0x11, 0x11, &CLIENT),
    ];
    for header in &cases {
        let mut wire = dial(world.proxy);
        push(&mut wire, &[header, get(&world.agent()).as_bytes()].concat());
        finish(&wire);
        assert!(wire.rest().unwrap_or_default().is_empty(), "{header:?}");
    }
    origin.assert_never_contacted();
    let records = world.into_records();
    assert!(records.iter().all(|record| record.reason() == "bad_request"), "{records:#?}");
    assert_eq!(records.len(), cases.len());
}

#[test]
fn nobody_else_says_who_he_is() {
    let origin = Origin::plain().echo();
    let world = balanced(&origin, "203.0.113.0/24");
    let mut wire = dial(world.proxy);
    push(&mut wire, &[&proxy_header(0x21, 0x11, &CLIENT)[..], get(&world.agent()).as_bytes()].concat());
    assert_refused(&wire.response_to("GET").unwrap(), "bad_request");
    assert_eq!(world.agent().get("http://plain.exeat.test/y").text(), "GET /y\n");
    origin.wait("one connection", |seen| seen.len() == 1);
}

#[test]
fn socks_behind_a_load_balancer_hears_it_first() {
    let origin = Origin::plain().echo();
    let listen = "proxy_protocol: {from: [\"127.0.0.0/8\"]}";
    let world = World::start(Setup::new().origin(HOST, &origin).listen(listen).listen("socks: \"127.0.0.1:0\""));
    let mut wire = dial(world.listening("socks"));
    push(&mut wire, &[&proxy_header(0x21, 0x11, &CLIENT)[..], &[5, 1, 2]].concat());
    assert_eq!(wire.exact(2).unwrap(), [5, 2]);
}
