//! `exeat secrets scan`: the gateway's engine over files, folders and pipes.

use super::places::Places;
use super::walk::{Progress, files};
use super::{Origin, report};
use crate::cli::{FAILED, USAGE};
use crate::net::Host;
use crate::secrets::{BodyContext, Finding, FingerprintKey, Guard, HeadView, Scanner, Settings};
use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Scan {
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
    #[arg(long, value_name = "HOST", default_value = "nowhere.invalid", value_parser = host)]
    host: Host,
    #[command(flatten)]
    origin: Origin,
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

/// A finding and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: String,
    /// Line and column; nothing in what is no text.
    pub(super) place: Option<(u64, u64)>,
    pub(super) finding: Finding,
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text.as_bytes()).map_err(|_| format!("`{text}` is no host"))
}

impl Scan {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut all = Vec::new();
        for path in &self.paths {
            if path.as_os_str() == "-" {
                all.push(path.clone());
                continue;
            }
            match files(path) {
                Ok(files) => all.extend(files),
                Err(error) => {
                    writeln!(io::stderr(), "exeat: {error:#}")?;
                    return Ok(ExitCode::from(USAGE));
                }
            }
        }
        let guard = self.guard()?;
        let progress = Progress::new(all.len());
        let (found, unread) = self.scan_all(&guard, &all, &progress);
        progress.clear();
        let mut out = io::BufWriter::new(io::stdout().lock());
        match (self.sarif, self.json) {
            (true, _) => report::sarif(&mut out, &found)?,
            (_, true) => report::json(&mut out, &found)?,
            _ => report::text(&mut out, &found)?,
        }
        out.flush()?;
        for error in &unread {
            writeln!(io::stderr(), "exeat: {error}")?;
        }
        let harmful = found.iter().any(|found| report::is_harmful(&found.finding));
        Ok(if harmful || !unread.is_empty() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// The policy's guard, or one with the defaults; it tells and stops nothing.
    fn guard(&self) -> anyhow::Result<Guard> {
        let (ruleset, own) = self.origin.load()?;
        let settings = ruleset.map_or_else(Settings::default, |ruleset| ruleset.secrets.clone());
        let scanner = if own.is_empty() { Scanner::builtin()? } else { Arc::new(Scanner::new(own.with_builtin()?)?) };
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).context("no random bytes")?;
        Ok(Guard::new(scanner, settings.observed(), FingerprintKey::new(&key))?)
    }

    /// Scans on every core; findings come in the order of the files, with what could not be read.
    fn scan_all(&self, guard: &Guard, files: &[PathBuf], progress: &Progress) -> (Vec<Found>, Vec<String>) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(number) else { return done };
                progress.tell(file);
                let mut found = Vec::new();
                let scanned = self.scan_file(guard, file, &mut found);
                done.push((number, found, scanned.err().map(|error| format!("{}: {error}", file.display()))));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let mut all: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| worker.join());
            // A worker that broke leaves files unread, which its place in the list will miss.
            joined.flat_map(Result::unwrap_or_default).collect()
        });
        all.sort_by_key(|(number, ..)| *number);
        let missing = files.len() - all.len();
        let mut unread: Vec<String> = all.iter_mut().filter_map(|(.., error)| error.take()).collect();
        unread.extend((missing > 0).then(|| format!("{missing} files were not scanned: the scanner failed")));
        (all.into_iter().flat_map(|(_, found, _)| found).collect(), unread)
    }

    fn scan_file(&self, guard: &Guard, file: &Path, found: &mut Vec<Found>) -> io::Result<()> {
        if file.as_os_str() == "-" {
            return self.scan(guard, "stdin", &mut io::stdin().lock(), found);
        }
        self.scan(guard, &file.display().to_string(), &mut File::open(file)?, found)
    }

    fn scan(&self, guard: &Guard, path: &str, source: &mut dyn Read, found: &mut Vec<Found>) -> io::Result<()> {
        if self.surface == Surface::Body {
            return scan_body(guard, &self.host, path, source, found);
        }
        let mut text = Vec::new();
        source.read_to_end(&mut text)?;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let findings = match self.surface {
                Surface::Url => scan_url(guard, &self.host, &String::from_utf8_lossy(line)),
                Surface::Header | Surface::Body => scan_field(guard, &self.host, line),
            };
            let at = |finding: Finding| Found { path: path.to_owned(), place: Some((number, 1)), finding };
            found.extend(findings.into_iter().map(at));
        }
        Ok(())
    }
}

fn scan_url(guard: &Guard, host: &Host, url: &str) -> Vec<Finding> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, target) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    let own = Host::parse(name.as_bytes());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let host = own.as_ref().unwrap_or(host);
    // What stands before the host goes out as a field.
    let userinfo = rest.split_once('@').filter(|(user, _)| !user.contains(['/', '?'])).map(|(user, _)| user.as_bytes());
    let fields: Vec<(&[u8], &[u8])> = userinfo.map(|user| (&b"authorization"[..], user)).into_iter().collect();
    guard.scan_head(&HeadView { host, method: "GET", path, query, fields: &fields, trailers: false })
}

fn scan_field(guard: &Guard, host: &Host, line: &[u8]) -> Vec<Finding> {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let fields = [(name.trim_ascii(), value)];
    guard.scan_head(&HeadView { host, method: "GET", path: "/", query: None, fields: &fields, trailers: false })
}

fn scan_body(guard: &Guard, host: &Host, path: &str, source: &mut dyn Read, found: &mut Vec<Found>) -> io::Result<()> {
    let context = BodyContext { host, method: "POST", path: "/", content_type: None, content_encoding: None };
    // As one request of a session: what is found in pieces of a small body there is found here too.
    let mut scan = guard.body(&context).in_session(Arc::default(), Instant::now());
    let mut places = Places::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        places.add(chunk);
        let stopped = if read == 0 { scan.finish() } else { scan.push(Bytes::copy_from_slice(chunk)) };
        while scan.released().is_some() {}
        for finding in scan.take_findings() {
            found.push(Found { path: path.to_owned(), place: places.of(finding.offset), finding });
        }
        if let Err(stopped) = stopped {
            return Err(io::Error::other(stopped.reason.sentence()));
        }
        if read == 0 {
            return Ok(());
        }
    }
}
