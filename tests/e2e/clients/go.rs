//! Go: net/http, in HTTP/2 too, and the go command with a module proxy of the tests' own.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, prepare};
use crate::support::http2::{Http2Origin, Said};
use crate::support::*;

const HOST: &str = "go.exeat.test";

const PROGRAM: &str = r#"
package main

import ("fmt"; "io"; "net/http"; "os"; "strings")

func main() {
    method, body := "GET", io.Reader(nil)
    if len(os.Args) > 2 { method, body = "POST", strings.NewReader(os.Args[2]) }
    request, _ := http.NewRequest(method, os.Args[1], body)
    answer, err := http.DefaultClient.Do(request)
    if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
    text, _ := io.ReadAll(answer.Body)
    fmt.Println(answer.Proto, answer.StatusCode, string(text))
}
"#;

fn go(client: Client) -> Client {
    let cache = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-go");
    client.env("GOCACHE", cache).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0").env("GOFLAGS", "-modcacherw")
}

fn program(world: &World, way: Way, arguments: &[&str]) -> Done {
    let (source, built) = (world.path("client.go"), world.path("client"));
    if !built.exists() {
        std::fs::write(source, PROGRAM).unwrap();
        go(Client::new("go", world.directory.path())).args(["build", "-o", "client", "client.go"]).run().ok();
    }
    Client::as_run(built, world, way).args(arguments).run()
}

#[test]
fn a_go_program_downloads_and_uploads() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        let done = program(&world, way, &["https://go.exeat.test/down"]).ok();
        assert_eq!(done.stdout, "HTTP/1.1 200 GET /down\n\n");
        let done = program(&world, way, &["https://go.exeat.test/up", "hello"]).ok();
        assert_eq!(done.stdout, "HTTP/1.1 200 POST /up\nhello\n");
        assert_went(way, world, HOST);
    }
}

#[test]
fn a_go_program_speaks_http2_with_an_origin_that_does() {
    let origin = Http2Origin::answering(|got| Said::ok(format!("{} {}", got.method, got.body.len())));
    let world = World::start(Setup::new().connect("**", &origin.address.to_string()));
    let done = program(&world, Way::Intercepted, &["https://go.exeat.test/up", "hello"]).ok();
    assert_eq!(done.stdout, "HTTP/2.0 200 POST 5\n");
}

#[test]
fn a_go_program_sees_its_refusal() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let done = program(&world, Way::Intercepted, &["https://evil.exeat.test/"]).failed();
    assert!(done.stderr.contains("Forbidden"), "{done:?}");
    let done = program(&world, Way::Intercepted, &["http://evil.exeat.test/"]).ok();
    assert!(done.stdout.starts_with("HTTP/1.1 403 ") && done.stdout.contains("dest_not_listed"), "{done:?}");
    origin.assert_never_contacted();
}

/// A module proxy (GOPROXY protocol) with `exeat.test/fixture` v1.2.3.
fn module_proxy() -> Origin {
    let home = tempfile::tempdir().unwrap();
    let manifest = "module exeat.test/fixture\n";
    let script = format!(
        "import zipfile\nwith zipfile.ZipFile('m.zip', 'w') as z:\n    p = 'exeat.test/fixture@v1.2.3/'\n    \
         z.writestr(p + 'go.mod', {manifest:?})\n    z.writestr(p + 'f.go', 'package fixture\\nconst Answer = 42\\n')\n"
    );
    prepare("python3", &["-c", &script], home.path());
    let archive = std::fs::read(home.path().join("m.zip")).unwrap();
    Origin::tls().http(move |request| match request.target.rsplit('/').next() {
        Some("list") => Reply::ok("v1.2.3\n"),
        Some("v1.2.3.info") => Reply::ok("{\"Version\": \"v1.2.3\"}"),
        Some("v1.2.3.mod") => Reply::ok(manifest),
        Some("v1.2.3.zip") => Reply::ok(archive.clone()),
        _ => Reply::status(404),
    })
}

fn download(world: &World, way: Way) -> Done {
    std::fs::write(world.path("go.mod"), "module app\n").unwrap();
    let client = go(Client::as_run("go", world, way)).args(["get", "exeat.test/fixture@v1.2.3"]);
    client.env("GOPROXY", "https://go.exeat.test").env("GONOSUMDB", "*").env("GOPATH", world.path("gopath")).run()
}

#[test]
fn go_downloads_a_module() {
    for way in WAYS {
        let origin = module_proxy();
        let world = world(way, HOST, &origin);
        download(&world, way).ok();
        assert!(world.path("gopath/pkg/mod/exeat.test/fixture@v1.2.3/f.go").exists());
        assert_went(way, world, HOST);
    }
}

#[test]
fn go_is_refused_where_the_module_proxy_is_not_listed() {
    let origin = module_proxy();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = download(&world, Way::Intercepted).failed();
    assert!(done.stderr.contains("Forbidden"), "{done:?}");
    origin.assert_never_contacted();
}
