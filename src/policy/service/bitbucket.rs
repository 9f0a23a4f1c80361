//! Bitbucket: <https://developer.atlassian.com/cloud/bitbucket/rest/>

use super::github::owner_and_repo;
use super::request::{Request, Sense};
use super::{On, Verb, git, github};

const API: Verb = Verb("an API write", "to");
const SETTINGS: Verb = Verb("a change of settings", "of");
const DOWNLOAD: Verb = Verb("an upload", "to");
const SNIPPET: Verb = Verb("a snippet", "by");

/// What below a repository is its contents; the rest is settings.
const CONTENTS: &[&str] =
    &["commit", "commits", "components", "diff", "issues", "milestones", "pullrequests", "refs", "src", "versions"];

/// bitbucket.org itself, whose paths are those of GitHub.
pub(super) fn web(request: &Request<'_>) -> Sense {
    git::endpoint(request, owner_and_repo).unwrap_or_else(|| github::web(request))
}

/// api.bitbucket.org.
pub(super) fn api(request: &Request<'_>) -> Sense {
    match *request.segments.as_slice() {
        ["2.0", "repositories", owner, repo, ref rest @ ..] => {
            let on = owner_and_repo(&[owner, repo]);
            if request.is_safe() { Sense::read(on) } else { write_to(on, rest) }
        }
        ["2.0", "user"] if request.is_safe() => Sense::read(On::Nothing),
        _ if request.is_safe() => Sense::read(On::Anything),
        ["2.0", "snippets", ..] => Sense::write(SNIPPET, On::Anything),
        _ => Sense::unknown(),
    }
}

fn write_to(on: On, rest: &[&str]) -> Sense {
    match *rest {
        ["downloads", ..] => Sense::write(DOWNLOAD, on),
        [first, ..] if CONTENTS.contains(&first) => Sense::write(API, on),
        // A fork is another repository.
        ["forks", ..] => Sense::admin(SETTINGS, On::Anything),
        _ => Sense::admin(SETTINGS, on),
    }
}
