//! `exeat serve`: the gateway, until it is told to stop.

use super::{FAILED, panics};
use crate::app::{Gateway, Reloader, Role};
use crate::config;
use crate::flow::Journal;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Run the gateway
///
/// Without --config the defaults hold: the proxy on 127.0.0.1:3128, the control API on 127.0.0.1:3129,
/// keys and journal in your data and state folders, and one policy, `agent`, for coding agents. The first
/// start makes the CA and the operator's key.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration; without it, the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  exeat serve
  exeat serve --config exeat.yaml
  exeat check --config exeat.yaml          every mistake in it, before it runs

Signals: TERM or INT drains (a second one ends at once); HUP reads the configuration
again (exeat reload) and opens the journal's file anew.";

pub(super) async fn run(arguments: Args) -> anyhow::Result<ExitCode> {
    // The allocator would have its memory in pages of 2 MiB, most of them idle. Not for `run`: its command inherits this.
    // A kernel that does not know it costs memory and no more.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let config = config::load(arguments.config.as_deref())?;
    if !config.warnings.is_empty() {
        tell!("{}", config.warnings);
    }
    raise_descriptor_limit();
    // Before anything is bound: a signal during the start must not be lost.
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hup = signal(SignalKind::hangup())?;
    let broken = panics::watch();
    let gateway = Gateway::start(config, Role::Service).await?;
    for (name, address) in gateway.entrances() {
        tell!("exeat: {name} listening on {address}");
    }
    if let Some(address) = gateway.control_address() {
        tell!("exeat: control listening on {address}");
    }
    tell!("exeat: ready");
    let reopener = tokio::spawn(hang_up(hup, gateway.journal().clone(), gateway.reloader().clone()));
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = broken.cancelled() => tell!("exeat: too many panics; whoever supervises this is to start it anew"),
    }
    tell!("exeat: draining");
    // What can't be trusted to go on is not waited for.
    let hurry = broken.child_token();
    let hurried = hurry.clone();
    let second = tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        hurried.cancel();
    });
    let flushed = gateway.drain(hurry).await;
    reopener.abort();
    second.abort();
    if !flushed {
        tell!("exeat: the journal could not be flushed; its last records are lost");
        return Ok(ExitCode::from(FAILED));
    }
    tell!("exeat: stopped");
    Ok(if broken.is_cancelled() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// What a hangup asks for: the journal's file opened anew, the configuration read again.
async fn hang_up(mut hup: Signal, journal: Journal, reloader: Reloader) {
    while hup.recv().await.is_some() {
        journal.reopen();
        match reloader.reload().await {
            Ok(reloaded) => {
                tell!("exeat: reloaded");
                if !reloaded.warnings.is_empty() {
                    tell!("{}", reloaded.warnings);
                }
                if !reloaded.waiting.is_empty() {
                    tell!("exeat: changed, but only a restart takes it in: {}", reloaded.waiting.join(", "));
                }
            }
            Err(error) => tell!("{error}\nexeat: not reloaded: the old configuration stays in force"),
        }
    }
}

/// As many descriptors as the system lets us have: every flow takes two.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the descriptor limit can't be raised");
    }
}
