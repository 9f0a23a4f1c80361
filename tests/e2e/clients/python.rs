//! Python: pip, requests, httpx and the standard library, whose CONNECT is HTTP/1.0.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, python};
use crate::support::*;

pub(super) const HOST: &str = "python.exeat.test";

const REQUESTS: &str = "
import requests
s = requests.Session()
print(s.get('https://python.exeat.test/down').text, end='')
print(s.post('https://python.exeat.test/up', data=b'x' * 100000).status_code)
";

const HTTPX: &str = "
import httpx
with httpx.Client() as c:
    print(c.get('https://python.exeat.test/down').text, end='')
    print(c.post('https://python.exeat.test/up', content=b'x' * 100000).status_code)
";

const URLLIB: &str = "
from urllib.request import urlopen
print(urlopen('https://python.exeat.test/down').read().decode(), end='')
print(urlopen('https://python.exeat.test/up', data=b'x' * 100000).status)
";

fn run(world: &World, way: Way, script: &str) -> Done {
    Client::behind(python(), world, way).args(["-c", script]).run()
}

#[track_caller]
fn assert_works(script: &str) {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        assert_eq!(run(&world, way, script).ok().stdout, "GET /down\n200\n");
        let requests = origin.requests();
        assert_eq!((requests.len(), requests[1].body.len()), (2, 100_000));
        assert_went(way, world, HOST);
    }
}

#[test]
fn requests_downloads_and_uploads() {
    assert_works(REQUESTS);
}

#[test]
fn httpx_downloads_and_uploads() {
    assert_works(HTTPX);
}

#[test]
fn urllib_downloads_and_uploads() {
    assert_works(URLLIB);
}

#[test]
fn requests_speaks_plain_http() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let script = "import requests; print(requests.get('http://python.exeat.test/x').text, end='')";
    assert_eq!(run(&world, Way::Intercepted, script).ok().stdout, "GET /x\n");
}

#[test]
fn requests_reads_its_refusal() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    let script =
        "import requests; r = requests.get('http://evil.exeat.test/'); print(r.status_code, r.json()['reason'])";
    assert_eq!(run(&world, Way::Intercepted, script).ok().stdout, "403 dest_not_listed\n");
    origin.assert_never_contacted();
}

/// An index with the wheel `fixture` 1.0.
pub(super) fn index() -> Origin {
    let home = tempfile::tempdir().unwrap();
    let script = "
import zipfile
with zipfile.ZipFile('fixture-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('fixture/__init__.py', 'ANSWER = 42\\n')
    info = 'fixture-1.0.dist-info/'
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: fixture\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
";
    Client::new(python(), home.path()).args(["-c", script]).run().ok();
    let wheel = std::fs::read(home.path().join("fixture-1.0-py3-none-any.whl")).unwrap();
    let page = "<!DOCTYPE html><a href=\"/files/fixture-1.0-py3-none-any.whl\">fixture-1.0-py3-none-any.whl</a>";
    Origin::tls().http(move |request| match request.target.as_str() {
        "/simple/fixture/" => Reply::ok(page).with("Content-Type", "text/html"),
        "/files/fixture-1.0-py3-none-any.whl" => Reply::ok(wheel.clone()),
        _ => Reply::status(404),
    })
}

fn pip_download(world: &World, way: Way) -> Done {
    let arguments = ["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--retries", "0", "-d", "out"];
    let client = Client::behind(python(), world, way).args(arguments);
    let client = client.args(["--index-url", "https://python.exeat.test/simple/", "fixture"]);
    client.env("PIP_CONFIG_FILE", "/dev/null").env("PIP_DISABLE_PIP_VERSION_CHECK", "1").run()
}

#[test]
fn pip_downloads_from_an_index() {
    for way in WAYS {
        let origin = index();
        let world = world(way, HOST, &origin);
        pip_download(&world, way).ok();
        assert!(world.path("out/fixture-1.0-py3-none-any.whl").exists());
        assert_went(way, world, HOST);
    }
}

#[test]
fn pip_is_refused_where_the_index_is_not_listed() {
    let origin = index();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    pip_download(&world, Way::Intercepted).failed();
    origin.assert_never_contacted();
    assert!(world.into_records().iter().all(|record| record.reason() == "dest_not_listed"));
}

const WHEEL: &str = "
import zipfile
with zipfile.ZipFile('acme_tool-1.0-py3-none-any.whl', 'w') as z:
    z.writestr('acme_tool.py', '')
    z.writestr('acme_tool-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: acme-tool\\nVersion: 1.0\\n')
    z.writestr('acme_tool-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')
    z.writestr('acme_tool-1.0.dist-info/RECORD', '')
";

#[test]
fn twine_uploads_where_it_may_write_and_only_there() {
    for (access, expected) in [("write", true), ("read", false)] {
        let origin = Origin::tls().http(|_| Reply::ok(""));
        let rule = format!("host: {HOST}, service: pypi, access: {access}");
        let world = World::start(Setup::allowing(&[&rule]).origin("**", &origin));
        run(&world, Way::Intercepted, WHEEL).ok();
        let url = format!("https://{HOST}/legacy/");
        let arguments = [
            "-m",
            "twine",
            "upload",
            "--non-interactive",
            "--repository-url",
            &url,
            "-u",
            "u",
            "-p",
            "p",
            "acme_tool-1.0-py3-none-any.whl",
        ];
        let done = Client::behind(python(), &world, Way::Intercepted).args(arguments).run();
        assert_eq!(done.status.success(), expected, "{done:?}");
        assert_eq!(origin.requests().iter().any(|request| request.method == "POST"), expected);
    }
}
