//! The keys that a gateway starts with: the operators', the fingerprints', and random bits.

use super::{Role, StartError};
use crate::config::SecretSource;
use crate::control::OperatorKey;
use crate::secrets::FingerprintKey;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The file of the fingerprints' key, in the state folder.
const FINGERPRINT_KEY: &str = "fingerprint.key";

/// The key of the configuration, made where it is a file that is not there yet.
pub(super) fn operator_key(source: &SecretSource) -> Result<OperatorKey, StartError> {
    match source {
        SecretSource::File(path) => OperatorKey::load_or_create(path).map_err(StartError::Key),
        SecretSource::Env(_) => {
            let value = source.read().map_err(StartError::KeySource)?;
            OperatorKey::new(value.as_str().into()).map_err(StartError::Key)
        }
    }
}

/// The key of the findings' fingerprints. A service keeps it, so that a secret has one fingerprint over
/// restarts; a command's dies with it.
pub(super) fn fingerprint_key(state: &Path, role: Role) -> Result<FingerprintKey, StartError> {
    let failed = |source| StartError::FingerprintKey { path: state.join(FINGERPRINT_KEY), source };
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| failed(io::Error::other("no random bits")))?;
    if role == Role::Service {
        let path = state.join(FINGERPRINT_KEY);
        std::fs::create_dir_all(state).map_err(failed)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(&bytes).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let kept = std::fs::read(&path).map_err(failed)?;
                bytes = kept
                    .try_into()
                    .map_err(|_| failed(io::Error::other("not 32 bytes; delete it to have a new one")))?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(FingerprintKey::new(&bytes))
}

/// For what must not be guessed while this process lives.
pub(super) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bits"))?;
    Ok(bytes)
}
