use super::*;
use crate::control::{Control, router, serve};
use crate::session::Credentials;
use crate::store::{Memory, Sessions};
use crate::telemetry::Metrics;
use clap::Parser;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Parser)]
struct Whole {
    #[command(flatten)]
    args: Args,
}

struct World {
    folder: tempfile::TempDir,
    control: String,
    sessions: Sessions,
}

impl World {
    /// A control API on loopback, and the file with its key.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sessions = Sessions::open(Arc::new(Memory), Vec::new()).await.unwrap();
        let control = Control {
            listen: listener.local_addr().unwrap(),
            key: OperatorKey::load_or_create(&folder.path().join("control.key")).unwrap(),
            sessions: sessions.clone(),
            policies: Arc::new(|| vec!["agent".into()]),
            proxy: "127.0.0.1:3128".parse().unwrap(),
            ca_bundle: Some("/state/bundle.pem".into()),
            metrics: Arc::new(Metrics::new()),
            ready: Arc::new(|| true),
            measure: Arc::new(|_| ()),
            reload: Arc::new(|| Box::pin(async { Err("not here".to_owned()) })),
        };
        let address = format!("http://{}", control.listen);
        tokio::spawn(serve(listener, router(control), CancellationToken::new()));
        Self { folder, control: address, sessions }
    }

    async fn run(&self, words: &str) -> Result<String, String> {
        let key = self.folder.path().join("control.key");
        run_with(&format!("{words} --control {} --key {}", self.control, key.display())).await
    }
}

