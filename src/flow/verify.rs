//! Walks the whole chain and names the first place where it breaks.

use super::chain::Link;
use super::lines::{LIVE_FILE, files};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// What a chain that holds consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Files that were read.
    pub files: usize,
    /// Lines, notes included.
    pub records: u64,
    /// The first line's link.
    pub first: Option<Link>,
    /// The last line's link.
    pub last: Option<Link>,
}

/// The first place where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not of the shape of a record.
    #[error("this line is no record")]
    Malformed,
    /// No newline at its end.
    #[error("this line was cut")]
    Cut,
    /// Its bytes do not have its hash.
    #[error("this line was changed: its bytes do not have its hash")]
    Changed,
    /// Its number is above the one that follows.
    #[error("records {from} to {to} were removed before this line")]
    Removed {
        /// The first one that is missing.
        from: u64,
        /// The last one that is missing.
        to: u64,
    },
    /// Its number is below the one that follows.
    #[error("this line stands out of order: record {found} where {expected} belongs")]
    Reordered {
        /// The number that belongs here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
    /// Its number is right, and the line before it is not the one that it was chained to.
    #[error("the line before this one was replaced")]
    Replaced,
}

impl Fault {
    /// A stable word for scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Fault::Malformed => "malformed",
            Fault::Cut => "cut",
            Fault::Changed => "changed",
            Fault::Removed { .. } => "removed",
            Fault::Reordered { .. } => "reordered",
            Fault::Replaced => "replaced",
        }
    }
}

/// Reads the journal in `directory` from its first file to its last. `from_any` takes a chain whose oldest
/// files were removed. The live file's last line may be under way while a gateway writes it: it is left out.
pub fn verify(directory: &Path, from_any: bool) -> io::Result<Result<Summary, Break>> {
    let mut walk = Walk { from_any, summary: Summary { files: 0, records: 0, first: None, last: None } };
    for (path, file) in open_all(directory)? {
        let is_live = path.ends_with(LIVE_FILE);
        if let Some((line, fault)) = walk.file(file, is_live && is_in_use(directory))? {
            return Ok(Err(Break { file: path, line, fault }));
        }
    }
    Ok(Ok(walk.summary))
}

/// Opens all files at one moment: a rotation between listing and opening would look like a gap.
fn open_all(directory: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    loop {
        let before = files(directory)?;
        let opened = before.iter().map(File::open).collect::<io::Result<Vec<_>>>();
        if files(directory)? == before {
            return Ok(before.into_iter().zip(opened?).collect());
        }
    }
}

fn is_in_use(directory: &Path) -> bool {
    let lock = File::open(directory.join(super::file::LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

struct Walk {
    from_any: bool,
    summary: Summary,
}

impl Walk {
    fn file(&mut self, file: File, may_be_under_way: bool) -> io::Result<Option<(u64, Fault)>> {
        self.summary.files += 1;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let (mut line, mut number) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            match line.strip_suffix(b"\n") {
                None if may_be_under_way => break,
                None => return Ok(Some((number, Fault::Cut))),
                Some(whole) => {
                    if let Err(fault) = self.line(whole) {
                        return Ok(Some((number, fault)));
                    }
                }
            }
            line.clear();
        }
        Ok(None)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let link = Link::parse(line).ok_or(Fault::Malformed)?;
        if !link.holds(line) {
            return Err(Fault::Changed);
        }
        let is_free = self.from_any && self.summary.last.is_none();
        let last = self.summary.last.unwrap_or(Link::START);
        let expected = last.seq + 1;
        match link.seq {
            _ if is_free => {}
            found if found > expected => return Err(Fault::Removed { from: expected, to: found - 1 }),
            found if found < expected => return Err(Fault::Reordered { expected, found }),
            _ if link.prev != last.hash => return Err(Fault::Replaced),
            _ => {}
        }
        self.summary.records += 1;
        self.summary.first.get_or_insert(link);
        self.summary.last = Some(link);
        Ok(())
    }
}
