//! Reading told from writing by what a request does at a known service: bodies that tell it, and the ways in
//! which an agent would make a write look like a read.

use crate::support::agent::push;
use crate::support::*;

const API: &str = "api.exeat.test";

fn world(rules: &[&str], origin: &Origin) -> World {
    World::start(Setup::allowing(rules).origin("**", origin))
}

fn json(length: usize) -> String {
    format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
}

/// One request in a tunnel of its own.
fn ask(world: &World, host: &str, method: &str, path: &str, fields: &str, body: &str) -> Response {
    world.agent().https(host).ask(method, host, path, fields, body.as_bytes())
}

#[test]
fn graphql_queries_pass_and_mutations_are_refused_before_the_origin_hears_of_them() {
    let origin = Origin::tls().echo();
    let world = world(&["host: api.exeat.test, service: github-api"], &origin);
    let send = |body: &str| ask(&world, API, "POST", "/graphql", &json(body.len()), body);
    let query = "{\"query\": \"query Q { viewer { login } }\", \"variables\": {}}";
    assert_eq!(send(query).status, 200);
    assert_eq!(origin.only_request().body, query.as_bytes());
    for body in [
        "{\"query\": \"mutation { deleteRef(input: {}) { x } }\"}",
        "{\"query\": \"query A { a } mutation B { b }\", \"operationName\": \"A\"}",
        "[{\"query\": \"query { a }\"}, {\"query\": \"mutation { b }\"}]",
        "{\"query\": \"query { a }\", \"query\": \"mutation { b }\"}",
        "{\"query\": \"#\\rmutation { b }\"}",
        "{\"extensions\": {\"persistedQuery\": {\"version\": 1}}}",
        "",
    ] {
        assert_refused(&send(body), "request_not_listed");
    }
    let refusal = assert_refused(&send("{\"query\": \"mutation { b }\"}"), "request_not_listed");
    let detail = refusal["detail"].as_str().unwrap();
    assert!(
        detail.contains("a GraphQL mutation is not permitted: the rule agent.allow[0] lets everything be read"),
        "{detail}"
    );
    assert_eq!(origin.requests().len(), 1);
}

/// What the client says of the body, and how it sends it, makes no other reading of it.
#[test]
fn a_body_that_can_not_be_read_first_is_refused() {
    let origin = Origin::tls().echo();
    let world = world(&["host: api.exeat.test, service: github-api"], &origin);
    let query = "{\"query\": \"{ a }\"}";
    let length = format!("Content-Length: {}\r\n", query.len());
    for fields in [
        format!("{length}Content-Type: application/x-www-form-urlencoded\r\n"),
        format!("{length}Content-Type: application/json\r\nX-HTTP-Method-Override: PUT\r\n"),
        format!("{length}Content-Type: application/json\r\nExpect: 100-continue\r\n"),
        length.clone(),
    ] {
        assert_refused(&ask(&world, API, "POST", "/graphql", &fields, query), "request_not_listed");
    }
    let two = format!("{length}Content-Type: application/json\r\nContent-Type: application/graphql\r\n");
    assert_refused(&ask(&world, API, "POST", "/graphql", &two, query), "bad_request");
    let long = format!("{{\"query\": \"{{ a }}\", \"variables\": {{\"a\": \"{}\"}}}}", "long words ".repeat(100_000));
    assert_refused(&ask(&world, API, "POST", "/graphql", &json(long.len()), &long), "request_not_listed");
    origin.assert_untouched();
}

