//! `exeat secrets rules`: which rules there are, or what one of them says.

use super::Origin;
use crate::cli::FAILED;
use crate::secrets::{RuleSpec, is_named};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Rules {
    /// One rule, or a family of them: github-pat
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    origin: Origin,
}

impl Rules {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let catalogue = self.origin.load()?.1.with_builtin()?;
        let named = |rule: &&RuleSpec| self.rule.as_deref().is_none_or(|name| is_named(&rule.id, name));
        let rules: Vec<&RuleSpec> = catalogue.rules().iter().filter(named).collect();
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &rules)?;
            writeln!(out)?;
        } else if let (Some(_), [rule]) = (&self.rule, &rules[..]) {
            show(&mut out, rule)?;
        } else {
            list(&mut out, &rules)?;
        }
        if rules.is_empty() {
            writeln!(io::stderr(), "exeat: there is no rule {}", self.rule.as_deref().unwrap_or_default())?;
            return Ok(ExitCode::from(FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(out: &mut dyn Write, rules: &[&RuleSpec]) -> io::Result<()> {
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for RuleSpec { id, name, homes, .. } in rules {
        let homes = if homes.is_empty() { "no home".to_owned() } else { homes.join(" ") };
        writeln!(out, "{id:width$}  {name}  ({homes})")?;
    }
    writeln!(io::stderr(), "{} rules", rules.len())
}

fn show(out: &mut dyn Write, rule: &RuleSpec) -> io::Result<()> {
    let or = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(" ") };
    for (name, value) in [
        ("rule", rule.id.clone()),
        ("name", rule.name.clone()),
        ("provider", rule.provider.clone()),
        ("group", word(rule.group)),
        ("severity", word(rule.severity)),
        ("pattern", rule.pattern.clone()),
        ("homes", or(&rule.homes, "none: it is never let out")),
        ("read in", or(&rule.places, "the head of a request")),
        ("documented", rule.reference.clone().unwrap_or_default()),
        ("file", rule.file.clone().unwrap_or_else(|| "built in".to_owned())),
    ] {
        writeln!(out, "{}", format!("{name:10} {value}").trim_end())?;
    }
    Ok(())
}

/// A word as the catalogue's files write it.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
