//! The user's own rules for secrets: files like those of `config/secrets`, each rule held to its examples.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::placed::Placed;
use super::rules::Notes;
use crate::secrets::{Catalogue, CatalogueError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The texts of a user's own files, by name. Policies with the same ones share a scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnRules(Vec<(Arc<str>, Arc<str>)>);

impl OwnRules {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The built-in catalogue and these.
    pub fn with_builtin(&self) -> Result<Catalogue, CatalogueError> {
        let mut catalogue = Catalogue::builtin()?;
        for (file, text) in &self.0 {
            catalogue.add(file, text)?;
        }
        Ok(catalogue)
    }
}

/// Reads and checks files of rules.
///
/// # Errors
/// All mistakes of the files, each with its place.
pub fn load_rules(files: &[PathBuf]) -> Result<OwnRules, Diagnostics> {
    let (mut own, mut errors) = (OwnRules::default(), Diagnostics::default());
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => own.0.push((file.display().to_string().into(), text.into())),
            Err(error) => {
                let message = format!("the file can't be read: {error}");
                errors.push(Diagnostic::bare(file.display().to_string(), "", message));
            }
        }
    }
    check(&own).into_iter().for_each(|error| errors.push(error));
    if errors.is_empty() { Ok(own) } else { Err(errors) }
}

/// Reads what `secrets.catalogue` of a policy lists.
pub(super) fn read(listed: &[Placed<String>], base: &Path, notes: &mut Notes) -> OwnRules {
    let mut own = OwnRules::default();
    for entry in listed {
        let files = match files(&base.join(&entry.value)) {
            Ok(files) if files.is_empty() => {
                notes.error(&entry.at, "no file has a name like this", "write a file, a folder, or `folder/*.yaml`");
                continue;
            }
            Ok(files) => files,
            Err(error) => {
                let help = "write a file, a folder, or `folder/*.yaml`; it starts at this file's folder";
                notes.error(&entry.at, format!("it can't be read: {error}"), help);
                continue;
            }
        };
        for file in files {
            match std::fs::read_to_string(&file) {
                Ok(text) => own.0.push((file.display().to_string().into(), text.into())),
                Err(error) => {
                    let message = format!("{} can't be read: {error}", file.display());
                    notes.error(&entry.at, message, "name readable files of rules");
                }
            }
        }
    }
    notes.elsewhere.extend(check(&own));
    own
}

/// A file; a folder's YAML files; or those whose names a star in the last part of the path stands for.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (folder, star) = match pattern.split_once('*') {
        _ if path.is_dir() => (path, None),
        Some(star) => (path.parent().unwrap_or(path), Some(star)),
        None => return std::fs::metadata(path).map(|_| vec![path.to_owned()]),
    };
    let fits = |name: &str| match star {
        None => name.ends_with(".yaml") || name.ends_with(".yml"),
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && path.file_name().and_then(|name| name.to_str()).is_some_and(fits) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check(own: &OwnRules) -> Vec<Diagnostic> {
    // A broken catalogue of the binary is told where it is compiled.
    let Ok(mut catalogue) = Catalogue::builtin() else { return Vec::new() };
    let mut errors = Vec::new();
    for (file, text) in &own.0 {
        let place = |id: &str| {
            let lines = text.lines().zip(1..);
            let mut ids = lines.filter_map(|(line, number)| Some((number, line.find("id:")?, line)));
            let own = ids.find(|(_, at, line)| line[at + 3..].trim().trim_matches(['"', '\'']) == id);
            own.map_or((1, 1), |(number, at, _)| (number, at + 1))
        };
        let at_rule = |id: &str, message: String| {
            let (line, column) = place(id);
            Diagnostic::bare(Arc::clone(file), id, message).at(line, column)
        };
        let before = catalogue.clone();
        match catalogue.add(file, text) {
            Ok(()) => {
                let new = catalogue.rules().iter().filter(|rule| rule.file.as_deref() == Some(&**file));
                for rule in new {
                    errors.extend(rule.mistakes().into_iter().map(|message| at_rule(&rule.id, message)));
                }
            }
            Err(CatalogueError::Syntax { source, .. }) => {
                let (line, column) = source.location().map_or((1, 1), |at| (at.line(), at.column()));
                errors.push(Diagnostic::bare(Arc::clone(file), "", source.to_string()).at(line, column));
                catalogue = before;
            }
            Err(CatalogueError::DoubleId { id, .. }) => {
                let help = "choose another id; `overrides: true` in the rule puts it in the other's place";
                errors.push(at_rule(&id, "a rule of this id is there already".to_owned()).with_help(help));
                catalogue = before;
            }
            Err(CatalogueError::NothingToOverride { id, .. }) => {
                let message = "there is no rule of this id that it could override";
                errors.push(at_rule(&id, message.to_owned()).with_help("leave `overrides` out"));
                catalogue = before;
            }
        }
    }
    errors
}
