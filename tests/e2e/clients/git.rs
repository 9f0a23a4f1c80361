//! git over smart HTTP: clone, fetch, push; and a push that a policy does not allow.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, prepare};
use crate::support::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HOST: &str = "git.exeat.test";
const URL: &str = "https://git.exeat.test/repo.git";

/// A bare repository with one commit, and the folder that it lies in.
fn repositories() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| prepare("git", arguments, root.path());
    git(&["init", "-q", "-b", "main", "work"]);
    std::fs::write(root.path().join("work/file.txt"), "first\n").unwrap();
    commit(root.path(), &root.path().join("work"), "First");
    git(&["clone", "-q", "--bare", "work", "repo.git"]);
    git(&["-C", "repo.git", "config", "http.receivepack", "true"]);
    root
}

fn commit(home: &Path, work: &Path, message: &str) {
    let work = work.to_str().unwrap();
    prepare("git", &["-C", work, "add", "-A"], home);
    let identity = ["-c", "user.name=t", "-c", "user.email=t@exeat.test"];
    prepare("git", &[&["-C", work][..], &identity, &["commit", "-q", "-m", message]].concat(), home);
}

/// Serves what lies under the root as `git http-backend` does (a CGI program, RFC 3875).
fn backend(root: PathBuf) -> Origin {
    Origin::tls().http(move |request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let mut command = Command::new("git");
        command.arg("http-backend").env("GIT_PROJECT_ROOT", &root).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", path).env("QUERY_STRING", query);
        command.env("CONTENT_LENGTH", request.body.len().to_string()).env("REMOTE_USER", "agent");
        command.env("CONTENT_TYPE", request.field("content-type").unwrap_or_default());
        command.env("HTTP_CONTENT_ENCODING", request.field("content-encoding").unwrap_or_default());
        command.env("GIT_PROTOCOL", request.field("git-protocol").unwrap_or_default());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let body = request.body.clone();
        let writer = std::thread::spawn(move || _ = stdin.write_all(&body));
        let output = child.wait_with_output().unwrap().stdout;
        writer.join().unwrap();
        reply(&output)
    })
}

fn reply(output: &[u8]) -> Reply {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("a CGI head");
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let fields: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = fields.iter().find(|(name, _)| *name == "Status").and_then(|(_, value)| value[..3].parse().ok());
    let reply = Reply::status(status.unwrap_or(200)).body(&output[end + 4..]).chunked(32 * 1024);
    fields.iter().filter(|(name, _)| *name != "Status").fold(reply, |reply, (name, value)| reply.with(name, value))
}

fn git(world: &World, way: Way, arguments: &[&str]) -> Done {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@exeat.test", "-c", "init.defaultBranch=main"];
    Client::behind("git", world, way).args(identity).args(arguments).run()
}

fn clone_fetch_and_push(way: Way) {
    let root = repositories();
    let origin = backend(root.path().to_owned());
    let world = world(way, HOST, &origin);
    git(&world, way, &["clone", "-q", URL, "clone"]).ok();
    assert_eq!(std::fs::read_to_string(world.path("clone/file.txt")).unwrap(), "first\n");
    std::fs::write(world.path("clone/second.txt"), "second\n").unwrap();
    // A pack beyond http.postBuffer goes up in chunks.
    let mut noise = vec![0; 3 << 20];
    aws_lc_rs::rand::fill(&mut noise).unwrap();
    std::fs::write(world.path("clone/noise.bin"), &noise).unwrap();
    commit(root.path(), &world.path("clone"), "Second");
    git(&world, way, &["-C", "clone", "push", "-q", "origin", "main"]).ok();
    git(&world, way, &["clone", "-q", URL, "again"]).ok();
    assert!(std::fs::read(world.path("again/noise.bin")).unwrap() == noise);
    git(&world, way, &["-C", "clone", "fetch", "-q", "origin"]).ok();
    let shown = git(&world, way, &["-C", "clone", "log", "--format=%s", "origin/main"]).ok();
    assert_eq!(shown.stdout, "Second\nFirst\n");
    assert_went(way, world, HOST);
}

