//! Files that hold secrets, by what their names tell. What is read of them is wiped.

use super::{KnownSecret, files};
use data_encoding::BASE64;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `NAME=value` lines, quotes, `export`.
    Dotenv,
    /// `~/.aws/credentials`.
    Aws,
    /// `~/.netrc`.
    Netrc,
    /// `~/.npmrc`.
    Npmrc,
    /// `~/.docker/config.json`.
    Docker,
    /// `~/.config/gh/hosts.yml`.
    Gh,
    /// `~/.pypirc`.
    Pypirc,
    /// `~/.git-credentials`.
    Git,
    /// `~/.cargo/credentials.toml`.
    Cargo,
    /// `~/.kube/config`.
    Kube,
    /// `~/.pgpass`.
    Pgpass,
    /// `~/.terraform.d/credentials.tfrc.json`.
    Terraform,
    /// The whole file is one value.
    Plain,
}

/// Not a kind of file.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no kind of secret file `{0}`: dotenv, aws, netrc, npmrc, docker, gh, pypirc, git, cargo, kube, pgpass, terraform, plain"
)]
pub struct UnknownSource(String);

impl std::str::FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        Ok(match text {
            "dotenv" => Source::Dotenv,
            "aws" => Source::Aws,
            "netrc" => Source::Netrc,
            "npmrc" => Source::Npmrc,
            "docker" => Source::Docker,
            "gh" => Source::Gh,
            "pypirc" => Source::Pypirc,
            "git" => Source::Git,
            "cargo" => Source::Cargo,
            "kube" => Source::Kube,
            "pgpass" => Source::Pgpass,
            "terraform" => Source::Terraform,
            "plain" => Source::Plain,
            other => return Err(UnknownSource(other.to_owned())),
        })
    }
}

impl Source {
    /// The kind that a file's name tells.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let (folder, name) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
        match name {
            ".netrc" | "_netrc" => Source::Netrc,
            ".npmrc" => Source::Npmrc,
            "credentials" | "config" if folder.ends_with(".aws") => Source::Aws,
            "config.json" if folder.ends_with(".docker") => Source::Docker,
            "hosts.yml" => Source::Gh,
            ".pypirc" => Source::Pypirc,
            ".git-credentials" => Source::Git,
            "credentials" if folder.ends_with("/git") => Source::Git,
            "credentials.toml" | "credentials" if folder.ends_with("cargo") => Source::Cargo,
            "config" if folder.ends_with(".kube") => Source::Kube,
            "kubeconfig" => Source::Kube,
            ".pgpass" => Source::Pgpass,
            "credentials.tfrc.json" => Source::Terraform,
            name if name.starts_with(".env") || name.ends_with(".env") => Source::Dotenv,
            _ => Source::Plain,
        }
    }
}

/// The secrets in a file's bytes. What doesn't parse holds none.
#[must_use]
pub fn parse(kind: Source, bytes: &[u8]) -> Vec<KnownSecret> {
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    let json = || serde_json::from_slice(bytes).map(Wiped).unwrap_or_default();
    match kind {
        Source::Dotenv => dotenv(&text),
        Source::Aws => aws(&text),
        Source::Netrc => netrc(&text),
        Source::Npmrc => npmrc(&text),
        Source::Docker => docker(&json().0),
        Source::Gh => gh(&text),
        Source::Pypirc => files::pypirc(&text),
        Source::Git => files::git(&text),
        Source::Cargo => files::cargo(&text),
        Source::Kube => files::kube(&text),
        Source::Pgpass => files::pgpass(&text),
        Source::Terraform => files::terraform(&json().0),
        Source::Plain => KnownSecret::new("file", bytes).into_iter().collect(),
    }
}

