//! Presets: each means what its entry says, alone and with the others.

use super::super::run::{RunOptions, for_run_in};
use super::super::{RUN_POLICY, preset};
use super::{allows, compile, environment, target};
use crate::net::Path;
use std::collections::BTreeSet;

#[test]
fn every_preset_loads_says_where_it_is_documented_and_is_reachable_alone() {
    let names: Vec<_> = preset::names().collect();
    assert!(names.is_sorted() && names.len() >= 40, "{names:?}");
    for required in ["anthropic", "openai", "github", "npm", "pypi", "crates", "go", "debian"] {
        assert!(names.contains(&required), "{required}");
    }
    for name in names {
        let preset = preset::load(name).unwrap().unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(&*preset.name, name);
        assert!(preset.description.ends_with('.') && preset.description.len() < 120, "{name}");
        assert!(preset.documentation.iter().all(|url| url.starts_with("https://")), "{name}");
        assert!(!preset.documentation.is_empty() && !preset.rules.is_empty(), "{name}");
        for rule in &preset.rules {
            assert!(!rule.host.is_wide() && !rule.is_void() && rule.addresses.is_empty(), "{name}: {}", rule.host);
        }
        let config = compile(&format!("policies: {{p: {{presets: [{name}]}}}}")).unwrap_or_else(|e| panic!("{e}"));
        assert!(config.warnings.is_empty(), "{name}");
    }
}

#[test]
fn all_presets_go_together() {
    let names: Vec<_> = preset::names().collect();
    let config = compile(&format!("policies: {{p: {{presets: [{}]}}}}", names.join(", "))).unwrap();
    let policy = &config.rulesets["p"].policy;
    assert!(!allows(policy, "POST", "https://github.com/a/b/git-receive-pack"), "a preset alone reads");
    assert!(allows(policy, "GET", "https://registry-1.docker.io/v2/library/debian/manifests/stable"));
    assert!(!allows(policy, "GET", "https://example.com/"));
}

/// Every preset is a file of its own, and every file a preset.
#[test]
fn the_folder_of_presets_and_the_binary_agree() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/presets");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".yaml").to_owned())
        .collect();
    assert_eq!(files, preset::names().map(str::to_owned).collect());
}

#[test]
fn presets_that_only_read_take_no_write() {
    let config = compile("policies: {p: {presets: [github-read, gitlab-read, bitbucket-read]}}").unwrap();
    let policy = &config.rulesets["p"].policy;
    for host in ["github.com", "gitlab.com", "bitbucket.org"] {
        assert!(allows(policy, "POST", &format!("https://{host}/a/b.git/git-upload-pack")), "{host}");
        for (method, path) in [
            ("POST", "/a/b.git/git-receive-pack"),
            ("POST", "/git-upload-pack/../git-receive-pack"),
            ("POST", "/a/git-receive-pack?/git-upload-pack"),
            ("POST", "/a/git-receive-pack%2Fgit-upload-pack"),
            ("PUT", "/a/b"),
            ("DELETE", "/a/b"),
            ("PATCH", "/a/b"),
        ] {
            if Path::parse(path.as_bytes()).is_ok() {
                assert!(!allows(policy, method, &format!("https://{host}{path}")), "{method} {host}{path}");
            }
        }
    }
    for host in ["api.github.com", "uploads.github.com", "api.bitbucket.org"] {
        assert!(!allows(policy, "POST", &format!("https://{host}/repos/a/b/issues")), "{host}");
    }
}

#[test]
fn a_preset_goes_as_far_as_its_entry_says_and_no_further() {
    let text = "policies: {p: {presets: [github, npm-write, {preset: github, access: write, repos: [acme/site, \"acme/t-*\"]}]}}";
    let config = compile(text).unwrap();
    let policy = &config.rulesets["p"].policy;
    for (method, url, expected) in [
        ("POST", "https://github.com/a/b.git/git-upload-pack", true),
        ("POST", "https://github.com/acme/site.git/git-receive-pack", true),
        ("POST", "https://github.com/acme/t-x/git-receive-pack", true),
        ("POST", "https://github.com/acme/other/git-receive-pack", false),
        ("POST", "https://github.com/evil/site/git-receive-pack", false),
        ("PUT", "https://api.github.com/repos/acme/site/contents/x", true),
        ("PUT", "https://api.github.com/repos/evil/site/contents/x", false),
        ("POST", "https://api.github.com/repos/acme/site/hooks", false),
        ("POST", "https://uploads.github.com/repos/acme/site/releases/1/assets?name=x", true),
        ("PUT", "https://github-cloud.s3.amazonaws.com/alambic/x", false),
        ("PUT", "https://registry.npmjs.org/left-pad", true),
    ] {
        assert_eq!(allows(policy, method, url), expected, "{method} {url}");
    }
    let graphql = policy.decide(&target("POST", "https://api.github.com/graphql")).unwrap();
    assert!(graphql.provided().is_some(), "a write of some repositories is no mutation of any");
    let denial = policy.decide(&target("POST", "https://github.com/evil/x.git/git-receive-pack")).unwrap_err();
    assert_eq!(denial.rule.as_deref(), Some("github-write.allow[0]"));
    assert_eq!(denial.permitted_by.as_deref(), Some("github-write:evil/x"));
}

#[test]
fn the_command_line_takes_presets_as_policies_do() {
    let allowing = |allow: &[&str]| {
        let allow: Vec<String> = allow.iter().map(|text| (*text).to_owned()).collect();
        for_run_in(RunOptions { allow: &allow, ..RunOptions::default() }, &environment)
    };
    let config = allowing(&["github-write:acme/site", "npm-write", "ghcr", "npm.example.test", "npm:8080"]).unwrap();
    let policy = &config.rulesets[RUN_POLICY].policy;
    for (method, url, expected) in [
        ("POST", "https://github.com/acme/site.git/git-receive-pack", true),
        ("POST", "https://github.com/acme/other.git/git-receive-pack", false),
        ("POST", "https://github.com/any/other.git/git-upload-pack", true),
        ("PUT", "https://registry.npmjs.org/left-pad", true),
        ("GET", "https://ghcr.io/v2/acme/x/manifests/latest", true),
        ("PUT", "https://ghcr.io/v2/acme/x/manifests/latest", false),
        ("GET", "https://npm.example.test/", true),
        ("GET", "https://npm:8080/", true),
    ] {
        assert_eq!(allows(policy, method, url), expected, "{method} {url}");
    }
    for (wrong, told) in [
        ("github-write:acme", "OWNER/REPO"),
        ("debian-write", "for reading only"),
        ("debian:acme/x", "for reading only"),
        ("github:acme/x?", "a name has letters"),
    ] {
        let errors = allowing(&[wrong]).unwrap_err().to_string();
        assert!(errors.contains(told), "{wrong}: {errors}");
    }
}
