//! git's smart HTTP protocol and LFS, which every git host serves below a repository's path.
//!
//! <https://git-scm.com/docs/http-protocol>,
//! <https://github.com/git-lfs/git-lfs/blob/main/docs/api/README.md>

use super::request::{Request, Sense, name};
use super::{Document, On, Verb};

const FETCH: Verb = Verb("git fetch", "of");
const PUSH: Verb = Verb("git push", "to");
const LFS_PUSH: Verb = Verb("git lfs push", "to");

/// A host that serves git and no more; its other pages may be read.
pub(super) fn host(request: &Request<'_>) -> Sense {
    let other = || if request.is_safe() { Sense::read(On::Anything) } else { Sense::unknown() };
    endpoint(request, name).unwrap_or_else(other)
}

/// The endpoints of git and LFS, of the repository that `named` makes of what stands before them; nothing
/// where the path is none of theirs.
pub(super) fn endpoint(request: &Request<'_>, named: impl Fn(&[&str]) -> On) -> Option<Sense> {
    let fetch = |on| Sense::Head(super::Action::new(FETCH, super::Access::Read, on));
    let sense = match *request.segments.as_slice() {
        [ref repo @ .., "info", "refs"] if request.is_safe() => match request.query {
            None | Some("service=git-upload-pack") => fetch(named(repo)),
            // Also what names no service that we know: it is no fetch.
            Some(_) => Sense::write(PUSH, named(repo)),
        },
        [ref repo @ .., "git-upload-pack" | "git-upload-archive"] if request.is_post() => fetch(named(repo)),
        [ref repo @ .., "git-receive-pack"] if request.is_post() => Sense::write(PUSH, named(repo)),
        [ref repo @ .., "info", "lfs", "objects", "batch"] if request.is_post() && request.query.is_none() => {
            Sense::Body(Document::LfsBatch, named(repo))
        }
        [ref repo @ .., "gitlab-lfs", "objects", _, _]
        | [ref repo @ .., "gitlab-lfs", "objects", _, _, "authorize"] => lfs(request, named(repo)),
        ref segments => {
            let at = segments.windows(2).position(|pair| pair == ["info", "lfs"])?;
            lfs(request, named(&segments[..at]))
        }
    };
    Some(sense)
}

fn lfs(request: &Request<'_>, on: On) -> Sense {
    if request.is_safe() { Sense::read(on) } else { Sense::write(LFS_PUSH, on) }
}
