//! `exeat secrets`: the scanner on files and pipes, the catalogue, canaries.

mod places;
mod report;
mod rules;
mod scan;
mod walk;

use crate::config::{self, OwnRules, Ruleset};
use crate::secrets::canary;
use anyhow::{Context as _, bail};
use clap::Subcommand;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Looks for secrets as the gateway does, shows the rules, makes canaries
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  exeat secrets scan .
  git diff | exeat secrets scan -
  exeat secrets scan --sarif src > findings.sarif
  exeat secrets scan --surface header --host api.github.com fields.txt
  exeat secrets rules github-pat-classic
  exeat secrets canary aws >> ~/.env-that-nobody-should-read";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Scans files, folders or stdin; exit code 1 on a finding
    Scan(scan::Scan),
    /// Lists the rules, or shows one
    Rules(rules::Rules),
    /// Makes credentials that open nothing: wherever one is seen, something leaks
    Canary {
        /// What it should look like
        #[arg(value_name = "KIND", default_value = "github")]
        kind: canary::Kind,
    },
}

/// Where rules and settings come from.
#[derive(Debug, clap::Args)]
struct Origin {
    /// The configuration whose policy says which rules there are and what goes home
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The policy, where the configuration has several
    #[arg(long, value_name = "NAME", requires = "config")]
    policy: Option<String>,
    /// Rules of your own beside the built-in ones
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    catalogue: Vec<PathBuf>,
}

/// Runs the verb.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Scan(scan) => tokio::task::spawn_blocking(move || scan.run()).await?,
        Verb::Rules(rules) => rules.run(),
        Verb::Canary { kind } => {
            let mut random = [0; 128];
            aws_lc_rs::rand::fill(&mut random).context("no random bytes")?;
            writeln!(io::stdout(), "{}", canary::make(kind, &random))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Origin {
    /// The policy of the configuration, if one was named, and the rules beside the built-in ones.
    fn load(&self) -> anyhow::Result<(Option<Arc<Ruleset>>, OwnRules)> {
        let Some(file) = &self.config else { return Ok((None, config::load_rules(&self.catalogue)?)) };
        let ruleset = self.ruleset(file)?;
        let own = ruleset.own_rules.clone();
        Ok((Some(ruleset), own))
    }

    fn ruleset(&self, file: &Path) -> anyhow::Result<Arc<Ruleset>> {
        let config = config::load_policies(Some(file))?;
        let mut names: Vec<&str> = config.rulesets.keys().map(|name| &**name).collect();
        names.sort_unstable();
        let name = match (self.policy.as_deref(), &names[..]) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, []) => bail!("{}: there are no policies", file.display()),
            (None, _) => bail!("say which policy with --policy: {}", names.join(", ")),
        };
        match config.rulesets.get(name) {
            Some(ruleset) => Ok(Arc::clone(ruleset)),
            None => bail!("there is no policy {name}; there are: {}", names.join(", ")),
        }
    }
}
