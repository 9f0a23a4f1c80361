//! The operator's own secrets, which are matched exactly.

use super::placed::Placed;
use super::rules::Notes;
use super::secret::SecretSource;
use super::units::Written;
use super::wire::KnownSecret;
use std::path::Path;
use zeroize::Zeroizing;

/// Shorter values turn up by chance in what agents send.
const SHORTEST: usize = 8;

/// Reads one entry of `known`. A file of `NAME=VALUE` lines gives each value, any other file all of it.
pub(super) fn read(source: &Placed<Written<SecretSource>>, base: &Path, notes: &mut Notes) -> Vec<KnownSecret> {
    let written = &source.value.0;
    let text = match written.clone().below(base).read() {
        Ok(text) => text,
        Err(error) => {
            notes.error(&source.at, error.to_string(), "provide it, or remove the entry");
            return Vec::new();
        }
    };
    let lines = match written {
        SecretSource::File(_) => assignments(&text),
        SecretSource::Env(_) => None,
    };
    let Some(lines) = lines else {
        if text.len() < SHORTEST {
            let message = format!("{written} is shorter than {SHORTEST} bytes: it would be found everywhere");
            notes.error(&source.at, message, "use a longer secret, or remove the entry");
        }
        return vec![KnownSecret { name: written.to_string().into(), value: text }];
    };
    let long = lines.into_iter().filter(|(_, value)| value.len() >= SHORTEST);
    let known: Vec<_> =
        long.map(|(name, value)| KnownSecret { name: format!("{written}#{name}").into(), value }).collect();
    if known.is_empty() {
        let message = format!("{written} holds no value of {SHORTEST} bytes or more");
        notes.warn(&source.at, message, "shorter ones are not looked for");
    }
    known
}

/// The assignments of an environment file; nothing where it has any other line.
fn assignments(text: &str) -> Option<Vec<(&str, Zeroizing<String>)>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).trim_start().split_once('=')?;
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let starts = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
            (plain && starts).then(|| (name, Zeroizing::new(unquoted(value).to_owned())))
        })
        .collect()
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_known_value_by_value() {
        let text = "# comment\nexport A=\"quoted value\"\n\nB='x=y'\nC_1=plain\n";
        let found: Vec<_> = assignments(text).unwrap().into_iter().map(|(n, v)| (n, v.as_str().to_owned())).collect();
        let expected = [("A", "quoted value"), ("B", "x=y"), ("C_1", "plain")];
        assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
        assert!(assignments("-----BEGIN KEY-----\nabc=\n").is_none());
        assert!(assignments("s3cret").is_none());
    }
}
