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
    let mut whole = |name: &str| {
        let known = KnownSecret::new(name, text.as_bytes());
        if known.is_none() {
            let message = format!("{written} is too short or too plain: it would be found everywhere");
            notes.error(&source.at, message, "use a longer secret, or remove the entry");
        }
        known.into_iter().collect()
    };
    let kind = match written {
        SecretSource::Env(name) => return whole(name),
        SecretSource::File(path) => KnownSource::of_path(&path.to_string_lossy()),
    };
    if kind == KnownSource::Plain {
        return whole(&written.to_string());
    }
    let known = parse_known(kind, text.as_bytes());
    if known.is_empty() {
        let message = format!("{written} names no secret");
        notes.warn(&source.at, message, "names that say secret, with values of eight bytes or more, are looked for");
    }
    known
}
