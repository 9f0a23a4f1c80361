//! What a check found, and the judgments that need no more than the facts.

use super::clients::Version;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not for everything.
    Warn,
    /// The gateway can't work like this.
    Fail,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was checked: a stable word.
    pub(super) name: &'static str,
    /// How bad it is.
    pub(super) level: Level,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Check {
    /// As it should be.
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), advice: None }
    }

    /// It works, but not for everything.
    pub(super) fn warn(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    /// The gateway can't work like this.
    pub(super) fn fail(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        write!(f, "{level:<5} {:<12} {}", self.name, self.found)?;
        match &self.advice {
            Some(advice) => write!(f, "\n                   {advice}"),
            None => Ok(()),
        }
    }
}

/// A flow holds two descriptors, one each way.
pub(super) fn descriptors(soft: u64) -> Check {
    let found = format!("{soft} open files allowed: about {} flows at a time", soft.saturating_sub(64) / 2);
    match soft {
        0..256 => Check::fail("descriptors", found, "raise the limit: ulimit -n 4096"),
        256..1024 => Check::warn("descriptors", found, "raise the limit for busy agents: ulimit -n 4096"),
        _ => Check::ok("descriptors", found),
    }
}

/// Certificates of the future or the past are what a wrong clock looks like to every client.
pub(super) fn clock(now: jiff::Timestamp) -> Check {
    // The year of this version's making, and a lifetime after it
    let sane = 1_767_225_600..4_102_444_800;
    let found = format!("{now:.0}");
    if sane.contains(&now.as_second()) {
        return Check::ok("clock", found);
    }
    Check::fail("clock", found, "set the clock: no certificate is valid at this time")
}

/// What the kernel says about user namespaces. Each is the text of a file, or nothing where it is not there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Namespaces<'a> {
    /// `/proc/sys/user/max_user_namespaces`; not there: a kernel without them.
    pub(super) maximum: Option<&'a str>,
    /// `/proc/sys/kernel/unprivileged_userns_clone` (Debian).
    pub(super) clone: Option<&'a str>,
    /// `/proc/sys/kernel/apparmor_restrict_unprivileged_userns` (Ubuntu).
    pub(super) apparmor: Option<&'a str>,
}

impl Namespaces<'_> {
    pub(super) fn judge(self) -> Check {
        const NAME: &str = "namespaces";
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u64>().ok());
        match (number(self.maximum), number(self.clone), number(self.apparmor)) {
            (None, ..) => Check::warn(NAME, "this kernel has no user namespaces", "run agents in a container"),
            (Some(0), ..) => Check::warn(
                NAME,
                "user namespaces are turned off",
                "sysctl user.max_user_namespaces=10000, or run agents in a container",
            ),
            (_, Some(0), _) => Check::warn(
                NAME,
                "user namespaces are for root only",
                "sysctl kernel.unprivileged_userns_clone=1, or run agents in a container",
            ),
            (.., Some(1)) => Check::warn(
                NAME,
                "AppArmor restricts user namespaces",
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for exeat that allows userns",
            ),
            _ => Check::ok(NAME, "user namespaces are available"),
        }
    }
}

/// Another proxy in our own environment: `run` keeps it from the command, and does not go through it either.
pub(super) fn environment(inherited: &[String]) -> Check {
    if inherited.is_empty() {
        return Check::ok("environment", "no other proxy is set");
    }
    Check::warn(
        "environment",
        format!("set here: {}", inherited.join(", ")),
        "exeat dials destinations itself: where the network can only be left through that proxy, nothing is reached",
    )
}

/// What can be said of a client by its version.
pub(super) fn client(name: &'static str, version: Version, text: &str) -> Check {
    let found = format!("{version}");
    let past = |advice: &str| Check::warn(name, found.clone(), advice);
    match name {
        "node" if version >= Version(24, 5) || (Version(22, 21)..Version(23, 0)).contains(&version) => {
            Check::ok(name, found)
        }
        "node" if version >= Version(24, 0) => {
            past("its fetch goes through the gateway, node:https does not before 24.5")
        }
        "node" => past(
            "its fetch and node:https ignore the proxy before 22.21 and 24.5; npm and most agents set it themselves",
        ),
        "git" if version < Version(2, 31) => past("a proxy in ~/.gitconfig wins over the gateway's before 2.31"),
        "java" if version < Version(9, 0) => past("Java 8 gets no proxy credentials: Maven works, Gradle does not"),
        "wget" if text.contains("Wget2") => {
            past("wget2 reads no CA variable: give --ca-certificate=\"$SSL_CERT_FILE\"")
        }
        "wget" if !text.contains("GNU") => past("only GNU wget takes the CA from its environment"),
        "codex" if version < Version(0, 146) => past("it offers no proxy credentials before 0.146"),
        "docker" => past("what its daemon pulls and its containers do has the daemon's own proxy settings"),
        _ => Check::ok(name, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_judged_by_the_flows_that_they_allow() {
        for (soft, level) in [(64, Level::Fail), (256, Level::Warn), (1024, Level::Ok), (u64::MAX, Level::Ok)] {
            assert_eq!(descriptors(soft).level, level, "{soft}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert_eq!(clock(jiff::Timestamp::UNIX_EPOCH).level, Level::Fail);
        assert_eq!(clock("2026-11-22T00:00:00Z".parse().unwrap()).level, Level::Ok);
    }

    #[test]
    fn namespaces_are_judged_by_each_of_the_kernels_switches() {
        let kernel = Namespaces { maximum: Some("9000\n"), ..Namespaces::default() };
        for (namespaces, level) in [
            (kernel, Level::Ok),
            (Namespaces { clone: Some("1\n"), apparmor: Some("0\n"), ..kernel }, Level::Ok),
            (Namespaces { clone: Some("0\n"), ..kernel }, Level::Warn),
            (Namespaces { apparmor: Some("1\n"), ..kernel }, Level::Warn),
            (Namespaces { maximum: Some("0\n"), ..kernel }, Level::Warn),
            (Namespaces::default(), Level::Warn),
        ] {
            assert_eq!(namespaces.judge().level, level, "{namespaces:?}");
        }
    }

    #[test]
    fn clients_that_ignore_the_proxy_are_told_by_their_version() {
        for (name, version, level) in [
            ("node", Version(20, 20), Level::Warn),
            ("node", Version(22, 20), Level::Warn),
            ("node", Version(22, 21), Level::Ok),
            ("node", Version(23, 11), Level::Warn),
            ("node", Version(24, 4), Level::Warn),
            ("node", Version(24, 5), Level::Ok),
            ("git", Version(2, 30), Level::Warn),
            ("git", Version(2, 47), Level::Ok),
            ("java", Version(1, 8), Level::Warn),
            ("java", Version(17, 0), Level::Ok),
            ("codex", Version(0, 144), Level::Warn),
            ("curl", Version(7, 88), Level::Ok),
        ] {
            assert_eq!(client(name, version, "").level, level, "{name} {version}");
        }
        assert_eq!(client("wget", Version(1, 21), "GNU Wget 1.21.3 built on linux-gnu").level, Level::Ok);
        assert_eq!(client("wget", Version(2, 1), "GNU Wget2 2.1.0").level, Level::Warn);
    }

    #[test]
    fn a_check_is_one_line_and_its_advice_another() {
        assert_eq!(Check::ok("clock", "now").to_string(), "ok    clock        now");
        assert_eq!(
            Check::fail("ca", "gone", "make one").to_string(),
            "FAIL  ca           gone\n                   make one"
        );
    }
}
