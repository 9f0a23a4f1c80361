//! The journal's new lines, over rotations.

use crate::flow::{LIVE_FILE, Link, files, first_seq};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Reads what is appended to the journal behind a place.
pub(super) struct Follow {
    directory: PathBuf,
    live: Option<File>,
    /// Bytes of whole lines that were read.
    position: u64,
    /// The last record that was read: what is read twice after a rotation is not told twice.
    seq: u64,
}

impl Follow {
    /// Begins behind the first `position` bytes of `live`, whose last record is `seq`.
    pub(super) fn new(directory: &Path, live: Option<File>, position: u64, seq: u64) -> Self {
        Self { directory: directory.into(), live, position, seq }
    }

    /// The whole lines that are new since the last call.
    pub(super) fn step(&mut self) -> io::Result<Vec<String>> {
        let moved = self.has_moved();
        // Read after the look at the path: nothing is appended to a file once it was moved.
        let mut lines = self.read_on()?;
        if moved {
            for path in files(&self.directory)? {
                let is_new = path.ends_with(LIVE_FILE) || first_seq(&path)?.is_some_and(|seq| seq > self.seq);
                if !is_new {
                    continue;
                }
                self.live = Some(File::open(path)?);
                self.position = 0;
                lines.extend(self.read_on()?);
            }
        }
        Ok(lines)
    }

    fn has_moved(&self) -> bool {
        let Ok(found) = fs::metadata(self.directory.join(LIVE_FILE)) else { return false };
        let held = self.live.as_ref().and_then(|file| file.metadata().ok());
        held.is_none_or(|held| (held.dev(), held.ino()) != (found.dev(), found.ino()))
    }

    fn read_on(&mut self) -> io::Result<Vec<String>> {
        let Some(file) = &mut self.live else { return Ok(Vec::new()) };
        if file.metadata()?.len() < self.position {
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |newline| newline + 1);
        self.position += u64::try_from(whole).unwrap_or(0);
        let mut lines = Vec::new();
        for line in bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match Link::parse(line) {
                Some(link) if link.seq <= self.seq => continue,
                Some(link) => self.seq = link.seq,
                None => {}
            }
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(lines)
    }
}
