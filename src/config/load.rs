//! From a file's name to a configuration or to all that is wrong with it.

use super::compile::{Failed, Surroundings, compile, compile_policies};
use super::defaults::{Environment, process_environment};
use super::diagnostic::{Diagnostic, Diagnostics, Severity, Source};
use super::file::{Document, parse};
use super::node::At;
use super::rules::Notes;
use super::shapes::{FileShape, PolicyShape};
use super::wire::Ruleset;
use super::{Config, policies};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What sessions may reach where no file says: the policy of `exeat run`.
pub(super) const DEFAULT_POLICY: &str = include_str!("../../config/policies/coding-agent.yaml");
const DEFAULT_POLICY_FILE: &str = "policies/coding-agent.yaml";

/// The name of the policy where no file names one.
pub(super) const DEFAULT_NAME: &str = "agent";

/// Loads a configuration; without a file, the defaults with the one policy `agent`.
///
/// # Errors
/// All mistakes of the file, each with its place.
pub fn load(file: Option<&Path>) -> Result<Config, Diagnostics> {
    load_with(file, &process_environment, Wanted::All)
}

/// Loads everything but the sessions, whose tokens may be there for the gateway alone.
///
/// # Errors
/// All mistakes of the rest of the file, each with its place.
pub fn load_policies(file: Option<&Path>) -> Result<Config, Diagnostics> {
    load_with(file, &process_environment, Wanted::Policies)
}

/// Loads where a gateway's parts are, for verbs that talk to it or read what it wrote. Its policies and
/// sessions are left out with the secrets that they name: those may be there for the gateway alone.
///
/// # Errors
/// All mistakes of the rest of the file, each with its place.
pub fn load_places(file: Option<&Path>) -> Result<Config, Diagnostics> {
    load_with(file, &process_environment, Wanted::Places)
}

/// What of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything.
    All,
    /// All but the sessions: `exeat run` mints its own, and must not fail for the token of another.
    Policies,
    /// Neither policies nor sessions.
    Places,
}

/// Loads a policy file: the body of one policy, named after the file.
///
/// # Errors
/// All mistakes of the file, each with its place.
pub fn load_policy(file: &Path) -> Result<Arc<Ruleset>, Diagnostics> {
    let (name, text, base) = read_text(file)?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| super::compile::is_policy_name(stem));
    policy_from_text(stem.unwrap_or(DEFAULT_NAME), name, &text, &base).map(|(ruleset, _)| ruleset)
}

/// Compiles the text of a policy that lies in no file.
///
/// # Errors
/// All mistakes of the text, each with its place.
pub fn policy_from(text: &str) -> Result<Arc<Ruleset>, Diagnostics> {
    policy_from_text(DEFAULT_NAME, "policy".into(), text, Path::new("/")).map(|(ruleset, _)| ruleset)
}

pub(super) fn load_with(
    file: Option<&Path>,
    environment: Environment<'_>,
    wanted: Wanted,
) -> Result<Config, Diagnostics> {
    let Some(file) = file else { return defaults(environment) };
    let (name, text, base) = read_text(file)?;
    let config = from_text(name, &text, &Surroundings { base: &base, environment }, wanted)?;
    Ok(Config { file: Some(file.to_owned()), ..config })
}

pub(super) fn from_text(
    name: Arc<str>,
    text: &str,
    surroundings: &Surroundings<'_>,
    wanted: Wanted,
) -> Result<Config, Diagnostics> {
    let Document { source, shape, mistakes } = parse::<FileShape>(name, text)?;
    let mut notes = Notes { errors: mistakes, ..Notes::default() };
    let mut shape = shape.unwrap_or_default();
    if wanted != Wanted::All {
        shape.sessions = None;
    }
    if wanted == Wanted::Places {
        shape.policies = None;
    }
    let rulesets = compile_policies(shape.policies.as_ref(), surroundings.base, &mut notes);
    let has_none = shape.policies.as_ref().is_none_or(|policies| policies.0.is_empty());
    if has_none && wanted != Wanted::Places {
        let at = At { path: "policies".into(), span: 0..0, id: 0 };
        notes.warn(&at, "there are no policies, so nothing can go out", "add one under `policies`");
    }
    let mut names: Vec<&str> =
        shape.policies.iter().flat_map(|policies| &policies.0).map(|(name, _)| name.value.as_str()).collect();
    // A policy that is no mapping was left out of the shape; its sessions are right to name it.
    let faulty: Vec<Arc<str>> = notes.errors.iter().map(|mistake| Arc::clone(&mistake.at.path)).collect();
    names.extend(faulty.iter().filter_map(|path| path.strip_prefix("policies.")));
    let compiled = compile(&shape, rulesets, &names, surroundings, &mut notes);
    finish(compiled, &source, notes)
}

