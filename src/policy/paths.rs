//! Which paths a rule means.

use crate::net::Path;
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// The paths of a rule: all, or globs over the whole normalised path.
///
/// `*` stays within a segment, `**` is any number of whole segments, `{a,b}` and `[0-9]` work. The
/// query is no part of it.
#[derive(Clone, Debug, Default)]
pub struct Paths(Option<Globs>);

#[derive(Clone, Debug)]
struct Globs {
    written: Box<[Box<str>]>,
    set: GlobSet,
}

/// Why a path glob was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It starts with something else than a slash.
    #[error("a path glob starts with a slash: `/repos/**`")]
    NoSlash,
    /// A query or a fragment, which is no part of what is matched.
    #[error("paths are matched without query and fragment; write the path alone")]
    Query,
    /// `.` or `..` as a segment: such requests are refused before they are matched.
    #[error("a path with a dot segment is never requested; write the path that is meant")]
    DotSegment,
    /// `**` beside other characters, where it would mean no more than `*`.
    #[error("`**` stands for whole segments only: `/a/**`, `/**/b`")]
    DoubleStar,
    /// A blank, a control character, a backslash or a character that URLs carry encoded.
    #[error("the glob has a character that no request path has; write it percent-encoded")]
    Character,
    /// An escape in a form that the normalised path never has.
    #[error("escapes are matched in upper case and only where a character needs one: `%2F`, but not `%2f` or `%61`")]
    Escape,
    /// What globset can't read: an open brace or bracket.
    #[error("the glob can't be read: {0}")]
    Syntax(String),
}

impl Paths {
    /// Every path, also `*` (`OPTIONS *`).
    pub const ALL: Self = Self(None);

    /// Compiles globs; no glob at all matches no path. The position of a refused one goes with its error.
    pub fn only<S: AsRef<str>>(globs: &[S]) -> Result<Self, (usize, GlobError)> {
        let mut set = GlobSetBuilder::new();
        for (position, glob) in globs.iter().enumerate() {
            let glob = glob.as_ref();
            check(glob).map_err(|error| (position, error))?;
            let glob = GlobBuilder::new(glob)
                .literal_separator(true)
                .backslash_escape(false)
                .build()
                .map_err(|error| (position, GlobError::Syntax(error.kind().to_string())))?;
            set.add(glob);
        }
        let last = globs.len().saturating_sub(1);
        let set = set.build().map_err(|error| (last, GlobError::Syntax(error.kind().to_string())))?;
        Ok(Self(Some(Globs { written: globs.iter().map(|glob| glob.as_ref().into()).collect(), set })))
    }

    /// Whether no glob was written, so that the path does not matter.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether no path matches: an empty list.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.written().is_some_and(<[_]>::is_empty)
    }

    /// The globs as written; nothing where every path matches.
    #[must_use]
    pub fn written(&self) -> Option<&[Box<str>]> {
        self.0.as_ref().map(|globs| &*globs.written)
    }

    /// Whether every reading of the path matches: how a rule allows.
    #[must_use]
    pub fn match_all_readings(&self, path: &Path) -> bool {
        self.0.as_ref().is_none_or(|globs| path.readings().all(|reading| globs.matches(reading)))
    }

    /// Whether any reading of the path matches: how a rule denies.
    #[must_use]
    pub fn match_any_reading(&self, path: &Path) -> bool {
        self.0.as_ref().is_none_or(|globs| path.readings().any(|reading| globs.matches(reading)))
    }
}

impl Globs {
    fn matches(&self, reading: &str) -> bool {
        self.set.is_match_candidate(&Candidate::from_bytes(reading))
    }
}

/// Two are alike when their globs are written alike, in any order.
impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        match (self.written(), other.written()) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => {
                ours.iter().all(|glob| theirs.contains(glob)) && theirs.iter().all(|glob| ours.contains(glob))
            }
            _ => false,
        }
    }
}

