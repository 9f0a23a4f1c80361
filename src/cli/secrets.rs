//! `exeat secrets`: the scanner on files and pipes, and the catalogue.

mod report;

use crate::net::Host;
use crate::secrets::{
    Action, BodyContext, Catalogue, Finding, FingerprintKey, Guard, HeadView, RuleSpec, Scanner, Settings, canary,
};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Looks for secrets as the gateway does, and shows the rules
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Scans files, folders or stdin; exit code 1 on a finding
    Scan(Scan),
    /// Lists the rules
    Rules {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Rules of your own beside the built-in ones
        #[arg(long, value_name = "FILE")]
        catalogue: Vec<PathBuf>,
    },
    /// Makes credentials that open nothing: wherever one is seen, something leaks
    Canary {
        /// What it should look like
        #[arg(value_name = "github|npm|aws|anthropic", default_value = "github")]
        kind: canary::Kind,
    },
}

#[derive(Debug, clap::Args)]
struct Scan {
    /// Files and folders; - for stdin
    #[arg(value_name = "PATH", default_value = "-")]
    paths: Vec<PathBuf>,
    /// One JSON object a finding
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// A SARIF 2.1.0 log, for code hosts
    #[arg(long)]
    sarif: bool,
    /// What the input is
    #[arg(long, value_enum, default_value = "body")]
    surface: Surface,
    /// The host that it would go to: a credential at its home is no finding
    #[arg(long, value_name = "HOST", default_value = "nowhere.invalid")]
    host: String,
    /// Rules of your own beside the built-in ones
    #[arg(long, value_name = "FILE")]
    catalogue: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Surface {
    /// A URL a line
    Url,
    /// A field a line
    Header,
    /// The bytes of a body
    Body,
}

/// Runs the verb.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Scan(scan) => tokio::task::spawn_blocking(move || scan.run()).await?,
        Verb::Rules { json, catalogue } => rules(json, &catalogue),
        Verb::Canary { kind } => {
            let mut random = [0; 128];
            aws_lc_rs::rand::fill(&mut random).context("no random bytes")?;
            writeln!(io::stdout(), "{}", canary::make(kind, &random))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn with_files(mut catalogue: Catalogue, files: &[PathBuf]) -> anyhow::Result<Catalogue> {
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        catalogue.add(&file.display().to_string(), &text)?;
    }
    Ok(catalogue)
}

fn rules(json: bool, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let catalogue = with_files(Catalogue::annotated()?, files)?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, catalogue.rules())?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = catalogue.rules().iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for RuleSpec { id, name, homes, .. } in catalogue.rules() {
        let homes = if homes.is_empty() { "no home".to_owned() } else { homes.join(" ") };
        writeln!(out, "{id:width$}  {name}  ({homes})")?;
    }
    writeln!(io::stderr(), "{} rules", catalogue.rules().len())?;
    Ok(ExitCode::SUCCESS)
}

/// A finding and the file it lies in.
struct Found {
    path: String,
    line: u64,
    finding: Finding,
}

impl Scan {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let Ok(host) = Host::parse(self.host.as_bytes()) else { bail!("--host: `{}` is no host", self.host) };
        let scanner = Arc::new(Scanner::new(with_files(Catalogue::builtin()?, &self.catalogue)?)?);
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).context("no random bytes")?;
        let settings = Settings { action: Action::Observe, ..Settings::default() };
        let guard = Guard::new(scanner, settings, FingerprintKey::new(&key))?;
        let mut found = Vec::new();
        let mut progress = Progress::new();
        for path in &self.paths {
            if path.as_os_str() == "-" {
                self.scan(&guard, &host, "stdin", &mut io::stdin().lock(), &mut found)?;
                continue;
            }
            for file in files(path)? {
                progress.tell(&file);
                let name = file.display().to_string();
                let mut source = File::open(&file).with_context(|| name.clone())?;
                self.scan(&guard, &host, &name, &mut source, &mut found).with_context(|| name.clone())?;
            }
        }
        progress.clear();
        let mut out = io::stdout().lock();
        if self.sarif {
            report::sarif(&mut out, &found)?;
        } else if self.json {
            report::json(&mut out, &found)?;
        } else {
            report::text(&mut out, &found)?;
        }
        let harmful = found.iter().any(|found| report::is_harmful(&found.finding));
        Ok(if harmful { ExitCode::from(super::FAILED) } else { ExitCode::SUCCESS })
    }

    fn scan(
        &self,
        guard: &Guard,
        host: &Host,
        path: &str,
        source: &mut dyn Read,
        found: &mut Vec<Found>,
    ) -> anyhow::Result<()> {
        if self.surface == Surface::Body {
            return scan_body(guard, host, path, source, found);
        }
        let mut text = Vec::new();
        source.read_to_end(&mut text)?;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let findings = match self.surface {
                Surface::Url => scan_url(guard, host, &String::from_utf8_lossy(line)),
                Surface::Header | Surface::Body => scan_field(guard, host, line),
            };
            found.extend(findings.into_iter().map(|finding| Found { path: path.to_owned(), line: number, finding }));
        }
        Ok(())
    }
}

