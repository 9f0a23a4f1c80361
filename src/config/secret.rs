//! Values that stand elsewhere than in the file: in an environment variable or in a file of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Where a secret is kept: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; line ends behind the value do not count.
    File(PathBuf),
}

/// Why a source was refused. Never says what was written: it may be the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Neither form.
    #[error(
        "a secret is not written here but named\nwrite `env:NAME` for an environment variable, `file:PATH` for a file"
    )]
    Literal,
    /// Nothing behind the colon, or what no variable is called.
    #[error("the name of an environment variable has letters, digits and underscores")]
    BadName,
    /// Nothing behind the colon.
    #[error("the path is missing\nwrite `file:PATH`")]
    NoPath,
}

/// Why a secret could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The variable or the file holds nothing.
    #[error("{0} is empty")]
    Empty(String),
    /// It is no text.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// The file can't be read.
    #[error("{} can't be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        why: std::io::ErrorKind,
    },
}

impl SecretSource {
    /// The same with a relative path taken from `base`.
    #[must_use]
    pub fn below(self, base: &Path) -> Self {
        match self {
            SecretSource::File(path) => SecretSource::File(base.join(path)),
            env @ SecretSource::Env(_) => env,
        }
    }

    /// Reads the secret.
    pub fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let text = match self {
            SecretSource::Env(name) => match std::env::var(name) {
                Ok(value) => Zeroizing::new(value),
                Err(std::env::VarError::NotPresent) => return Err(SecretError::Unset(name.clone())),
                Err(std::env::VarError::NotUnicode(_)) => return Err(SecretError::NotText(self.to_string())),
            },
            SecretSource::File(path) => {
                let unreadable =
                    |error: std::io::Error| SecretError::Unreadable { path: path.clone(), why: error.kind() };
                let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
                let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText(self.to_string()))?;
                Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        if text.is_empty() { Err(SecretError::Empty(self.to_string())) } else { Ok(text) }
    }
}

impl FromStr for SecretSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            Some(("env", name)) => {
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let valid = plain && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
                valid.then(|| SecretSource::Env(name.to_owned())).ok_or(SourceError::BadName)
            }
            Some(("file", "")) => Err(SourceError::NoPath),
            Some(("file", path)) => Ok(SecretSource::File(path.into())),
            _ => Err(SourceError::Literal),
        }
    }
}

/// As it is written: the name, never the value.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(f, "env:{name}"),
            SecretSource::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_and_never_written() {
        assert_eq!("env:A_1".parse(), Ok(SecretSource::Env("A_1".to_owned())));
        assert_eq!("file:../x".parse(), Ok(SecretSource::File("../x".into())));
        for (text, error) in [
            ("hunter2", SourceError::Literal),
            ("", SourceError::Literal),
            ("Env:A", SourceError::Literal),
            ("http://a", SourceError::Literal),
            ("env:", SourceError::BadName),
            ("env:1A", SourceError::BadName),
            ("env:A B", SourceError::BadName),
            ("file:", SourceError::NoPath),
        ] {
            assert_eq!(text.parse::<SecretSource>(), Err(error), "{text}");
            assert!(text.len() < 7 || !error.to_string().contains(text));
        }
    }

    #[test]
    fn a_file_gives_its_text_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret \n\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let read = |name: &str| SecretSource::File(name.into()).below(folder.path()).read();
        assert_eq!(read("token").unwrap().as_str(), "s3cret ");
        assert!(matches!(read("empty"), Err(SecretError::Empty(_))));
        assert!(matches!(read("none"), Err(SecretError::Unreadable { .. })));
        let unset = SecretSource::Env("EXEAT_TEST_NO_SUCH_VARIABLE".to_owned());
        assert_eq!(unset.read().unwrap_err(), SecretError::Unset("EXEAT_TEST_NO_SUCH_VARIABLE".to_owned()));
    }
}