fn check(glob: &str) -> Result<(), GlobError> {
    if !glob.starts_with('/') {
        return Err(GlobError::NoSlash);
    }
    // globset reads `?` as any one character; who writes it here means a query.
    if glob.contains(['?', '#']) {
        return Err(GlobError::Query);
    }
    if !glob.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`')) {
        return Err(GlobError::Character);
    }
    for escape in glob.split('%').skip(1) {
        let digits = escape.get(..2).filter(|digits| digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'A'..=b'F')));
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(GlobError::Escape)?;
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            return Err(GlobError::Escape);
        }
    }
    for segment in glob.split('/') {
        if matches!(segment, "." | "..") {
            return Err(GlobError::DotSegment);
        }
        if segment.contains("**") && segment != "**" {
            return Err(GlobError::DoubleStar);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(glob: &str, path: &str) -> bool {
        Paths::only(&[glob]).unwrap().match_all_readings(&Path::parse(path.as_bytes()).unwrap())
    }

    #[test]
    fn globs_match_whole_paths_by_segment() {
        for (glob, path, expected) in [
            ("/repos/acme/**", "/repos/acme/x", true),
            ("/repos/acme/**", "/repos/acme/x/y?q=/repos/other", true),
            ("/repos/acme/**", "/repos/acme/", true),
            ("/repos/acme/**", "/repos/acme", false),
            ("/repos/acme/**", "/repos/acmecorp/x", false),
            ("/repos/acme/**", "/x/repos/acme/y", false),
            ("/repos/*/issues", "/repos/a/issues", true),
            ("/repos/*/issues", "/repos/a/b/issues", false),
            ("/**/git-upload-pack", "/a/b.git/git-upload-pack", true),
            ("/**/git-upload-pack", "/git-upload-pack", true),
            ("/**/git-upload-pack", "/a/git-upload-pack/x", false),
            ("/**/git-upload-pack", "/a/git-receive-pack?x=/git-upload-pack", false),
            ("/v1/{messages,models}", "/v1/messages", true),
            ("/v1/{messages,models}", "/v1/files", false),
            ("/v[0-9]/x", "/v1/x", true),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/a", "/A", false),
            ("/a", "/%61", true),
        ] {
            assert_eq!(allows(glob, path), expected, "{glob} {path}");
        }
    }

    #[test]
    fn an_allow_wants_every_reading_and_a_deny_any() {
        let admin = Paths::only(&["/admin/**"]).unwrap();
        let public = Paths::only(&["/public/*", "/public/admin/*"]).unwrap();
        let doubled = Path::parse(b"//admin/x").unwrap();
        assert!(admin.match_any_reading(&doubled));
        assert!(!admin.match_all_readings(&doubled));
        let slash = Path::parse(b"/public%2Fx").unwrap();
        assert!(!public.match_all_readings(&slash), "the strict reading is one segment");
    }

    #[test]
    fn no_glob_at_all_matches_no_path() {
        let none = Paths::only::<&str>(&[]).unwrap();
        let path = Path::parse(b"/").unwrap();
        assert!(none.is_void() && !none.match_all_readings(&path) && !none.match_any_reading(&path));
        assert!(!Paths::ALL.is_void() && Paths::ALL.match_all_readings(&Path::parse(b"*").unwrap()));
    }

    #[test]
    fn globs_that_mean_something_else_than_they_say_are_refused() {
        for (glob, error) in [
            ("", GlobError::NoSlash),
            ("**", GlobError::NoSlash),
            ("repos/*", GlobError::NoSlash),
            ("/x?a=b", GlobError::Query),
            ("/x#y", GlobError::Query),
            ("/a/../b", GlobError::DotSegment),
            ("/a/./b", GlobError::DotSegment),
            ("/a**", GlobError::DoubleStar),
            ("/a/***/b", GlobError::DoubleStar),
            ("/a b", GlobError::Character),
            ("/é", GlobError::Character),
            ("/a\\*", GlobError::Character),
            ("/%61", GlobError::Escape),
            ("/a%2fb", GlobError::Escape),
            ("/a%+1", GlobError::Escape),
            ("/a%", GlobError::Escape),
        ] {
            assert_eq!(Paths::only(&["/ok", glob]).unwrap_err(), (1, error), "{glob}");
        }
        for glob in ["/{a", "/[a", "/a}"] {
            assert!(matches!(Paths::only(&[glob]), Err((0, GlobError::Syntax(_)))), "{glob}");
        }
    }
}
