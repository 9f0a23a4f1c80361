//! `exeat reload`: a running gateway reads its configuration again.

use super::session::{Common, ask};
use anyhow::Result;
use http::Method;
use std::io::Write as _;
use std::process::ExitCode;

/// Have a running gateway read its configuration again
///
/// Policies, secrets and limits of the file hold from then on, without a connection dropped; flows under way that
/// they no longer allow end. A file with a mistake changes nothing. SIGHUP does the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
}

/// Exit code 1 where the old configuration stays in force.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let answer = ask(&args.common, Method::POST, "/v1/reload", None).await?;
    let mut out = Vec::new();
    if args.common.json {
        writeln!(out, "{answer:#}")?;
    } else {
        let list = |key: &str| {
            let words = answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
            words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>()
        };
        writeln!(out, "reloaded; policies: {}", list("policies").join(", "))?;
        for warning in list("warnings") {
            writeln!(out, "{warning}")?;
        }
        let waiting = list("waiting");
        if !waiting.is_empty() {
            writeln!(out, "changed, but only a restart takes it in: {}", waiting.join(", "))?;
        }
    }
    super::check::print_out(&out)?;
    Ok(ExitCode::SUCCESS)
}
