//! Clients whose proxy URL is `https://`: TLS to the gateway, and TLS to the origin inside it.

use crate::support::certs::CLIENTS;
use crate::support::clients::{Client, WAYS, Way, python};
use crate::support::*;
use rcgen::SanType;

const HOST: &str = "inside.exeat.test";
const SPIFFE: &str = "spiffe://exeat.test/agent";

fn world(way: Way, origin: &Origin) -> World {
    let rule = format!("host: {HOST}, {}", way.tls());
    let setup = Setup::allowing(&[&rule]).origin(HOST, origin).file("clients.pem", &CLIENTS.pem());
    let setup = setup.listen("tls: {address: \"127.0.0.1:0\", clients: [clients.pem]}");
    World::start(setup.session_key("dev", &format!("certificates: [{SPIFFE:?}]")))
}

fn url(world: &World) -> String {
    format!("https://dev:{}@localhost:{}", world.token("dev"), world.listening("tls").port())
}

#[track_caller]
fn assert_went(way: Way, world: World) {
    let records = world.into_records();
    let tunnels = records.tunnels();
    assert!(!tunnels.is_empty(), "{records:#?}");
    for tunnel in tunnels.iter().filter(|record| record.reason() != "proxy_auth_required") {
        assert_eq!((tunnel.mode(), tunnel.text("/downstream/way")), (way.mode(), Some("tls")), "{tunnel:?}");
    }
}

fn curl(world: &World, way: Way) -> Client {
    let (gateway, authority) = (world.path("ca.pem"), way.authority(world));
    let client = Client::new("curl", world.directory.path()).args(["-sS", "--proxy-cacert"]).args([gateway]);
    client.args(["--cacert"]).args([authority])
}

#[test]
fn curl_goes_through_tls_in_tls() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, &origin);
        let client = curl(&world, way).args(["--proxy", &url(&world), "https://inside.exeat.test/curl"]);
        assert_eq!(client.run().ok().stdout, "GET /curl\n");
        assert_went(way, world);
    }
}

#[test]
fn curl_with_a_certificate_needs_no_token() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, &origin);
    let (certificate, key) = CLIENTS.client(vec![SanType::URI(SPIFFE.try_into().unwrap())]);
    std::fs::write(world.path("agent.pem"), certificate).unwrap();
    std::fs::write(world.path("agent.key"), key).unwrap();
    let proxy = format!("https://localhost:{}", world.listening("tls").port());
    let client = curl(&world, Way::Intercepted).args(["--proxy-cert", "agent.pem", "--proxy-key", "agent.key"]);
    let done = client.args(["--proxy", &proxy, "https://inside.exeat.test/curl"]).run().ok();
    assert_eq!(done.stdout, "GET /curl\n");
    let records = world.into_records();
    assert!(records.iter().all(|record| record.text("/session/id") == Some("dev")), "{records:#?}");
}

#[test]
fn httpx_goes_through_tls_in_tls() {
    let script = "
import httpx, ssl, sys
proxy = httpx.Proxy(sys.argv[1], ssl_context=ssl.create_default_context(cafile=sys.argv[2]))
client = httpx.Client(proxy=proxy, verify=ssl.create_default_context(cafile=sys.argv[3]))
print(client.get('https://inside.exeat.test/httpx').text, end='')
print(client.post('https://inside.exeat.test/up', content=b'x' * 1000000).status_code)
";
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, &origin);
        let files = [world.path("ca.pem"), way.authority(&world)];
        let client = Client::new(python(), world.directory.path()).args(["-c", script, &url(&world)]).args(files);
        assert_eq!(client.run().ok().stdout, "GET /httpx\n200\n");
        assert_went(way, world);
    }
}
