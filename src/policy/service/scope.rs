//! How far a rule lets requests to a service go, and for which things.

use super::request::Sense;
use super::{Access, Action, Document, Naming, On, Service};
use crate::net::Target;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::sync::Arc;

/// The bound of a rule with a `service`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// What its hosts serve.
    pub service: Service,
    /// How far requests may go.
    pub access: Access,
    /// Of what.
    pub repos: Repos,
    /// The preset that the rule is of, for the hint that widens it.
    pub preset: Option<Arc<str>>,
}

/// Which repositories, packages or images a rule means: all, or patterns of their names.
#[derive(Clone, Debug, Default)]
pub struct Repos(Option<Globs>);

#[derive(Clone, Debug)]
struct Globs {
    written: Box<[Box<str>]>,
    set: GlobSet,
}

/// Why a pattern of names was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReposError {
    /// A blank, a URL, an empty part.
    #[error("a name has letters, digits, `.`, `_`, `-`, `@` and slashes; `*` stands for any part of a segment")]
    NotAName,
    /// One part, or three, where names have two.
    #[error("a repository here is written OWNER/REPO")]
    NotOwnerAndRepo,
    /// `**` beside other characters.
    #[error("`**` stands for whole segments only")]
    DoubleStar,
}

/// What a scope says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Allowed {
    /// It is beyond it.
    No,
    /// It is within it.
    Yes,
    /// It is within it if its body only reads.
    IfBodyReads(Document),
}

impl Scope {
    /// Whether the request is within bounds.
    pub(in crate::policy) fn allows(&self, target: &Target) -> Allowed {
        match self.service.read(target) {
            Sense::Head(Action { access, on, .. }) if access <= self.access && self.repos.cover(access, &on) => {
                Allowed::Yes
            }
            Sense::Body(document, on) if self.repos.cover(Access::Read, &on) => match self.access {
                Access::Read => Allowed::IfBodyReads(document),
                Access::Write | Access::Admin => Allowed::Yes,
            },
            _ => Allowed::No,
        }
    }

    /// What a request does at this service.
    pub(in crate::policy) fn action(&self, target: &Target) -> Action {
        match self.service.read(target) {
            Sense::Head(action) => action,
            Sense::Body(document, on) => document.reading(on),
        }
    }

    /// What the scope lets through: `read of acme/*`.
    #[must_use]
    pub fn bound(&self) -> String {
        format!("{} {} of {}", self.service.as_str(), self.access.as_str(), self.repos.listed())
    }

    /// Why an action is beyond the bound of the rule of this name.
    pub(in crate::policy) fn refusal(&self, rule: &str, action: &Action) -> String {
        let unnamed = matches!(action.on, On::Anything) && self.repos.0.is_some();
        let whose = if unnamed { " that does not name in its path what it is on" } else { "" };
        let (things, participle) = (self.repos.listed(), self.access.participle());
        format!("{action}{whose} is not permitted: the rule {rule} lets {things} be {participle}")
    }

    /// What `--allow` takes to permit the action; nothing for a rule of the user's own.
    pub(in crate::policy) fn allow_argument(&self, action: &Action) -> Option<String> {
        let preset = self.preset.as_ref()?;
        let access = action.access.max(self.access).as_str();
        Some(match &action.on {
            On::Name(name) => format!("{preset}-{access}:{name}"),
            On::Nothing | On::Anything => format!("{preset}-{access}"),
        })
    }
}

impl Repos {
    /// All of them.
    pub const ALL: Self = Self(None);

    /// None of them.
    #[must_use]
    pub fn none() -> Self {
        Self(Some(Globs { written: Box::new([]), set: GlobSet::empty() }))
    }

    /// Compiles patterns for the names of a service; none at all means nothing. The position of a refused
    /// one goes with its error.
    pub fn only<S: AsRef<str>>(service: Service, patterns: &[S]) -> Result<Self, (usize, ReposError)> {
        let mut set = GlobSetBuilder::new();
        let naming = service.naming();
        for (position, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            check(naming, pattern).map_err(|error| (position, error))?;
            let glob = GlobBuilder::new(&naming.canonical(pattern)).literal_separator(true).build();
            set.add(glob.map_err(|_| (position, ReposError::NotAName))?);
        }
        let last = patterns.len().saturating_sub(1);
        let set = set.build().map_err(|_| (last, ReposError::NotAName))?;
        let written = patterns.iter().map(|pattern| pattern.as_ref().into()).collect();
        Ok(Self(Some(Globs { written, set })))
    }

    /// Whether no thing is meant: an empty list.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.written().is_some_and(<[_]>::is_empty)
    }

    /// The patterns as written; nothing where all are meant.
    #[must_use]
    pub fn written(&self) -> Option<&[Box<str>]> {
        self.0.as_ref().map(|globs| &*globs.written)
    }

    fn cover(&self, access: Access, on: &On) -> bool {
        match (&self.0, on) {
            (None, _) => true,
            (Some(globs), On::Name(name)) => globs.set.is_match(name),
            (Some(_), On::Nothing) => access == Access::Read,
            (Some(_), On::Anything) => false,
        }
    }

    fn listed(&self) -> String {
        self.written().map_or_else(|| "everything".to_owned(), |written| written.join(", "))
    }
}

/// Two are alike when their patterns are written alike.
impl PartialEq for Repos {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

fn check(naming: Naming, pattern: &str) -> Result<(), ReposError> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@' | b'~' | b'+' | b'*');
    let mut parts = 0;
    for part in pattern.split('/') {
        parts += 1;
        if part.is_empty() || part == "." || part == ".." || !part.bytes().all(plain) {
            return Err(ReposError::NotAName);
        }
        if part.contains("**") && part != "**" {
            return Err(ReposError::DoubleStar);
        }
        if part == "**" && naming == Naming::OwnerRepo {
            return Err(ReposError::NotOwnerAndRepo);
        }
    }
    if naming == Naming::OwnerRepo && parts != 2 { Err(ReposError::NotOwnerAndRepo) } else { Ok(()) }
}
