//! GitLab, by its own host name or another's: <https://docs.gitlab.com/api/rest/>

use super::request::{Request, Sense, name};
use super::{Document, On, Verb, git};

const API: Verb = Verb("an API write", "to");
const SETTINGS: Verb = Verb("a change of settings", "of");
const RELEASE: Verb = Verb("a release", "to");
const PACKAGE: Verb = Verb("a package upload", "to");
const COMMIT: Verb = Verb("a commit by the API", "to");
const SNIPPET: Verb = Verb("a snippet", "by");
const PROJECT: Verb = Verb("a new project", "named");

/// What below a project is its contents; the rest is settings.
const CONTENTS: &[&str] = &[
    "boards",
    "ci",
    "deployments",
    "discussions",
    "issues",
    "jobs",
    "labels",
    "merge_requests",
    "milestones",
    "notes",
    "pipeline",
    "pipelines",
    "registry",
    "snippets",
    "statuses",
    "uploads",
    "wikis",
];

/// The whole host.
pub(super) fn host(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        ["api", "graphql"] if request.is_post() && request.query.is_none() => {
            Sense::Body(Document::GraphQl, On::Anything)
        }
        ["api", "graphql", ..] if request.query.is_some() => Sense::unknown(),
        ["api", "v4", ref rest @ ..] => api(request, rest),
        ["api", ..] if !request.is_safe() => Sense::unknown(),
        ["api", ..] => Sense::read(On::Anything),
        _ => web(request),
    }
}

/// Whether GitLab reads a path in one way: its API takes `group%2Fproject` for one segment, and nothing in
/// the path could be read in another way than that.
pub(super) fn is_read_strictly(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v4/projects/").map(|rest| rest.replace("%2F", ""));
    rest.is_some_and(|rest| !rest.contains(['%', ';']) && !path.contains("//"))
}

fn web(request: &Request<'_>) -> Sense {
    if let Some(sense) = git::endpoint(request, project) {
        return sense;
    }
    let segments = request.segments.as_slice();
    match *segments {
        _ if !request.is_safe() => Sense::unknown(),
        // Tokens for the registry: what they are for is judged there.
        [] | ["jwt", "auth"] => Sense::read(On::Nothing),
        _ => {
            let end = segments.iter().position(|&segment| segment == "-").unwrap_or(segments.len());
            Sense::read(project(&segments[..end]))
        }
    }
}

fn api(request: &Request<'_>, rest: &[&str]) -> Sense {
    match *rest {
        ["projects", id, ref below @ ..] => {
            let on = encoded_project(id);
            if request.is_safe() { Sense::read(on) } else { write_to(on, below) }
        }
        ["user" | "version" | "metadata"] if request.is_safe() => Sense::read(On::Nothing),
        _ if request.is_safe() => Sense::read(On::Anything),
        ["snippets", ..] => Sense::write(SNIPPET, On::Anything),
        ["projects"] => Sense::write(PROJECT, On::Anything),
        _ => Sense::unknown(),
    }
}

fn write_to(on: On, below: &[&str]) -> Sense {
    match *below {
        ["fork" | "transfer" | "share" | "export" | "import", ..] => Sense::admin(PROJECT, On::Anything),
        ["releases", ..] => Sense::write(RELEASE, on),
        ["packages", ..] => Sense::write(PACKAGE, on),
        ["repository", ..] => Sense::write(COMMIT, on),
        [first, ..] if CONTENTS.contains(&first) => Sense::write(API, on),
        _ => Sense::admin(SETTINGS, on),
    }
}

/// A project's path: a group, groups below it, a name.
fn project(segments: &[&str]) -> On {
    if segments.len() < 2 { On::Anything } else { name(segments) }
}

/// `group%2Fproject`; a number could be any project's.
fn encoded_project(id: &str) -> On {
    let parts: Vec<&str> = id.split("%2F").collect();
    project(&parts)
}
