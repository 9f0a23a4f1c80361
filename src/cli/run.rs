//! `exeat run`: one command behind a gateway of its own.

mod arguments;
mod gather;
mod place;
mod report;
mod summary;
mod watch;

pub(super) use arguments::Args;

use super::USAGE;
use crate::app::{Gateway, Role};
use crate::config::{Config, RUN_POLICY, Ruleset, RunOptions};
use crate::policy::{Mode, Policy};
use crate::sandbox::{self, Way};
use crate::secrets::KnownSecret;
use crate::store::{Created, New};
use anyhow::Context as _;
use place::{Place, prune, runs_directory};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};
use summary::Summary;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// How long flows may go on after the command has ended: what it left in the background has no claim to more.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the command to its end. The exit code is the command's own.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (task, labels) = match (args.task(), args.labels()) {
        (Ok(task), Ok(labels)) => (task, labels),
        (Err(error), _) | (_, Err(error)) => {
            tell(format_args!("exeat: {error}\n"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let mut config = configure(&args)?;
    let known = known(&args)?;
    let runs = runs_directory(|name| env::var_os(name))?;
    prune(&runs, jiff::Timestamp::now());
    let mut place = Place::make(&runs, jiff::Timestamp::now())?;
    let journal = args.journal.clone().unwrap_or_else(|| place.journal());
    config.flows.journal.clone_from(&journal);
    let gateway = Gateway::start(config, Role::Command).await?;
    let watch = Watch::start(gateway.feed());
    let new = New { policy: RUN_POLICY.into(), ttl: args.ttl, task, labels, known };
    let created = gateway.sessions().create(new).await.context("the session can't be made")?;
    let session = created.session.id.to_string();
    let environment = way_out(&gateway, created, &mut place)?;
    if !args.quiet && !args.json && stderr().is_terminal() {
        tell(format_args!("exeat: behind {}, journal in {}\n", gateway.proxy_address(), journal.display()));
    }
    let ended = supervise(&args.command, &environment).await;
    drop(place);
    let flushed = gateway.drain(hurry()?).await;
    let summary = watch.finish().await;
    let (Ok(code) | Err(code)) = ended;
    if (ended.is_ok() && !args.quiet) || summary.has_refusals() {
        let ending = Ending { session: &session, journal: &journal, exit_code: code, summary: &summary };
        ending.tell(args.json);
    }
    if !flushed {
        tell("exeat: the journal could not be flushed; its last records are lost\n");
    }
    Ok(ExitCode::from(code))
}

/// What the command may send to nobody but its home: what was named, and what was found.
fn known(args: &Args) -> anyhow::Result<Vec<KnownSecret>> {
    let mut known = args.known.read()?;
    if !args.no_gather {
        let variables: Vec<_> = env::vars_os().collect();
        let directory = env::current_dir().unwrap_or_default();
        let gathered = gather::gather(&variables, &directory);
        if !args.quiet && !args.json && !gathered.known.is_empty() {
            let (here, files) = (gathered.of_environment, gathered.of_files);
            let secrets = if gathered.known.len() == 1 { "secret" } else { "secrets" };
            tell(format_args!(
                "exeat: guarding {} {secrets}: {here} of the environment, {files} of files (--no-gather: none)\n",
                gathered.known.len()
            ));
        }
        known.extend(gathered.known);
    }
    args.known.send_home(known)
}

/// The configuration of this run; wrong, it is told before anything starts.
fn configure(args: &Args) -> anyhow::Result<Config> {
    let options = RunOptions { config: args.config.as_deref(), policy: args.policy.as_deref(), allow: &args.allow };
    let mut config = Config::for_run(options)?;
    config.drain = DRAIN;
    if args.observe
        && let Some(ruleset) = config.rulesets.get(RUN_POLICY)
    {
        let observed = observed(ruleset).context("the policy can't be observed")?;
        config.rulesets.insert(RUN_POLICY.into(), Arc::new(observed));
    }
    if !args.quiet && !config.warnings.is_empty() {
        tell(format_args!("{}\n", config.warnings));
    }
    Ok(config)
}

/// The same rules, of which nothing is enforced.
fn observed(ruleset: &Ruleset) -> anyhow::Result<Ruleset> {
    let policy = Policy::new(RUN_POLICY, Mode::Observe, ruleset.policy.rules().clone())?;
    Ok(Ruleset {
        policy: Arc::new(policy),
        secrets: ruleset.secrets.clone(),
        own_rules: ruleset.own_rules.clone(),
        limits: ruleset.limits,
    })
}

/// Writes what the command's clients read, and gives the command's environment.
fn way_out(gateway: &Gateway, created: Created, place: &mut Place) -> anyhow::Result<BTreeMap<OsString, OsString>> {
    let token = created.token.reveal();
    let client = place.client();
    let bundle = fs::read(gateway.ca_bundle()).context("the CA bundle can't be read")?;
    let mut ca_bundle = gateway.ca_bundle().to_owned();
    if nix::unistd::geteuid().is_root() {
        ca_bundle = place.share(&bundle, &env::temp_dir())?;
    }
    let way = Way {
        proxy: gateway.proxy_address(),
        session: created.session.id.as_str(),
        token: &token,
        ca_bundle: &ca_bundle,
        ca_certificate: gateway.ca_certificate(),
        directory: &client,
    };
    let system_wgetrc = fs::read("/etc/wgetrc").unwrap_or_default();
    place.write(&sandbox::files(&way, &bundle, &system_wgetrc)?)?;
    Ok(sandbox::environment(&way, env::vars_os()))
}

/// Runs the command to its exit code; what keeps it from running is told here, with the code of a shell.
async fn supervise(command: &[OsString], environment: &BTreeMap<OsString, OsString>) -> Result<u8, u8> {
    let (program, arguments) = command.split_first().ok_or(USAGE)?;
    let ended = sandbox::run(program, arguments, environment, super::dumps::limit_before()).await;
    ended.map(sandbox::Exit::code).map_err(|error| {
        let code = error.code();
        tell(format_args!("exeat: {:#}\n", anyhow::Error::new(error)));
        code
    })
}

/// Cancelled by a signal: who sends one while the gateway drains does not want to wait.
fn hurry() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hurry = CancellationToken::new();
    let token = hurry.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(hurry)
}

/// What a run came to.
#[derive(Serialize)]
struct Ending<'a> {
    session: &'a str,
    journal: &'a Path,
    exit_code: u8,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl Ending<'_> {
    fn tell(&self, json: bool) {
        match serde_json::to_string(self) {
            Ok(text) if json => tell(format_args!("{text}\n")),
            _ => tell(self.summary.report(self.journal)),
        }
    }
}

/// On stderr: stdout is the command's alone. A closed stderr is nobody's error.
fn tell(text: impl Display) {
    let _ = write!(stderr(), "{text}");
}
