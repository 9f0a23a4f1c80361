//! `exeat secrets`, and rules of the user's own.

use crate::support::secrets::{base62, github_token, npm_token};
use crate::support::world::exeat;
use crate::support::*;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    exeat(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn piped(command: &mut Command, input: &[u8]) -> Output {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A folder with a token in a text, one in a binary file, one in an ignored file, one in git's store, and a clean one.
fn tree() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let token = github_token();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("src/a b.py", format!("import os\nø = 1; token = '{token}'\n").as_bytes());
    write("data.bin", &[&[0, 1, 2, 0][..], token.as_bytes(), &[0, 9]].concat());
    write(".gitignore", b"local.env\n");
    write("local.env", format!("GITHUB_TOKEN={token}\n").as_bytes());
    write("notes.txt", data_encoding::BASE64.encode(format!("it is {token}").as_bytes()).as_bytes());
    write(".git/config", format!("password = {token}\n").as_bytes());
    write("clean.md", b"# Nothing here\n");
    (folder, token)
}

#[test]
fn a_scan_tells_where_each_secret_lies_and_never_which() {
    let (folder, token) = tree();
    let done = run(folder.path(), &["secrets", "scan", "."]);
    let told = text(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let lines: Vec<&str> = told.lines().collect();
    let starts = ["./data.bin: ", "./local.env:1:14: ", "./notes.txt:1:", "./src/a b.py:2:17: "];
    assert_eq!(lines.len(), starts.len(), "{told}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && line.contains("github-pat-classic (high)"), "{line}");
    }
    assert!(lines[2].contains("in base64"), "{told}");
    assert!(!told.contains(&token[4..]) && text(&done.stderr).is_empty(), "{done:?}");
    let clean = run(folder.path(), &["secrets", "scan", "clean.md", "--json"]);
    assert_eq!((clean.status.code(), clean.stdout.len()), (Some(0), 0));
}

#[test]
fn findings_come_as_json_lines_and_as_sarif() {
    let (folder, token) = tree();
    let done = run(folder.path(), &["secrets", "scan", "--json", "."]);
    let found: Vec<serde_json::Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |path: &str| found.iter().find(|finding| finding["path"] == path).unwrap();
    assert_eq!((of("./src/a b.py")["line"].as_u64(), of("./src/a b.py")["column"].as_u64()), (Some(2), Some(17)));
    assert_eq!(of("./notes.txt")["decoded"], serde_json::json!(["base64"]));
    assert!(of("./data.bin")["line"].is_null() && of("./data.bin")["offset"] == 4, "{found:?}");

    let sarif = |arguments: &[&str]| -> serde_json::Value {
        let done = run(folder.path(), &[&["secrets", "scan", "--sarif"], arguments].concat());
        assert!(!text(&done.stdout).contains(&token[4..]));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let log = sarif(&["."]);
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!((log["version"].as_str(), results.len()), (Some("2.1.0"), 4));
    let place = &results[3]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.py");
    assert_eq!(place["region"]["startLine"], 2);
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], results[0]["ruleId"]);
    assert_eq!(log, sarif(&["."]), "two runs differ: code hosts would take each finding for a new one");
    assert_eq!(sarif(&["clean.md"])["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn stdin_urls_and_fields_are_scanned_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let token = github_token();
    let scan = |arguments: &[&str], input: &str| {
        let done = piped(exeat(folder.path()).args(["secrets", "scan"]).args(arguments), input.as_bytes());
        (done.status.code(), text(&done.stdout))
    };
    let (code, told) = scan(&[], &format!("one\ntwo {token}\n"));
    assert!(code == Some(1) && told.starts_with("stdin:2:5: github-pat-classic"), "{told}");
    let urls = format!("https://a.test/x\nhttps://a.test/?q={token}\n");
    let (code, told) = scan(&["-", "--surface", "url"], &urls);
    assert!(code == Some(1) && told.starts_with("stdin:2:1: github-pat-classic"), "{told}");
    let field = format!("Accept: */*\nAuthorization: Bearer {token}\n");
    assert_eq!(scan(&["--surface", "header"], &field).0, Some(1));
    let (code, told) = scan(&["--surface", "header", "--host", "api.github.com"], &field);
    assert!(code == Some(0) && told.contains("at home"), "{told}");
}

#[test]
fn what_can_not_be_scanned_is_no_clean_bill() {
    let folder = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| run(folder.path(), &[&["secrets", "scan"], arguments].concat()).status.code();
    assert_eq!(code(&["no-such-file"]), Some(2));
    assert_eq!(code(&["--host", "not a host", "."]), Some(2));
    assert_eq!(code(&["--json", "--sarif", "."]), Some(2));
    assert_eq!(code(&["--config", "none.yaml", "."]), Some(2));
    assert_eq!(code(&["."]), Some(0));
}

/// A rule of the user's own; its prefix is told by the caller.
fn rule(id: &str, prefix: &str, example: &str) -> String {
    format!(
        "provider: Acme\nrules:\n  - id: {id}\n    name: Acme deploy key\n    group: credentials\n    severity: high\n    \
         pattern: \"{prefix}[A-Za-z0-9]{{24}}\"\n    keywords: [{prefix}]\n    homes: [api.acme.dev]\n    \
         places: [bearer]\n    examples:\n      - {example}\n    counterexamples:\n      - {prefix}short\n"
    )
}

fn example() -> String {
    format!("acmk_{}9a", base62(22))
}

#[test]
fn rules_of_the_users_own_hold_as_the_built_in_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/acme.yaml"), rule("acme-deploy-key", "acmk_", &example())).unwrap();
    let listed = folder.path().join("rules").display().to_string() + "/*.yaml";
    let origin = Origin::plain().echo();
    let secrets = format!("{{catalogue: [{listed:?}], rules: {{acme: block}}, action: observe}}");
    let policy = policy_for(&["host: \"**.exeat.test\"", "host: api.acme.dev"]) + &format!("secrets: {secrets}\n");
    let world = World::start(Setup::under(&policy).origin("**", &origin));
    let key = example();
    let refusal = assert_refused(&world.agent().post("http://plain.exeat.test/", key.as_bytes()), "secret_in_request");
    assert_eq!(refusal["rule"], "acme-deploy-key");
    let field = format!("Authorization: Bearer {key}\r\n");
    assert_eq!(world.agent().request("GET", "http://api.acme.dev/", &field, b"").status, 200);
    assert_eq!(world.agent().post("http://plain.exeat.test/", npm_token().as_bytes()).status, 200);

    let rules = world.run(&["secrets", "rules", "--config", "exeat.yaml", "acme-deploy-key"]);
    assert!(text(&rules.stdout).contains("rules/acme.yaml"), "{rules:?}");
    std::fs::write(world.path("found.txt"), &key).unwrap();
    let scanned = world.run(&["secrets", "scan", "--config", "exeat.yaml", "found.txt"]);
    assert!(text(&scanned.stdout).contains("acme-deploy-key"), "{scanned:?}");
}

#[test]
fn mistakes_in_the_users_own_rules_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = "policies:\n  a:\n    allow: [{host: a.test}]\n    secrets: {catalogue: [own.yaml]}\n";
    std::fs::write(folder.path().join("exeat.yaml"), config).unwrap();
    let key = example();
    let good = rule("acme-deploy-key", "acmk_", &key);
    for (own, line, told) in [
        (good.replace("pattern: \"acmk_", "pattern: \"acmk_("), 3, "unclosed group"),
        (good.replace(&key, "nope"), 3, "it misses its example 1"),
        (good.replace("acmk_short", &key), 3, "it takes its counterexample 1"),
        (good.replace("id: acme-deploy-key", "id: github-pat-classic"), 3, "there already"),
        (good.replace("severity: high", "severity: huge"), 6, "huge"),
        (good.replace("    name:", "    overrides: true\n    name:"), 3, "could override"),
    ] {
        std::fs::write(folder.path().join("own.yaml"), &own).unwrap();
        let done = run(folder.path(), &["check", "--json", "--config", "exeat.yaml"]);
        let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        let error = &value["errors"][0];
        assert!(error["file"].as_str().unwrap().ends_with("own.yaml"), "{value:#}");
        assert_eq!((done.status.code(), error["line"].as_u64()), (Some(2), Some(line)), "{value:#}");
        assert!(error["message"].as_str().unwrap().contains(told), "{told}: {value:#}");
        assert_eq!(run(folder.path(), &["secrets", "rules", "--catalogue", "own.yaml"]).status.code(), Some(2));
    }
    let over = good.replace("id: acme-deploy-key", "id: github-pat-classic\n    overrides: true");
    std::fs::write(folder.path().join("own.yaml"), over).unwrap();
    assert_eq!(run(folder.path(), &["check", "--config", "exeat.yaml"]).status.code(), Some(0));
    std::fs::remove_file(folder.path().join("own.yaml")).unwrap();
    let done = run(folder.path(), &["check", "--config", "exeat.yaml"]);
    assert!(done.status.code() == Some(2) && text(&done.stderr).contains("exeat.yaml:4:27"), "{done:?}");
}