/// One policy out of the text of a policy file.
pub(super) fn policy_from_text(
    policy: &str,
    file: Arc<str>,
    text: &str,
    base: &Path,
) -> Result<(Arc<Ruleset>, Diagnostics), Diagnostics> {
    let Document { source, shape, mistakes } = parse::<PolicyShape>(file, text)?;
    let mut notes = Notes { errors: mistakes, ..Notes::default() };
    let at = At { path: "".into(), span: 0..0, id: 0 };
    let ruleset = policies::compile(&policy.into(), &at, &shape.unwrap_or_default(), base, &mut notes);
    finish(ruleset.ok_or(Failed::Noted), &source, notes).map(|(ruleset, warnings)| (Arc::new(ruleset), warnings))
}

fn defaults(environment: Environment<'_>) -> Result<Config, Diagnostics> {
    let (ruleset, _) = policy_from_text(DEFAULT_NAME, DEFAULT_POLICY_FILE.into(), DEFAULT_POLICY, Path::new("/"))?;
    let rulesets = HashMap::from([(Arc::from(DEFAULT_NAME), ruleset)]);
    let surroundings = Surroundings { base: Path::new("/"), environment };
    let mut notes = Notes::default();
    let config = compile(&FileShape::default(), rulesets, &[DEFAULT_NAME], &surroundings, &mut notes);
    finish(config, &Source::new("defaults".into(), "", &[], &[]), notes)
}

fn finish<T: Finished>(
    compiled: Result<T, Failed>,
    source: &Arc<Source>,
    notes: Notes,
) -> Result<T::With, Diagnostics> {
    let mut all = Diagnostics::default();
    for mistake in notes.errors {
        all.push(Diagnostic::of(Severity::Error, source, mistake));
    }
    for mistake in notes.elsewhere {
        all.push(mistake);
    }
    for mistake in notes.warnings {
        all.push(Diagnostic::of(Severity::Warning, source, mistake));
    }
    all.sort();
    let (mut errors, warnings) = all.split();
    match compiled {
        Ok(compiled) if errors.is_empty() => return Ok(compiled.with(warnings)),
        Err(Failed::Homeless(homeless)) => {
            let help = "set HOME, or name ca, control.key and flows.journal in a configuration file";
            errors.push(Diagnostic::bare(source.name(), "", homeless.to_string()).with_help(help));
        }
        Ok(_) | Err(Failed::Noted) => {}
    }
    Err(errors)
}

/// What takes warnings along.
trait Finished {
    type With;
    fn with(self, warnings: Diagnostics) -> Self::With;
}

impl Finished for Config {
    type With = Config;

    fn with(self, warnings: Diagnostics) -> Config {
        Config { warnings, ..self }
    }
}

impl Finished for Ruleset {
    type With = (Ruleset, Diagnostics);

    fn with(self, warnings: Diagnostics) -> (Ruleset, Diagnostics) {
        (self, warnings)
    }
}

/// The file's name as given, its text, and the folder where its relative paths start.
pub(super) fn read_text(file: &Path) -> Result<(Arc<str>, String, PathBuf), Diagnostics> {
    let name: Arc<str> = file.display().to_string().into();
    let unreadable = |error: std::io::Error| {
        Diagnostics::from(Diagnostic::bare(Arc::clone(&name), "", format!("the file can't be read: {error}")))
    };
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let base = std::path::absolute(file).map_err(unreadable)?;
    let base = base.parent().unwrap_or(Path::new("/")).to_owned();
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text, base)),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Err(Diagnostic::bare(name, "", "the file is not UTF-8").at(line, 1).into())
        }
    }
}
