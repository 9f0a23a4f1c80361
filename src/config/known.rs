//! The operator's own secrets, which are matched exactly.

use super::placed::Placed;
use super::rules::Notes;
use super::secret::SecretSource;
use super::units::Written;
use crate::secrets::{KnownSecret, KnownSource, parse_known};
use std::path::Path;

/// Reads one entry of `known`. What a file is (dotenv, AWS, netrc, …) its name tells.
pub(super) fn read(source: &Placed<Written<SecretSource>>, base: &Path, notes: &mut Notes) -> Vec<KnownSecret> {
    let written = &source.value.0;
    let text = match written.clone().below(base).read() {
        Ok(text) => text,
        Err(error) => {
            notes.error(&source.at, error.to_string(), "provide it, or remove the entry");
            return Vec::new();
        }
    };
    let known = match written {
        SecretSource::File(path) => match KnownSource::of_path(&path.to_string_lossy()) {
            KnownSource::Plain => KnownSecret::new(&written.to_string(), text.as_bytes()).into_iter().collect(),
            kind => parse_known(kind, text.as_bytes()),
        },
        SecretSource::Env(name) => KnownSecret::new(name, text.as_bytes()).into_iter().collect::<Vec<_>>(),
    };
    if known.is_empty() {
        let message = format!("{written} holds no value that could be told from ordinary text");
        notes.warn(&source.at, message, "values under eight bytes, and words like `changeme`, are not looked for");
    }
    known
}
