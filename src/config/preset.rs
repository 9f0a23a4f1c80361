//! The presets: rules that many policies need, compiled into the binary.

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::file::parse;
use super::rules::{self, Notes};
use super::shapes::PresetShape;
use crate::policy::Rule;
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
    "bitbucket-read",
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
    "github-read",
    "github-write",
    "gitlab-read",
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
