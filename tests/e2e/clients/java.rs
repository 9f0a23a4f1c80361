//! Java: HttpClient and HttpURLConnection. Neither shows proxy credentials unless the program says so.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way};
use crate::support::http2::{Http2Origin, Said};
use crate::support::*;

const HOST: &str = "java.exeat.test";

/// Proxy and roots come from the environment, the credentials from the same properties by a few lines of code.
const PROGRAM: &str = r#"
import java.io.*;
import java.net.*;
import java.net.http.*;

class Client {
    static final Authenticator OWN = new Authenticator() {
        protected PasswordAuthentication getPasswordAuthentication() {
            String password = System.getProperty("https.proxyPassword");
            return new PasswordAuthentication(System.getProperty("https.proxyUser"), password.toCharArray());
        }
    };

    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[1]);
        String body = arguments.length > 2 ? arguments[2] : null;
        switch (arguments[0]) {
            case "client": client(HttpClient.newBuilder().authenticator(OWN), uri, body); break;
            case "stranger": client(HttpClient.newBuilder(), uri, body); break;
            default: connection(uri, body);
        }
    }

    static void client(HttpClient.Builder builder, URI uri, String body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri);
        if (body != null) request.POST(HttpRequest.BodyPublishers.ofString(body));
        HttpResponse<String> answer = builder.build().send(request.build(), HttpResponse.BodyHandlers.ofString());
        System.out.print(answer.version() + " " + answer.statusCode() + " " + answer.body());
    }

    static void connection(URI uri, String body) throws Exception {
        Authenticator.setDefault(OWN);
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        if (body != null) {
            connection.setDoOutput(true);
            connection.getOutputStream().write(body.getBytes());
        }
        int status = connection.getResponseCode();
        InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream();
        System.out.print(status + " " + new String(in.readAllBytes()));
    }
}
"#;

fn java(world: &World, way: Way, arguments: &[&str]) -> Done {
    std::fs::write(world.path("Client.java"), PROGRAM).unwrap();
    Client::as_run("java", world, way).args(["Client.java"]).args(arguments).run()
}

#[test]
fn java_downloads_and_uploads() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        let url = "https://java.exeat.test/x";
        assert_eq!(java(&world, way, &["client", url]).ok().stdout, "HTTP_1_1 200 GET /x\n");
        assert_eq!(java(&world, way, &["client", url, "hello"]).ok().stdout, "HTTP_1_1 200 POST /x\nhello");
        assert_eq!(java(&world, way, &["connection", url, "hello"]).ok().stdout, "200 POST /x\nhello");
        assert_went(way, world, HOST);
    }
}

#[test]
fn java_speaks_http2_with_an_origin_that_does() {
    let origin = Http2Origin::answering(|got| Said::ok(format!("{} {}", got.method, got.body.len())));
    let world = World::start(Setup::new().connect("**", &origin.address.to_string()));
    let done = java(&world, Way::Intercepted, &["client", "https://java.exeat.test/x", "hello"]).ok();
    assert_eq!(done.stdout, "HTTP_2 200 POST 5");
}

/// Its plain requests ask for `Upgrade: h2c`, which goes no further.
#[test]
fn java_speaks_plain_http() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = java(&world, Way::Intercepted, &["client", "http://java.exeat.test/x", "hello"]).ok();
    assert_eq!(done.stdout, "HTTP_1_1 200 POST /x\nhello");
    let request = origin.only_request();
    assert_eq!((request.field("upgrade"), request.field("http2-settings")), (None, None));
}

#[test]
fn java_shows_its_refusals() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = java(&world, Way::Intercepted, &["client", "http://evil.exeat.test/"]).ok();
    assert!(done.stdout.starts_with("HTTP_1_1 403 ") && done.stdout.contains("dest_not_listed"), "{done:?}");
    let done = java(&world, Way::Intercepted, &["connection", "https://evil.exeat.test/"]).failed();
    assert!(done.stderr.contains("403"), "{done:?}");
    // Without the lines that show the credentials.
    let done = java(&world, Way::Intercepted, &["stranger", "http://java.exeat.test/"]).ok();
    assert!(done.stdout.starts_with("HTTP_1_1 407 "), "{done:?}");
    origin.assert_never_contacted();
}
