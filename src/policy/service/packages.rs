//! Registries of packages.

use super::request::{Request, Sense, name};
use super::{On, Verb};
use http::Method;

const PUBLISH: Verb = Verb("a publish", "of");
const UNPUBLISH: Verb = Verb("an unpublish", "of");
const TAG: Verb = Verb("a dist-tag", "of");
const OWNERS: Verb = Verb("a change of owners or access", "of");
const YANK: Verb = Verb("a yank", "of");
const UPLOAD: Verb = Verb("an upload", "to");

/// npm: <https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md> and what its client sends.
pub(super) fn npm(request: &Request<'_>) -> Sense {
    let segments: Vec<&str> = request.segments.iter().flat_map(|segment| segment.split("%2F")).collect();
    let (on, rest) = npm_package(&segments);
    match *rest {
        ["security", ref below @ ..] if segments.starts_with(&["-", "npm", "v1"]) && !below.is_empty() => {
            if request.is_safe() || request.is_post() { Sense::read(On::Nothing) } else { Sense::unknown() }
        }
        _ if request.is_safe() => Sense::read(on),
        // Also what deprecates: a packument with other words in it.
        [] if request.is(&Method::PUT) => Sense::write(PUBLISH, on),
        ["dist-tags", ..] if segments.starts_with(&["-", "package"]) => Sense::write(TAG, on),
        ["-rev", _] | ["-", _, "-rev", _] if request.is(&Method::DELETE) => Sense::write(UNPUBLISH, on),
        // What `npm owner` and the end of `npm unpublish` send is one form: maintainers stand in it.
        _ if matches!(on, On::Name(_)) => Sense::admin(OWNERS, on),
        _ => Sense::unknown(),
    }
}

/// The package of a path, and what stands behind it.
fn npm_package<'s, 'a>(segments: &'s [&'a str]) -> (On, &'s [&'a str]) {
    match segments {
        [] | ["-", "ping" | "whoami"] => (On::Nothing, &[]),
        ["-", "npm", "v1", rest @ ..] => (On::Anything, rest),
        ["-", "package", scope, package, rest @ ..] if scope.starts_with('@') => (name(&[scope, package]), rest),
        ["-", "package", package, rest @ ..] => (name(&[package]), rest),
        ["-", ..] => (On::Anything, segments),
        [scope, package, rest @ ..] if scope.starts_with('@') => (name(&[scope, package]), rest),
        [package, rest @ ..] => (name(&[package]), rest),
    }
}

/// PyPI: <https://docs.pypi.org/api/>. An upload names its project in the body.
pub(super) fn pypi(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        _ if !request.is_safe() => Sense::write(UPLOAD, On::Anything),
        ["simple", project, ..] | ["pypi" | "project", project, ..] => Sense::read(name(&[project])),
        // Files lie under their hashes; which project's they are stands in no path.
        [] | ["simple"] | ["packages", ..] => Sense::read(On::Nothing),
        _ => Sense::read(On::Anything),
    }
}

/// crates.io and its like: <https://doc.rust-lang.org/cargo/reference/registry-web-api.html>. A publish names
/// its crate in the body.
pub(super) fn crates(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        ["api", "v1", "crates", "new"] if request.is(&Method::PUT) => Sense::write(PUBLISH, On::Anything),
        ["api", "v1", "crates", package, ref rest @ ..] => match *rest {
            _ if request.is_safe() => Sense::read(name(&[package])),
            [_, "yank"] if request.is(&Method::DELETE) => Sense::write(YANK, name(&[package])),
            [_, "unyank"] if request.is(&Method::PUT) => Sense::write(YANK, name(&[package])),
            ["owners"] => Sense::admin(OWNERS, name(&[package])),
            _ => Sense::unknown(),
        },
        ["api", "v1", "trusted_publishing", "tokens"] if !request.is_safe() => Sense::write(PUBLISH, On::Anything),
        _ if !request.is_safe() => Sense::unknown(),
        ["crates", package, ..] => Sense::read(name(&[package])),
        [] | ["config.json"] => Sense::read(On::Nothing),
        // The sparse index: /se/rd/serde, /3/s/syn, /2/ab, /1/a.
        [.., package] if is_index(&request.segments) => Sense::read(name(&[package])),
        _ => Sense::read(On::Anything),
    }
}

fn is_index(segments: &[&str]) -> bool {
    match *segments {
        ["1" | "2", _] => true,
        ["3", first, package] => package.starts_with(first),
        [first, second, package] => package.get(..2) == Some(first) && package.get(2..4) == Some(second),
        _ => false,
    }
}

/// RubyGems: <https://guides.rubygems.org/rubygems-org-api/>. A push names its gem in the body.
pub(super) fn rubygems(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        ["api", "v1", "gems"] if request.is_post() => Sense::write(PUBLISH, On::Anything),
        ["api", "v1", "gems", "yank"] if request.is(&Method::DELETE) => Sense::write(YANK, On::Anything),
        ["api", "v1", "gems", gem, "owners"] if !request.is_safe() => Sense::admin(OWNERS, name(&[gem])),
        _ if !request.is_safe() => Sense::unknown(),
        ["info" | "gems", gem, ..] => Sense::read(name(&[gem])),
        ["versions" | "names"] | [] => Sense::read(On::Nothing),
        _ => Sense::read(On::Anything),
    }
}

/// Blobs behind signed URLs. Whose they are is known to who signed them, not to us.
pub(super) fn storage(request: &Request<'_>) -> Sense {
    if request.is_safe() {
        Sense::read(On::Nothing)
    } else if matches!(*request.method, Method::PUT | Method::POST) {
        Sense::write(UPLOAD, On::Anything)
    } else {
        Sense::unknown()
    }
}