#[test]
fn git_clones_fetches_and_pushes_through_interception() {
    clone_fetch_and_push(Way::Intercepted);
}

#[test]
fn git_clones_fetches_and_pushes_through_a_tunnel() {
    clone_fetch_and_push(Way::Tunnelled);
}

#[test]
fn git_may_fetch_and_not_push_where_the_policy_says_so() {
    let root = repositories();
    let origin = backend(root.path().to_owned());
    let rule = "host: git.exeat.test, paths: [\"/*/info/refs\", \"/*/git-upload-pack\"]";
    let world = World::start(Setup::allowing(&[rule]).origin(HOST, &origin));
    let way = Way::Intercepted;
    git(&world, way, &["clone", "-q", URL, "clone"]).ok();
    std::fs::write(world.path("clone/second.txt"), "second\n").unwrap();
    commit(root.path(), &world.path("clone"), "Second");
    let done = git(&world, way, &["-C", "clone", "push", "-q", "origin", "main"]).failed();
    assert!(done.stderr.contains("403"), "{done:?}");
    let head = prepare("git", &["-C", "repo.git", "log", "--format=%s", "main"], root.path());
    assert_eq!(head.stdout, "First\n");
    let records = world.into_records();
    assert!(records.iter().any(|record| record.reason() == "request_not_listed"), "{records:#?}");
}

/// T01 for repositories: what `service`, `access` and `repos` let real git do, and what they don't.
#[test]
fn git_reads_one_owner_s_repositories_and_pushes_to_one_of_them() {
    let root = repositories();
    for owned in ["acme/site.git", "acme/other.git", "evil/site.git"] {
        prepare("git", &["clone", "-q", "--bare", "work", owned], root.path());
        prepare("git", &["-C", owned, "config", "http.receivepack", "true"], root.path());
    }
    let origin = backend(root.path().to_owned());
    let read = "host: git.exeat.test, service: github, repos: [\"acme/*\"]";
    let write = "host: git.exeat.test, service: github, access: write, repos: [acme/site]";
    let world = World::start(Setup::allowing(&[read, write]).origin("**", &origin));
    let way = Way::Intercepted;
    let url = |repository: &str| format!("https://{HOST}/{repository}");
    git(&world, way, &["clone", "-q", &url("acme/site.git"), "site"]).ok();
    git(&world, way, &["clone", "-q", &url("acme/other.git"), "other"]).ok();
    git(&world, way, &["clone", "-q", &url("evil/site.git"), "evil"]).failed();
    std::fs::write(world.path("site/second.txt"), "second\n").unwrap();
    commit(root.path(), &world.path("site"), "Second");
    for (to, refused) in [("acme/other.git", true), ("evil/site.git", true), ("acme/site.git", false)] {
        let done = git(&world, way, &["-C", "site", "push", "-q", &url(to), "main"]);
        assert_eq!(!done.status.success(), refused, "{to}: {done:?}");
        let head = prepare("git", &["-C", to, "log", "-1", "--format=%s", "main"], root.path());
        assert_eq!(head.stdout, if refused { "First\n" } else { "Second\n" }, "{to}");
    }
    let records = world.into_records();
    let told =
        |text: &str| records.iter().any(|record| record["error"].as_str().is_some_and(|error| error.contains(text)));
    assert!(
        told("git push to acme/other is not permitted: the rule agent.allow[1] lets acme/site be written"),
        "{records:#?}"
    );
    assert!(told("git push to evil/site is not permitted"), "{records:#?}");
    assert!(told("git fetch of evil/site is not permitted"), "{records:#?}");
}

#[test]
fn git_is_refused_where_the_host_is_not_listed() {
    let root = repositories();
    let origin = backend(root.path().to_owned());
    for way in WAYS {
        let world = world(way, "other.exeat.test", &origin);
        let done = git(&world, way, &["clone", "-q", URL, "clone"]).failed();
        assert!(done.stderr.contains("403"), "{done:?}");
    }
    origin.assert_never_contacted();
}
