//! `exeat ca`: make the certificate authority, show it, and hand it to a shell.

use crate::ca::{CertificateAuthority, Settings, write_bundle};
use anyhow::Context;
use clap::Subcommand;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `exeat ca …`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a CA; one that is there is left alone
    Init(Options),
    /// Show the CA: subject, fingerprint, validity, files
    Show(Options),
    /// Print `export` lines that make the usual clients trust the CA
    Env(Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The CA's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The CA's key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    execute(args, &mut io::stdout().lock())
}

fn execute(args: Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Init(options) => {
            let settings = locate(&options)?;
            let authority = CertificateAuthority::create(&settings)?;
            show(&authority, &settings, options.json, out)?;
        }
        Verb::Show(options) => {
            let settings = locate(&options)?;
            let authority = CertificateAuthority::open(&settings)?;
            show(&authority, &settings, options.json, out)?;
        }
        Verb::Env(options) => {
            let settings = locate(&options)?;
            let authority = CertificateAuthority::open(&settings)?;
            let bundle = std::path::absolute(settings.certificate.with_file_name("ca-bundle.pem"))?;
            write_bundle(&authority, &bundle)?;
            env(&bundle, &std::path::absolute(&settings.certificate)?, options.json, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the CA is: as the options say, else in the user's data folder.
fn locate(options: &Options) -> anyhow::Result<Settings> {
    if let (Some(certificate), Some(key)) = (&options.certificate, &options.key) {
        return Ok(Settings { certificate: certificate.clone(), key: key.clone() });
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let data = data.context("neither XDG_DATA_HOME nor HOME is set: name --certificate and --key")?;
    Ok(Settings::in_directory(&data.join("exeat")))
}

fn show(
    authority: &CertificateAuthority,
    settings: &Settings,
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if as_json {
        let shown = json!({
            "subject": authority.subject(),
            "fingerprint_sha256": authority.fingerprint_sha256(),
            "not_before": authority.not_before(),
            "not_after": authority.not_after(),
            "certificate": settings.certificate,
            "key": settings.key,
        });
        return Ok(writeln!(out, "{shown:#}")?);
    }
    writeln!(out, "subject      {}", authority.subject())?;
    writeln!(out, "sha256       {}", authority.fingerprint_sha256())?;
    writeln!(out, "valid        {} to {}", authority.not_before(), authority.not_after())?;
    writeln!(out, "certificate  {}", settings.certificate.display())?;
    writeln!(out, "key          {}", settings.key.display())?;
    Ok(())
}

/// Variables that take the place of a client's own roots, or add to them: all get the system's roots
/// plus ours.
const BUNDLE: [&str; 20] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "BUNDLE_SSL_CA_CERT",
    "COMPOSER_CAFILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CONDA_SSL_VERIFY",
    "NIX_SSL_CERT_FILE",
    "HTTPLIB2_CA_CERTS",
    "PERL_LWP_SSL_CA_FILE",
    "HEX_CACERTS_PATH",
    "JULIA_SSL_CA_ROOTS_PATH",
    "CODEX_CA_CERTIFICATE",
];

/// Adds to Deno's roots, and one certificate that Deno can't parse spoils the file: ours alone.
const CERTIFICATE: &str = "DENO_CERT";

fn env(bundle: &Path, certificate: &Path, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let variables = BUNDLE.iter().map(|name| (*name, bundle)).chain([(CERTIFICATE, certificate)]);
    if as_json {
        let shown: serde_json::Map<_, _> = variables.map(|(name, path)| (name.to_owned(), json!(path))).collect();
        return Ok(writeln!(out, "{:#}", serde_json::Value::from(shown))?);
    }
    for (name, path) in variables {
        write!(out, "export {name}=")?;
        out.write_all(&quoted(path.as_os_str()))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// As one word of a POSIX shell.
fn quoted(text: &OsStr) -> Vec<u8> {
    let mut word = b"'".to_vec();
    for &byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend(b"'\\''"),
            byte => word.push(byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tempfile::TempDir;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn exeat(directory: &Path, verb: &str, more: &[&str]) -> anyhow::Result<String> {
        let (certificate, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        let line = [OsStr::new("ca"), OsStr::new(verb), OsStr::new("--certificate"), certificate.as_os_str()];
        let line = line.into_iter().chain([OsStr::new("--key"), key.as_os_str()]).chain(more.iter().map(OsStr::new));
        let mut out = Vec::new();
        execute(Line::try_parse_from(line)?.args, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn a_ca_is_made_once_and_shown() {
        let directory = TempDir::new().unwrap();
        let missing = exeat(directory.path(), "show", &[]).unwrap_err().to_string();
        assert!(missing.contains("exeat ca init"), "{missing}");
        let made = exeat(directory.path(), "init", &[]).unwrap();
        assert_eq!(exeat(directory.path(), "show", &[]).unwrap(), made);
        assert!(made.contains("CN=Exeat CA ") && made.contains("ca.pem") && !made.contains("PRIVATE"), "{made}");
        let again = exeat(directory.path(), "init", &[]).unwrap_err().to_string();
        assert!(again.contains("not overwritten"), "{again}");
        let shown: serde_json::Value =
            serde_json::from_str(&exeat(directory.path(), "show", &["--json"]).unwrap()).unwrap();
        for field in ["subject", "fingerprint_sha256", "not_before", "not_after", "certificate", "key"] {
            assert!(shown[field].is_string(), "{field}");
        }
    }

    #[test]
    fn a_shell_reads_the_exports_as_they_are_meant() {
        let directory = TempDir::new().unwrap();
        let odd = directory.path().join("it's a $(place) \"here\"");
        exeat(&odd, "init", &[]).unwrap();
        let exports = exeat(&odd, "env", &[]).unwrap();
        let script = format!("{exports}printf '%s\\n%s' \"$SSL_CERT_FILE\" \"$DENO_CERT\"");
        let read = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let expected = format!("{}\n{}", odd.join("ca-bundle.pem").display(), odd.join("ca.pem").display());
        assert_eq!(String::from_utf8(read.stdout).unwrap(), expected);
        assert!(odd.join("ca-bundle.pem").exists());
        let shown: serde_json::Value = serde_json::from_str(&exeat(&odd, "env", &["--json"]).unwrap()).unwrap();
        assert_eq!(shown.as_object().unwrap().len(), BUNDLE.len() + 1);
    }
}
