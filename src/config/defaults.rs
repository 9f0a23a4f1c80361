//! Where things live that the file does not say: the user's data and state folders, never the
//! working directory.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The environment, as a function so that tests have their own.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The environment of the process.
pub(super) fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// No folder can be found to keep things in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither {variable} nor HOME names a folder for what the configuration leaves out")]
pub(super) struct Homeless {
    variable: &'static str,
}

pub(super) const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);
pub(super) const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3129);
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// `$XDG_DATA_HOME/exeat`: the CA, the control key.
pub(super) fn data(environment: Environment<'_>) -> Result<PathBuf, Homeless> {
    folder(environment, "XDG_DATA_HOME", ".local/share")
}

/// `$XDG_STATE_HOME/exeat`: the journal, the sessions.
pub(super) fn state(environment: Environment<'_>) -> Result<PathBuf, Homeless> {
    folder(environment, "XDG_STATE_HOME", ".local/state")
}

/// A relative path counts as not set (XDG Base Directory Specification).
fn folder(environment: Environment<'_>, variable: &'static str, below_home: &str) -> Result<PathBuf, Homeless> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    base.map(|base| base.join("exeat")).ok_or(Homeless { variable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_xdg_and_are_never_relative() {
        let only =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| OsString::from(value));
        assert_eq!(data(&only("XDG_DATA_HOME", "/d")), Ok("/d/exeat".into()));
        assert_eq!(state(&only("XDG_STATE_HOME", "/s")), Ok("/s/exeat".into()));
        assert_eq!(data(&only("HOME", "/home/a")), Ok("/home/a/.local/share/exeat".into()));
        assert_eq!(state(&only("HOME", "/home/a")), Ok("/home/a/.local/state/exeat".into()));
        for (name, value) in [("XDG_DATA_HOME", "d"), ("HOME", "."), ("HOME", ""), ("OTHER", "/x")] {
            assert_eq!(data(&only(name, value)), Err(Homeless { variable: "XDG_DATA_HOME" }), "{name}={value}");
        }
    }
}
