//! node: its https module over a CONNECT of its own, and fetch where this node knows proxies.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way};
use crate::support::*;

const HOST: &str = "node.exeat.test";

/// What proxy agents on npm do: CONNECT, then TLS over the socket, then the request.
const SCRIPT: &str = r#"
const http = require('http'), https = require('https'), tls = require('tls');
const proxy = new URL(process.env.HTTPS_PROXY), target = new URL(process.argv[2]), body = process.argv[3];
const credentials = decodeURIComponent(proxy.username) + ':' + decodeURIComponent(proxy.password);
const headers = { 'Proxy-Authorization': 'Basic ' + Buffer.from(credentials).toString('base64') };
const path = target.hostname + ':443';
headers.Host = path;
http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path, headers })
  .on('connect', (response, socket) => {
    if (response.statusCode !== 200) { console.log('refused ' + response.statusCode); process.exit(3); }
    const secure = tls.connect({ socket, servername: target.hostname }, () => {
      const request = https.request(target, { createConnection: () => secure, defaultPort: 443, method: body ? 'POST' : 'GET' }, (answer) => {
        answer.setEncoding('utf8');
        answer.on('data', (text) => process.stdout.write(text));
        answer.on('end', () => process.exit(0));
      });
      request.on('error', (error) => { console.error(error); process.exit(4); });
      request.end(body);
    });
    secure.on('error', (error) => { console.error(error); process.exit(5); });
  })
  .on('error', (error) => { console.error(error); process.exit(6); })
  .end();
"#;

fn node(world: &World, way: Way, arguments: &[&str]) -> Done {
    std::fs::write(world.path("client.js"), SCRIPT).unwrap();
    Client::behind("node", world, way).args(["client.js"]).args(arguments).run()
}

#[test]
fn node_downloads_and_uploads() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        assert_eq!(node(&world, way, &["https://node.exeat.test/down"]).ok().stdout, "GET /down\n");
        assert_eq!(node(&world, way, &["https://node.exeat.test/up", "hello"]).ok().stdout, "POST /up\nhello");
        assert_went(way, world, HOST);
    }
}

#[test]
fn node_sees_its_refusal() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = node(&world, Way::Intercepted, &["https://evil.exeat.test/"]).failed();
    assert_eq!(done.stdout.trim(), "refused 403");
    origin.assert_never_contacted();
}

#[test]
fn nodes_fetch_goes_through_where_node_knows_proxies() {
    let knows = Client::new("node", std::env::temp_dir().as_path())
        .args(["-p", "const [a, b] = process.versions.node.split('.').map(Number); a > 24 || (a === 24 && b >= 5) || (a === 22 && b >= 21)"])
        .run()
        .ok();
    if knows.stdout.trim() != "true" {
        eprintln!("skipped: this node's fetch does not know NODE_USE_ENV_PROXY");
        return;
    }
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let script = "fetch('https://node.exeat.test/fetch').then((answer) => answer.text()).then((text) => process.stdout.write(text))";
    let client = Client::behind("node", &world, Way::Intercepted).args(["-e", script]).env("NODE_USE_ENV_PROXY", "1");
    assert_eq!(client.run().ok().stdout, "GET /fetch\n");
}
