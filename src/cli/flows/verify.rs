//! `exeat flows verify`: walks the chain of hashes.

use super::Place;
use crate::flow::{Break, Link, Summary, verify};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Check that no record was changed, removed or reordered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 1 and the place of the first break if the chain does not hold. The chain is not signed, and records
cut from its very end leave no trace in it: keep the last hash somewhere else, and look for it later.

Examples:
  exeat flows verify --config exeat.yaml
  exeat flows verify --journal /var/lib/exeat/flows --from-any    # the oldest files were removed
  exeat flows verify --journal /var/lib/exeat/flows --json | jq -r .last.hash")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Take a chain that does not begin with record 1: its oldest files were removed.
    #[arg(long)]
    from_any: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let directory = args.place.locate()?;
    let outcome = verify(&directory, args.from_any).with_context(|| format!("can't read {}", directory.display()))?;
    report(&mut io::stdout().lock(), &outcome, args.json)?;
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(out: &mut impl Write, outcome: &Result<Summary, Break>, as_json: bool) -> io::Result<()> {
    match outcome {
        _ if as_json => writeln!(out, "{}", to_json(outcome)),
        Ok(summary) => {
            let plural = |count| if count == 1 { "" } else { "s" };
            let (records, files) = (summary.records, summary.files);
            let (of_records, of_files) = (plural(records), plural(files as u64));
            writeln!(out, "the chain holds: {records} record{of_records} in {files} file{of_files}")?;
            write_link(out, "first", summary.first.as_ref())?;
            write_link(out, "last ", summary.last.as_ref())
        }
        Err(Break { file, line, fault }) => writeln!(out, "{}:{line}: {fault}", printable(file)),
    }
}

fn write_link(out: &mut impl Write, name: &str, link: Option<&Link>) -> io::Result<()> {
    match link {
        Some(link) => writeln!(out, "{name} {} {}", link.seq, hex(&link.hash)),
        None => Ok(()),
    }
}

fn to_json(outcome: &Result<Summary, Break>) -> Value {
    let link = |link: &Option<Link>| link.map(|link| json!({"seq": link.seq, "hash": hex(&link.hash)}));
    match outcome {
        Ok(summary) => json!({
            "ok": true,
            "files": summary.files,
            "records": summary.records,
            "first": link(&summary.first),
            "last": link(&summary.last),
        }),
        Err(Break { file, line, fault }) => json!({
            "ok": false,
            "file": file,
            "line": line,
            "fault": fault.code(),
            "detail": fault.to_string(),
        }),
    }
}

fn hex(digits: &[u8; 64]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

fn printable(path: &Path) -> String {
    super::show::printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Durability, Fault, Journal, LIVE_FILE, Recorder, Settings};
    use std::fs;
    use tempfile::TempDir;

    async fn journal() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { journal: directory.path().into(), durability: Durability::Batched };
        let journal = Journal::open(settings).unwrap();
        for _ in 0..3 {
            Recorder::open(&journal, std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()).unwrap().finish();
        }
        journal.close().await.unwrap();
        directory
    }

    fn reported(directory: &TempDir, as_json: bool) -> String {
        let mut out = Vec::new();
        report(&mut out, &verify(directory.path(), false).unwrap(), as_json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn a_chain_that_holds_is_summed_up() {
        let directory = journal().await;
        let text = reported(&directory, false);
        assert!(text.starts_with("the chain holds: 3 records in 1 file\nfirst 1 "), "{text}");
        let value: Value = serde_json::from_str(&reported(&directory, true)).unwrap();
        assert_eq!((&value["ok"], &value["last"]["seq"]), (&json!(true), &json!(3)));
        assert!(text.contains(value["last"]["hash"].as_str().unwrap()));
    }

    #[tokio::test]
    async fn a_break_names_file_and_line() {
        let directory = journal().await;
        let live = directory.path().join(LIVE_FILE);
        fs::write(&live, fs::read_to_string(&live).unwrap().replacen("allowed", "ALLOWED", 1)).unwrap();
        let text = reported(&directory, false);
        assert_eq!(text, format!("{}:1: {}\n", live.display(), Fault::Changed));
        let value: Value = serde_json::from_str(&reported(&directory, true)).unwrap();
        assert_eq!((&value["line"], &value["fault"]), (&json!(1), &json!("changed")));
    }
}
