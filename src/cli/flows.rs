//! `exeat flows`: reads the journal. Never writes it; works beside a running gateway.

mod follow;
mod show;
mod tail;
mod verify;

use crate::config;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Read the record of flows.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the last flows, and those that follow.
    Tail(tail::Args),
    /// Check that no record was changed, removed or reordered.
    Verify(verify::Args),
}

/// Where the journal is; with neither, where the defaults put it.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The gateway's configuration: tells where the journal is.
    #[arg(long, value_name = "FILE", conflicts_with = "journal")]
    config: Option<PathBuf>,
    /// The directory of the journal.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
}

impl Place {
    pub(super) fn locate(&self) -> anyhow::Result<PathBuf> {
        let directory = match &self.journal {
            Some(directory) => directory.clone(),
            None => config::load_places(self.config.as_deref())?.flows.journal,
        };
        anyhow::ensure!(directory.is_dir(), "there is no journal in {}", directory.display());
        Ok(directory)
    }
}

/// Runs the verb.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let done = match args.verb {
        Verb::Tail(args) => tail::run(args).await,
        Verb::Verify(args) => verify::run(&args),
    };
    // Whoever read the output has had enough (`| head`).
    let is_closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if done.as_ref().is_err_and(is_closed) { Ok(ExitCode::SUCCESS) } else { done }
}
