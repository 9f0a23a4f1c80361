//! The live file: opened, resumed, repaired, written, moved aside.

use super::chain::Link;
use super::lines::{LIVE_FILE, ReverseLines, files, first_seq};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Held by the process that writes the journal.
pub const LOCK_FILE: &str = "flows.lock";

/// Where the bytes of cut lines are kept.
const CUT_FILE: &str = "flows.cut";

/// Why a journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory can't be made, read or locked.
    #[error("can't use the journal's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the journal {} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file can't be opened, read or repaired.
    #[error("can't use the journal's file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More than the last line of the file is no record.
    #[error("{} does not end in records; move it away to begin a new journal", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no thread.
    #[error("can't start the journal's writer")]
    Thread(#[source] io::Error),
}

/// Where the chain stands when a journal is opened.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) last: Link,
    /// Bytes of a cut last line that were moved to `flows.cut`.
    pub(super) dropped: u64,
}

/// The file that is appended to. Only whole batches stay in it.
#[derive(Debug)]
pub(super) struct LiveFile {
    directory: PathBuf,
    path: PathBuf,
    lock: Option<File>,
    file: Option<Arc<File>>,
    /// Device and inode of the file.
    identity: (u64, u64),
    is_regular: bool,
    /// Bytes of whole batches.
    len: u64,
    /// Whether bytes of a failed batch may stand behind them.
    is_torn: bool,
    first_seq: Option<u64>,
}

impl LiveFile {
    /// Opens the journal in `directory` and reads where its chain stands.
    pub(super) fn open(directory: &Path) -> Result<(Self, Resumed), Error> {
        let mut live = Self {
            directory: directory.into(),
            path: directory.join(LIVE_FILE),
            lock: None,
            file: None,
            identity: (0, 0),
            is_regular: true,
            len: 0,
            is_torn: false,
            first_seq: None,
        };
        live.lock_directory()?;
        let in_file = |source| Error::File { path: live.path.clone(), source };
        let resumed = match fs::metadata(&live.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => resume_rotated(directory)?,
            Err(error) => return Err(in_file(error)),
            Ok(found) if found.is_file() => live.resume()?,
            Ok(_) => Resumed { last: Link::START, dropped: 0 },
        };
        live.open_file().map_err(|source| Error::File { path: live.path.clone(), source })?;
        Ok((live, resumed))
    }

    fn lock_directory(&mut self) -> Result<(), Error> {
        let in_directory = |source| Error::Directory { path: self.directory.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(in_directory)?;
        let lock = append_options().open(self.directory.join(LOCK_FILE)).map_err(in_directory)?;
        match lock.try_lock() {
            Ok(()) => self.lock = Some(lock),
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Locked { path: self.directory.clone() }),
            Err(fs::TryLockError::Error(source)) => return Err(in_directory(source)),
        }
        Ok(())
    }

    /// The last record of the live file; cuts off one broken line behind it.
    fn resume(&self) -> Result<Resumed, Error> {
        let in_file = |source| Error::File { path: self.path.clone(), source };
        match Ending::of(&self.path).map_err(in_file)? {
            Ending::Record(last, end) => Ok(Resumed { last, dropped: self.cut_to(end).map_err(in_file)? }),
            Ending::Empty => {
                let dropped = self.cut_to(0).map_err(in_file)?;
                Ok(Resumed { dropped, ..resume_rotated(&self.directory)? })
            }
            Ending::Foreign => Err(Error::NotAJournal { path: self.path.clone() }),
        }
    }

    /// Moves what stands behind `len` to the cut file; how many bytes that were.
    fn cut_to(&self, len: u64) -> io::Result<u64> {
        let mut source = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let dropped = source.metadata()?.len().saturating_sub(len);
        if dropped > 0 {
            io::Seek::seek(&mut source, io::SeekFrom::Start(len))?;
            let mut aside = append_options().open(self.directory.join(CUT_FILE))?;
            io::copy(&mut source, &mut aside)?;
            aside.write_all(b"\n")?;
            aside.sync_all()?;
            source.set_len(len)?;
        }
        Ok(dropped)
    }

