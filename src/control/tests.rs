//! The control API as a peer sees it: raw bytes over a loopback socket.

use super::*;
use crate::session::{Credentials, Labels, Session, TokenDigest};
use crate::store::Memory;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const KEY: &str = "operator-key-of-the-tests";

struct World {
    address: SocketAddr,
    sessions: Sessions,
    ready: Arc<AtomicBool>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn reason(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        assert_eq!(self.json()["status"], self.status);
        self.json()["reason"].as_str().unwrap().to_owned()
    }
}

impl World {
    async fn start() -> Self {
        Self::listening_on("127.0.0.1:0".parse().unwrap(), None).await
    }

    /// With `told`, the routes believe that they listen there.
    async fn listening_on(proxy: SocketAddr, told: Option<SocketAddr>) -> Self {
        let dev = Session {
            id: "dev".parse().unwrap(),
            policy: "agent".into(),
            task: None,
            labels: Labels::new(),
            created_at: Timestamp::now(),
            expires_at: None,
            digest: TokenDigest::of("dev-token"),
            known: 0,
        };
        let sessions = Sessions::open(Arc::new(Memory), vec![dev]).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new(AtomicBool::new(true));
        let control = Control {
            listen: told.unwrap_or(address),
            key: OperatorKey::new(KEY.into()).unwrap(),
            sessions: sessions.clone(),
            policies: Arc::new(|| vec!["agent".into(), "read-only".into()]),
            proxy,
            ca_bundle: Some("/state/bundle.pem".into()),
            metrics: Arc::new(Metrics::new()),
            measure: Arc::new(|_| ()),
            ready: {
                let ready = Arc::clone(&ready);
                Arc::new(move || ready.load(Ordering::Acquire))
            },
            reload: Arc::new(|| Box::pin(async { Err("exeat.yaml:1:1: unknown key".to_owned()) })),
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router(control), shutdown.clone()));
        Self { address, sessions, ready, shutdown, serving }
    }

    /// Sends bytes as they are and reads until the connection ends.
    async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A peer that answers before it has read everything may reset afterwards.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        Answer { status: head[9..12].parse().unwrap(), head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn send(&self, line: &str, fields: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.raw(format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}{length}\r\n{body}").as_bytes()).await
    }

    async fn as_operator(&self, line: &str, body: &str) -> Answer {
        self.send(line, &format!("Host: localhost\r\nAuthorization: Bearer {KEY}\r\n"), body).await
    }

    async fn create(&self, body: &Value) -> Answer {
        self.as_operator("POST /v1/sessions", &body.to_string()).await
    }
}

#[tokio::test]
async fn an_operator_makes_a_session_and_gets_its_token_once() {
    let world = World::listening_on("127.0.0.1:3128".parse().unwrap(), None).await;
    let wanted = json!({"policy": "agent", "ttl": "2h", "task": "Fix issue 12", "labels": {"team": "core"}});
    let made = world.create(&wanted).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.head.contains("cache-control: no-store"), "{}", made.head);
    let made = made.json();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(made["proxy_url"], format!("http://{id}:{token}@127.0.0.1:3128"));
    assert_eq!((&made["policy"], &made["task"]), (&json!("agent"), &json!("Fix issue 12")));
    assert_eq!((&made["labels"], &made["ca_bundle"]), (&json!({"team": "core"}), &json!("/state/bundle.pem")));
    let at = |key: &str| made[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(at("expires_at").duration_since(at("created_at")).as_secs(), 7200);
    assert!(world.sessions.authenticate(&Credentials::Basic { id, token }).is_some());

    for line in ["GET /v1/sessions".to_owned(), format!("GET /v1/sessions/{id}")] {
        let shown = world.as_operator(&line, "").await;
        assert_eq!(shown.status, 200);
        assert!(shown.body.contains(id) && !shown.body.contains(token), "{}", shown.body);
        assert!(!shown.body.contains("digest") && !shown.body.contains("sha256"), "{}", shown.body);
    }
    let shown = world.as_operator(&format!("GET /v1/sessions/{id}"), "").await.json();
    assert_eq!((&shown["origin"], &shown["uploaded"]), (&json!("minted"), &json!(0)));
    let metrics = world.send("GET /metrics", "Host: localhost\r\n", "").await;
    assert!(!metrics.body.contains(id) && metrics.body.contains("exeat_sessions 2\n"), "{}", metrics.body);
}

