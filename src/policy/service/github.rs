//! GitHub: <https://docs.github.com/en/rest>, <https://docs.github.com/en/graphql>

use super::request::{Request, Sense, name};
use super::{Document, On, Verb, git};

const API: Verb = Verb("an API write", "to");
const SETTINGS: Verb = Verb("a change of settings", "of");
const RELEASE: Verb = Verb("a release upload", "to");
const COMMIT: Verb = Verb("a commit by the API", "to");
const GIST: Verb = Verb("a gist", "by");
const REPOSITORY: Verb = Verb("a new repository", "named");

/// What below a repository is its contents. The rest hands it to others, sends it somewhere or spends its
/// secrets: hooks, keys, collaborators, transfers, visibility.
const CONTENTS: &[&str] = &[
    "assignees",
    "branches",
    "check-runs",
    "check-suites",
    "code-scanning",
    "comments",
    "commits",
    "contents",
    "dependency-graph",
    "deployments",
    "discussions",
    "dispatches",
    "git",
    "issues",
    "labels",
    "merge-upstream",
    "merges",
    "milestones",
    "notifications",
    "projects",
    "pulls",
    "releases",
    "statuses",
    "subscription",
];

/// Of Actions, what is a run's or a workflow's; secrets, variables and runners are settings.
const ACTIONS: &[&str] = &["artifacts", "cache", "caches", "jobs", "runs", "workflows"];

/// Pages of the API that are nobody's.
const COMMON: &[&str] = &["emojis", "gitignore", "licenses", "meta", "octocat", "rate_limit", "versions", "zen"];

/// github.com itself.
pub(super) fn web(request: &Request<'_>) -> Sense {
    if let Some(sense) = git::endpoint(request, owner_and_repo) {
        return sense;
    }
    if !request.is_safe() {
        return Sense::unknown();
    }
    Sense::read(match request.segments.as_slice() {
        [] => On::Nothing,
        [owner, repo, ..] => owner_and_repo(&[owner, repo]),
        [_] => On::Anything,
    })
}

/// api.github.com and uploads.github.com.
pub(super) fn api(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        ["graphql"] if request.is_post() && request.query.is_none() => Sense::Body(Document::GraphQl, On::Anything),
        // Queries by GET are not GitHub's way, and what is not known is no read.
        ["graphql", ..] if request.query.is_some() => Sense::unknown(),
        ["repos", owner, repo, ref rest @ ..] => {
            let on = owner_and_repo(&[owner, repo]);
            if request.is_safe() { Sense::read(on) } else { write_to(on, rest) }
        }
        [] | ["user"] if request.is_safe() => Sense::read(On::Nothing),
        [first, ..] if request.is_safe() && COMMON.contains(&first) => Sense::read(On::Nothing),
        _ if request.is_safe() => Sense::read(On::Anything),
        ["gists", ..] => Sense::write(GIST, On::Anything),
        ["user", "repos"] | ["orgs", _, "repos"] => Sense::write(REPOSITORY, On::Anything),
        ["notifications", ..] | ["user", "starred" | "subscriptions", ..] => Sense::write(API, On::Anything),
        _ => Sense::unknown(),
    }
}

fn write_to(on: On, rest: &[&str]) -> Sense {
    match *rest {
        // These make another repository of it.
        ["forks" | "generate" | "transfer", ..] => Sense::admin(REPOSITORY, On::Anything),
        ["branches", _, "protection", ..] => Sense::admin(SETTINGS, on),
        ["contents", ..] => Sense::write(COMMIT, on),
        ["releases", ..] => Sense::write(RELEASE, on),
        ["actions", second, ..] if ACTIONS.contains(&second) => Sense::write(API, on),
        [first, ..] if CONTENTS.contains(&first) => Sense::write(API, on),
        _ => Sense::admin(SETTINGS, on),
    }
}

/// raw.githubusercontent.com and codeload.github.com.
pub(super) fn raw(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        _ if !request.is_safe() => Sense::unknown(),
        [owner, repo, ..] => Sense::read(owner_and_repo(&[owner, repo])),
        _ => Sense::read(On::Anything),
    }
}

pub(super) fn owner_and_repo(segments: &[&str]) -> On {
    if let [_, _] = segments { name(segments) } else { On::Anything }
}
