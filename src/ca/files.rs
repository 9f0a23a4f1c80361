//! Files that are whole or not there, with the permissions they are to have from their first byte.

use super::Error;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Creates what is missing of a file's directory, for the owner only.
pub(super) fn make_parent(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(parent(path)).map_err(Error::write(path))
}

/// The directory of a file.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a new file; one that is there already is an error and stays as it is.
pub(super) fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_temporary(path, content, mode)?;
    // A link, not a rename: it fails where a rename would overwrite.
    let linked = fs::hard_link(&temporary, path);
    // A temporary file that stays behind holds nothing that the linked one doesn't.
    let _ = fs::remove_file(&temporary);
    linked.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => Error::Write { path: path.to_owned(), source },
    })
}

/// Writes a file in place of the one that is there, if any.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_temporary(path, content, mode)?;
    fs::rename(&temporary, path).map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.to_owned(), source }
    })
}

fn write_temporary(path: &Path, content: &[u8], mode: u32) -> Result<PathBuf, Error> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::NoRandomness)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}", u64::from_be_bytes(random)));
    let temporary = parent(path).join(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(|mut file| {
        // Exactly this mode: a umask of 077 would hide from agents what is theirs to read.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.to_owned(), source }
    })?;
    Ok(temporary)
}

/// Reads a key file that is its owner's alone. Mode and content are those of one open file.
pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, Error> {
    let mut file = fs::File::open(path).map_err(Error::read(path))?;
    let mode = file.metadata().map_err(Error::read(path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::KeyOpenToOthers { path: path.to_owned(), mode });
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(Error::read(path))?;
    Ok(content)
}
