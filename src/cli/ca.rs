//! `exeat ca`: make the certificate authority, show it, and hand it to a shell.

use crate::ca::{CertificateAuthority, Settings, write_bundle};
use crate::config;
use crate::sandbox::REPLACES_ROOTS;
use clap::Subcommand;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make the certificate authority, show it, hand it to a shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a CA; one that is there is left alone.
    Init(Options),
    /// Show the CA: subject, fingerprint, validity, files.
    Show(Options),
    /// Print `export` lines that make the usual clients trust the CA.
    Env(Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The configuration; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 where a CA is in the way, missing or not to be used, 2 for a bad configuration.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    execute(args, &mut io::stdout().lock())
}

fn execute(args: Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (Verb::Init(options) | Verb::Show(options) | Verb::Env(options)) = &args.verb;
    let settings = config::load_places(options.config.as_deref())?.ca;
    let authority = match args.verb {
        Verb::Init(_) => CertificateAuthority::create(&settings)?,
        Verb::Show(_) | Verb::Env(_) => CertificateAuthority::open(&settings)?,
    };
    match args.verb {
        Verb::Init(_) | Verb::Show(_) => show(&authority, &settings, options.json, out)?,
        Verb::Env(_) => {
            let certificate = std::path::absolute(&settings.certificate)?;
            // Where the gateway writes it too.
            let bundle = certificate.with_file_name("ca-bundle.pem");
            write_bundle(&authority, &bundle)?;
            env(&bundle, &certificate, options.json, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
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

/// Adds to Deno's roots, and Deno refuses a file with one certificate that it can't read: ours alone.
const ADDS_ROOTS: &str = "DENO_CERT";

fn env(bundle: &Path, certificate: &Path, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let variables = REPLACES_ROOTS.iter().map(|name| (*name, bundle)).chain([(ADDS_ROOTS, certificate)]);
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
        let file = directory.join("exeat.yaml");
        std::fs::create_dir_all(directory)?;
        std::fs::write(&file, "ca: {certificate: ca.pem, key: ca.key}\n")?;
        let line = [OsStr::new("ca"), OsStr::new(verb), OsStr::new("--config"), file.as_os_str()];
        let line = line.into_iter().chain(more.iter().map(OsStr::new));
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
        assert_eq!(shown.as_object().unwrap().len(), REPLACES_ROOTS.len() + 1);
    }
}
