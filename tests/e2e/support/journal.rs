//! The journal's lines as values.

use serde_json::Value;
use std::ops::{Deref, Index};
use std::path::Path;

/// One record, as its line reads.
#[derive(Clone, Debug)]
pub struct Record(pub Value);

impl Record {
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    pub fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer).and_then(Value::as_u64)
    }

    pub fn verdict(&self) -> &str {
        self.text("/verdict").unwrap_or("(none)")
    }

    pub fn reason(&self) -> &str {
        self.text("/reason").unwrap_or("(none)")
    }

    pub fn mode(&self) -> &str {
        self.text("/mode").unwrap_or("(none)")
    }

    pub fn host(&self) -> &str {
        self.text("/target/host").unwrap_or("(none)")
    }

    pub fn flow(&self) -> &str {
        self.text("/flow").unwrap_or("(none)")
    }
}

impl Index<&str> for Record {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        &self.0[key]
    }
}

/// All records of a journal, in their order.
#[derive(Clone, Debug, Default)]
pub struct Records(pub Vec<Record>);

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.0
    }
}

impl Records {
    /// The whole lines of the file; a last one that is still being written is left out.
    pub fn read(directory: &Path) -> Self {
        let text = std::fs::read_to_string(directory.join("flows.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        Self(whole.lines().map(parse).map(Record).collect())
    }

    /// The only record with this verdict and reason.
    #[track_caller]
    pub fn only(&self, verdict: &str, reason: &str) -> &Record {
        let mut found = self.iter().filter(|record| record.verdict() == verdict && record.reason() == reason);
        let record = found.next().unwrap_or_else(|| panic!("no {verdict} {reason} in {self:#?}"));
        assert!(found.next().is_none(), "more than one {verdict} {reason} in {self:#?}");
        record
    }

    /// Those about one request each, without the tunnels they came through.
    pub fn requests(&self) -> Vec<&Record> {
        self.iter().filter(|record| record.text("/target/method") != Some("CONNECT")).collect()
    }

    /// Those about a CONNECT.
    pub fn tunnels(&self) -> Vec<&Record> {
        self.iter().filter(|record| record.text("/target/method") == Some("CONNECT")).collect()
    }
}