    fn open_file(&mut self) -> io::Result<()> {
        let is_fifo = fs::metadata(&self.path).is_ok_and(|found| found.file_type().is_fifo());
        let file = if is_fifo { open_fifo(&self.path)? } else { append_options().open(&self.path)? };
        let metadata = file.metadata()?;
        self.identity = identity(&metadata);
        self.is_regular = metadata.is_file();
        self.len = if self.is_regular { metadata.len() } else { 0 };
        self.is_torn = false;
        self.first_seq = if self.len > 0 { first_seq(&self.path)? } else { None };
        self.file = Some(Arc::new(file));
        if self.is_regular {
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Opens whatever stands at the path now: the file was moved or deleted, or its pipe lost the reader.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.is_torn) {
            file.set_len(self.len)?;
        }
        self.file = None;
        let lock_path = self.directory.join(LOCK_FILE);
        let held = self.lock.as_ref().and_then(|lock| lock.metadata().ok());
        let lock_stands = held.is_some_and(|held| is_at(identity(&held), &lock_path));
        if !lock_stands {
            self.lock_directory().map_err(io::Error::other)?;
        }
        if fs::metadata(&self.path).is_ok_and(|found| found.is_file()) {
            let end = match Ending::of(&self.path)? {
                Ending::Record(_, end) => end,
                Ending::Empty => 0,
                Ending::Foreign => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "what stands there is no journal"));
                }
            };
            self.cut_to(end)?;
        }
        self.open_file()
    }

    /// Appends a whole batch whose first record is `first_seq`. After an error the file ends where it ended
    /// before, so that the same batch can be tried again; `done` counts what a pipe has taken for good.
    pub(super) fn append(&mut self, batch: &[u8], done: &mut usize, seq: u64) -> io::Result<()> {
        if self.file.is_none() || !is_at(self.identity, &self.path) {
            self.reopen()?;
        }
        loop {
            let Some(file) = self.file.clone() else { return Err(io::ErrorKind::NotConnected.into()) };
            if self.is_torn {
                file.set_len(self.len)?;
                self.is_torn = false;
            }
            if let Err(error) = write_from(&file, batch, done) {
                self.take_back(&file, batch, done);
                return Err(error);
            }
            // Deleted since it was looked for: what went into it is gone.
            if self.is_regular && file.metadata()?.nlink() == 0 {
                *done = 0;
                self.reopen()?;
                continue;
            }
            self.first_seq.get_or_insert(seq);
            self.len += u64::try_from(batch.len()).unwrap_or(u64::MAX);
            return Ok(());
        }
    }

    /// Takes back what a failed write left. What a pipe has taken can't be: its next reader begins with the
    /// line that was under way.
    fn take_back(&mut self, file: &Arc<File>, batch: &[u8], done: &mut usize) {
        if self.is_regular {
            *done = 0;
            self.is_torn = file.set_len(self.len).is_err();
        } else {
            *done = batch.get(..*done).and_then(|taken| memchr::memrchr(b'\n', taken)).map_or(0, |newline| newline + 1);
            self.file = None;
        }
    }

    /// The file as it is written to.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref()
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) if self.is_regular => file.sync_data(),
            _ => Ok(()),
        }
    }

    /// Whether a disk stands behind the file.
    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Moves the file aside under the number of its first record once it has `size` bytes; whether it did.
    pub(super) fn rotate_at(&mut self, size: u64) -> io::Result<bool> {
        let Some(first) = self.first_seq.filter(|_| self.is_regular && self.len >= size) else { return Ok(false) };
        let aside = self.directory.join(format!("flows-{first:012}.jsonl"));
        if aside.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, aside.display().to_string()));
        }
        self.sync()?;
        fs::rename(&self.path, aside)?;
        self.reopen().map(|()| true)
    }
}

/// Writes what is not done yet, in one call unless the system takes less.
fn write_from(mut file: &File, batch: &[u8], done: &mut usize) -> io::Result<()> {
    while let Some(rest) = batch.get(*done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn append_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options
}

/// A pipe without a reader is an error here, where a plain open would wait for one.
fn open_fifo(path: &Path) -> io::Result<File> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let file = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// What a file is, wherever it stands.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_at(held: (u64, u64), path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| identity(&found) == held)
}

/// How a file ends, a broken line behind the last record left out.
enum Ending {
    /// In this record, whose line ends here.
    Record(Link, u64),
    /// In no record: there is none.
    Empty,
    /// In more than one line that is no record.
    Foreign,
}

impl Ending {
    fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut end = file.metadata()?.len();
        let mut lines = ReverseLines::new(file)?;
        let mut broken = 0;
        while let Some(line) = lines.step()? {
            let whole = line.strip_suffix(b"\n");
            if let Some(link) = whole.and_then(Link::parse) {
                return Ok(Self::Record(link, end));
            }
            broken += u32::from(whole.is_some());
            if broken > 1 {
                return Ok(Self::Foreign);
            }
            end = end.saturating_sub(u64::try_from(line.len()).unwrap_or(u64::MAX));
        }
        Ok(Self::Empty)
    }
}

/// The last record of the files that were moved aside, where the live file has none.
fn resume_rotated(directory: &Path) -> Result<Resumed, Error> {
    let found = files(directory).map_err(|source| Error::Directory { path: directory.into(), source })?;
    let Some(path) = found.into_iter().rfind(|path| !path.ends_with(LIVE_FILE)) else {
        return Ok(Resumed { last: Link::START, dropped: 0 });
    };
    match Ending::of(&path) {
        Ok(Ending::Record(last, _)) => Ok(Resumed { last, dropped: 0 }),
        Ok(Ending::Empty | Ending::Foreign) => Err(Error::NotAJournal { path }),
        Err(source) => Err(Error::File { path, source }),
    }
}
