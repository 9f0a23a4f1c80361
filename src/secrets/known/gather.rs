//! Which values of an environment or of a user's files are secrets that nobody had to name: told by the variable's
//! name and by the value's shape. A word that stands in every other text must never be one of them.

use super::parse::{self, Source};
use super::{KnownSecret, SHORTEST};
use crate::net::HostPattern;
use crate::secrets::rules::filter;

/// What a variable's name has in it when its value is secret.
const SECRET: [&str; 15] = [
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "KEY",
    "KEYS",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "PAT",
];
/// What it ends in when it tells something about a secret, or where one is.
const ABOUT: [&str; 23] = [
    "FILE",
    "PATH",
    "DIR",
    "ID",
    "NAME",
    "TYPE",
    "METHOD",
    "SOCK",
    "VERSION",
    "ENV",
    "TTL",
    "LENGTH",
    "SIZE",
    "COUNT",
    "HEADER",
    "USER",
    "ALGORITHM",
    "ALG",
    "HOST",
    "PORT",
    "URL",
    "URI",
    "MODE",
];
/// What the name of a service's address ends in, beside the name of its secret.
const ADDRESS: [&str; 7] = ["BASE_URL", "API_URL", "API_BASE", "URL", "ENDPOINT", "HOST", "SERVER"];

/// The secrets in one environment variable or line of a `.env` file.
#[must_use]
pub fn of_variable(name: &str, value: &str) -> Vec<KnownSecret> {
    let value = value.trim();
    // A connection string's secret is its password, whatever the variable is called.
    if let Some(password) = parse::password_of(value) {
        let secret = KnownSecret::new(name, password.as_bytes()).filter(|_| is_random(password));
        return secret.into_iter().collect();
    }
    let known =
        KnownSecret::new(name, value.as_bytes()).filter(|_| is_secret_name(name) && is_secret_value(name, value));
    known.into_iter().collect()
}

/// The secrets in a user's file; what it is its path tells.
#[must_use]
pub fn of_file(path: &str, bytes: &[u8]) -> Vec<KnownSecret> {
    match Source::of_path(path) {
        Source::Dotenv => {
            let pairs = parse::pairs(&String::from_utf8_lossy(bytes));
            pairs.iter().flat_map(|(name, value)| of_variable(name, value)).collect()
        }
        kind => {
            let random = |secret: &KnownSecret| std::str::from_utf8(secret.value()).is_ok_and(is_random);
            parse::parse(kind, bytes).into_iter().filter(random).collect()
        }
    }
}

/// The host that a variable beside the secret's own names: `ACME_URL` for `ACME_TOKEN`.
pub fn home_beside(name: &str, variable: impl Fn(&str) -> Option<String>) -> Option<HostPattern> {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split('_').collect();
    let first = words.iter().position(|word| SECRET.contains(word) || matches!(*word, "API" | "ACCESS"))?;
    let service = words.get(..first).filter(|service| !service.is_empty())?.join("_");
    ADDRESS.iter().find_map(|word| {
        let address = variable(&format!("{service}_{word}"))?;
        let authority = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
        let authority = authority.split(['/', '?', '#']).next()?.rsplit('@').next()?;
        let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let host: HostPattern = host.map_or(authority, |(host, _)| host).parse().ok()?;
        matches!(host, HostPattern::Exact(_)).then_some(host)
    })
}

fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let words: Vec<&str> = upper.split('_').filter(|word| !word.is_empty()).collect();
    let (Some(last), false) = (words.last(), upper.starts_with("GIT_CONFIG_KEY_")) else { return false };
    let about = ABOUT.contains(last) && upper != "AWS_ACCESS_KEY_ID";
    let secret = |word: &&str| {
        let whole = ["TOKEN", "SECRET", "KEY", "PASSWORD", "PASSWD"].iter().any(|end| word.ends_with(end));
        whole || SECRET.contains(word)
    };
    !about && !words.contains(&"PUBLIC") && words.iter().any(secret)
}

fn is_secret_value(name: &str, value: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let names_words = upper.ends_with("KEY") || upper.ends_with("AUTH") || upper.ends_with("PASS");
    // `SSH_KEY=id_ed25519`, `SORT_KEY=created_at_2`: names of keys are values of keys.
    let long = value.len() >= 16 && filter::entropy(value.as_bytes()) >= 3.0;
    is_random(value) && (!names_words || long)
}

/// Whether a value can't be a word, a number, a date, a path or an address, which stand in texts that tell nothing.
fn is_random(value: &str) -> bool {
    if value.len() < SHORTEST || value.len() > 16 * 1024 || value.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return false;
    }
    let has = |of: fn(&u8) -> bool| value.bytes().any(|byte| of(&byte));
    let (digit, lower, upper) = (has(u8::is_ascii_digit), has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase));
    let sign =
        value.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'.' | b':' | b'/'));
    let letters = lower || upper;
    let mixed = (letters && digit) || sign || (lower && upper && value.len() >= 20) || value.len() >= 32;
    let reference = value.starts_with(['$', '<']) || value.contains("${") || value.contains("{{");
    mixed && letters && !reference && !value.contains("://") && !is_path(value)
}

