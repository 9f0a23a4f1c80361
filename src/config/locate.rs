//! Where things stand in a YAML text: the parser keeps no positions, so this finds them again.
//!
//! Reads text that the parser has taken already. What it does not understand (complex keys, odd
//! continuations) yields a shape that does not fit the parsed value, and the reader then falls back
//! to the position of the nearest parent: a diagnostic may point too high, never at something else.

use std::ops::Range;

/// How deep it follows; the parser refuses to go deeper than 128.
const DEPTH: usize = 130;

/// A node's place and its parts' places, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) span: Range<usize>,
    pub(super) parts: Parts,
}

/// What a node is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Scalar,
    List(Vec<Spot>),
    Map(Vec<(Range<usize>, Spot)>),
}

/// The places of a document's nodes, and of its comments.
pub(super) fn locate(text: &str) -> (Spot, Vec<Range<usize>>) {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut scanner = Scanner { text, at: start, line: start, comments: Vec::new() };
    scanner.prologue();
    let root = scanner.block(-1, false, 0);
    (root, scanner.comments)
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// Where the current line starts.
    line: usize,
    comments: Vec<Range<usize>>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn bump(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line = self.at + 1;
        }
        self.at += 1;
    }

    fn column(&self) -> isize {
        isize::try_from(self.at - self.line).unwrap_or(isize::MAX)
    }

    fn ends_word(&self, ahead: usize) -> bool {
        self.peek_at(ahead).is_none_or(|byte| byte.is_ascii_whitespace())
    }

    /// Directives and the line `---`.
    fn prologue(&mut self) {
        loop {
            self.skip_blank();
            let rest = &self.text[self.at..];
            if self.column() == 0 && rest.starts_with('%') {
                self.skip_line();
            } else if self.column() == 0 && rest.starts_with("---") && self.ends_word(3) {
                self.at += 3;
                return;
            } else {
                return;
            }
        }
    }

    /// Blanks, line ends and comments.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.bump(),
                b'#' => {
                    let start = self.at;
                    self.skip_line();
                    self.comments.push(start..self.at);
                }
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn nothing(&self) -> Spot {
        Spot { span: self.at..self.at, parts: Parts::Scalar }
    }

    fn at_document_end(&self) -> bool {
        let rest = &self.text[self.at..];
        self.column() == 0 && (rest.starts_with("---") || rest.starts_with("...")) && self.ends_word(3)
    }

    /// A node inside a collection that stands at column `parent`; a list may stand at that same column
    /// where it is a key's value.
    fn block(&mut self, parent: isize, value_of_key: bool, depth: usize) -> Spot {
        self.skip_blank();
        self.skip_properties();
        let is_item = self.peek() == Some(b'-') && self.ends_word(1);
        let inside = self.column() > parent || (value_of_key && is_item && self.column() == parent);
        if self.peek().is_none() || !inside || depth > DEPTH || self.at_document_end() {
            return self.nothing();
        }
        match self.peek() {
            Some(b'[' | b'{') => self.flow(depth),
            Some(b'|' | b'>') => self.block_scalar(parent),
            _ if is_item => self.list(depth),
            _ if self.key_end().is_some() => self.map(depth),
            Some(b'"' | b'\'') => self.quoted(),
            _ => self.plain(parent),
        }
    }

    /// Anchors and tags.
    fn skip_properties(&mut self) {
        while matches!(self.peek(), Some(b'&' | b'!')) {
            while !self.ends_word(0) {
                self.at += 1;
            }
            self.skip_blank();
        }
    }

    fn list(&mut self, depth: usize) -> Spot {
        let (start, column) = (self.at, self.column());
        let mut items = Vec::new();
        while self.peek() == Some(b'-') && self.ends_word(1) && self.column() == column && !self.at_document_end() {
            self.at += 1;
            items.push(self.block(column, false, depth + 1));
            self.skip_blank();
        }
        Spot { span: start..self.end_of(items.last(), start), parts: Parts::List(items) }
    }

    fn map(&mut self, depth: usize) -> Spot {
        let (start, column) = (self.at, self.column());
        let mut entries: Vec<(Range<usize>, Spot)> = Vec::new();
        while self.column() == column && !self.at_document_end() {
            let Some((key, colon)) = self.key_end() else { break };
            self.at = colon + 1;
            let value = self.block(column, true, depth + 1);
            entries.push((key, value));
            self.skip_blank();
        }
        Spot { span: start..self.end_of(entries.last().map(|(_, value)| value), start), parts: Parts::Map(entries) }
    }

    fn end_of(&self, last: Option<&Spot>, start: usize) -> usize {
        last.map_or(self.at, |spot| spot.span.end).max(start)
    }

    /// If a key starts here: its span and the place of its colon.
    fn key_end(&self) -> Option<(Range<usize>, usize)> {
        let line = &self.text[self.at..];
        let line = &line[..line.find('\n').unwrap_or(line.len())];
        let bytes = line.as_bytes();
        let quote = bytes.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let mut end = quote.map_or(Some(0), |quote| quoted_length(line, quote))?;
        while end < bytes.len() {
            match bytes[end] {
                b':' if bytes.get(end + 1).is_none_or(u8::is_ascii_whitespace) => {
                    let written = line[..end].trim_end().len();
                    return Some((self.at..self.at + written, self.at + end));
                }
                b' ' | b'\t' if bytes.get(end + 1) == Some(&b'#') => return None,
                byte if quote.is_some() && !matches!(byte, b' ' | b'\t') => return None,
                _ => end += 1,
            }
        }
        None
    }

    fn quoted(&mut self) -> Spot {
        let start = self.at;
        let quote = self.peek().unwrap_or(b'"');
        let length = quoted_length(&self.text[start..], quote).unwrap_or(self.text.len() - start);
        while self.at < start + length {
            self.bump();
        }
        Spot { span: start..self.at, parts: Parts::Scalar }
    }

    /// A literal or folded scalar: its header's line and every line that is further in than `parent`.
    fn block_scalar(&mut self, parent: isize) -> Spot {
        let start = self.at;
        self.skip_line();
        let mut end = self.at;
        while self.peek().is_some() {
            let line = self.at + 1;
            let rest = self.text.get(line..).unwrap_or_default();
            let rest = &rest[..rest.find('\n').unwrap_or(rest.len())];
            let indent = rest.len() - rest.trim_start_matches(' ').len();
            if !rest.trim().is_empty() && isize::try_from(indent).unwrap_or(isize::MAX) <= parent {
                break;
            }
            self.bump();
            self.skip_line();
            end = self.at;
        }
        Spot { span: start..end, parts: Parts::Scalar }
    }

    /// A plain scalar of one or more lines.
    fn plain(&mut self, parent: isize) -> Spot {
        let start = self.at;
        let mut end = self.plain_line(false);
        loop {
            let (at, line) = (self.at, self.line);
            while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
                self.bump();
            }
            let continues = self.peek().is_some_and(|byte| byte != b'#') && self.column() > parent;
            if !continues || self.line == line || self.at_document_end() {
                (self.at, self.line) = (at, line);
                return Spot { span: start..end, parts: Parts::Scalar };
            }
            end = self.plain_line(false);
        }
    }

    /// To where a plain scalar ends on this line; the scanner stands there or at the blank behind it.
    fn plain_line(&mut self, in_flow: bool) -> usize {
        let start = self.at;
        while let Some(byte) = self.peek() {
            let colon =
                byte == b':' && (self.ends_word(1) || (in_flow && matches!(self.peek_at(1), Some(b',' | b']' | b'}'))));
            let comment = byte.is_ascii_whitespace() && self.peek_at(1) == Some(b'#');
            let closed = in_flow && matches!(byte, b',' | b'[' | b']' | b'{' | b'}');
            if matches!(byte, b'\n' | b'\r') || comment || colon && in_flow || closed {
                break;
            }
            self.at += 1;
        }
        start + self.text[start..self.at].trim_end().len()
    }

    /// A flow list, a flow map, or a scalar in one.
    fn flow(&mut self, depth: usize) -> Spot {
        self.skip_properties();
        match self.peek() {
            _ if depth > DEPTH => self.nothing(),
            Some(b'[') => self.flow_list(depth),
            Some(b'{') => self.flow_map(depth),
            Some(b'"' | b'\'') => self.quoted(),
            _ => self.flow_plain(),
        }
    }

    fn flow_plain(&mut self) -> Spot {
        let start = self.at;
        let mut end = self.plain_line(true);
        while matches!(self.peek(), Some(b'\n' | b'\r')) {
            self.skip_blank();
            let before = self.at;
            let line_end = self.plain_line(true);
            if self.at == before {
                break;
            }
            end = line_end;
        }
        Spot { span: start..end, parts: Parts::Scalar }
    }

    fn flow_list(&mut self, depth: usize) -> Spot {
        let start = self.at;
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.skip_blank();
            match self.peek() {
                None => break,
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    items.push(self.flow(depth + 1));
                    self.step_past(before);
                }
            }
        }
        Spot { span: start..self.at, parts: Parts::List(items) }
    }

    fn flow_map(&mut self, depth: usize) -> Spot {
        let start = self.at;
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.skip_blank();
            match self.peek() {
                None => break,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    let key = self.flow(depth + 1).span;
                    self.skip_blank();
                    let value = if self.peek() == Some(b':') {
                        self.at += 1;
                        self.skip_blank();
                        if matches!(self.peek(), Some(b',' | b'}')) { self.nothing() } else { self.flow(depth + 1) }
                    } else {
                        self.nothing()
                    };
                    entries.push((key, value));
                    self.step_past(before);
                }
            }
        }
        Spot { span: start..self.at, parts: Parts::Map(entries) }
    }

    /// Text that makes no sense here must not hold the scanner for ever.
    fn step_past(&mut self, before: usize) {
        if self.at == before {
            let width = self.text[self.at..].chars().next().map_or(1, char::len_utf8);
            self.at += width;
        }
    }
}

/// The length of a quoted scalar with its quotes, if it is closed.
fn quoted_length(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 2,
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
            _ if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}
