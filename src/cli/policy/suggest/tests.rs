use super::*;

fn suggestion(lines: &[&str]) -> String {
    let mut places = Places::new();
    for line in lines {
        take(&mut places, &serde_json::from_str(line).unwrap(), true);
    }
    Suggestion::of(places).unwrap().as_yaml()
}

fn line(method: &str, host: &str, path: &str) -> String {
    json!({
        "verdict": "allowed",
        "mode": "intercept",
        "target": {"scheme": "https", "host": host, "port": 443, "method": method, "path": path},
    })
    .to_string()
}

#[test]
fn presets_cover_what_they_can_and_rules_the_rest() {
    let lines = [
        line("GET", "registry.npmjs.org", "/left-pad"),
        line("GET", "github.com", "/acme/site.git/info/refs?service=…"),
        line("POST", "github.com", "/acme/site.git/git-receive-pack"),
        line("GET", "api.example.com", "/v1/items/1"),
        line("POST", "api.example.com", "/v1/items"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let text = suggestion(&lines);
    for expected in [
        "  - {preset: github, access: read, repos: [\"acme/site\"]}\n",
        "  - {preset: github, access: write, repos: [\"acme/site\"]}\n",
        "  - {preset: npm, access: read, repos: [\"left-pad\"]}\n",
        "  - {host: \"api.example.com\", methods: [GET, POST], paths: [\"/v1/items\", \"/v1/items/1\"]}\n",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn many_paths_are_what_they_begin_with() {
    let lines: Vec<String> = (0..20).map(|n| line("GET", "a.example", &format!("/v1/x/{n}"))).collect();
    let text = suggestion(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(text.contains("{host: \"a.example\", methods: read-only, paths: [\"/v1/x/**\"]}"), "{text}");
}

#[test]
fn relays_refusals_and_inner_addresses_are_what_they_were() {
    let relayed =
        r#"{"verdict":"allowed","mode":"relay","target":{"host":"pinned.example","port":443,"method":"CONNECT"}}"#;
    let denied =
        r#"{"verdict":"denied","reason":"dest_denied","target":{"host":"evil.example","port":443,"method":"CONNECT"}}"#;
    let inner = r#"{"verdict":"allowed","mode":"forward","upstream":{"address":"10.1.2.3:8080"},
        "target":{"scheme":"http","host":"db.example","port":8080,"method":"GET","path":"/"}}"#;
    let text = suggestion(&[relayed, denied, inner]);
    assert!(text.contains("{host: \"pinned.example\", tls: tunnel}"), "{text}");
    assert!(
        text.contains(
            "{host: \"db.example\", ports: [8080], methods: read-only, paths: [\"/\"], addresses: [\"10.1.2.3\"]}"
        ),
        "{text}"
    );
    assert!(!text.contains("evil.example"), "{text}");
}