fn scan_url(guard: &Guard, host: &Host, url: &str) -> Vec<Finding> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, target) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let own = Host::parse(authority.rsplit('@').next().unwrap_or_default().as_bytes());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let host = own.as_ref().unwrap_or(host);
    guard.scan_head(&HeadView { host, method: "GET", path, query, fields: &[], trailers: false })
}

fn scan_field(guard: &Guard, host: &Host, line: &[u8]) -> Vec<Finding> {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let fields = [(name.trim_ascii(), value)];
    guard.scan_head(&HeadView { host, method: "GET", path: "/", query: None, fields: &fields, trailers: false })
}

fn scan_body(
    guard: &Guard,
    host: &Host,
    path: &str,
    source: &mut dyn Read,
    found: &mut Vec<Found>,
) -> anyhow::Result<()> {
    let context = BodyContext { host, method: "POST", path: "/", content_type: None, content_encoding: None };
    let mut scan = guard.body(&context);
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = source.read(&mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        lines.add(chunk);
        let stopped = if read == 0 { scan.finish() } else { scan.push(Bytes::copy_from_slice(chunk)) };
        while scan.released().is_some() {}
        for finding in scan.take_findings() {
            found.push(Found { path: path.to_owned(), line: lines.line_of(finding.offset), finding });
        }
        if let Err(stopped) = stopped {
            bail!("{}", stopped.reason.sentence());
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Where lines start, as far back as a finding may lie.
#[derive(Default)]
struct Lines {
    read: u64,
    before: u64,
    starts: std::collections::VecDeque<u64>,
}

impl Lines {
    /// Findings lie at most this far behind what was read.
    const REACH: u64 = 4 << 20;

    fn add(&mut self, chunk: &[u8]) {
        let breaks = chunk.iter().zip(self.read..).filter(|(byte, _)| **byte == b'\n');
        self.starts.extend(breaks.map(|(_, at)| at + 1));
        self.read += chunk.len() as u64;
        while self.starts.front().is_some_and(|start| start + Self::REACH < self.read) {
            self.starts.pop_front();
            self.before += 1;
        }
    }

    fn line_of(&self, offset: u64) -> u64 {
        self.before + self.starts.partition_point(|start| *start <= offset) as u64 + 1
    }
}

/// The files below a path; links and git's own store are left out.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let kind = std::fs::symlink_metadata(&path).with_context(|| format!("{}", path.display()))?.file_type();
        if kind.is_file() {
            found.push(path);
        } else if kind.is_dir() && path.file_name().is_none_or(|name| name != ".git") {
            let entries = std::fs::read_dir(&path).with_context(|| format!("{}", path.display()))?;
            for entry in entries {
                open.push(entry?.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A line on the terminal that tells which file is being read.
struct Progress {
    shown: bool,
    files: u64,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), files: 0 }
    }

    fn tell(&mut self, file: &Path) {
        self.files += 1;
        if self.shown && self.files.is_multiple_of(64) {
            let name: String = file.display().to_string().chars().filter(|c| !c.is_control()).take(60).collect();
            let _ = write!(io::stderr(), "\r\x1b[K{} files, {name}", self.files);
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
