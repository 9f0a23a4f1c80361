//! More files that hold secrets: pypirc, git's credentials, Cargo's, kubeconfig, pgpass, Terraform's.

use super::KnownSecret;
use super::parse::homed;
use zeroize::Zeroizing;

/// `~/.pypirc`: sections of index servers.
pub(super) fn pypirc(text: &str) -> Vec<KnownSecret> {
    let mut found = Vec::new();
    let (mut section, mut host, mut password): (String, Option<String>, Option<Zeroizing<String>>) = Default::default();
    for line in text.lines().map(str::trim).chain(["[end]"]) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let usual = match section.as_str() {
                "pypi" => Some("upload.pypi.org"),
                "testpypi" => Some("test.pypi.org"),
                _ => None,
            };
            let secret = password.take().and_then(|password| KnownSecret::new("pypirc", password.as_bytes()));
            found.extend(secret.map(|secret| homed(secret, host.take().as_deref().or(usual))));
            section = name.to_owned();
        }
        match line.split_once(['=', ':']).map(|(name, value)| (name.trim(), value.trim())) {
            Some(("password", value)) => password = Some(Zeroizing::new(value.to_owned())),
            Some(("repository", value)) => host = host_of(value).map(ToOwned::to_owned),
            _ => {}
        }
    }
    found
}

/// `~/.git-credentials`: a URL a line.
pub(super) fn git(text: &str) -> Vec<KnownSecret> {
    let secret = |line: &str| {
        let (user, host) = line.trim().split_once("://")?.1.rsplit_once('@')?;
        let password =
            Zeroizing::new(percent_encoding::percent_decode_str(user.split_once(':')?.1).collect::<Vec<u8>>());
        let host = host.split(['/', ':']).next();
        KnownSecret::new("git-credentials", &password).map(|secret| match host {
            Some("github.com") => homed(homed(secret, Some("api.github.com")), host),
            host => homed(secret, host),
        })
    };
    text.lines().filter_map(secret).collect()
}

/// `~/.cargo/credentials.toml`: a token a registry.
pub(super) fn cargo(text: &str) -> Vec<KnownSecret> {
    let (mut found, mut section) = (Vec::new(), "");
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let Some(("token", value)) = line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            continue;
        };
        let own = matches!(section, "registry" | "registries.crates-io");
        let secret = KnownSecret::new("cargo", value.trim_matches(['"', '\'']).as_bytes());
        found.extend(secret.map(|secret| homed(secret, own.then_some("crates.io"))));
    }
    found
}

/// A kubeconfig: its users' tokens and keys go to its clusters.
pub(super) fn kube(text: &str) -> Vec<KnownSecret> {
    let pairs = || {
        let line = |line: &'_ str| -> Option<(String, Zeroizing<String>)> {
            let (name, value) = line.trim().trim_start_matches("- ").split_once(':')?;
            let value = value.trim().trim_matches(['"', '\'']);
            Some((name.trim().to_owned(), Zeroizing::new(value.to_owned())))
        };
        text.lines().filter_map(line)
    };
    let servers: Vec<String> = pairs()
        .filter(|(name, _)| name == "server")
        .filter_map(|(_, server)| host_of(&server).map(ToOwned::to_owned))
        .collect();
    let secret = |(name, value): (String, Zeroizing<String>)| {
        let wanted = ["token", "password", "client-key-data", "id-token", "refresh-token"].contains(&&*name);
        let secret = wanted.then(|| KnownSecret::new("kubeconfig", value.as_bytes()))??;
        Some(servers.iter().fold(secret, |secret, server| homed(secret, Some(server))))
    };
    pairs().filter_map(secret).collect()
}

/// `~/.pgpass`: `host:port:database:user:password`. Databases are not spoken to through a proxy: no home.
pub(super) fn pgpass(text: &str) -> Vec<KnownSecret> {
    let password = |line: &str| line.splitn(5, ':').nth(4).map(|text| Zeroizing::new(text.replace("\\:", ":")));
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(password);
    lines.filter_map(|password| KnownSecret::new("pgpass", password.as_bytes())).collect()
}

/// `~/.terraform.d/credentials.tfrc.json`: a token a host.
pub(super) fn terraform(config: &serde_json::Value) -> Vec<KnownSecret> {
    let hosts = config.get("credentials").and_then(|hosts| hosts.as_object());
    let secret = |(host, entry): (&String, &serde_json::Value)| {
        let token = entry.get("token")?.as_str()?;
        KnownSecret::new("terraform", token.as_bytes()).map(|secret| homed(secret, Some(host)))
    };
    hosts.into_iter().flatten().filter_map(secret).collect()
}

fn host_of(url: &str) -> Option<&str> {
    url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', ':', '?']).next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secrets: &[KnownSecret]) -> Vec<(String, Vec<String>)> {
        let text = |secret: &KnownSecret| String::from_utf8(secret.value().to_vec()).unwrap();
        let homes = |secret: &KnownSecret| secret.homes().iter().map(ToString::to_string).collect();
        secrets.iter().map(|secret| (text(secret), homes(secret))).collect()
    }

    #[track_caller]
    fn assert_known(secrets: &[KnownSecret], expected: &[(&str, &[&str])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(value, homes)| {
                ((*value).to_owned(), homes.iter().map(|home| (*home).to_owned()).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shown(secrets), expected);
    }

    #[test]
    fn secrets_of_tools_are_read_with_their_homes() {
        let text = "[distutils]\nindex-servers = pypi\n[pypi]\nusername = __token__\npassword = pypi-f00bar99\n\
                    [own]\nrepository: https://pypi.acme.dev/legacy/\npassword: f00-bar-99\n";
        assert_known(&pypirc(text), &[("pypi-f00bar99", &["upload.pypi.org"]), ("f00-bar-99", &["pypi.acme.dev"])]);
        let text = "https://me:f00%2Dbar%2D99@git.acme.dev\nhttps://x:t0ken-99-f@github.com\n";
        assert_known(
            &git(text),
            &[("f00-bar-99", &["git.acme.dev"]), ("t0ken-99-f", &["api.github.com", "github.com"])],
        );
        let text = "[registry]\ntoken = \"cio-f00-bar99\"\n[registries.own]\ntoken = \"0wn-f00bar\"\n";
        assert_known(&cargo(text), &[("cio-f00-bar99", &["crates.io"]), ("0wn-f00bar", &[])]);
        let text = "clusters:\n- cluster:\n    server: https://k8s.acme.dev:6443\nusers:\n- name: me\n  user:\n    token: t0ken-99-f\n";
        assert_known(&kube(text), &[("t0ken-99-f", &["k8s.acme.dev"])]);
        assert_known(&pgpass("db:5432:*:me:f00\\:bar99\n"), &[("f00:bar99", &[])]);
        let config = serde_json::json!({"credentials": {"app.terraform.io": {"token": "f00.atlasv1.bar"}}});
        assert_known(&terraform(&config), &[("f00.atlasv1.bar", &["app.terraform.io"])]);
    }
}
