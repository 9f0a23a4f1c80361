//! The journal's files, and their lines from the last to the first.

use super::Link;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The file that is written.
pub const LIVE_FILE: &str = "flows.jsonl";

/// The journal's files from the oldest to the live one (which may be missing): what the gateway moved
/// aside, and what a log rotator did under a name like `flows.jsonl.1`, in the order of their first records.
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name != LIVE_FILE && is_journal(name) {
            found.push((first_seq(&path)?.unwrap_or(u64::MAX), path));
        }
    }
    found.sort();
    let live = directory.join(LIVE_FILE);
    let live = live.exists().then_some(live);
    Ok(found.into_iter().map(|(_, path)| path).chain(live).collect())
}

fn is_journal(name: &str) -> bool {
    let rest = name.strip_prefix("flows").and_then(|rest| rest.split_once(".jsonl"));
    rest.is_some_and(|(_, suffix)| suffix.is_empty() || suffix.strip_prefix(['.', '-']).is_some_and(is_number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number of a file's first record; nothing if there is none.
pub fn first_seq(path: &Path) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?).take(LONGEST).read_until(b'\n', &mut line)?;
    Ok(Link::parse(line.trim_ascii_end()).map(|link| link.seq))
}

/// Above the length of any record.
const LONGEST: u64 = 64 << 20;

const CHUNK: u64 = 64 << 10;

/// The lines of a file from the last to the first, with their newlines; a last line that was cut has none.
#[derive(Debug)]
pub struct ReverseLines<R> {
    source: R,
    /// Where in the file the buffer begins.
    at: u64,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> ReverseLines<R> {
    /// Begins at the end of `source`.
    pub fn new(mut source: R) -> io::Result<Self> {
        let end = source.seek(SeekFrom::End(0))?;
        Ok(Self::before(source, end))
    }

    /// Begins behind the first `end` bytes of `source`.
    pub fn before(source: R, end: u64) -> Self {
        Self { source, at: end, buffer: Vec::new() }
    }

    /// The line before the one given last; nothing at the start of the file.
    pub fn step(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let before = self.buffer.len().saturating_sub(1);
            match memchr::memrchr(b'\n', &self.buffer[..before]) {
                Some(newline) => return Ok(Some(self.buffer.split_off(newline + 1))),
                None if self.at == 0 => {
                    return Ok(Some(std::mem::take(&mut self.buffer)).filter(|line| !line.is_empty()));
                }
                None => self.read_back()?,
            }
        }
    }

    fn read_back(&mut self) -> io::Result<()> {
        // Grows with what is held, so that a long line costs no more than twice its length.
        let held = u64::try_from(self.buffer.len()).unwrap_or(CHUNK);
        let size = CHUNK.max(held).min(self.at);
        self.at -= size;
        self.source.seek(SeekFrom::Start(self.at))?;
        let mut chunk = Vec::new();
        self.source.by_ref().take(size).read_to_end(&mut chunk)?;
        chunk.append(&mut self.buffer);
        self.buffer = chunk;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn reversed(text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = ReverseLines::new(Cursor::new(text)).unwrap();
        std::iter::from_fn(|| lines.step().unwrap()).collect()
    }

    #[test]
    fn lines_come_from_the_end_and_a_cut_one_has_no_newline() {
        assert_eq!(reversed(b"a\nb\nc"), [&b"c"[..], b"b\n", b"a\n"]);
        assert_eq!(reversed(b"a\n\n"), [&b"\n"[..], b"a\n"]);
        assert_eq!(reversed(b""), [b""; 0]);
        let long = [vec![b'x'; 200_000], b"\n".to_vec(), vec![b'y'; 70_000], b"\n".to_vec()].concat();
        assert_eq!(reversed(&long).iter().map(Vec::len).collect::<Vec<_>>(), [70_001, 200_001]);
    }

    #[test]
    fn only_whole_journals_are_read() {
        for name in ["flows.jsonl", "flows-000000000001.jsonl", "flows.jsonl.1", "flows.jsonl-20261122"] {
            assert!(is_journal(name), "{name}");
        }
        for name in ["flows.jsonl.1.gz", "flows.lock", "flows.cut", "other.jsonl", "flows.jsonl.bak", "flows.jsonl."] {
            assert!(!is_journal(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_lines_are_the_file(text in "[a\n]{0,40}") {
            let mut lines = reversed(text.as_bytes());
            lines.reverse();
            prop_assert_eq!(lines.concat(), text.as_bytes());
        }
    }
}
