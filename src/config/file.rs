//! From text to shapes. The only place that knows which YAML parser is used.

use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Source};
use super::locate::locate;
use super::node::{Bare, Node, Value, join};
use super::read::read;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// No configuration is this long; a device or a log given by mistake is.
const LONGEST: usize = 4 << 20;

/// Keys whose values name secrets, or are secrets where the operator has misunderstood.
const SECRET_KEYS: [&str; 3] = ["token", "key", "known"];

/// A file that could be parsed.
pub(super) struct Document<T> {
    pub(super) source: Arc<Source>,
    /// Nothing where the whole is of the wrong shape.
    pub(super) shape: Option<T>,
    pub(super) mistakes: Vec<Mistake>,
}

/// Parses a file. An empty one is an empty mapping.
pub(super) fn parse<T: DeserializeOwned>(name: Arc<str>, text: &str) -> Result<Document<T>, Diagnostics> {
    if text.len() > LONGEST {
        let message = format!("the file is longer than {} MiB", LONGEST >> 20);
        return Err(Diagnostic::bare(name, "", message).into());
    }
    let bare: Bare =
        serde_yaml::from_str(text).map_err(|error| Diagnostics::from(syntax(Arc::clone(&name), text, &error)))?;
    let bare = match bare {
        Bare::Scalar(Value::Null) => Bare::Map(Vec::new()),
        bare => bare,
    };
    let (spot, comments) = locate(text);
    let (root, doubled) = join(bare, &spot);
    let mut hidden = Hidden::default();
    hidden.collect(&root);
    let values: Vec<(usize, Range<usize>)> = spans_of_values(&root);
    let (shape, mut mistakes) = read(root);
    mistakes.extend(doubled.into_iter().map(|doubled| {
        let message = format!("the key `{}` is there twice", doubled.key);
        Mistake::new(doubled.at, message).with_help(Some("keep one of the two".to_owned())).hiding_the_value()
    }));
    for mistake in mistakes.iter().filter(|mistake| mistake.hides_value) {
        let line_end = text[mistake.at.span.end..].find('\n').map_or(text.len(), |end| mistake.at.span.end + end);
        let value = values.iter().find(|(id, _)| *id == mistake.at.id);
        hidden.spans.push(value.map_or(mistake.at.span.end..line_end, |(_, span)| span.clone()));
    }
    let source = Source::new(name, text, &hidden.spans_in(text), &comments);
    Ok(Document { source, shape, mistakes })
}

/// A text that is no YAML. Nothing of it is shown: where its parts start and end is not known.
fn syntax(name: Arc<str>, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let told = error.to_string();
    let message = told.split(" at line ").next().unwrap_or_default().trim_end_matches(':');
    if message.contains("more than one document") {
        let second = text.lines().enumerate().filter(|(_, line)| *line == "---" || line.starts_with("--- "));
        // The first of these lines opens the first document only where nothing stands before it.
        let opens = text.trim_start().starts_with("---");
        let line = second.map(|(number, _)| number + 1).nth(usize::from(opens)).unwrap_or(1);
        return Diagnostic::bare(name, "", "a second document starts here")
            .at(line, 1)
            .with_help("a configuration is one document: remove the `---`");
    }
    let diagnostic = Diagnostic::bare(name, "", format!("this is no YAML: {message}"));
    let Some(location) = error.location() else { return diagnostic };
    let diagnostic = diagnostic.at(location.line(), location.column());
    let line = text.lines().nth(location.line().saturating_sub(1)).unwrap_or_default();
    if line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t') {
        return diagnostic.with_help("indent with spaces: YAML takes no tabs");
    }
    diagnostic
}

/// What a rendered diagnostic must not show.
#[derive(Default)]
struct Hidden {
    spans: Vec<Range<usize>>,
    texts: HashSet<String>,
}

impl Hidden {
    fn collect(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    if key.text().is_some_and(|name| SECRET_KEYS.contains(&name)) {
                        self.hide(value);
                    }
                    self.collect(value);
                }
            }
            _ => {}
        }
    }

    fn hide(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.hide(item)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| self.hide(value)),
            Value::Text(text) if text.starts_with("env:") || text.starts_with("file:") => {}
            value => {
                self.spans.push(node.at.span.clone());
                if let Value::Text(text) = value {
                    self.texts.insert(text.clone());
                }
            }
        }
    }

    /// Also wherever else the same text stands: who pasted a secret once may have done so twice, and
    /// should a place be wrong, the text itself is still found.
    fn spans_in(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = self.spans.clone();
        for secret in self.texts.iter().filter(|secret| secret.len() >= 4) {
            spans.extend(text.match_indices(secret.as_str()).map(|(at, found)| at..at + found.len()));
        }
        spans
    }
}

/// The spans of values by the ids of their keys.
fn spans_of_values(node: &Node) -> Vec<(usize, Range<usize>)> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(spans_of_values).collect(),
        Value::Map(entries) => {
            let own = entries.iter().map(|(key, value)| (key.at.id, value.at.span.clone()));
            own.chain(entries.iter().flat_map(|(_, value)| spans_of_values(value))).collect()
        }
        _ => Vec::new(),
    }
}
