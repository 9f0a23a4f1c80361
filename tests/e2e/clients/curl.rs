//! curl: proxy credentials in the URL, uploads, IPv6, refusals as it shows them.

use super::{assert_went, world};
use crate::support::clients::{Client, WAYS, Way};
use crate::support::*;

const HOST: &str = "curl.exeat.test";

fn curl(world: &World, way: Way, arguments: &[&str]) -> Client {
    Client::behind("curl", world, way).args(["-sS", "--max-time", "60"]).args(arguments)
}

#[test]
fn curl_downloads_over_https() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        let done = curl(&world, way, &["https://curl.exeat.test/a?b=c"]).run().ok();
        assert_eq!(done.stdout, "GET /a?b=c\n");
        assert_went(way, world, HOST);
    }
}

#[test]
fn curl_uploads_over_https() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        let body: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        std::fs::write(world.path("body"), &body).unwrap();
        curl(&world, way, &["-T", "body", "-o", "answer", "https://curl.exeat.test/up"]).run().ok();
        assert!(origin.only_request().body == body);
        assert_went(way, world, HOST);
    }
}

#[test]
fn curl_uploads_in_chunks() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    std::fs::write(world.path("body"), vec![b'x'; 500_000]).unwrap();
    let arguments =
        ["-H", "Transfer-Encoding: chunked", "--data-binary", "@body", "-o", "answer", "https://curl.exeat.test/up"];
    curl(&world, Way::Intercepted, &arguments).run().ok();
    assert_eq!(origin.only_request().body.len(), 500_000);
}

#[test]
fn curl_speaks_plain_http() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = curl(&world, Way::Intercepted, &["-d", "hello", "http://curl.exeat.test/x"]).run().ok();
    assert_eq!(done.stdout, "POST /x\nhello");
    assert_eq!(world.records(1)[0].mode(), "forward");
}

#[test]
fn curl_reaches_an_origin_on_ipv6() {
    for way in WAYS {
        let origin = Origin::tls().at("[::1]:0").echo();
        let world = world(way, HOST, &origin);
        assert_eq!(curl(&world, way, &["https://curl.exeat.test/six"]).run().ok().stdout, "GET /six\n");
    }
}

#[test]
fn curl_keeps_a_connection_for_many_requests() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = curl(&world, Way::Intercepted, &["https://curl.exeat.test/[1-10]"]).run().ok();
    assert_eq!(done.stdout.matches("GET /").count(), 10);
    let records = assert_went(Way::Intercepted, world, HOST);
    assert_eq!((records.tunnels().len(), records.requests().len()), (1, 10));
}

#[test]
fn curl_shows_why_it_was_refused() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = curl(&world, Way::Intercepted, &["-v", "https://evil.exeat.test/"]).run().failed();
    assert!(
        done.stderr.contains("403") && done.stderr.contains("proxy-status: exeat; error=http_request_denied")
            || done.stderr.to_ascii_lowercase().contains("proxy-status: exeat"),
        "{done:?}"
    );
    origin.assert_never_contacted();
}

#[test]
fn curl_without_credentials_is_asked_for_them() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let proxy = format!("http://{}", world.proxy);
    let done = curl(&world, Way::Intercepted, &["--proxy", &proxy, "https://curl.exeat.test/"]).run().failed();
    assert!(done.stderr.contains("407"), "{done:?}");
}

#[test]
fn curl_stops_at_a_secret() {
    let origin = Origin::tls().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let token = crate::support::secrets::github_token();
    let data = format!("note={token}");
    let done = curl(&world, Way::Intercepted, &["-d", &data, "https://curl.exeat.test/notes"]).run().ok();
    assert!(done.stdout.contains("secret_in_request") && !done.stdout.contains(&token), "{done:?}");
    assert!(origin.requests().is_empty());
}

#[test]
fn curl_speaks_tls_1_2() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        curl(&world, way, &["--tls-max", "1.2", "https://curl.exeat.test/"]).run().ok();
    }
}