/// A path: begins like one, and its first folder is one that systems have, or it is but words.
fn is_path(value: &str) -> bool {
    const ROOTS: [&str; 21] = [
        "usr",
        "home",
        "etc",
        "var",
        "tmp",
        "opt",
        "root",
        "run",
        "bin",
        "lib",
        "proc",
        "dev",
        "mnt",
        "nix",
        "srv",
        "Users",
        "Library",
        "private",
        "workspace",
        "workspaces",
        "app",
    ];
    let Some(rest) = value.strip_prefix('/') else {
        return ["~/", "./", "../"].iter().any(|start| value.starts_with(start));
    };
    let first = rest.split('/').next().unwrap_or_default();
    ROOTS.contains(&first) || !value.contains(['+', '=']) && filter::entropy(value.as_bytes()) < 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_gathered(name: &str, value: &str) -> bool {
        !of_variable(name, value).is_empty()
    }

    #[test]
    fn variables_that_hold_secrets_are_gathered() {
        for (name, value) in [
            ("GITHUB_TOKEN", "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"),
            ("AWS_SECRET_ACCESS_KEY", "qHqEP18oqL3sSCi7W/rMaYum2LwThPkeoL6uawb+"),
            ("AWS_SECRET_ACCESS_KEY", "/HqEP18oqL3sSCi7WrMaYum2LwThPkeoL6uawb+Z"),
            ("AWS_ACCESS_KEY_ID", "AKIAEWCGRBFAS73QNT3Y"),
            ("DB_PASSWORD", "hunter2-horse"),
            ("db_password", "hunter2-horse"),
            ("DATABASE_URL", "postgres://app:pa55w0rd9@db.internal/app"),
            ("HTTPS_PROXY", "http://me:pr0xy-pass@proxy.corp:8080"),
            ("MY_APIKEY", "0f3c9a7be21d4c5f8a6b7d8e9f0a1b2c"),
            ("STRIPE_SECRET_KEY_LIVE", "0f3c9a7be21d4c5f8a6b7d8e"),
            ("NPM_TOKEN_2", "18f6e0a4-2b7c-4e5d-9f3a-1c2d3e4f5a6b"),
        ] {
            assert!(is_gathered(name, value), "{name}={value}");
        }
    }

    #[test]
    fn words_paths_numbers_and_addresses_are_not() {
        for (name, value) in [
            ("DB_PASSWORD", "postgres"),
            ("DB_PASSWORD", "development"),
            ("SECRET_KEY", "changeme-please"),
            ("AUTH_PASSWORD", "correct-horse-battery"),
            ("SSH_KEY", "id_ed25519"),
            ("SSH_AUTH_SOCK", "/run/user/1000/keyring-a8f3/ssh"),
            ("OLDPWD", "/home/me/projects/thing2"),
            ("PWD", "/workspaces/a1b2c3"),
            ("GIT_CONFIG_KEY_0", "http.https://github.com/.extraheader2"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/keys/sa-9f8e7d6c.json"),
            ("API_KEY_FILE", "secrets/key-9f8e7d6c5b4a"),
            ("API_KEY_VERSION", "2024-10-21-preview1"),
            ("TOKEN_EXPIRY_KEY", "2026-11-22T10:00:00"),
            ("STRIPE_PUBLIC_KEY", "k9f8e7d6c5b4a3f2e1d0c"),
            ("API_KEY", "${SOME_OTHER_1}"),
            ("API_KEY", "short1"),
            ("AUTH_URL", "https://login.example.com/oauth2/v2"),
            ("TOKENIZERS_PARALLELISM", "false1234"),
            ("XKB_KEYMAP", "us-intl-2024x"),
            ("PATH", "/usr/local/bin:/usr/bin"),
        ] {
            assert!(!is_gathered(name, value), "{name}={value}");
        }
    }

    #[test]
    fn a_service_s_address_is_its_secrets_home() {
        let variables = |name: &str| match name {
            "ACME_BASE_URL" => Some("https://llm.acme.dev:8443/v1".to_owned()),
            "WILD_URL" => Some("https://*.acme.dev".to_owned()),
            _ => None,
        };
        let home = |name: &str| home_beside(name, variables).map(|host| host.to_string());
        assert_eq!(home("ACME_AUTH_TOKEN").as_deref(), Some("llm.acme.dev"));
        assert_eq!(home("ACME_API_KEY").as_deref(), Some("llm.acme.dev"));
        assert_eq!(home("WILD_TOKEN"), None);
        assert_eq!(home("TOKEN"), None);
    }
}
