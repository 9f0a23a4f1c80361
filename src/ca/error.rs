//! What can be wrong with certificates and keys of our own.

use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with the CA, a leaf or the roots. Messages say what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("{path} can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or its directory could not be written.
    #[error("{path} can't be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither file is there.
    #[error("there is no CA at {certificate} and {key}; `exeat ca init` makes one")]
    Missing {
        /// Where the certificate would be.
        certificate: PathBuf,
        /// Where the key would be.
        key: PathBuf,
    },
    /// One file of the pair is there.
    #[error("{present} is there, but {missing} is not: put it back, or remove {present} for a new CA")]
    HalfPair {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// A file is in the way of a new CA.
    #[error("{path} is there already and is not overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read the key, or more.
    #[error("the key {path} is open to others (mode {mode:04o}): chmod 600 {path}")]
    KeyOpenToOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No certificate in the file.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The roots of client certificates can't be used.
    #[error("the roots of client certificates can't be used")]
    ClientRoots {
        /// Why.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// The certificate does not parse.
    #[error("the certificate in {path} can't be parsed")]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key does not parse, or is of a kind that can't sign leaves.
    #[error("{path} holds no key that can sign: ECDSA P-256 or P-384, or RSA of 2048 bits and more")]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
    /// Certificate and key are not a pair.
    #[error("the key {key} is not the one of the certificate {certificate}")]
    KeyMismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// basicConstraints don't say CA:TRUE.
    #[error("{path} is not the certificate of a CA (basicConstraints without CA:TRUE)")]
    NotAnAuthority {
        /// The certificate file.
        path: PathBuf,
    },
    /// keyUsage is missing, or is there without keyCertSign.
    #[error("the certificate in {path} may not sign others (keyUsage without keyCertSign)")]
    MayNotSign {
        /// The certificate file.
        path: PathBuf,
    },
    /// The CA has expired.
    #[error("the CA has expired at {not_after}: remove {path} and its key, then `exeat ca init` makes a new one")]
    Expired {
        /// The certificate file.
        path: PathBuf,
        /// When.
        not_after: Timestamp,
    },
    /// The CA is not valid yet.
    #[error("the CA in {path} is not valid before {not_before}; check this machine's clock")]
    NotValidYet {
        /// The certificate file.
        path: PathBuf,
        /// When it will be.
        not_before: Timestamp,
    },
    /// A leaf of it does not verify: a subject that can't be copied exactly, a key that is too short.
    #[error("the CA in {path} can't be used: a leaf that it signs does not verify")]
    Unusable {
        /// The certificate file.
        path: PathBuf,
        /// What the verifier said.
        #[source]
        source: Box<rustls::Error>,
    },
    /// A certificate could not be made.
    #[error("a certificate can't be made")]
    Mint(#[from] rcgen::Error),
    /// No leaf for a host, told to everyone who waited for it.
    #[error("no leaf can be made")]
    Leaf(#[source] Arc<Error>),
    /// rustls refused what we made.
    #[error("the TLS configuration can't be made")]
    Tls(#[from] rustls::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// A date that no certificate can hold.
    #[error("this machine's clock is out of the range of certificates")]
    ClockOutOfRange,
    /// `upstream.trust` lists the system's roots, and there are none.
    #[error("no root certificates are found on this system{}; install ca-certificates or set SSL_CERT_FILE", hint(.problems))]
    NoSystemRoots {
        /// What went wrong on the way.
        problems: String,
    },
    /// A file under `upstream.trust` holds something that is no root.
    #[error("{path} holds a certificate that can't be a root")]
    BadRoot {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<rustls::Error>,
    },
}

fn hint(problems: &str) -> String {
    if problems.is_empty() { String::new() } else { format!(" ({problems})") }
}

impl Error {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    }
}
