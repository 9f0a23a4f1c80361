//! The operators' key.

use crate::session::TokenDigest;
use aws_lc_rs::rand;
use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key that proves an operator: at least 16 visible ASCII characters, 256 random bits where it
/// was made here.
#[derive(Clone, Debug)]
pub struct OperatorKey(SecretString);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("the control key {} can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can't be made.
    #[error("the control key {} can't be made", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner can get at the file.
    #[error("the control key {} can be read by others (mode {mode:03o}): chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Too short or not plain. Never says what the key is.
    #[error("a control key is {KEY_MIN} to {KEY_MAX} visible ASCII characters in one line")]
    Unfit,
    /// The system gave no random bits.
    #[error("the system's random source failed")]
    Random,
}

const KEY_MIN: usize = 16;
/// What fits into the credentials of a request.
const KEY_MAX: usize = 512;

impl OperatorKey {
    /// A key as an operator gives it.
    pub fn new(key: SecretString) -> Result<Self, KeyError> {
        let text = key.expose_secret();
        let fit = (KEY_MIN..=KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fit { Ok(Self(key)) } else { Err(KeyError::Unfit) }
    }

    /// Reads the key from a file that only its owner can read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read)?;
        let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(KEY_MAX));
        (&mut file).take(2 * KEY_MAX as u64).read_to_string(&mut text).map_err(read)?;
        Self::new(text.trim_end_matches(['\r', '\n']).into())
    }

    /// Reads the key, or makes one where there is none. Two processes that start at the same time
    /// get the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path)?;
                tracing::info!(path = %path.display(), "made the control key");
            }
            _ => {}
        }
        Self::load(path)
    }

    /// The key itself, for whoever has to show it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(super) fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose())
    }
}

/// Writes a whole key beside the path, then links it there: the file never exists half, and never
/// replaces another.
fn make(path: &Path) -> Result<(), KeyError> {
    let mut bits = Zeroizing::new([0; 32]);
    let mut name = [0; 8];
    rand::fill(&mut *bits).and_then(|()| rand::fill(&mut name)).map_err(|_| KeyError::Random)?;
    let text = Zeroizing::new(BASE64URL_NOPAD.encode(&*bits) + "\n");
    let beside = path.with_file_name(format!(".{}.new", BASE64URL_NOPAD.encode(&name)));
    let made = write_private(&beside, text.as_bytes()).and_then(|()| fs::hard_link(&beside, path));
    let _ = fs::remove_file(&beside);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|source| KeyError::Make { path: path.to_owned(), source }),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/control.key");
        let key = OperatorKey::load_or_create(&path).unwrap();
        assert_eq!(key.expose().len(), 43);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(OperatorKey::load_or_create(&path).unwrap().expose(), key.expose());
        assert_eq!(OperatorKey::load(&path).unwrap().expose(), key.expose());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    #[test]
    fn processes_that_start_together_get_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.key");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| OperatorKey::load_or_create(&path).unwrap().expose().to_owned()))
                .collect();
            starting.into_iter().map(|started| started.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.key");
        OperatorKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = OperatorKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { .. }), "{mode:o}: {error}");
        }
    }

    #[test]
    fn an_unfit_key_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.key");
        for text in ["", "\n", "short", "has a blank in it.", "two-lines-of-key\ntwo-lines-of-key", &"k".repeat(4000)] {
            let _ = fs::remove_file(&path);
            write_private(&path, text.as_bytes()).unwrap();
            let error = OperatorKey::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyError::Unfit), "{text:?}");
            assert!(text.trim().is_empty() || !error.to_string().contains(text));
        }
        let _ = fs::remove_file(&path);
        write_private(&path, b"0123456789abcdef\r\n").unwrap();
        assert_eq!(OperatorKey::load(&path).unwrap().expose(), "0123456789abcdef");
    }

    #[test]
    fn a_missing_key_is_made_by_the_gateway_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.key");
        assert!(matches!(OperatorKey::load(&path), Err(KeyError::Read { .. })));
        assert!(!path.exists());
    }
}