#[tokio::test]
async fn a_session_lives_an_hour_unless_told_otherwise() {
    let world = World::start().await;
    let made = world.create(&json!({"policy": "read-only"})).await.json();
    let at = |key: &str| made[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(at("expires_at").duration_since(at("created_at")).as_secs(), 3600);
    assert_eq!((&made["task"], &made["labels"]), (&Value::Null, &json!({})));
}

#[tokio::test]
async fn a_revoked_session_is_gone_and_its_flows_end() {
    let world = World::start().await;
    let id = world.create(&json!({"policy": "agent"})).await.json()["id"].as_str().unwrap().to_owned();
    let live = world.sessions.show(&id).unwrap();
    let revoked = world.as_operator(&format!("DELETE /v1/sessions/{id}"), "").await;
    assert_eq!((revoked.status, revoked.body.as_str()), (204, ""));
    tokio::time::timeout(Duration::from_secs(5), live.ended.cancelled()).await.unwrap();
    for line in [format!("GET /v1/sessions/{id}"), format!("DELETE /v1/sessions/{id}")] {
        let answer = world.as_operator(&line, "").await;
        assert_eq!((answer.status, answer.reason().as_str()), (404, "unknown_session"));
    }
}

#[tokio::test]
async fn without_the_key_nothing_is_told_or_done() {
    let world = World::start().await;
    let wanted = json!({"policy": "agent"}).to_string();
    for (line, body) in [
        ("GET /v1/sessions", ""),
        ("GET /v1/sessions/dev", ""),
        ("DELETE /v1/sessions/dev", ""),
        ("POST /v1/sessions", wanted.as_str()),
        ("PUT /v1/sessions", ""),
        ("GET /v1/whatever", ""),
        ("GET /v1", ""),
    ] {
        let answer = world.send(line, "Host: localhost\r\n", body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (401, "unauthorized"), "{line}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
    }
    for line in ["GET /%761/sessions", "GET //v1/sessions", "GET /v1/../v1/sessions", "GET /V1/sessions"] {
        let answer = world.send(line, "Host: localhost\r\n", "").await;
        assert!(matches!(answer.status, 401 | 404), "{line}: {}", answer.status);
        assert!(!answer.body.contains("\"dev\""), "{line}: {}", answer.body);
    }
    assert_eq!(world.sessions.count(), 1);
}

#[tokio::test]
async fn only_the_key_itself_is_the_key() {
    let world = World::start().await;
    for authorization in [
        "Authorization: Bearer operator-key-of-the-test".to_owned(),
        format!("Authorization: Bearer {KEY}x"),
        format!("Authorization: Bearer {KEY} x"),
        format!("Authorization: Basic {}", data_encoding::BASE64.encode(format!("dev:{KEY}").as_bytes())),
        format!("Authorization: {KEY}"),
        "Authorization: Bearer dev-token".to_owned(),
        format!("Authorization: Bearer {KEY}\r\nAuthorization: Bearer {KEY}"),
        format!("Proxy-Authorization: Bearer {KEY}"),
        format!("X-Api-Key: {KEY}"),
    ] {
        let answer = world.send("GET /v1/sessions", &format!("Host: localhost\r\n{authorization}\r\n"), "").await;
        assert!(matches!(answer.status, 401 | 429), "{authorization}: {}", answer.status);
        assert!(!answer.body.contains(KEY), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_source_of_wrong_keys_is_told_to_wait_but_the_right_key_never_is() {
    let world = World::start().await;
    let mut statuses = Vec::new();
    for number in 0..50 {
        let fields = format!("Host: localhost\r\nAuthorization: Bearer wrong-key-number-{number}\r\n");
        let answer = world.send("GET /v1/sessions", &fields, "").await;
        assert_eq!(answer.status == 429, answer.head.contains("retry-after: "), "{}", answer.head);
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert_eq!(statuses[5..], [429; 45]);
    assert_eq!(world.as_operator("GET /v1/sessions", "").await.status, 200);
}

#[tokio::test]
async fn a_wrong_key_costs_the_connection() {
    let world = World::start().await;
    let request = "GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong-key-wrong-key\r\n\r\n";
    let answer = world.raw(request.repeat(3).as_bytes()).await;
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(answer.body.matches("HTTP/1.1").count(), 0, "{}", answer.body);
}

#[tokio::test]
async fn names_that_are_not_the_gateways_are_refused() {
    let world = World::start().await;
    let port = world.address.port();
    for host in
        ["evil.test", "localhost.evil.test", "evil.localhost", "127.0.0.1.evil.test", "10.0.0.1", "[2001:db8::1]"]
    {
        for path in ["/v1/sessions", "/healthz", "/metrics", "/"] {
            let fields = format!("Host: {host}:{port}\r\nAuthorization: Bearer {KEY}\r\n");
            let answer = world.send(&format!("GET {path}"), &fields, "").await;
            assert_eq!((answer.status, answer.reason().as_str()), (421, "foreign_host"), "{host} {path}");
        }
    }
    for host in ["localhost", "LOCALHOST:1", &format!("127.0.0.1:{port}"), "127.0.0.9", "[::1]", "[::1]:80"] {
        assert_eq!(world.send("GET /healthz", &format!("Host: {host}\r\n"), "").await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let world = World::start().await;
    for (line, fields) in [
        ("GET /healthz", ""),
        ("GET /healthz", "Host: localhost\r\nHost: evil.test\r\n"),
        ("GET /healthz", "Host: localhost\r\nHost: localhost\r\n"),
        ("GET /healthz", "Host: \r\n"),
        ("GET /healthz", "Host: user@localhost\r\n"),
        ("GET /healthz", "Host: localhost:+80\r\n"),
        ("GET /healthz", "Host: 2130706433\r\n"),
        ("GET http://evil.test/healthz", "Host: localhost\r\n"),
    ] {
        let answer = world.send(line, fields, "").await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_host"), "{line} {fields:?}");
    }
    assert_eq!(world.send("GET http://localhost/healthz", "Host: localhost\r\n", "").await.status, 200);
}

#[tokio::test]
async fn the_control_listener_is_no_proxy() {
    let world = World::start().await;
    let answer = world.send("GET http://example.com/", "Host: example.com\r\n", "").await;
    assert_eq!(answer.status, 421);
    let answer = world.raw(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nConnection: close\r\n\r\n").await;
    assert!(answer.status >= 400, "{}", answer.status);
}

#[tokio::test]
async fn what_is_wrong_with_a_wanted_session_is_told() {
    let world = World::start().await;
    let long = "x".repeat(300);
    let many: serde_json::Map<String, Value> = (0..17).map(|number| (format!("k{number}"), json!(""))).collect();
    for (wanted, status, reason, told) in [
        (json!({"policy": "typo"}), 422, "unknown_policy", "there are: agent, read-only"),
        (json!({}), 400, "bad_json", "missing field `policy`"),
        (json!({"policy": "agent", "tll": "1h"}), 400, "bad_json", "unknown field `tll`"),
        (json!({"policy": "agent", "token": "mine"}), 400, "bad_json", "unknown field `token`"),
        (json!({"policy": "agent", "id": "mine"}), 400, "bad_json", "unknown field `id`"),
        (json!({"policy": 1}), 400, "bad_json", "expected a string"),
        (json!(["agent"]), 400, "bad_json", "expected"),
        (json!({"policy": "agent", "ttl": 3600}), 400, "bad_json", "expected a string"),
        (json!({"policy": "agent", "ttl": "3600"}), 400, "bad_ttl", "with units"),
        (json!({"policy": "agent", "ttl": "31d"}), 400, "bad_ttl", "at most 30 days"),
        (json!({"policy": "agent", "ttl": "0s"}), 400, "bad_ttl", "at least one second"),
        (json!({"policy": "agent", "task": long}), 400, "bad_task", "256 bytes"),
        (json!({"policy": "agent", "task": "a\u{1b}[2J"}), 400, "bad_task", "control characters"),
        (json!({"policy": "agent", "labels": {"a b": "c"}}), 400, "bad_labels", "a label's key"),
        (json!({"policy": "agent", "labels": {"a": "b\n"}}), 400, "bad_labels", "control characters"),
        (json!({"policy": "agent", "labels": {"a": 1}}), 400, "bad_json", "expected a string"),
        (json!({"policy": "agent", "labels": many}), 400, "bad_labels", "at most 16 labels"),
    ] {
        let answer = world.create(&wanted).await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{wanted}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{}", answer.body);
    }
    for body in ["", "{", "{\"policy\":\"agent\"} x", "{\"policy\":\"agent\",\"policy\":\"read-only\"}"] {
        assert_eq!(world.as_operator("POST /v1/sessions", body).await.reason(), "bad_json", "{body}");
    }
    let twice = r#"{"policy":"agent","labels":{"a":"1","a":"2"}}"#;
    assert_eq!(world.as_operator("POST /v1/sessions", twice).await.reason(), "bad_labels");
    assert_eq!(world.sessions.count(), 1);
}

#[tokio::test]
async fn a_huge_body_is_refused_and_not_kept() {
    let world = World::start().await;
    let body = format!("{{\"policy\":\"agent\",\"task\":\"{}\"}}", "x".repeat(600_000));
    let answer = world.as_operator("POST /v1/sessions", &body).await;
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    let claimed = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 99999999999\r\n\r\n{{"
    );
    assert_eq!(world.raw(claimed.as_bytes()).await.status, 413);
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let head = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_eq!(world.raw((head + &chunk.repeat(140)).as_bytes()).await.status, 413);
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let world = World::start().await;
    let answer = world.send("GET /healthz", &format!("Host: localhost\r\nX: {}\r\n", "x".repeat(40_000)), "").await;
    assert_eq!(answer.status, 431);
    let answer = world.send("GET /healthz", &"X: y\r\n".repeat(100), "").await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn methods_and_paths_that_are_not_there_are_told_apart() {
    let world = World::start().await;
    let answer = world.as_operator("PATCH /v1/sessions", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (405, "method_not_allowed"));
    let answer = world.as_operator("GET /v1/policies", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (404, "not_found"));
    let answer = world.send("GET /", "Host: localhost\r\n", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (404, "not_found"));
    for id in ["unknown", "%00", "%64ev%0a", "DEV", "..", &"a".repeat(300)] {
        let answer = world.as_operator(&format!("DELETE /v1/sessions/{id}"), "").await;
        assert_eq!(answer.status, 404, "{id}");
    }
}

#[tokio::test]
async fn health_and_readiness_need_no_key() {
    let world = World::start().await;
    let answer = world.send("GET /healthz", "Host: localhost\r\n", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    let answer = world.send("GET /readyz", "Host: localhost\r\n", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));
    world.ready.store(false, Ordering::Release);
    let answer = world.send("GET /readyz", "Host: localhost\r\n", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (503, "not_ready"));
    assert_eq!(world.send("GET /healthz", "Host: localhost\r\n", "").await.status, 200);
}

#[tokio::test]
async fn metrics_want_the_key_where_others_can_reach_the_listener() {
    let world = World::start().await;
    let answer = world.send("GET /metrics", "Host: localhost\r\n", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
    let proxy = "0.0.0.0:3128".parse().unwrap();
    let world = World::listening_on(proxy, Some("0.0.0.0:3129".parse().unwrap())).await;
    assert_eq!(world.send("GET /metrics", "Host: localhost\r\n", "").await.status, 401);
    assert_eq!(world.as_operator("GET /metrics", "").await.status, 200);
    assert_eq!(world.send("GET /healthz", "Host: localhost\r\n", "").await.status, 200);
}

#[tokio::test]
async fn the_proxy_url_names_an_address_that_the_operator_can_reach() {
    let world = World::listening_on("0.0.0.0:3128".parse().unwrap(), Some("0.0.0.0:3129".parse().unwrap())).await;
    for (host, reachable) in
        [("localhost", "127.0.0.1"), ("10.1.2.3:3129", "10.1.2.3"), ("[2001:db8::1]:3129", "[2001:db8::1]")]
    {
        let fields = format!("Host: {host}\r\nAuthorization: Bearer {KEY}\r\n");
        let made = world.send("POST /v1/sessions", &fields, &json!({"policy": "agent"}).to_string()).await;
        let url = made.json()["proxy_url"].as_str().unwrap().to_owned();
        assert!(url.ends_with(&format!("@{reachable}:3128")), "{url}");
    }
    assert_eq!(world.send("GET /healthz", "Host: evil.test\r\n", "").await.status, 421);
}

#[tokio::test]
async fn shutting_down_ends_idle_connections_and_the_listener() {
    let world = World::start().await;
    let mut idle = TcpStream::connect(world.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    world.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(4), world.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn a_configuration_that_does_not_check_is_told_to_operators_alone() {
    let world = World::start().await;
    let answer = world.as_operator("POST /v1/reload", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (422, "bad_configuration"));
    assert!(answer.body.contains("exeat.yaml:1:1"), "{}", answer.body);
    assert_eq!(world.send("POST /v1/reload", "Host: localhost\r\n", "").await.status, 401);
    assert_eq!(world.as_operator("GET /v1/reload", "").await.status, 405);
}
