//! `exeat doctor`: what stands in the way of a working gateway, and what to do about it.

mod check;
mod clients;
mod probe;

use super::FAILED;
use crate::config::{self, Config};
use crate::net::Authority;
use crate::policy::Permit;
use check::{Check, Level};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Names to look up, of which some policy will allow one.
const NAMES: [&[u8]; 5] =
    [b"api.anthropic.com:443", b"api.openai.com:443", b"github.com:443", b"pypi.org:443", b"registry.npmjs.org:443"];

const EXAMPLES: &str = "\
Examples:
  exeat doctor
  exeat doctor --config exeat.yaml --json

The exit code is 1 when a check fails; a warning is none.";

/// Check this machine and the configuration for what keeps a gateway from working
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration; without it, the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Tell the checks as JSON
    #[arg(long)]
    json: bool,
}

/// All checks and the worst of their levels.
#[derive(Serialize)]
struct Finding {
    level: Level,
    checks: Vec<Check>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut checks = match config::load(args.config.as_deref()) {
        Ok(config) => configured(config).await,
        Err(diagnostics) => vec![Check::fail("config", diagnostics.to_string(), "nothing starts until it is mended")],
    };
    checks.extend([check::clock(Timestamp::now()), probe::descriptors(), probe::environment()]);
    checks.extend(probe::namespaces());
    checks.extend(clients::checks().await);
    let level = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    let finding = Finding { level, checks };
    if finding.tell(args.json).is_err() {
        // A closed stdout: nobody reads on
        return Ok(ExitCode::from(FAILED));
    }
    Ok(if level == Level::Fail { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The checks that hang on what is configured.
async fn configured(config: Config) -> Vec<Check> {
    let mut names: Vec<_> = config.rulesets.keys().map(|name| &**name).collect();
    names.sort_unstable();
    let found = format!("policies: {}", names.join(", "));
    let mut checks = vec![if config.warnings.is_empty() {
        Check::ok("config", found)
    } else {
        Check::warn("config", config.warnings.to_string(), "see: exeat check")
    }];
    checks.push(probe::authority(&config.ca, Timestamp::now()));
    checks.push(probe::roots(&config.trust));
    checks.push(probe::journal(&config.flows.journal));
    checks.extend(probe::listeners(config.listen.proxy, config.listen.control).await);
    let permit = permit(&config);
    checks.push(probe::names(config.resolver, permit.as_ref()).await);
    checks
}

/// A permit for one of the names, from whatever policy gives one.
fn permit(config: &Config) -> Option<Permit> {
    let authorities: Vec<_> = NAMES.iter().filter_map(|name| Authority::parse(name).ok()).collect();
    let policies = config.rulesets.values().map(|ruleset| &ruleset.policy);
    policies
        .flat_map(|policy| authorities.iter().map(move |authority| policy.decide_tunnel(authority)))
        .find_map(Result::ok)
}

impl Finding {
    fn tell(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            return writeln!(out, "{}", serde_json::to_string(self)?);
        }
        for check in &self.checks {
            writeln!(out, "{check}")?;
        }
        let count = |level| self.checks.iter().filter(|check| check.level == level).count();
        let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
        writeln!(out, "\n{} checks, {warnings} with a warning, {failures} failed", self.checks.len())
    }
}
