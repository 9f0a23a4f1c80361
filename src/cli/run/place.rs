//! Where a run keeps its files: a directory of its own, so that any number of runs live side by side.
//!
//! `$XDG_STATE_HOME/exeat/runs/20261122T134500Z-1a2b3c4d/` (or under `~/.local/state`) holds `flows/`, the journal,
//! which stays, and `client/`, what the command's clients read, which goes with the command: it holds the token.
//! Names sort by time, so the newest run is the last one. What root runs gets a copy of the CA file outside, for
//! clients that give root up (apt does) and can't enter root's directories.

use crate::sandbox::File;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How long what a run leaves behind is kept.
const KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// Why a run has no place for its files.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// Neither variable is set.
    #[error("no place for the journal: neither XDG_STATE_HOME nor HOME names a directory; set one, or give --journal")]
    NoHome,
    /// A file or directory could not be made.
    #[error("can't make {path}")]
    Make {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The directory of all runs, by the XDG base directory specification: a relative path there counts as unset.
pub(super) fn runs_directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, PlaceError> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    Ok(state.ok_or(PlaceError::NoHome)?.join("exeat/runs"))
}

/// One run's directory. Its `client/` part, and what was shared, are removed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    shared: Option<PathBuf>,
}

impl Place {
    /// Makes the directory for a run that starts now; open to its owner only.
    pub(super) fn make(runs: &Path, now: jiff::Timestamp) -> Result<Self, PlaceError> {
        let unique = uuid::Uuid::now_v7().simple().to_string();
        // The last half of a v7 UUID is random; the first half is the time, which is there already
        let name = format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), &unique[24..]);
        let path = runs.join(name);
        make_directory(&path)?;
        Ok(Self { path, shared: None })
    }

    /// Where the journal goes unless the user says otherwise.
    #[must_use]
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("flows")
    }

    /// The directory for what the clients read.
    #[must_use]
    pub(super) fn client(&self) -> PathBuf {
        self.path.join("client")
    }

    /// Writes what the clients read, each file for its owner only.
    pub(super) fn write(&self, files: &[File]) -> Result<(), PlaceError> {
        for file in files {
            let path = self.client().join(&file.path);
            if let Some(parent) = path.parent() {
                make_directory(parent)?;
            }
            write_new(&path, &file.contents).map_err(|source| PlaceError::Make { path, source })?;
        }
        Ok(())
    }
}

impl Place {
    /// Puts the CA file where every user may read it, and tells where. It holds nothing secret.
    pub(super) fn share(&mut self, bundle: &[u8], directory: &Path) -> Result<PathBuf, PlaceError> {
        let directory = directory.join(format!("exeat-{}", uuid::Uuid::new_v4().simple()));
        let path = directory.join("ca-bundle.pem");
        let make = || {
            // Fails where anything has that name already: nobody else's directory is ever written to.
            fs::create_dir(&directory)?;
            write_new(&path, bundle)?;
            // Whatever the umask is.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))
        };
        let made = make();
        self.shared = Some(directory);
        made.map_err(|source| PlaceError::Make { path: path.clone(), source })?;
        Ok(path)
    }
}

/// Removes the directories of runs that ended long ago, journals and all. What is none of ours, or can't be
/// removed, stays.
pub(super) fn prune(runs: &Path, now: jiff::Timestamp) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_old = entry.file_name().to_str().and_then(began).is_some_and(|began| now.duration_since(began) > KEPT);
        // A link is no directory here, wherever it leads.
        if is_old && entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_under_way(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// When a run began, by its directory's name; nothing where it is none of a run.
fn began(name: &str) -> Option<jiff::Timestamp> {
    let (time, unique) = name.split_once('-')?;
    let is_ours = unique.len() == 8 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok().filter(|_| is_ours)?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Whether a gateway still holds the run's journal.
fn is_under_way(run: &Path) -> bool {
    let lock = fs::File::open(run.join("flows").join(crate::flow::LOCK_FILE));
    lock.is_ok_and(|lock| lock.try_lock().is_err())
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let _ = fs::remove_dir_all(shared);
        }
        // What can't be removed holds a token that is dead by now
        let _ = fs::remove_dir_all(self.client());
    }
}

fn make_directory(path: &Path) -> Result<(), PlaceError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| PlaceError::Make { path: path.to_owned(), source })
}

/// Never follows or overwrites what is there already.
fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_live_in_the_users_state_directory() {
        let with = |state: Option<&'static str>, home: Option<&'static str>| {
            runs_directory(move |name| if name == "HOME" { home } else { state }.map(OsString::from))
        };
        assert_eq!(with(Some("/s"), Some("/h")).unwrap(), Path::new("/s/exeat/runs"));
        assert_eq!(with(Some("relative"), Some("/h")).unwrap(), Path::new("/h/.local/state/exeat/runs"));
        assert_eq!(with(None, Some("/h")).unwrap(), Path::new("/h/.local/state/exeat/runs"));
        assert!(matches!(with(None, None), Err(PlaceError::NoHome)));
    }

    #[test]
    fn runs_of_long_ago_are_removed_and_nothing_else_is() {
        let runs = tempfile::tempdir().unwrap();
        let path = |name: &str| runs.path().join(name);
        let kept = [
            "20261115T120000Z-0a1b2c3d",
            "20250101T000000Z-notahexx",
            "20250101T000000Z",
            "notes",
            "20250101T000000Z-deadbeef",
        ];
        for name in kept.iter().chain(&["20250102T000000Z-0a1b2c3d"]) {
            fs::create_dir_all(path(name).join("flows")).unwrap();
            fs::write(path(name).join("flows/flows.jsonl"), "x").unwrap();
        }
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), path("20250103T000000Z-0a1b2c3d")).unwrap();
        // Of one that is still under way the journal is locked.
        let lock =
            fs::File::create(path("20250101T000000Z-deadbeef").join("flows").join(crate::flow::LOCK_FILE)).unwrap();
        lock.lock().unwrap();
        prune(runs.path(), "2026-11-22T13:45:00Z".parse().unwrap());
        assert!(kept.iter().all(|name| path(name).join("flows/flows.jsonl").exists()));
        assert!(!path("20250102T000000Z-0a1b2c3d").exists());
        assert!(elsewhere.path().exists() && path("20250103T000000Z-0a1b2c3d").is_symlink());
        prune(Path::new("/nowhere"), jiff::Timestamp::now());
    }

    #[test]
    fn two_runs_of_one_second_have_two_directories() {
        let runs = tempfile::tempdir().unwrap();
        let now = "2026-11-22T13:45:00Z".parse().unwrap();
        let (one, other) = (Place::make(runs.path(), now).unwrap(), Place::make(runs.path(), now).unwrap());
        assert_ne!(one.journal(), other.journal());
        assert!(one.path.file_name().unwrap().to_str().unwrap().starts_with("20261122T134500Z-"));
    }

    #[test]
    fn what_clients_read_is_their_owners_only_and_goes_with_the_run() {
        let runs = tempfile::tempdir().unwrap();
        let mut place = Place::make(runs.path(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        place.write(&[File { path: "maven/settings.xml".into(), contents: b"token".to_vec() }]).unwrap();
        let (client, file) = (place.client(), place.client().join("maven/settings.xml"));
        for (path, mode) in [(&place.path, 0o700), (&client, 0o700), (&file, 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
        let run = place.path.clone();
        let shared = place.share(b"pem", runs.path()).unwrap();
        for (path, mode) in [(shared.parent().unwrap(), 0o755), (shared.as_path(), 0o644)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
        drop(place);
        assert!(run.is_dir() && !client.exists() && !shared.exists());
    }
}
