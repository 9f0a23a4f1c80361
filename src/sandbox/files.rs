//! The files that some clients want instead of a variable. Pure: what to write, not the writing.

use super::env::Way;
use super::{java, truststore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::PathBuf;

/// One file to write under the way's directory, for its owner's eyes only: some hold the token.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the way's directory.
    pub path: PathBuf,
    /// What it holds.
    pub contents: Vec<u8>,
}

/// Why the files can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The bundle that was just made does not parse.
    #[error("the CA bundle is not PEM")]
    BadBundle(#[source] rustls_pki_types::pem::Error),
}

/// What to write under the way's directory. `bundle` is the text of the CA bundle; `system_wgetrc` that of
/// `/etc/wgetrc`, which ours replaces.
pub fn files(way: &Way<'_>, bundle: &[u8], system_wgetrc: &[u8]) -> Result<Vec<File>, FilesError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(bundle).collect::<Result<_, _>>().map_err(FilesError::BadBundle)?;
    let file = |path: &str, contents: Vec<u8>| File { path: path.into(), contents };
    Ok(vec![
        file(java::TRUSTSTORE, truststore::jks(certificates.iter().map(AsRef::as_ref))),
        file(java::ARGUMENTS, java::arguments(way).into()),
        file(&format!("{}/settings.xml", java::MAVEN), java::maven_settings(way).into()),
        file(&format!("{}/logging/simplelogger.properties", java::MAVEN), java::MAVEN_LOGGING.into()),
        file("wgetrc", wgetrc(way, system_wgetrc)),
        file(APT, apt(way).into()),
    ])
}

/// Name of the file that apt reads first.
pub(super) const APT: &str = "apt.conf";

/// apt takes the proxy from the usual variables, and the CA from its configuration alone.
fn apt(way: &Way<'_>) -> String {
    // Its syntax knows no escape: a path with a quote would end the value.
    let path = way.ca_bundle.display().to_string().replace('"', "");
    format!("Acquire::https::CaInfo \"{path}\";\n")
}

/// The system's wgetrc and our CA after it, so that ours wins; a user's own `~/.wgetrc` is still read.
fn wgetrc(way: &Way<'_>, system: &[u8]) -> Vec<u8> {
    let mut text = system.to_vec();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(format!("use_proxy = on\nca_certificate = {}\n", way.ca_bundle.display()).into_bytes());
    text
}