async fn run_with(words: &str) -> Result<String, String> {
    let whole = Whole::try_parse_from(std::iter::once("session").chain(words.split_whitespace()))
        .map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let done = execute(whole.args, &mut out).await;
    done.map(|_| String::from_utf8(out).unwrap()).map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn a_session_is_made_shown_listed_and_revoked() {
    let world = World::start().await;
    let made =
        world.run("new --policy agent --ttl 2h --task work --label team=core --label a=b=c --json").await.unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(made["labels"], serde_json::json!({"team": "core", "a": "b=c"}));
    assert!(world.sessions.authenticate(&Credentials::Basic { id, token }).is_some());

    let listed = world.run("list").await.unwrap();
    assert!(listed.contains(id) && listed.contains("a=b=c,team=core"), "{listed}");
    let shown = world.run(&format!("show {id}")).await.unwrap();
    assert!(shown.contains("task     work\n") && !shown.contains(token), "{shown}");
    let shown: Value = serde_json::from_str(&world.run(&format!("show {id} --json")).await.unwrap()).unwrap();
    assert_eq!(shown["policy"], "agent");

    assert_eq!(world.run(&format!("revoke {id}")).await.unwrap(), format!("revoked {id}\n"));
    assert!(world.sessions.authenticate(&Credentials::Basic { id, token }).is_none());
    assert_eq!(world.run("list").await.unwrap(), "no live sessions\n");
    assert_eq!(world.run("list --json").await.unwrap(), "{\"sessions\":[]}\n");
}

#[tokio::test]
async fn new_prints_lines_for_a_shell() {
    let world = World::start().await;
    let text = world.run("new --policy agent").await.unwrap();
    let session = &world.sessions.list()[0].session;
    assert!(text.contains(&format!("export https_proxy='http://{}:", session.id)), "{text}");
    assert!(text.contains("export SSL_CERT_FILE='/state/bundle.pem'\n"), "{text}");
    assert!(text.lines().all(|line| line.starts_with("export ") || line.starts_with("# ")), "{text}");
}

#[tokio::test]
async fn what_the_gateway_refuses_is_told_in_its_words() {
    let world = World::start().await;
    let error = world.run("new --policy typo").await.unwrap_err();
    assert_eq!(error, "There is no policy \"typo\"; there are: agent.");
    let error = world.run("new --policy agent --ttl 1y").await.unwrap_err();
    assert!(error.contains("with units"), "{error}");
    let error = world.run("new --policy agent --label a=1 --label a=2").await.unwrap_err();
    assert_eq!(error, "--label a is there twice");
    let error = world.run("revoke s-unknown").await.unwrap_err();
    assert!(error.starts_with("s-unknown: No live session has this name"), "{error}");
    for id in ["..", "a/b", "A", "%2e"] {
        assert!(world.run(&format!("show {id}")).await.unwrap_err().contains("is no session"), "{id}");
    }
}

#[tokio::test]
async fn several_are_revoked_even_if_one_of_them_is_gone() {
    let world = World::start().await;
    let make = async || world.run("new --policy agent --json").await.unwrap();
    let ids: Vec<String> = [make().await, make().await]
        .iter()
        .map(|made| serde_json::from_str::<Value>(made).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let error = world.run(&format!("revoke {} gone {}", ids[0], ids[1])).await.unwrap_err();
    assert!(error.starts_with("gone: ") && world.sessions.list().is_empty(), "{error}");
}

#[tokio::test]
async fn a_wrong_or_exposed_key_is_told() {
    let world = World::start().await;
    let key = world.folder.path().join("other.key");
    OperatorKey::load_or_create(&key).unwrap();
    let words = format!("list --control {} --key {}", world.control, key.display());
    let error = run_with(&words).await.unwrap_err();
    assert!(error.contains("not the operator's key") && error.contains("control.key"), "{error}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run_with(&words).await.unwrap_err().contains("chmod 600"));
    let missing = format!("list --control {} --key /nowhere/control.key", world.control);
    assert!(run_with(&missing).await.unwrap_err().contains("there is no control key at /nowhere/control.key"));
}

#[tokio::test]
async fn the_configuration_tells_where_the_gateway_is() {
    let world = World::start().await;
    let path = world.folder.path().join("exeat.yaml");
    let listen = world.control.strip_prefix("http://").unwrap().to_owned();
    let write = |control: &str| {
        let text = format!(
            "listen: {{proxy: 127.0.0.1:3128, control: \"{control}\"}}\n\
             ca: {{certificate: ca.pem, key: ca.key}}\n\
             control: {{key: \"file:control.key\"}}\n\
             flows: {{journal: flows}}\n\
             policies: {{agent: {{allow: [{{host: example.com}}]}}}}\n"
        );
        fs::write(&path, text).unwrap();
    };
    write(&listen);
    let list = format!("list --config {}", path.display());
    assert_eq!(run_with(&list).await.unwrap(), "no live sessions\n");
    write(&listen.replace("127.0.0.1", "0.0.0.0"));
    assert_eq!(run_with(&list).await.unwrap(), "no live sessions\n");
    write("127.0.0.1:0");
    assert!(run_with(&list).await.unwrap_err().contains("--control http://HOST:PORT"));
    assert_eq!(run_with(&format!("{list} --control {}", world.control)).await.unwrap(), "no live sessions\n");
    fs::write(&path, "listen: {contrl: x}\n").unwrap();
    assert!(run_with(&list).await.unwrap_err().contains("contrl"));
}

#[tokio::test]
async fn a_gateway_that_does_not_run_is_told_with_what_to_do() {
    let world = World::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let key = world.folder.path().join("control.key");
    let error = run_with(&format!("list --control http://{free} --key {}", key.display())).await.unwrap_err();
    assert!(error.contains("start it with `exeat serve`"), "{error}");
}

#[tokio::test]
async fn another_server_is_told_apart() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope").await.unwrap();
    });
    let key = world.folder.path().join("control.key");
    let error = run_with(&format!("list --control http://{address} --key {}", key.display())).await.unwrap_err();
    assert!(error.contains("no control API of exeat"), "{error}");
}

#[test]
fn a_control_url_is_plain() {
    for (text, shown) in [
        ("http://127.0.0.1:3129", "http://127.0.0.1:3129"),
        ("http://localhost:3129/", "http://localhost:3129"),
        ("http://[::1]:3129", "http://[::1]:3129"),
    ] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
    }
    for text in
        ["", "127.0.0.1:3129", "https://127.0.0.1:3129", "http://u@localhost", "http://localhost/v1", "http://a?b", "x"]
    {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn what_is_missing_on_the_command_line_is_told() {
    for words in ["", "new", "show", "revoke", "new --policy a --label b"] {
        assert!(run_with(words).await.is_err(), "{words}");
    }
    let help = run_with("new --help").await.unwrap_err();
    assert!(help.contains("eval \"$(exeat session new"), "{help}");
}
