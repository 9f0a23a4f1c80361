//! Clients that speak SOCKS5 with a username and a password, and leave names to the proxy.

use crate::support::clients::{Client, WAYS, Way, from_npm, python};
use crate::support::*;

const HOST: &str = "socks.exeat.test";

fn world(way: Way, origin: &Origin) -> World {
    let rule = format!("host: {HOST}, {}", way.tls());
    World::start(Setup::allowing(&[&rule]).origin(HOST, origin).listen("socks: \"127.0.0.1:0\""))
}

fn url(world: &World) -> String {
    format!("socks5h://dev:{}@{}", world.token("dev"), world.listening("socks"))
}

fn client(program: impl AsRef<std::ffi::OsStr>, world: &World, way: Way) -> Client {
    let authority = way.authority(world);
    let client = Client::new(program, world.directory.path());
    ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
        .iter()
        .fold(client, |client, name| client.env(name, &authority))
}

/// The tunnel went the way it should.
#[track_caller]
fn assert_went(way: Way, world: World) {
    let records = world.into_records();
    let tunnels = records.tunnels();
    assert!(!tunnels.is_empty(), "{records:#?}");
    for tunnel in tunnels {
        assert_eq!((tunnel.mode(), tunnel.text("/downstream/way")), (way.mode(), Some("socks")), "{tunnel:?}");
    }
}

#[test]
fn curl_goes_through() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, &origin);
        let user = format!("dev:{}", world.token("dev"));
        let address = world.listening("socks").to_string();
        let arguments = ["-sS", "--socks5-hostname", &address, "--proxy-user", &user];
        let client = client("curl", &world, way).args(arguments).args(["https://socks.exeat.test/curl"]);
        assert_eq!(client.run().ok().stdout, "GET /curl\n");
        assert_went(way, world);
    }
}

#[test]
fn curl_speaks_plain_http_and_reads_refusals() {
    let origin = Origin::plain().echo();
    let world = World::start(
        Setup::allowing(&["host: socks.exeat.test, methods: read-only"])
            .origin(HOST, &origin)
            .listen("socks: \"127.0.0.1:0\""),
    );
    let curl = |arguments: &[&str]| {
        client("curl", &world, Way::Intercepted).args(["-sS", "--proxy", &url(&world)]).args(arguments).run()
    };
    assert_eq!(curl(&["http://socks.exeat.test/plain"]).ok().stdout, "GET /plain\n");
    assert!(curl(&["http://socks.exeat.test/", "-d", "x"]).ok().stdout.contains("request_not_listed"));
    // 97: the proxy's handshake failed. What it said is a code.
    let refused = curl(&["https://evil.exeat.test/"]).failed();
    assert!(refused.stderr.contains("(2)"), "{refused:#?}");
}

#[test]
fn requests_and_httpx_go_through() {
    let scripts = [
        "import requests, sys; u = sys.argv[1]\n\
         print(requests.get('https://socks.exeat.test/p', proxies={'https': u}).text, end='')",
        "import httpx, sys; u = sys.argv[1].replace('socks5h', 'socks5')\n\
         print(httpx.Client(proxy=u).get('https://socks.exeat.test/p').text, end='')",
    ];
    for script in scripts {
        for way in WAYS {
            let origin = Origin::tls().echo();
            let world = world(way, &origin);
            let client = client(python(), &world, way).args(["-c", script, &url(&world)]);
            assert_eq!(client.run().ok().stdout, "GET /p\n");
            assert_went(way, world);
        }
    }
}

#[test]
fn git_goes_through() {
    let way = Way::Intercepted;
    let origin = Origin::tls().http(|_| Reply::status(404));
    let world = world(way, &origin);
    let client = client("git", &world, way)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_SSL_CAINFO", way.authority(&world))
        .args(["-c", &format!("http.proxy={}", url(&world)), "ls-remote", "https://socks.exeat.test/r.git"]);
    let done = client.run().failed();
    assert!(done.stderr.contains("not found"), "{done:#?}");
    assert_eq!(origin.requests()[0].target, "/r.git/info/refs?service=git-upload-pack");
    assert_went(way, world);
}

#[test]
fn node_goes_through_with_socks_proxy_agent() {
    let modules = from_npm("");
    assert!(modules.join("socks-proxy-agent").exists(), "tests/run.sh installs what the tests need");
    let script = "
import { createRequire } from 'node:module';
const { SocksProxyAgent } = createRequire(process.env.MODULES + '/')('socks-proxy-agent');
import https from 'node:https';
https.get('https://socks.exeat.test/node', { agent: new SocksProxyAgent(process.env.SOCKS) }, (r) => r.pipe(process.stdout));
";
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, &origin);
        let client = client("node", &world, way).env("SOCKS", url(&world)).env("MODULES", &modules);
        assert_eq!(client.args(["--input-type=module", "-e", script]).run().ok().stdout, "GET /node\n");
        assert_went(way, world);
    }
}
