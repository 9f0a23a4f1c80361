//! `exeat check`: tells everything that is wrong with a configuration, and what it comes to.

use crate::config::{self, Config, Diagnostics};
use clap::Args as ClapArgs;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration file.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The configuration; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 for a configuration that can be served, 2 for one that can't.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    match config::load(args.config.as_deref()) {
        Ok(config) if args.json => writeln!(out, "{:#}", summary(&config))?,
        Ok(config) => {
            print(&config.warnings)?;
            write_summary(&mut out, &config)?;
        }
        Err(errors) => {
            if args.json {
                writeln!(out, "{:#}", json!({ "ok": false, "errors": errors }))?;
                print_out(&out)?;
            } else {
                print(&errors)?;
                let mistakes = if errors.len() == 1 { "mistake" } else { "mistakes" };
                eprintln!("\nexeat: {} {mistakes} in the configuration", errors.len());
            }
            return Ok(ExitCode::from(2));
        }
    }
    print_out(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// What a verb has to say, at once. A reader that has gone (`| head`) is no failure.
pub(super) fn print_out(text: &[u8]) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Diagnostics go to stderr, in colour where a person reads it.
pub(super) fn print(diagnostics: &Diagnostics) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    if diagnostics.is_empty() {
        return Ok(());
    }
    let colour = err.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    writeln!(err, "{}", diagnostics.render(colour))
}

fn summary(config: &Config) -> serde_json::Value {
    let mut policies: Vec<_> = config.rulesets.values().collect();
    policies.sort_by_key(|ruleset| ruleset.policy.name());
    let policies: Vec<_> = policies
        .into_iter()
        .map(|ruleset| {
            let policy = &ruleset.policy;
            json!({
                "name": &**policy.name(),
                "hash": &**policy.hash(),
                "mode": format!("{:?}", policy.mode()).to_lowercase(),
                "allow": policy.rules().allow.len(),
                "deny": policy.rules().deny.len(),
            })
        })
        .collect();
    json!({
        "ok": true,
        "warnings": config.warnings,
        "listen": listeners(config),
        "policies": policies,
        "sessions": config.sessions.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(),
    })
}

/// Where it would listen, by the keys of `listen`.
fn listeners(config: &Config) -> serde_json::Value {
    let mut listeners = json!({ "control": config.listen.control.to_string() });
    for (name, address) in config.listen.named() {
        listeners[name] = address.to_string().into();
    }
    if let Some(unix) = &config.listen.unix {
        listeners["unix"] = unix.path.display().to_string().into();
    }
    listeners
}

fn write_summary(out: &mut impl Write, config: &Config) -> std::io::Result<()> {
    let summary = summary(config);
    for (name, address) in listeners(config).as_object().into_iter().flatten() {
        writeln!(out, "{name:<8} {}", address.as_str().unwrap_or_default())?;
    }
    for policy in summary["policies"].as_array().into_iter().flatten() {
        let text = |key: &str| policy[key].as_str().unwrap_or_default().to_owned();
        let (name, mode, hash) = (text("name"), text("mode"), text("hash"));
        writeln!(out, "policy   {name} ({mode}, {} allow, {} deny, {hash})", policy["allow"], policy["deny"])?;
    }
    for session in &config.sessions {
        writeln!(out, "session  {} (policy {})", session.id.as_str(), session.policy)?;
    }
    writeln!(out, "ok{}", if config.warnings.is_empty() { "" } else { ", with warnings" })
}
