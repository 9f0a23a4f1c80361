//! What a user types after `exeat run`.

use crate::cli::known::KnownArgs;
use crate::session::{self, Labels};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  exeat run -- claude
  exeat run --allow example.com --allow internal.example:8443 -- curl https://example.com
  exeat run --allow github-write:acme/site -- claude   # push there, and nowhere else
  exeat run --observe -- make test      # refuse nothing, tell what would have been refused
  exeat run --home ACME_TOKEN=api.acme.dev -- claude   # where a secret of the environment may go
  exeat run --policy ci --task 'nightly build' --label team=core -- ./build.sh

The command gets the proxy and CA variables that common clients read; programs that ignore
them reach the network past the gateway. NO_PROXY is empty: a service on this machine needs a
rule as well (--allow localhost:3000).

Each run has a directory of its own, with its journal, under $XDG_STATE_HOME/exeat/runs or
~/.local/state/exeat/runs; one that is 30 days old is removed by a later run.

The exit code is the command's own: 128 + n when signal n ended it, 127 when it is not found,
126 when it can't be executed. It is 2 when the configuration is wrong: nothing starts then.";

/// Run a command behind a gateway of its own
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The configuration; without it the built-in one for coding agents
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// The policy that judges the command: one of the configuration, or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) policy: Option<String>,

    /// One more destination that the command may reach, for this run only: a host, or a preset (npm, github-write,
    /// github-write:acme/site)
    #[arg(long, value_name = "HOST[:PORT]|PRESET[:REPO]")]
    pub(super) allow: Vec<String>,

    /// What the command is to do, for the journal; without it the command's name
    #[arg(long, value_name = "TEXT")]
    pub(super) task: Option<String>,

    /// A label for the journal
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(super) labels: Vec<(String, String)>,

    /// How long the command may reach anything: 90s, 30m, 1h; without it as long as it runs
    #[arg(long, value_name = "DURATION", value_parser = session::parse_ttl)]
    pub(super) ttl: Option<Duration>,

    /// Where the journal goes, in place of the run's own directory
    #[arg(long, value_name = "DIR")]
    pub(super) journal: Option<PathBuf>,

    #[command(flatten)]
    pub(super) known: KnownArgs,

    /// Leave the secrets of the environment and of dotfiles (.env, .netrc, .npmrc, ...) unguarded unless a rule knows
    /// them: they are looked for and may go to their homes only
    #[arg(long)]
    pub(super) no_gather: bool,

    /// Refuse nothing but what the guard of inner addresses stops, and tell what would have been refused
    #[arg(long)]
    pub(super) observe: bool,

    /// Say nothing unless something was refused
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Tell the summary as JSON, on stderr
    #[arg(long)]
    pub(super) json: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl Args {
    /// The session's task: what was said, or the command's name without its directory.
    pub(super) fn task(&self) -> Result<Option<Arc<str>>, session::DetailError> {
        match &self.task {
            Some(task) => session::task(task),
            // A name that is no fit text for the journal is left out rather than refused
            None => Ok(self.program_name().and_then(|name| session::task(&name).ok().flatten())),
        }
    }

    fn program_name(&self) -> Option<String> {
        let name = Path::new(self.command.first()?).file_name()?;
        Some(name.to_str()?.to_owned())
    }

    pub(super) fn labels(&self) -> Result<Labels, session::DetailError> {
        session::labels(self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["run"], words].concat()).map(|line| line.args)
    }

    #[test]
    fn options_end_where_the_command_begins() {
        for words in [
            &["--quiet", "--allow", "a.example", "--", "curl", "-v", "--json", "--", "x"][..],
            &["--quiet", "--allow", "a.example", "curl", "-v", "--json", "--", "x"][..],
        ] {
            let args = parse(words).unwrap();
            assert_eq!(args.command, ["curl", "-v", "--json", "--", "x"]);
            assert_eq!((args.quiet, args.json, args.allow), (true, false, vec!["a.example".to_owned()]));
        }
    }

    #[test]
    fn a_command_is_needed() {
        assert!(parse(&["--quiet"]).is_err());
        assert!(parse(&["--quiet", "--"]).is_err());
    }

    #[test]
    fn labels_and_times_are_read_before_anything_starts() {
        let args = parse(&["--label", "a=b=c", "--ttl", "1h30m", "true"]).unwrap();
        assert_eq!(args.labels, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(args.ttl, Some(Duration::from_secs(5400)));
        for words in [["--label", "a", "true"], ["--ttl", "60", "true"], ["--ttl", "0s", "true"]] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_task_is_what_was_said_or_the_commands_name() {
        for (words, task) in [
            (&["--task", "fix it", "claude"][..], Some("fix it")),
            (&["--task", "", "claude"][..], None),
            (&["/usr/bin/claude", "-p", "x"][..], Some("claude")),
            (&["bad\nname"][..], None),
        ] {
            assert_eq!(parse(words).unwrap().task().unwrap().as_deref(), task, "{words:?}");
        }
        assert!(parse(&["--task", "a\nb", "claude"]).unwrap().task().is_err());
    }
}
