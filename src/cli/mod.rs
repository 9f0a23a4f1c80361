//! argv to exit code: one file a verb.
//!
//! The only room that prints, exits and uses `anyhow`. Errors go to stderr as `exeat: …`; what a verb
//! is asked for goes to stdout.

/// Tells operators on stderr. That nobody reads it any more is no reason to fall, and `eprintln!` would.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod ca;
mod check;
mod doctor;
mod dumps;
mod flows;
mod known;
mod panics;
mod policy;
mod reload;
mod run;
mod secrets;
mod serve;
mod session;

use crate::config::Diagnostics;
use crate::flow;
use crate::telemetry::{LogFormat, init_tracing};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Refused or failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// After how many turns of tasks those are asked for whose connections are ready. Some turns take half a millisecond (a
/// body is scanned in it); the runtime's own 61 of them would be felt by whoever waits to be let in.
const EVENT_INTERVAL: u32 = 8;

/// The egress gateway for AI coding agents.
///
/// A forward proxy that lets each session reach what its policy lists, stops secrets on their way out
/// and writes down every flow.
#[derive(Debug, Parser)]
#[command(name = "exeat", version, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    /// What is told on stderr: error, warn, info, debug, trace, or a filter such as info,exeat::dns=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How it is told: text or json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  exeat run -- claude                       an agent behind a gateway of its own
  exeat run --allow example.com -- curl -sS https://example.com/
  exeat serve --config exeat.yaml           a gateway for a team
  exeat session new --policy agent --ttl 1h --task fix-the-build
  exeat flows tail --follow                 what goes out, as it goes";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Serve(serve::Args),
    Reload(reload::Args),
    Check(check::Args),
    Secrets(secrets::Args),
    Session(session::Args),
    Policy(policy::Args),
    Flows(flows::Args),
    Ca(ca::Args),
    Doctor(doctor::Args),
}

/// Runs a command line to the exit code of the process. A thread that has nothing to do calls `when_idle`.
#[must_use]
pub fn main(words: impl IntoIterator<Item = OsString>, when_idle: fn()) -> ExitCode {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with exit code 0; a closed stdout is nobody's error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    // One verb at a time tells what it has to say by itself; the gateways report as they run.
    let level = match (&arguments.log, &arguments.verb) {
        (None, Verb::Serve(_)) | (Some(_), _) => arguments.log.as_deref(),
        (None, _) if std::env::var_os("RUST_LOG").is_some() => None,
        (None, _) => Some("error"),
    };
    if let Err(error) = init_tracing(arguments.log_format, level) {
        eprintln!("exeat: {error}");
        return ExitCode::from(USAGE);
    }
    dumps::forbid();
    // For libraries that ask for the process's default; ours name theirs.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let workers = Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .on_thread_park(move || {
            flow::before_park();
            when_idle();
        })
        .build();
    let runtime = match workers {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("exeat: no runtime: {error}");
            return ExitCode::from(FAILED);
        }
    };
    match runtime.block_on(dispatch(arguments.verb)) {
        Ok(code) => code,
        // `exeat … | head`: whoever has read enough has all that was asked for.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exeat: {error:#}");
            ExitCode::from(if error.is::<Diagnostics>() { USAGE } else { FAILED })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

async fn dispatch(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(arguments) => run::run(arguments).await,
        Verb::Serve(arguments) => serve::run(arguments).await,
        Verb::Reload(arguments) => reload::run(arguments).await,
        Verb::Check(arguments) => check::run(arguments).await,
        Verb::Policy(arguments) => policy::run(arguments).await,
        Verb::Secrets(arguments) => secrets::run(arguments).await,
        Verb::Session(arguments) => session::run(arguments).await,
        Verb::Flows(arguments) => flows::run(arguments).await,
        Verb::Ca(arguments) => ca::run(arguments).await,
        Verb::Doctor(arguments) => doctor::run(arguments).await,
    }
}