/// A document whose texts are wiped when it is dropped.
#[derive(Default)]
struct Wiped(Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        let mut open = vec![&mut self.0];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => text.zeroize(),
                Value::Array(items) => open.extend(items),
                Value::Object(members) => open.extend(members.iter_mut().map(|(_, value)| value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
}

/// Names that say what their value is not: settings that stand beside secrets.
fn is_setting(name: &str, value: &str) -> bool {
    const SECRET: [&str; 12] =
        ["key", "token", "secret", "pass", "pwd", "cred", "auth", "dsn", "_url", "_uri", "cert", "private"];
    let name = name.to_ascii_lowercase();
    let named = SECRET.iter().any(|word| name.contains(word)) && !name.contains("public");
    let address = value.contains("://") && !value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    !named || address || value.starts_with('/') || value.starts_with('~') || value.starts_with("./")
}

fn dotenv(text: &str) -> Vec<KnownSecret> {
    let mut found = Vec::new();
    for (name, value) in pairs(text) {
        if is_setting(&name, &value) {
            continue;
        }
        // A connection string's secret is its password, whatever else is changed about it.
        found.extend(password_of(&value).and_then(|password| KnownSecret::new(&name, password.as_bytes())));
        found.extend(KnownSecret::new(&name, value.as_bytes()));
    }
    found
}

/// The password of a URL with a user and a password.
pub(super) fn password_of(value: &str) -> Option<&str> {
    let authority = value.split_once("://")?.1;
    let authority = authority.split(['/', '?', '#']).next().filter(|text| text.contains('@')).unwrap_or(authority);
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

/// Names and values of a dotenv file.
pub(super) fn pairs(text: &str) -> Vec<(String, Zeroizing<String>)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        found.push((name.trim().to_owned(), quoted(value.trim(), &mut lines)));
    }
    found
}

/// A value without its quotes; double quotes may go over lines and hold escapes.
fn quoted<'a>(value: &str, lines: &mut impl Iterator<Item = &'a str>) -> Zeroizing<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return Zeroizing::new(rest.split_once('\'').map_or(rest, |(value, _)| value).to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else {
        return Zeroizing::new(value.split_once(" #").map_or(value, |(value, _)| value).trim_end().to_owned());
    };
    let mut whole = Zeroizing::new(rest.to_owned());
    while !whole.contains('"') {
        let Some(line) = lines.next() else { break };
        whole.push('\n');
        whole.push_str(line);
    }
    Zeroizing::new(whole.split_once('"').map_or(whole.as_str(), |(value, _)| value).replace("\\n", "\n"))
}

fn aws(text: &str) -> Vec<KnownSecret> {
    let secret = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let wanted = ["aws_secret_access_key", "aws_session_token", "aws_access_key_id"].contains(&name);
        wanted.then(|| KnownSecret::new(name, value.trim().as_bytes()))?
    };
    text.lines().filter_map(secret).collect()
}

fn netrc(text: &str) -> Vec<KnownSecret> {
    let (mut found, mut machine) = (Vec::new(), None);
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "machine" => machine = words.next(),
            "default" => machine = None,
            "password" => {
                let secret = words.next().and_then(|value| KnownSecret::new("netrc", value.as_bytes()));
                found.extend(secret.map(|secret| homed(secret, machine)));
            }
            _ => {}
        }
    }
    found
}

pub(super) fn homed(secret: KnownSecret, host: Option<&str>) -> KnownSecret {
    match host.and_then(|host| host.parse().ok()) {
        Some(host) => secret.at_home(host),
        None => secret,
    }
}

fn npmrc(text: &str) -> Vec<KnownSecret> {
    let secret = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let (scope, name) = name.trim().rsplit_once(':').unwrap_or(("", name.trim()));
        let value = value.trim().trim_matches('"');
        if !matches!(name, "_authToken" | "_auth" | "_password") || value.starts_with("${") {
            return None;
        }
        let host = scope.trim_start_matches('/').split(['/', ':']).next().filter(|host| !host.is_empty());
        KnownSecret::new(&format!("npmrc{name}"), value.as_bytes()).map(|secret| homed(secret, host))
    };
    text.lines().filter_map(secret).collect()
}

/// Where the credentials of Docker Hub's index go.
const DOCKER_HUB: [&str; 4] = ["auth.docker.io", "registry-1.docker.io", "index.docker.io", "hub.docker.com"];

