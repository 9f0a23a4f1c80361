//! What hosts serve: requests to a known service told apart by what they do there and to whose things.
//!
//! A rule with a `service` judges reading, writing and settings instead of methods and paths. What is
//! not recognised counts as the most that a request can do, to anybody's things: only a rule without
//! any bound lets it through.

mod access;
mod bitbucket;
mod document;
mod git;
mod github;
mod gitlab;
mod graphql;
mod huggingface;
mod oci;
mod packages;
mod request;
mod scope;

pub use access::{Access, Action, On, Verb};
pub use document::{Document, Unreadable};
pub(super) use scope::Allowed;
pub use scope::{Repos, ReposError, Scope};

use crate::net::Target;
use request::{Request, Sense};

macro_rules! services {
    ($($name:ident $word:literal $naming:ident $sense:path: $doc:literal;)*) => {
        /// What a host serves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Service {
            $(#[doc = $doc] $name,)*
        }

        impl Service {
            /// All of them.
            pub const ALL: &'static [Service] = &[$(Service::$name,)*];

            /// The word in a file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Service::$name => $word,)* }
            }

            /// How the service's things are called.
            const fn naming(self) -> Naming {
                match self { $(Service::$name => Naming::$naming,)* }
            }

            fn sense(self, request: &Request<'_>) -> Sense {
                match self { $(Service::$name => $sense(request),)* }
            }
        }
    };
}

services! {
    Git "git" Nested git::host: "git over HTTP, LFS included, and nothing else that writes.";
    GitHub "github" OwnerRepo github::web: "github.com: git, LFS and pages.";
    GitHubApi "github-api" OwnerRepo github::api: "GitHub's REST and GraphQL API, and its uploads host.";
    GitHubRaw "github-raw" OwnerRepo github::raw: "Files and archives under /OWNER/REPO.";
    GitLab "gitlab" Nested gitlab::host: "GitLab: git, LFS, pages, REST and GraphQL API, on one host.";
    Bitbucket "bitbucket" OwnerRepo bitbucket::web: "bitbucket.org: git, LFS and pages.";
    BitbucketApi "bitbucket-api" OwnerRepo bitbucket::api: "Bitbucket's REST API.";
    HuggingFace "huggingface" Nested huggingface::hub: "The Hugging Face Hub: git, LFS, files and API.";
    Npm "npm" Package packages::npm: "An npm registry.";
    PyPi "pypi" Project packages::pypi: "A Python package index, or its host for uploads.";
    Crates "crates" Crate packages::crates: "A registry for cargo: its API, index or files.";
    RubyGems "rubygems" Package packages::rubygems: "A registry for gems.";
    Oci "oci" Package oci::registry: "A registry of images and artifacts (OCI distribution).";
    Storage "storage" Package packages::storage: "Blobs behind signed URLs, whose owner nothing tells.";
}

/// How the things of a service are called, so that two spellings of one thing compare as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// Two parts without regard to case; `.git` at the end is no part.
    OwnerRepo,
    /// One part or more, the same otherwise.
    Nested,
    /// As written.
    Package,
    /// Without regard to case, and `.`, `_` and `-` are one (PEP 503).
    Project,
    /// Without regard to case, and `_` and `-` are one.
    Crate,
}

impl Naming {
    /// The one spelling of a name, or of a pattern for names.
    fn canonical(self, name: &str) -> String {
        match self {
            Naming::OwnerRepo | Naming::Nested => {
                let lower = name.to_ascii_lowercase();
                lower.strip_suffix(".git").unwrap_or(&lower).to_owned()
            }
            Naming::Package => name.to_owned(),
            Naming::Crate => name.to_ascii_lowercase().replace('_', "-"),
            Naming::Project => {
                let mut out = String::with_capacity(name.len());
                for character in name.chars() {
                    match character {
                        '.' | '_' | '-' if out.ends_with('-') => {}
                        '.' | '_' | '-' => out.push('-'),
                        other => out.push(other.to_ascii_lowercase()),
                    }
                }
                out
            }
        }
    }
}

impl Service {
    /// What a request does: by every reading of its path, of which the worst counts.
    fn read(self, target: &Target) -> Sense {
        let mut readings = target.path.readings().peekable();
        let strict = readings.peek().is_some_and(|path| self == Service::GitLab && gitlab::is_read_strictly(path));
        let senses = readings.take(if strict { 1 } else { usize::MAX }).map(|path| {
            let request = Request::new(&target.method, path, target.path.query());
            self.sense(&request).named_by(|name| self.naming().canonical(name))
        });
        senses.reduce(Sense::or_worse).unwrap_or_else(Sense::unknown)
    }
}

#[cfg(test)]
mod tests;