/// In pieces, and with a body that ends after what would have been enough.
#[test]
fn a_mutation_at_the_end_of_a_chunked_body_is_seen() {
    let origin = Origin::tls().echo();
    let world = world(&["host: api.exeat.test, service: github-api"], &origin);
    let mut tunnel = world.agent().https(API);
    let head = "POST /graphql HTTP/1.1\r\nHost: api.exeat.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    push(&mut tunnel, head.as_bytes());
    for piece in ["{\"query\": \"query A { a }", &" ".repeat(70_000), " mutation B { b }\"}"] {
        push(&mut tunnel, format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
    }
    push(&mut tunnel, b"0\r\n\r\n");
    assert_refused(&tunnel.response_to("POST").unwrap(), "request_not_listed");
    origin.assert_untouched();
}

#[test]
fn an_lfs_batch_for_a_download_passes_and_one_for_an_upload_does_not() {
    let origin = Origin::tls().echo();
    let world = world(&["host: api.exeat.test, service: github, repos: [\"acme/*\"]"], &origin);
    let send = |owner: &str, operation: &str| {
        let body = format!("{{\"operation\": \"{operation}\", \"objects\": []}}");
        let path = format!("/{owner}/site.git/info/lfs/objects/batch");
        let fields = format!("Content-Type: application/vnd.git-lfs+json\r\nContent-Length: {}\r\n", body.len());
        ask(&world, API, "POST", &path, &fields, &body)
    };
    assert_eq!(send("acme", "download").status, 200);
    let refusal = assert_refused(&send("acme", "upload"), "request_not_listed");
    assert!(refusal["detail"].as_str().unwrap().contains("git lfs push to acme/site"), "{refusal}");
    assert_refused(&send("evil", "download"), "request_not_listed");
    assert_eq!(origin.requests().len(), 1);
}

/// T08 for methods: what a field or a parameter makes of a read.
#[test]
fn a_read_can_not_be_made_a_write_on_the_way() {
    let origin = Origin::tls().echo();
    let rules = ["host: api.exeat.test, service: github-api", "host: plain.exeat.test, methods: read-only"];
    let world = world(&rules, &origin);
    for host in [API, "plain.exeat.test"] {
        for field in ["X-HTTP-Method-Override: DELETE", "x-http-method: PUT", "X_Method_Override: PATCH"] {
            let response = ask(&world, host, "GET", "/repos/acme/site", &format!("{field}\r\n"), "");
            assert_refused(&response, "request_not_listed");
        }
        assert_eq!(ask(&world, host, "GET", "/repos/acme/site", "X-HTTP-Method-Override: GET\r\n", "").status, 200);
    }
    let body = ask(&world, API, "GET", "/repos/acme/site", "Content-Length: 3\r\n", "a=b");
    assert_refused(&body, "request_not_listed");
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_refused(&ask(&world, API, "GET", "/repos/acme/site", websocket, ""), "request_not_listed");
    assert_eq!(origin.requests().len(), 2);
}

/// The requests of `docker push`, by the OCI distribution specification.
#[test]
fn an_image_is_pushed_to_its_own_name_and_to_no_other() {
    let origin = Origin::tls().echo();
    let world = world(&["host: api.exeat.test, service: oci, access: write, repos: [\"acme/*\"]"], &origin);
    for (method, path, passes) in [
        ("GET", "/v2/", true),
        ("HEAD", "/v2/acme/app/blobs/sha256:ab", true),
        ("POST", "/v2/acme/app/blobs/uploads/", true),
        ("PATCH", "/v2/acme/app/blobs/uploads/7", true),
        ("PUT", "/v2/acme/app/blobs/uploads/7?digest=sha256:ab", true),
        ("PUT", "/v2/acme/app/manifests/latest", true),
        ("DELETE", "/v2/acme/app/manifests/sha256:ab", true),
        ("POST", "/v2/evil/app/blobs/uploads/", false),
        ("PUT", "/v2/evil/app/manifests/latest", false),
        ("PUT", "/v2/acme%2Fapp/manifests/latest", false),
        ("PUT", "/v2//acme/app/manifests/latest", false),
        ("POST", "/v2/acme/app/blobs/uploads/?mount=sha256:ab&from=other/app", false),
        ("GET", "/v2/_catalog", false),
    ] {
        let response = ask(&world, API, method, path, "Content-Length: 0\r\n", "");
        if passes {
            assert_eq!(response.status, 200, "{method} {path}");
        } else {
            assert_refused(&response, "request_not_listed");
        }
    }
}

#[test]
fn a_refusal_of_a_preset_says_what_would_permit_it() {
    let origin = Origin::tls().echo();
    let policy = "presets: [{preset: github, repos: [\"acme/*\"]}]\nmode: enforce";
    let world = World::start(Setup::under(policy).connect("**", "127.0.0.1:9"));
    // The address guard would stop it: it is refused before that.
    assert_refused(&world.agent().refused("github.com:443"), "dest_address_forbidden");
    drop(origin);
    let test = |arguments: &[&str]| String::from_utf8(world.run(arguments).stdout).unwrap();
    let told = test(&[
        "policy",
        "explain",
        "https://github.com/evil/repo.git/git-receive-pack",
        "--method",
        "POST",
        "--allow",
        "github:acme/site",
    ]);
    assert!(told.contains("does      git push to evil/repo (write)"), "{told}");
    assert!(told.contains("permit    exeat run --allow github-write:evil/repo"), "{told}");
}