fn docker(config: &Value) -> Vec<KnownSecret> {
    let mut found = Vec::new();
    for (registry, entry) in config.get("auths").and_then(|auths| auths.as_object()).into_iter().flatten() {
        let host = registry.split_once("://").map_or(registry.as_str(), |(_, rest)| rest).split(['/', ':']).next();
        let text = |name: &str| entry.get(name).and_then(|value| value.as_str());
        let pair = text("auth").and_then(|auth| BASE64.decode(auth.as_bytes()).ok()).map(Zeroizing::new);
        let password = pair.as_ref().and_then(|pair| pair.splitn(2, |byte| *byte == b':').nth(1));
        let values = password
            .into_iter()
            .chain(["auth", "identitytoken", "password"].iter().filter_map(|n| text(n)).map(str::as_bytes));
        let hosts: Vec<&str> = match host {
            Some("index.docker.io" | "docker.io") => DOCKER_HUB.to_vec(),
            host => host.into_iter().collect(),
        };
        let home = |secret| hosts.iter().fold(secret, |secret, host| homed(secret, Some(host)));
        found.extend(values.filter_map(|value| KnownSecret::new("docker", value)).map(home));
    }
    found
}

fn gh(text: &str) -> Vec<KnownSecret> {
    let (mut found, mut host) = (Vec::new(), None);
    for line in text.lines() {
        if !line.starts_with([' ', '\t', '#']) {
            host = line.trim().strip_suffix(':');
        }
        let Some(value) = line.trim().strip_prefix("oauth_token:") else { continue };
        let secret = KnownSecret::new("gh", value.trim().trim_matches(['"', '\'']).as_bytes());
        found.extend(secret.map(|secret| match host {
            Some("github.com") => homed(homed(secret, Some("api.github.com")), Some("github.com")),
            host => homed(secret, host),
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Source, text: &str) -> Vec<(String, String)> {
        let show =
            |secret: KnownSecret| (secret.rule().to_string(), String::from_utf8(secret.value().to_vec()).unwrap());
        parse(kind, text.as_bytes()).into_iter().map(show).collect()
    }

    #[test]
    fn the_usual_files_are_read() {
        let env = "# c\nexport DB_PASSWORD='hunter2-horse'\nPORT=8080\nAPI_KEY=\"abc12345xyz\" \nDATABASE_URL=postgres://u:pa55w0rd9@h/db\nHOME_URL=https://x.example/y\n";
        assert_eq!(
            names(Source::Dotenv, env),
            [
                ("known:DB_PASSWORD".into(), "hunter2-horse".into()),
                ("known:API_KEY".into(), "abc12345xyz".into()),
                ("known:DATABASE_URL".into(), "pa55w0rd9".into()),
                ("known:DATABASE_URL".into(), "postgres://u:pa55w0rd9@h/db".into()),
            ]
        );
        let aws = "[default]\naws_access_key_id = AKIAEWCGRBFAS73QNT3Y\naws_secret_access_key = qHqEP18oqL3sSCi7W/rMaYum2LwThPkeoL6uawb+\nregion = eu\n";
        assert_eq!(names(Source::Aws, aws).len(), 2);
        assert_eq!(names(Source::Netrc, "machine h.example login u password pa55w0rd9")[0].1, "pa55w0rd9");
        assert_eq!(
            names(Source::Npmrc, "//npm.acme.dev/:_authToken=f00-bar-9d8c7b\n_auth=${X}\n")[0].1,
            "f00-bar-9d8c7b"
        );
        let docker = r#"{"auths":{"https://ghcr.io":{"auth":"dXNlcjpwYTU1dzByZDk="}}}"#;
        assert_eq!(names(Source::Docker, docker)[0].1, "pa55w0rd9");
        assert_eq!(names(Source::Gh, "github.com:\n    oauth_token: gho_abcdefgh1234\n")[0].1, "gho_abcdefgh1234");
        assert_eq!(names(Source::Plain, "  s3cr3t-value \n")[0].1, "s3cr3t-value");
        assert!(parse(Source::Docker, b"not json").is_empty());
    }

    #[test]
    fn a_files_name_tells_its_kind() {
        assert_eq!(Source::of_path("/home/a/.aws/credentials"), Source::Aws);
        assert_eq!(Source::of_path(".env.local"), Source::Dotenv);
        assert_eq!(Source::of_path("x/token.txt"), Source::Plain);
        assert!("x".parse::<Source>().is_err());
    }
}
