//! The operator's own secrets, which are matched exactly.

use super::placed::Placed;
use super::rules::Notes;
use super::secret::{SecretError, SecretSource};
use super::units::Written;
use crate::secrets::{KnownSecret, KnownSource, parse_known};
use std::path::Path;

/// Why a source of known secrets gave none. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// It can't be read.
    #[error(transparent)]
    Source(#[from] SecretError),
    /// Its value would be found everywhere.
    #[error("{0} is too short or too plain: it would be found everywhere")]
    TooPlain(SecretSource),
    /// A file of names and values in which no name says secret.
    #[error("{0} names no secret")]
    NoSecret(SecretSource),
}

/// Reads known secrets from a variable or a file. What a file is (dotenv, AWS, netrc, …) its name tells.
pub fn read_known(source: &SecretSource) -> Result<Vec<KnownSecret>, KnownError> {
    let text = source.read()?;
    let whole = |name: &str| {
        let known = KnownSecret::new(name, text.as_bytes()).map(|known| vec![known]);
        known.ok_or_else(|| KnownError::TooPlain(source.clone()))
    };
    let path = match source {
        SecretSource::Env(name) => return whole(name),
        SecretSource::File(path) => path,
    };
    let kind = KnownSource::of_path(&path.to_string_lossy());
    if kind == KnownSource::Plain {
        return whole(&source.to_string());
    }
    let known = parse_known(kind, text.as_bytes());
    if known.is_empty() { Err(KnownError::NoSecret(source.clone())) } else { Ok(known) }
}

/// Reads one entry of `known`.
pub(super) fn read(source: &Placed<Written<SecretSource>>, base: &Path, notes: &mut Notes) -> Vec<KnownSecret> {
    let written = &source.value.0;
    let error = match read_known(&written.clone().below(base)) {
        Ok(known) => return known,
        Err(error) => error,
    };
    match error {
        KnownError::Source(error) => {
            notes.error(&source.at, error.to_string(), "provide it, or remove the entry");
        }
        KnownError::TooPlain(_) => {
            let message = KnownError::TooPlain(written.clone()).to_string();
            notes.error(&source.at, message, "use a longer secret, or remove the entry");
        }
        KnownError::NoSecret(_) => {
            let message = KnownError::NoSecret(written.clone()).to_string();
            notes.warn(
                &source.at,
                message,
                "names that say secret, with values of eight bytes or more, are looked for",
            );
        }
    }
    Vec::new()
}
