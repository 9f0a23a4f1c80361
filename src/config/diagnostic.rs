//! What is wrong with a file: where, what, and what to do; never the value of a secret.

use super::node::At;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A file's name and text, with whatever could be a secret blanked out.
#[derive(Debug)]
pub(super) struct Source {
    name: Arc<str>,
    /// As long as the file, byte by byte, so that places stay what they are.
    shown: String,
}

/// A mistake at a node: a diagnostic that does not know its file yet.
#[derive(Clone, Debug)]
pub(super) struct Mistake {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// What stands under this key is not known, so that it could be a secret.
    pub(super) hides_value: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Worth a second look.
    Warning,
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1; nothing where the mistake is not at a place in a file.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The path of keys: `policies.agent.allow[2].host`.
    pub path: Arc<str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    snippet: Option<(Arc<Source>, Range<usize>)>,
}

/// All that is wrong with the configuration, in the order of the file. Shown as a compiler shows it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Source {
    /// Stars for what must not be shown, blanks for comments, which may hold old secrets.
    pub(super) fn new(name: Arc<str>, text: &str, hidden: &[Range<usize>], comments: &[Range<usize>]) -> Arc<Self> {
        let within = |spans: &[Range<usize>], at: usize| spans.iter().any(|span| span.contains(&at));
        let mut shown = String::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            let cover = match character {
                '\n' => None,
                _ if within(hidden, at) => Some('*'),
                _ if within(comments, at) => Some(' '),
                _ => None,
            };
            match cover {
                Some(cover) => shown.extend(std::iter::repeat_n(cover, character.len_utf8())),
                None => shown.push(character),
            }
        }
        Arc::new(Self { name, shown })
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Line and column of a byte, from 1; the column in characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.shown.get(..at).unwrap_or(&self.shown);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    /// The part of a span that lies on its first line.
    fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let text = self.shown.get(span.clone()).unwrap_or_default();
        let text = &text[..text.find('\n').unwrap_or(text.len())];
        span.start..span.start + text.trim_end().len()
    }
}

impl Mistake {
    pub(super) fn new(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None, hides_value: false }
    }

    pub(super) fn with_help(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help), ..self }
    }

    pub(super) fn hiding_the_value(self) -> Self {
        Self { hides_value: true, ..self }
    }
}

impl Diagnostic {
    pub(super) fn of(severity: Severity, source: &Arc<Source>, mistake: Mistake) -> Self {
        let (line, column) = source.position(mistake.at.span.start);
        let span = source.first_line(&mistake.at.span);
        Self {
            severity,
            file: Arc::clone(&source.name),
            line: Some(line),
            column: Some(column),
            path: mistake.at.path,
            message: mistake.message,
            help: mistake.help,
            snippet: Some((Arc::clone(source), span)),
        }
    }

    /// One that shows nothing of the file: for text that could not be parsed, and for what is in no file.
    pub(super) fn bare(file: impl Into<Arc<str>>, path: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            column: None,
            path: path.into(),
            message: message.into(),
            help: None,
            snippet: None,
        }
    }

    pub(super) fn at(self, line: usize, column: usize) -> Self {
        Self { line: Some(line), column: Some(column), ..self }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn title(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }

    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(self.title()).elements(self.snippet.iter().map(|(source, span)| {
            Snippet::source(&source.shown).path(&*self.file).annotation(AnnotationKind::Primary.span(span.clone()))
        }));
        if self.snippet.is_none() {
            let mut origin = annotate_snippets::Origin::path(&*self.file);
            if let (Some(line), Some(column)) = (self.line, self.column) {
                origin = origin.line(line).char_column(column);
            }
            group = group.element(origin);
        }
        group.elements(self.help.iter().map(|help| Level::HELP.message(help)))
    }
}

impl Diagnostics {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    }

    /// Warnings apart from errors.
    pub(super) fn split(self) -> (Diagnostics, Diagnostics) {
        let (errors, warnings) = self.0.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        (Self(errors), Self(warnings))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// As a compiler shows it, with colour for terminals.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for diagnostic in &self.0 {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&renderer.render(&[diagnostic.group()]));
        }
        text
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Without colour, for logs.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
