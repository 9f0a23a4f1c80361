//! The presets: rules that many policies need, compiled into the binary.

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::file::parse;
use super::rules::{self, Notes};
use super::shapes::PresetShape;
use crate::policy::{Access, Repos, Rule, Scope, Service};
use std::path::Path;
use std::sync::Arc;

/// Rules by name, with what they are for.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What policies call it.
    pub name: Arc<str>,
    /// What it is for, in a sentence.
    pub description: String,
    /// Where the hosts are documented.
    pub documentation: Vec<String>,
    /// What it allows.
    pub rules: Vec<Rule>,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../config/presets/", $name, ".yaml")))),*];
    };
}

presets![
    "alpine",
    "anthropic",
    "apt-docker",
    "apt-nodesource",
    "arch",
    "bitbucket",
    "bun",
    "composer",
    "conda",
    "cpan",
    "cran",
    "crates",
    "debian",
    "deepseek",
    "deno",
    "docker-hub",
    "dotnet",
    "fedora",
    "ghcr",
    "github",
    "gitlab",
    "go",
    "google-ai",
    "gradle",
    "hackage",
    "hex",
    "homebrew",
    "huggingface",
    "kubernetes",
    "maven",
    "mcr",
    "mistral",
    "nix",
    "nodejs",
    "npm",
    "nuget",
    "openai",
    "openrouter",
    "playwright",
    "pub",
    "pypi",
    "python",
    "pytorch",
    "quay",
    "rubygems",
    "rustup",
    "terraform",
    "ubuntu",
    "uv",
    "xai",
];

/// The names of all presets, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// A preset as it is written; nothing where there is none of this name.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Compiles a preset; nothing where there is none of this name.
///
/// # Errors
/// None for the presets of this build, which a test holds to that.
pub fn load(name: &str) -> Option<Result<Preset, Diagnostics>> {
    text(name).map(|text| compile(name, text))
}

/// The preset and the access that a word means: `npm` is `npm-read`, and there may be `npm-write` and
/// `npm-admin`.
#[must_use]
pub fn named(word: &str) -> Option<(&'static str, Access)> {
    let exact = |word: &str| names().find(|name| *name == word);
    exact(word).map(|name| (name, Access::Read)).or_else(|| {
        let (name, access) = word.rsplit_once('-')?;
        exact(name).zip(Access::from_word(access))
    })
}

impl Preset {
    /// Whether it tells reading from writing.
    #[must_use]
    pub fn tells_access(&self) -> bool {
        self.rules.iter().any(|rule| rule.scope.is_some())
    }

    /// Its rules as far as `access` goes, for what `repos` makes of a service.
    pub fn bounded(self, access: Access, mut repos: impl FnMut(Service) -> Repos) -> Vec<Rule> {
        if !self.tells_access() {
            return self.rules;
        }
        let name = &self.name;
        let bound = |rule: Rule| {
            let place = rule.name.strip_prefix(&**name).unwrap_or(&rule.name);
            Rule {
                name: format!("{name}-{}{place}", access.as_str()).into(),
                scope: rule.scope.map(|scope| Scope {
                    access,
                    repos: repos(scope.service),
                    preset: Some(Arc::clone(name)),
                    ..scope
                }),
                ..rule
            }
        };
        self.rules.into_iter().map(bound).collect()
    }
}

fn compile(name: &str, text: &str) -> Result<Preset, Diagnostics> {
    let document = parse::<PresetShape>(format!("presets/{name}.yaml").into(), text)?;
    let mut notes = Notes { errors: document.mistakes, ..Notes::default() };
    let preset = document.shape.map(|shape| Preset {
        name: shape.name.as_str().into(),
        description: shape.description,
        documentation: shape.documentation,
        rules: shape.allow.iter().map(|rule| rules::allow(name, rule, Path::new("/"), &mut notes)).collect(),
    });
    let mut errors = Diagnostics::default();
    for mistake in notes.errors {
        errors.push(Diagnostic::of(Severity::Error, &document.source, mistake));
    }
    match preset {
        Some(preset) if errors.is_empty() => Ok(preset),
        _ => Err(errors),
    }
}
