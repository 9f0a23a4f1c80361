//! Whole files: what they mean, and what is told of bad ones.

mod bad;
mod good;
mod places;
mod presets;
mod runs;

use super::compile::Surroundings;
use super::load::{Wanted, from_text};
use super::{Config, Diagnostics};
use crate::net::{Authority, Path as UrlPath, Scheme, Target};
use crate::policy::Policy;
use http::Method;
use std::ffi::OsString;
use std::path::Path;

/// Compiles a file that lies in `/etc/exeat`, with a home and one token in the environment.
fn compile(text: &str) -> Result<Config, Diagnostics> {
    compile_below(Path::new("/etc/exeat"), text)
}

fn compile_below(base: &Path, text: &str) -> Result<Config, Diagnostics> {
    from_text("exeat.yaml".into(), text, &Surroundings { base, environment: &environment }, Wanted::All)
}

fn environment(name: &str) -> Option<OsString> {
    (name == "HOME").then(|| OsString::from("/home/operator"))
}

fn target(method: &str, url: &str) -> Target {
    let (scheme, rest) = match url.split_once("://").unwrap() {
        ("http", rest) => (Scheme::Http, rest),
        (_, rest) => (Scheme::Https, rest),
    };
    let path_at = rest.find('/').unwrap();
    Target {
        scheme,
        authority: Authority::parse_or(&rest.as_bytes()[..path_at], scheme.default_port()).unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: UrlPath::parse(&rest.as_bytes()[path_at..]).unwrap(),
    }
}

fn allows(policy: &Policy, method: &str, url: &str) -> bool {
    let target = target(method, url);
    let tunnel = target.scheme == Scheme::Http || policy.decide_tunnel(&target.authority).is_ok();
    tunnel && policy.decide(&target).is_ok()
}
