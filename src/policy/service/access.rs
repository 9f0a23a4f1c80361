//! What a request does, and to what.

use std::fmt;

/// How far requests to a service may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Nothing there is changed.
    #[default]
    Read,
    /// Contents are changed: pushes, releases, packages, issues.
    Write,
    /// Whatever else: who may do what, where things are sent, what is not recognised.
    Admin,
}

/// What one request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it is called.
    pub verb: Verb,
    /// How far it goes.
    pub access: Access,
    /// What it concerns.
    pub on: On,
}

/// What people call an action, and the word between it and a name: `git push` `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verb(pub &'static str, pub &'static str);

/// What an action concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// Nobody's things: a page about the service itself.
    Nothing,
    /// This repository, package or image.
    Name(String),
    /// Things that the request does not name in a place where it could be trusted.
    Anything,
}

impl Access {
    /// The word in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Admin => "admin",
        }
    }

    /// How a person says that it is permitted: `lets acme/* be read`.
    pub(super) const fn participle(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "written",
            Access::Admin => "administered",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Access::Read, Access::Write, Access::Admin].into_iter().find(|access| access.as_str() == word)
    }
}

/// `git push to acme/site`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.0)?;
        if let On::Name(name) = &self.on { write!(f, " {} {name}", self.verb.1) } else { Ok(()) }
    }
}

impl Action {
    pub(super) const fn new(verb: Verb, access: Access, on: On) -> Self {
        Self { verb, access, on }
    }
}
