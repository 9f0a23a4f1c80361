//! The Hugging Face Hub: <https://huggingface.co/docs/hub/api>

use super::request::{Request, Sense, name};
use super::{On, Verb, git};

const COMMIT: Verb = Verb("a commit by the API", "to");
const SETTINGS: Verb = Verb("a change of settings", "of");
const REPOSITORY: Verb = Verb("a new repository", "named");

/// Kinds of repositories, which stand before the name; models have none.
const KINDS: &[&str] = &["datasets", "spaces"];
/// Pages below a repository: a model of one word is told by them from an owner.
const PAGES: &[&str] = &["resolve", "raw", "blob", "tree", "blame", "commits", "commit", "discussions", "info"];
/// What an agent changes of a repository's contents.
const CONTENTS: &[&str] =
    &["branch", "commit", "comment", "discussions", "lfs-files", "preupload", "super-squash", "tag"];

/// huggingface.co.
pub(super) fn hub(request: &Request<'_>) -> Sense {
    if let Some(sense) = git::endpoint(request, repository) {
        return sense;
    }
    match *request.segments.as_slice() {
        ["api", ref rest @ ..] => api(request, rest),
        _ if !request.is_safe() => Sense::unknown(),
        [] => Sense::read(On::Nothing),
        ref segments => Sense::read(repository(&segments[..length(segments)])),
    }
}

fn api(request: &Request<'_>, rest: &[&str]) -> Sense {
    match *rest {
        ["whoami-v2"] if request.is_safe() => Sense::read(On::Nothing),
        [kind @ ("models" | "datasets" | "spaces"), owner, repo, ref below @ ..] => {
            let on = if kind == "models" { name(&[owner, repo]) } else { name(&[kind, owner, repo]) };
            match below {
                _ if request.is_safe() => Sense::read(on),
                ["paths-info", _, ..] if request.is_post() => Sense::read(on),
                [first, ..] if CONTENTS.contains(first) => Sense::write(COMMIT, on),
                _ => Sense::admin(SETTINGS, on),
            }
        }
        _ if request.is_safe() => Sense::read(On::Anything),
        ["repos", "create"] => Sense::write(REPOSITORY, On::Anything),
        _ => Sense::unknown(),
    }
}

/// How many segments of a page's path are the repository's name.
fn length(segments: &[&str]) -> usize {
    let kind = usize::from(segments.first().is_some_and(|first| KINDS.contains(first)));
    let is_short = segments.get(kind + 1).is_none_or(|second| PAGES.contains(second));
    (kind + if is_short { 1 } else { 2 }).min(segments.len())
}

fn repository(segments: &[&str]) -> On {
    if segments.len() == length(segments) { name(segments) } else { On::Anything }
}
