//! Tests of the room as a whole: real files, the real writer.

mod crash;
mod disk;
mod encoder;
mod files;
mod records;
mod tamper;

use super::settings::Bounds;
use super::*;
use serde_json::Value;
use std::borrow::Cow;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

fn downstream() -> crate::flow::Downstream {
    SocketAddr::from(([127, 0, 0, 1], 50000)).into()
}

fn settings(directory: &Path) -> Settings {
    Settings { journal: directory.into(), durability: Durability::Batched }
}

fn open(directory: &Path) -> Journal {
    Journal::open(settings(directory)).unwrap()
}

/// A journal that moves its file aside at `rotate_at` bytes.
fn open_rotating(directory: &Path, rotate_at: u64) -> Journal {
    Journal::open_bounded(settings(directory), Bounds { rotate_at, ..Bounds::default() }).unwrap()
}

fn recorder(journal: &Journal) -> Recorder {
    Recorder::open(journal, downstream()).unwrap()
}

fn as_is<'a>(_before: &str, text: &'a str) -> Cow<'a, str> {
    Cow::Borrowed(text)
}

/// Writes so many records, one batch each.
async fn write_records(journal: &Journal, count: usize) {
    for _ in 0..count {
        recorder(journal).finish_durable().await.unwrap();
    }
}

/// A closed journal of so many records in one file.
async fn journal_of(count: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    write_records(&journal, count).await;
    journal.close().await.unwrap();
    directory
}

/// Every line of the journal, parsed, from the oldest file on.
fn records(directory: &Path) -> Vec<Value> {
    let texts = super::files(directory).unwrap().into_iter().map(|path| fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

fn verified(directory: &Path) -> Summary {
    verify(directory, false).unwrap().unwrap()
}
