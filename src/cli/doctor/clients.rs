//! Which clients are installed, and in what version.

use super::check::{self, Check};
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What a client may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// Program, and what makes it tell its version.
const CLIENTS: [(&str, &str); 19] = [
    ("curl", "--version"),
    ("wget", "--version"),
    ("git", "--version"),
    ("python3", "--version"),
    ("pip", "--version"),
    ("uv", "--version"),
    ("node", "--version"),
    ("npm", "--version"),
    ("pnpm", "--version"),
    ("yarn", "--version"),
    ("deno", "--version"),
    ("bun", "--version"),
    ("cargo", "--version"),
    ("go", "version"),
    ("java", "-version"),
    ("mvn", "--version"),
    ("docker", "--version"),
    ("claude", "--version"),
    ("codex", "--version"),
];

/// The first two numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

impl Version {
    /// The first `N.N` in a text.
    pub(super) fn find(text: &str) -> Option<Self> {
        let words = text.split(|char: char| !char.is_ascii_digit() && char != '.');
        words.filter(|word| word.starts_with(|char: char| char.is_ascii_digit())).find_map(|word| {
            let mut numbers = word.split('.');
            Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Asks all that are on the PATH at once; those that are not there are left out.
pub(super) async fn checks() -> Vec<Check> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut asked = tokio::task::JoinSet::new();
    for (index, (name, argument)) in CLIENTS.into_iter().enumerate() {
        if let Some(program) = on_path(&path, name) {
            asked.spawn(async move { (index, ask(&program, name, argument).await) });
        }
    }
    let mut checks = asked.join_all().await;
    checks.sort_by_key(|(index, _)| *index);
    checks.into_iter().map(|(_, check)| check).collect()
}

async fn ask(program: &Path, name: &'static str, argument: &str) -> Check {
    let child = Command::new(program).arg(argument).stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, child).await {
        // Java tells its version on stderr
        Ok(Ok(output)) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            match Version::find(&text) {
                Some(version) => check::client(name, version, &text),
                None => Check::warn(name, "does not tell its version", "see that it works by itself"),
            }
        }
        Ok(Err(error)) => Check::warn(name, format!("can't be run: {error}"), "see that it works by itself"),
        Err(_) => Check::warn(name, "does not answer", "see that it works by itself"),
    }
}

fn on_path(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (text, version) in [
            ("v20.20.2", Some(Version(20, 20))),
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", Some(Version(7, 88))),
            ("openjdk version \"17.0.15\" 2025-04-15", Some(Version(17, 0))),
            ("java version \"1.8.0_402\"", Some(Version(1, 8))),
            ("go version go1.22.1 linux/amd64", Some(Version(1, 22))),
            ("codex-cli 0.146.0-alpha.3", Some(Version(0, 146))),
            ("2.1.14 (Claude Code)", Some(Version(2, 1))),
            ("python 3", None),
            ("no number", None),
        ] {
            assert_eq!(Version::find(text), version, "{text}");
        }
    }
}
