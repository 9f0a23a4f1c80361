//! Which files a scan reads.

use anyhow::Context as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The files below a path, in the order of their names. Everything is read, what `.gitignore` names as well, for that
/// is where secrets lie; links and git's own store are left out.
pub(super) fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // A path that was named is followed where it leads.
    let top = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?;
    if !top.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                // Told with the files that can't be read.
                tracing::debug!(%error, "a folder can't be read");
                found.push(folder);
                continue;
            }
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".git" => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A line on the terminal that tells how far a scan is.
pub(super) struct Progress {
    shown: bool,
    total: usize,
    done: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { shown: io::stderr().is_terminal(), total, done: AtomicU64::new(0) }
    }

    pub(super) fn tell(&self, file: &Path) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown && (done.is_multiple_of(64) || self.total < 64) {
            let name: String = file.display().to_string().chars().filter(|c| !c.is_control()).take(60).collect();
            let _ = write!(io::stderr(), "\r\x1b[K{done} of {} files, {name}", self.total);
        }
    }

    pub(super) fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
